"""The pure core: what it decides, what it refuses, and what it does when told to stop."""

import math
import subprocess
import sys

import numpy as np
import pytest

from kernels.execution.quotes import JOIN, NUM_CODES
from kernels.features.normalise import default_normaliser
from kernels.lob import spec
from kernels.risk.spec import RiskLimits, RiskReason
from live_bridge.core import Core
from live_bridge.core_snapshot import decode_state, encode_state
from live_bridge.policy import NonFiniteError, PolicyAnswer
from live_bridge.types import (
    Alert,
    CancelIntent,
    CancelReject,
    CancelRequest,
    Command,
    Control,
    Decision,
    NewIntent,
    OrderKind,
    OrderReject,
    OrderRequest,
    OrderState,
    Origin,
    Outcome,
    OutcomeUnknown,
    Phase,
    Reconciled,
    Refusal,
    RefusalReason,
    Resolution,
    RiskRefusal,
    StateChange,
    Timer,
    TradingState,
)
from tests.support.core_events import NOON, SECOND, ack, book, cancel_ack, core_config, fill, run, start

JOIN_BOTH = NUM_CODES * JOIN + JOIN


class Always:
    """Answers every observation alike."""

    digest = "always"
    normaliser = default_normaliser()

    def __init__(self, action: int = JOIN_BOTH, disagreement: float = 0.0, error: bool = False) -> None:
        self._answer, self._error = PolicyAnswer(action, disagreement), error

    def act(self, obs: np.ndarray) -> PolicyAnswer:
        if self._error:
            raise NonFiniteError("observation column 3 is not finite")
        return self._answer


def quoting_core(policy: Always | None = None, **changes) -> Core:
    return Core(core_config(**changes), policy or Always())


def names(outputs) -> list[str]:
    return [output.client_order_id for output in outputs if isinstance(output, NewIntent)]


def only(outputs, kind):
    return [output for output in outputs if isinstance(output, kind)]


def own(bid_lots: int = 0, ask_lots: int = 0, bid: int = 9_990, ask: int = 10_010) -> np.ndarray:
    rows = np.zeros((2, spec.NUM_OWN_COLUMNS), np.int32)
    for side, lots, price in ((0, bid_lots, bid), (1, ask_lots, ask)):
        if lots:
            rows[side] = (1, price, lots, 1, 0, 1)
    return rows


def control(command: Command, number: int = 1) -> Control:
    return Control(command, "tester", "test", NOON + number * SECOND, 1)


def test_a_book_event_becomes_a_decision_and_post_only_quotes_with_ids_of_instance_epoch_and_number():
    core = quoting_core()
    _, outputs = run(core, [start(core), book()])
    decision = only(outputs, Decision)[0]
    assert (decision.action, decision.bid_price_tick, decision.ask_price_tick) == (JOIN_BOTH, 9_990, 10_010)
    bid, ask = only(outputs, NewIntent)
    assert (bid.side, bid.price_tick, bid.lots, bid.kind) == (0, 9_990, 10, OrderKind.POST_ONLY)
    assert (ask.side, ask.price_tick, ask.lots) == (1, 10_010, 10)
    assert len(bid.client_order_id) == 32
    assert int(bid.client_order_id, 16) + 1 == int(ask.client_order_id, 16)
    assert bid.client_order_id[12:] == f"{1:08x}{1:012x}"


def test_while_orders_are_unanswered_the_side_is_left_alone():
    core = quoting_core()
    _, outputs = run(core, [start(core), book(0), book(1, bid=9_980)])
    assert len(only(outputs, NewIntent)) == 2
    assert not only(outputs, CancelIntent)


def test_an_order_keeps_its_place_while_the_target_stays_and_is_replaced_when_it_moves():
    core = quoting_core()
    state, outputs = run(core, [start(core), book(0)])
    bid, ask = names(outputs)
    state, outputs = run(core, [ack(bid), ack(ask), book(1, own=own(10, 10))], state)
    assert not only(outputs, NewIntent | CancelIntent)
    # The book moves up: our bid no longer joins the best of others.
    state, outputs = run(core, [book(2, bid=9_995, own=own(10, 10))], state)
    assert [cancel.client_order_id for cancel in only(outputs, CancelIntent)] == [bid]
    assert [(new.side, new.price_tick) for new in only(outputs, NewIntent)] == [(0, 9_995)]


def test_the_same_state_and_event_give_the_same_outputs_and_leave_the_state_as_it_was():
    core = quoting_core()
    state, outputs = run(core, [start(core), book(0)])
    before = encode_state(state)
    first, second = core.step(state, book(1)), core.step(state, book(1))
    assert encode_state(first[0]) == encode_state(second[0]) != before
    assert first[1] == second[1]
    assert encode_state(state) == before
    bid = names(outputs)[0]
    core.step(state, fill(bid, "t1", 0, 4))
    assert encode_state(state) == before


REFUSED = [
    (RefusalReason.GAPPED_BOOK, {"gap": True}, {}, Always()),
    (RefusalReason.STALE_BOOK, {"now_ns": NOON + 11 * SECOND}, {}, Always()),
    (RefusalReason.STALE_BOOK, {"now_ns": NOON - 1}, {}, Always()),
    (RefusalReason.CROSSED_BOOK, {"bid": 10_011}, {}, Always()),
    (RefusalReason.CROSSED_BOOK, {"bid": 10_010}, {}, Always()),
    (RefusalReason.EMPTY_BOOK, {"depth": np.zeros((2, 6, 2), np.int32)}, {}, Always()),
    (RefusalReason.BAD_SHAPE, {"depth": np.zeros((2, 5, 2), np.int32)}, {}, Always()),
    (RefusalReason.BAD_SHAPE, {"own": np.zeros((2, 5), np.int32)}, {}, Always()),
    (RefusalReason.NON_FINITE, {}, {}, Always(error=True)),
    (RefusalReason.NON_FINITE, {}, {}, Always(disagreement=math.nan)),
    (RefusalReason.BAD_ACTION, {}, {}, Always(action=36)),
    (RefusalReason.BAD_ACTION, {}, {}, Always(action=-1)),
    (RefusalReason.DISAGREEMENT, {}, {"disagreement_limit": 0.25}, Always(disagreement=0.2500001)),
    (RefusalReason.EXPIRED_ARTIFACT, {}, {"expires_ns": NOON + 5, "event_epoch_ns": 5}, Always()),
]


@pytest.mark.parametrize(("reason", "changes", "config", "policy"), REFUSED)
def test_what_must_not_be_traded_on_refuses_with_its_reason_and_pulls_the_quotes(reason, changes, config, policy):
    limits = RiskLimits(max_age_ns=10 * SECOND)
    good = quoting_core(limits=limits)
    state, outputs = run(good, [start(good), book(0)])
    bid, ask = names(outputs)
    state, _ = run(good, [ack(bid), ack(ask)], state)
    core = quoting_core(policy, limits=limits, **config)
    state, outputs = core.step(state, book(**changes))
    refusal = only(outputs, Refusal)[0]
    assert (refusal.reason, refusal.consecutive) == (reason, 1)
    assert [cancel.client_order_id for cancel in only(outputs, CancelIntent)] == [bid, ask]
    assert not only(outputs, NewIntent | Decision)
    assert state.refusals == 1


class NanNormaliser(Always):
    normaliser = default_normaliser()._replace(scale=np.full(len(default_normaliser().scale), np.nan, np.float32))


def test_a_feature_that_is_not_finite_refuses_before_the_policy_is_asked():
    core = quoting_core(NanNormaliser())
    _, outputs = run(core, [start(core), book()])
    assert only(outputs, Refusal)[0].reason is RefusalReason.NON_FINITE


def test_too_many_refusals_in_a_row_flatten_the_position_and_halt_until_a_person_resumes():
    core = quoting_core(max_refusals=3)
    state, outputs = run(core, [start(core), book(0)])
    bid, ask = names(outputs)
    events = [ack(bid), ack(ask), fill(bid, "t1", 0, 10)]
    state, _ = run(core, events, state)
    state, outputs = run(core, [book(i, gap=True) for i in (1, 2, 3)], state)
    assert (state.phase, state.trading) == (Phase.FLATTENING, TradingState.REDUCE_ONLY)
    state, outputs = run(core, [cancel_ack(ask, 10), book(4, gap=True)], state)
    assert not only(outputs, NewIntent), "no order leaves on a gapped book"
    state, outputs = run(core, [book(5)], state)
    order = only(outputs, NewIntent)[0]
    assert (order.side, order.lots, order.kind, order.origin) == (1, 10, OrderKind.IOC, Origin.FLATTEN)
    assert order.reduce_only
    assert order.price_tick == 9_990 - 50
    state, outputs = run(core, [fill(order.client_order_id, "t2", 1, 10), book(6)], state)
    assert (state.phase, state.trading, state.account.position_lots) == (Phase.RUNNING, TradingState.HALTED, 0)
    state, outputs = run(core, [book(7)], state)
    assert only(outputs, Refusal)[0].reason is RefusalReason.NOT_ACTIVE
    state, outputs = run(core, [control(Command.RESUME, 8), book(9)], state)
    assert only(outputs, Decision)


def test_the_kill_switch_cancels_everything_unacknowledged_and_unknown_orders_too_and_halts():
    core = quoting_core()
    state, outputs = run(core, [start(core), book(0)])
    bid, ask = names(outputs)
    state, _ = run(core, [OutcomeUnknown(ask, "timeout", NOON, 1)], state)
    assert [state.orders.get(name).state.name for name in (bid, ask)] == ["SENT", "UNKNOWN"]  # type: ignore[union-attr]
    state, outputs = core.step(state, control(Command.KILL))
    assert [cancel.client_order_id for cancel in only(outputs, CancelIntent)] == [bid, ask]
    assert (state.trading, state.latched) == (TradingState.HALTED, True)
    assert only(outputs, StateChange)[0].reason == "KILL by tester: test"
    request = OrderRequest("r", 0, 0, 9_990, 1, OrderKind.LIMIT, False, "tester", NOON, 1)
    state, outputs = run(core, [book(1), request], state)
    assert not only(outputs, NewIntent)
    assert not only(outputs, CancelIntent), "a cancel under way is not sent again"
    assert only(outputs, RiskRefusal)[0].reason is RiskReason.HALTED
    # The kill outlives a restart.
    state, outputs = run(core, [start(core, 2, True), Reconciled(0, 2, 0, True, NOON, 1), book(2)], state)
    assert state.trading is TradingState.HALTED
    assert {cancel.client_order_id for cancel in only(outputs, CancelIntent)} == {bid, ask}


def test_a_refused_cancel_leaves_the_order_unknown_and_its_remainder_reserved():
    core = quoting_core(limits=RiskLimits(max_position_lots=14))
    state, outputs = run(core, [start(core), book(0)])
    bid, ask = names(outputs)
    events = [ack(bid), ack(ask), book(1, bid=9_995, own=own(10, 10)), CancelReject(bid, "UNKNOWN_ORDER", NOON, 1)]
    state, outputs = run(core, events, state)
    assert state.orders.get(bid).state is OrderState.UNKNOWN  # type: ignore[union-attr]
    request = OrderRequest("r", 0, 0, 9_990, 5, OrderKind.LIMIT, False, "tester", NOON, 1)
    assert only(core.step(state, request)[1], RiskRefusal)[0].reason is RiskReason.MAX_POSITION


def test_fills_book_once_in_any_state_of_the_order_and_late_ones_are_said_aloud():
    core = quoting_core()
    state, outputs = run(core, [start(core), book(0)])
    bid, ask = names(outputs)
    before_ack = fill(bid, "t1", 0, 4)
    state, outputs = run(core, [before_ack, before_ack, ack(bid), cancel_ack(bid, 6)], state)
    order = state.orders.get(bid)
    assert order is not None
    assert (order.state, order.filled_lots, state.account.position_lots) == (OrderState.CANCELED, 4, 4)
    state, outputs = run(core, [fill(bid, "t2", 0, 6), OrderReject(ask, "X", NOON, 1), fill(ask, "t3", 1, 3)], state)
    assert [alert.code for alert in only(outputs, Alert)] == ["LATE_FILL", "LATE_FILL"]
    assert (state.account.position_lots, state.account.fees_e8, state.account.num_fills) == (7, 15, 3)
    assert state.orders.get(bid).state is OrderState.FILLED  # type: ignore[union-attr]
    state, outputs = run(core, [fill("f" * 32, "t4", 1, 7)], state)
    assert only(outputs, Alert)[0].code == "FILL_OF_UNKNOWN_ORDER"
    assert state.account.position_lots == 0


def test_an_acknowledgement_without_a_venue_id_is_no_proof():
    core = quoting_core()
    state, outputs = run(core, [start(core), book(0)])
    bid = names(outputs)[0]
    empty = ack(bid)
    state, outputs = core.step(state, type(empty)(bid, "", NOON, 1))
    assert state.orders.get(bid).state is OrderState.UNKNOWN  # type: ignore[union-attr]
    assert only(outputs, Alert)[0].code == "ACK_WITHOUT_ID"


def test_a_resolution_that_disagrees_with_the_booked_fills_resolves_nothing():
    core = quoting_core()
    state, outputs = run(core, [start(core), book(0)])
    bid = names(outputs)[0]
    state, _ = run(core, [start(core, 2, True)], state)
    canceled = Resolution(bid, Outcome.CANCELED, "V1", 4, "query", NOON, 1)
    after, outputs = core.step(state, canceled)
    assert after.orders.get(bid).state is OrderState.UNKNOWN  # type: ignore[union-attr]
    assert only(outputs, Alert)[0].code == "MISSING_FILLS"
    after, outputs = run(core, [fill(bid, "t1", 0, 4), canceled], after)
    assert after.orders.get(bid).state is OrderState.CANCELED  # type: ignore[union-attr]
    absent = Resolution(bid, Outcome.STILL_UNKNOWN, "", 0, "not found", NOON, 1)
    after, _ = core.step(state, absent)
    assert after.orders.get(bid).state is OrderState.UNKNOWN, "absence is no proof"  # type: ignore[union-attr]


def test_after_a_restart_nothing_leaves_before_the_venue_agrees_and_a_difference_means_reduce_only():
    core = quoting_core()
    state, outputs = run(core, [start(core), book(0)])
    bid, ask = names(outputs)
    state, outputs = run(core, [start(core, 2, True), book(1)], state)
    assert (state.phase, len(state.live)) == (Phase.RECOVERING, 2)
    assert not only(outputs, NewIntent | CancelIntent)
    resolved = [
        Resolution(bid, Outcome.OPEN, "V1", 0, "query", NOON, 1),
        Resolution(ask, Outcome.NOT_SENT, "", 0, "journal", NOON, 1),
    ]
    state, _ = run(core, resolved, state)
    agreed, _ = core.step(state, Reconciled(0, 1, 0, True, NOON, 1))
    assert (agreed.phase, agreed.trading) == (Phase.RUNNING, TradingState.ACTIVE)
    differs, outputs = core.step(state, Reconciled(5, 1, 0, True, NOON, 1))
    assert (differs.phase, differs.trading) == (Phase.RUNNING, TradingState.REDUCE_ONLY)
    assert only(outputs, Alert)[0].code == "NOT_RECONCILED"


def test_a_flattening_that_a_restart_interrupted_goes_on_after_it():
    core = quoting_core()
    state, outputs = run(core, [start(core), book(0)])
    bid, ask = names(outputs)
    events = [ack(bid), ack(ask), fill(bid, "t1", 0, 10), control(Command.FLATTEN), cancel_ack(ask, 10)]
    state, _ = run(core, events, state)
    state, outputs = run(core, [start(core, 2, True), Reconciled(10, 0, 0, True, NOON, 1), book(3)], state)
    assert state.phase is Phase.FLATTENING
    assert [(order.side, order.lots, order.reduce_only) for order in only(outputs, NewIntent)] == [(1, 10, True)]


def test_intents_of_a_new_epoch_never_repeat_an_id():
    core = quoting_core()
    state, outputs = run(core, [start(core), book(0)])
    first = names(outputs)
    events = [Resolution(name, Outcome.NOT_SENT, "", 0, "journal", NOON, 1) for name in first]
    state, outputs = run(core, [start(core, 2, True), *events, Reconciled(0, 0, 0, True, NOON, 1), book(1)], state)
    second = names(outputs)
    assert len(second) == 2
    assert not set(first) & set(second)


def test_an_external_order_passes_the_same_gate_and_can_be_cancelled_by_its_id():
    core = quoting_core(Always(action=0))
    state, _ = run(core, [start(core), book(0)])
    request = OrderRequest("mine", 0, 1, 10_020, 3, OrderKind.LIMIT, False, "tester", NOON, 1)
    state, outputs = core.step(state, request)
    intent = only(outputs, NewIntent)[0]
    assert (intent.origin, intent.request_id) == (Origin.EXTERNAL, "mine")
    far = OrderRequest("far", 0, 1, 20_000, 3, OrderKind.LIMIT, False, "tester", NOON, 1)
    assert only(core.step(state, far)[1], RiskRefusal)[0].reason is RiskReason.PRICE_COLLAR
    cancel = CancelRequest("c", intent.client_order_id, "tester", NOON, 1)
    state, outputs = run(core, [ack(intent.client_order_id), cancel, cancel], state)
    assert len(only(outputs, CancelIntent)) == 1
    assert only(outputs, Alert)[0].code == "CANCEL_REFUSED"
    state, outputs = core.step(state, CancelRequest("c", "0" * 32, "tester", NOON, 1))
    assert only(outputs, Alert)[0].code == "UNKNOWN_ORDER"


def test_a_book_from_outside_is_advised_on_and_leaves_orders_clock_and_memory_alone():
    core = quoting_core()
    state, _ = run(core, [start(core), book(0)])
    after, outputs = run(core, [book(900, bid=9_000, ask=9_010, advice=True)], state)
    assert [(type(output), output.advice) for output in outputs] == [(Decision, True)]
    assert (outputs[0].bid_price_tick, outputs[0].decision_number) == (9_000, 0)
    assert (after.now_ns, after.history, after.book, after.live) == (
        state.now_ns,
        state.history,
        state.book,
        state.live,
    )
    _, outputs = run(core, [book(901, gap=True, advice=True)] * 60, after)
    assert {(type(output), output.advice) for output in outputs} == {(Refusal, True)}, "no quote is pulled for it"
    halted, _ = core.step(state, control(Command.KILL))
    _, outputs = core.step(halted, book(900, advice=True))
    assert only(outputs, Refusal)[0].reason is RefusalReason.NOT_ACTIVE


def test_an_order_like_a_live_one_is_a_duplicate_until_the_live_ones_cancel_is_under_way():
    core = quoting_core(Always(action=0))
    state, _ = run(core, [start(core), book(0)])
    request = OrderRequest("r", 0, 0, 9_985, 3, OrderKind.LIMIT, False, "tester", NOON, 1)
    state, outputs = core.step(state, request)
    name = names(outputs)[0]
    again, outputs = core.step(state, request)
    assert only(outputs, RiskRefusal)[0].reason is RiskReason.DUPLICATE_INTENT
    again, outputs = run(core, [ack(name), CancelRequest("c", name, "tester", NOON, 1), request], again)
    assert len(names(outputs)) == 1


def test_an_order_for_an_instrument_that_is_none_of_ours_is_refused():
    core = quoting_core()
    state, _ = run(core, [start(core), book(0)])
    request = OrderRequest("r", 1, 0, 9_990, 1, OrderKind.LIMIT, False, "tester", NOON, 1)
    assert only(core.step(state, request)[1], RiskRefusal)[0].reason is RiskReason.NOT_TRADABLE


def test_time_that_passes_without_a_book_pulls_the_quotes():
    core = quoting_core(limits=RiskLimits(max_age_ns=10 * SECOND))
    state, outputs = run(core, [start(core), book(0)])
    bid, ask = names(outputs)
    state, outputs = run(core, [ack(bid), ack(ask), Timer(NOON + 10 * SECOND, 1)], state)
    assert not outputs
    state, outputs = core.step(state, Timer(NOON + 10 * SECOND + 1, 1))
    assert only(outputs, Refusal)[0].reason is RefusalReason.STALE_BOOK
    assert len(only(outputs, CancelIntent)) == 2


def test_a_ledger_that_would_leave_int64_halts():
    core = quoting_core()
    state, outputs = run(core, [start(core), book(0)])
    bid = names(outputs)[0]
    state, outputs = core.step(state, fill(bid, "t1", 0, 10, price_tick=2**62))
    assert state.trading is TradingState.HALTED
    assert only(outputs, Alert)[0].code == "LEDGER_OVERFLOW"


def test_a_state_survives_its_bytes_and_goes_on_alike():
    core = quoting_core()
    state, outputs = run(core, [start(core), book(0)])
    bid, ask = names(outputs)
    state, _ = run(core, [ack(bid), fill(bid, "t1", 0, 4), OutcomeUnknown(ask, "reset", NOON, 1), book(1)], state)
    again, sequence = decode_state(encode_state(state, 77))
    assert sequence == 77
    assert encode_state(again) == encode_state(state)
    events = [book(2), fill(ask, "t2", 1, 10), control(Command.FLATTEN), book(3)]
    one, two = run(core, events, state), run(core, events, again)
    assert encode_state(one[0]) == encode_state(two[0])
    assert one[1] == two[1]


def test_the_core_never_imports_jax():
    modules = "live_bridge.paper, live_bridge.arrow_export, live_bridge.journal_tools"
    code = f"import sys, {modules}; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "False"
