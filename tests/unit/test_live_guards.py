"""What guards a session beside the gate: kill and its confirmation, breakers, limits changed while it runs."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.execution.quotes import JOIN, NUM_CODES
from kernels.features.normalise import default_normaliser
from kernels.risk.spec import RiskLimits, RiskReason
from kernels.risk.states import Breaker, BreakerLimits, KillState, Standing
from live_bridge.core import Core
from live_bridge.core_snapshot import decode_state, encode_state
from live_bridge.core_state import CoreConfig
from live_bridge.guarding import SESSION_ACTOR
from live_bridge.policy import PolicyAnswer
from live_bridge.types import (
    Alert,
    CancelIntent,
    CancelReject,
    Command,
    Control,
    LimitsChange,
    NewIntent,
    OrderKind,
    OrderReject,
    OrderRequest,
    OutcomeUnknown,
    Phase,
    Reconciled,
    RiskRefusal,
    StateChange,
    Timer,
    TradingState,
)
from tests.support.core_events import NOON, SECOND, ack, book, cancel_ack, core_config, fill, run, start


class Joins:
    digest = "joins"
    normaliser = default_normaliser()

    def __init__(self, action: int = NUM_CODES * JOIN + JOIN) -> None:
        self._answer = PolicyAnswer(action, 0.0)

    def act(self, obs) -> PolicyAnswer:
        return self._answer


def core_of(silent: bool = False, **changes) -> Core:
    return Core(core_config(**changes), Joins(0) if silent else Joins())


def only(outputs, kind):
    return [output for output in outputs if isinstance(output, kind)]


def codes(outputs) -> list[str]:
    return [output.code for output in only(outputs, Alert)]


def names(outputs) -> list[str]:
    return [output.client_order_id for output in only(outputs, NewIntent)]


def control(command: Command, actor: str = "ann", number: int = 1) -> Control:
    return Control(command, actor, "test", NOON + number * SECOND, 1)


def request(side: int = 0, price_tick: int = 9_985, lots: int = 3, kind=OrderKind.LIMIT, **changes) -> OrderRequest:
    fields = {"instrument": 0, "reduce_only": False, "actor": "ann", "event_ns": NOON, "recv_ns": 1} | changes
    return OrderRequest("r", side=side, price_tick=price_tick, lots=lots, kind=kind, **fields)


def limits(scope: str = "strategy", **changes) -> LimitsChange:
    return LimitsChange(scope, json.dumps(changes), "ann", "test", NOON, 1)


def test_a_kill_is_confirmed_when_the_venue_holds_nothing_and_said_loudly_when_it_does():
    core = core_of()
    state, outputs = run(core, [start(core), book(0)])
    bid, ask = names(outputs)
    state, _ = run(core, [ack(bid), ack(ask), control(Command.KILL)], state)
    assert state.kill == KillState.CANCELLING
    left, outputs = core.step(state, Reconciled(0, 1, 0, False, NOON, 1))
    assert codes(outputs) == ["NOT_RECONCILED", "KILL_NOT_CONFIRMED"]
    assert left.kill == KillState.UNCONFIRMED
    done, outputs = run(core, [cancel_ack(bid, 10), cancel_ack(ask, 10), Reconciled(0, 0, 0, True, NOON, 1)], left)
    assert codes(outputs) == ["KILL_CONFIRMED"]
    assert done.kill == KillState.CONFIRMED
    _, outputs = core.step(done, Reconciled(0, 0, 0, True, NOON, 1))
    assert codes(outputs) == [], "said once"
    held, outputs = core.step(left, control(Command.RESUME))
    assert codes(outputs) == ["CONTROL_REFUSED"], "not before the venue has confirmed"
    assert (held.trading, held.kill) == (TradingState.HALTED, KillState.UNCONFIRMED)
    resumed, outputs = core.step(done, control(Command.RESUME))
    assert (codes(outputs), resumed.trading, resumed.kill) == ([], TradingState.ACTIVE, KillState.IDLE)


def test_only_a_person_re_enables_and_a_kill_outlives_a_restart():
    core = core_of()
    state, _ = run(core, [start(core), book(0), control(Command.KILL)])
    confirmed, _ = run(core, [cancel_ack(name, 10) for name in state.live], state)
    confirmed, _ = core.step(confirmed, Reconciled(0, 0, 0, True, NOON, 1))
    for nobody in (SESSION_ACTOR, "", "  ", " Session "):
        after, outputs = core.step(confirmed, control(Command.RESUME, nobody))
        assert codes(outputs) == ["CONTROL_REFUSED"]
        assert after.trading == TradingState.HALTED
        assert codes(core.step(after, replace(limits(max_order_lots=4), actor=nobody))[1]) == ["LIMITS_REFUSED"]
    again, _ = run(
        core, [start(core, 2, True), Reconciled(0, 2, 0, True, NOON, 1)], decode_state(encode_state(state))[0]
    )
    assert (again.trading, again.standing, again.kill) == (TradingState.HALTED, Standing.HALTED, KillState.UNCONFIRMED)
    quiet = [cancel_ack(name, 10) for name in again.live]
    resumed, _ = run(core, [*quiet, Reconciled(0, 0, 0, True, NOON, 1), control(Command.RESUME)], again)
    assert (resumed.trading, resumed.kill) == (TradingState.ACTIVE, KillState.IDLE)


def test_a_price_spike_pulls_the_quotes_and_only_reducing_orders_pass_until_a_person_resumes():
    core = core_of()
    state, outputs = run(core, [start(core), book(0)])
    bid, ask = names(outputs)
    state, _ = run(core, [ack(bid), ack(ask), fill(bid, "t1", 0, 10)], state)
    state, outputs = core.step(state, book(1, bid=11_200, ask=11_220))
    assert codes(outputs) == ["BREAKER_PRICE_SPIKE"]
    assert [cancel.client_order_id for cancel in only(outputs, CancelIntent)] == [ask]
    assert only(outputs, StateChange)[0].trading_to == TradingState.REDUCE_ONLY
    assert all(order.side == 1 for order in only(outputs, NewIntent))
    state, outputs = run(core, [book(2, bid=11_200, ask=11_220), request(price_tick=11_200)], state)
    assert codes(outputs) == [], "said once"
    assert {refusal.reason for refusal in only(outputs, RiskRefusal)} <= {
        RiskReason.REDUCE_ONLY,
        RiskReason.REFERENCE_COLLAR,
    }
    state, outputs = run(core, [start(core, 2, True), Reconciled(10, 0, 0, False, NOON, 1)], state)
    assert state.trading == TradingState.REDUCE_ONLY, "a restart closes no breaker"
    state, outputs = run(core, [control(Command.RESUME), book(3, bid=11_200, ask=11_220)], state)
    assert (state.standing, state.breakers.opened, state.breakers.reference_tick_x2) == (Standing.ACTIVE, 0, 22_420)


def test_the_collar_against_the_reference_holds_where_the_touch_has_run_away():
    core = core_of(silent=True, breakers=BreakerLimits(spike_bps=5_000))
    state, _ = run(core, [start(core), book(0), book(0, bid=11_200, ask=11_220)])
    _, outputs = core.step(state, request(price_tick=11_200))
    assert only(outputs, RiskRefusal)[0].reason is RiskReason.REFERENCE_COLLAR


def test_a_storm_of_rejects_opens_a_breaker_and_quotes_that_would_cross_do_not_count():
    core = core_of(breakers=BreakerLimits(max_rejects=2))
    state, outputs = run(core, [start(core), book(0)])
    bid, ask = names(outputs)
    usual, _ = run(core, [OrderReject(bid, "WOULD_CROSS", NOON, 1), OrderReject(ask, "WOULD_CROSS", NOON, 1)], state)
    assert usual.standing == Standing.ACTIVE
    state, outputs = run(core, [OrderReject(bid, "X", NOON, 1), OrderReject(ask, "X", NOON + 1, 1)], state)
    assert codes(outputs) == ["BREAKER_REJECT_STORM"]
    assert state.trading == TradingState.REDUCE_ONLY


def test_slow_acknowledgements_and_silence_open_their_breakers():
    core = core_of(breakers=BreakerLimits(max_latency_ns=SECOND, max_slow=2, max_silence_ns=20 * SECOND))
    state, outputs = run(core, [start(core), book(0)])
    bid, ask = names(outputs)
    slow, outputs = run(core, [ack(bid, 2), ack(ask, 2)], state)
    assert codes(outputs) == ["BREAKER_LATENCY"]
    silent, outputs = run(core, [ack(bid), ack(ask), Timer(NOON + 21 * SECOND, 1)], state)
    assert codes(outputs) == ["BREAKER_DISCONNECT"]
    assert {slow.standing, silent.standing} == {Standing.TRIPPED}


def test_too_many_executions_in_a_row_throttle_until_a_person_resumes():
    core = core_of(silent=True, limits=RiskLimits(max_repeats=2))
    state, _ = run(core, [start(core), book(0)])
    for number in range(2):
        state, outputs = core.step(state, request(price_tick=9_985 - number))
        name = names(outputs)[0]
        state, outputs = run(core, [ack(name), fill(name, f"a{number}", 0, 1), fill(name, f"b{number}", 0, 2)], state)
    assert codes(outputs) == ["BREAKER_REPEATS"]
    _, outputs = core.step(state, request(price_tick=9_980))
    assert only(outputs, RiskRefusal)[0].reason is RiskReason.THROTTLED
    _, outputs = core.step(state, request(side=1, price_tick=10_015, lots=6, reduce_only=True))
    assert len(names(outputs)) == 1, "the position can still be closed"
    state, outputs = run(core, [control(Command.RESUME), request(price_tick=9_980)], state)
    assert len(names(outputs)) == 1


def test_an_order_that_would_meet_one_of_ours_is_refused():
    core = core_of()
    state, outputs = run(core, [start(core), book(0)])
    state, _ = run(core, [ack(name) for name in names(outputs)], state)
    _, outputs = core.step(state, request(side=1, price_tick=9_990, kind=OrderKind.IOC))
    assert only(outputs, RiskRefusal)[0].reason is RiskReason.SELF_TRADE
    _, outputs = core.step(state, request(side=1, price_tick=9_991, kind=OrderKind.IOC))
    assert len(names(outputs)) == 1


@pytest.mark.parametrize("scope", ["strategy", "venue", "firm"])
def test_limits_changed_at_run_time_hold_from_the_next_order_on_and_over_a_restart(scope):
    core = core_of(silent=True)
    state, _ = run(core, [start(core), book(0)])
    assert len(names(core.step(state, request(lots=5))[1])) == 1
    state, outputs = core.step(state, limits(scope, max_order_lots=4))
    assert only(outputs, Alert)[0].detail == f"{scope} by ann: max_order_lots 1000 -> 4 (test)"
    state = decode_state(encode_state(state))[0]
    state, _ = run(core, [start(core, 2, True), Reconciled(0, 0, 0, True, NOON, 1), book(1)], state)
    state, outputs = run(core, [request(lots=5), request(lots=4)], state)
    assert only(outputs, RiskRefusal)[0].reason is RiskReason.MAX_ORDER_LOTS
    assert len(names(outputs)) == 1


BAD_CHANGES = [
    (limits("desk", max_lots=4), "scope 'desk' is none of strategy, venue, firm"),
    (limits(), "no object with at least one limit"),
    (limits(max_lotz=4), "'max_lotz' is no limit; valid: tradable"),
    (limits(max_lots=-1), "limit max_lots is -1"),
    (limits(max_lots=1.5), "limit max_lots is 1.5"),
    (limits(max_lots=None), "limit max_lots is None"),
    (limits(tick_value_e8=7), "tick_value_e8 7 is not the instrument's"),
    (LimitsChange("firm", "[1]", "ann", "", NOON, 1), "no object"),
    (LimitsChange("firm", "{", "ann", "", NOON, 1), "firm by ann"),
    (LimitsChange("strategy", '{"max_lots": NaN}', "ann", "", NOON, 1), "limit max_lots is nan"),
    (limits("firm", max_lots=4), "max_lots is the instrument's; change it with scope strategy"),
]


@pytest.mark.parametrize(("change", "said"), BAD_CHANGES, ids=lambda each: getattr(each, "changes_json", None))
def test_a_change_that_is_wrong_is_refused_whole_and_says_why(change, said):
    core = core_of(silent=True)
    state, _ = run(core, [start(core), book(0)])
    after, outputs = core.step(state, change)
    assert codes(outputs) == ["LIMITS_REFUSED"]
    assert said in only(outputs, Alert)[0].detail
    assert after.limits == state.limits


def test_limits_of_venue_and_firm_come_from_the_configuration_and_survive_its_text():
    config = core_config(firm_limits=RiskLimits(max_order_lots=2), breakers=BreakerLimits(max_slow=9))
    assert CoreConfig.from_json(config.to_json()) == config
    core = Core(config, Joins(0))
    state, _ = run(core, [start(core), book(0)])
    assert only(core.step(state, request(lots=3))[1], RiskRefusal)[0].reason is RiskReason.MAX_ORDER_LOTS
    with pytest.raises(ValueError, match="capital_e8 0"):
        core_config(capital_e8=0)
    with pytest.raises(ValueError, match="limit max_lots is -1"):
        core_config(venue_limits=RiskLimits(max_lots=-1))


def test_position_limits_follow_equity():
    core = core_of(silent=True, capital_e8=10 * 5 * 10_000 * 10**6)  # 10 % of it: five lots at the mark
    state, _ = run(core, [start(core), book(0)])
    _, outputs = core.step(state, request(lots=6))
    assert only(outputs, RiskRefusal)[0].reason is RiskReason.LOSS_BUDGET
    _, outputs = run(core, [*_everywhere(max_loss_bps=2**61), request(lots=6)], state)
    assert only(outputs, RiskRefusal)[0].reason is RiskReason.MAX_POSITION
    _, outputs = core.step(state, request(lots=5))
    assert len(names(outputs)) == 1


def _everywhere(**changes) -> list[LimitsChange]:
    return [limits(scope, **changes) for scope in ("strategy", "venue", "firm")]


# After a kill, in every state of the session, whatever the venue, the market and people do.

CORE = core_of(breakers=BreakerLimits(max_rejects=2))
OPENED, _OUTPUTS = run(CORE, [start(CORE), book(0)])
BID, ASK = names(_OUTPUTS)
SIDES = st.sampled_from([BID, ASK])
HAPPENINGS = st.lists(
    st.one_of(
        st.builds(ack, SIDES),
        st.builds(cancel_ack, SIDES, st.integers(0, 10)),
        st.builds(lambda name: OrderReject(name, "X", NOON, 1), SIDES),
        st.builds(lambda name: CancelReject(name, "X", NOON, 1), SIDES),
        st.builds(lambda name: OutcomeUnknown(name, "reset", NOON, 1), SIDES),
        st.builds(
            lambda name, trade, lots: fill(name, trade, int(name == ASK), lots),
            SIDES,
            st.sampled_from(["t1", "t2", "t3"]),
            st.integers(1, 6),
        ),
        st.builds(book, st.integers(1, 90), st.integers(9_000, 10_009)),
        st.builds(
            control,
            st.sampled_from(Command),
            st.sampled_from(["ann", "session"]),
        ),
        st.builds(
            request, st.integers(0, 1), st.integers(9_980, 10_020), st.integers(1, 12), reduce_only=st.booleans()
        ),
        st.builds(
            lambda lots, open_orders, equal: Reconciled(lots, open_orders, 0, equal, NOON, 1),
            st.integers(-9, 9),
            st.integers(0, 2),
            st.booleans(),
        ),
        st.builds(lambda recovered: start(CORE, 2, recovered), st.booleans()),
        st.builds(limits, st.sampled_from(["strategy", "firm"]), max_order_lots=st.integers(0, 9)),
        st.builds(lambda after: Timer(NOON + after * SECOND, 1), st.integers(0, 400)),
    ),
    max_size=25,
)


@settings(max_examples=400, deadline=None)
@given(HAPPENINGS, HAPPENINGS)
def test_after_a_kill_only_cancels_and_orders_that_reduce_leave_until_a_person_resumes(before, after):
    state, _ = run(CORE, list(before), OPENED)
    state, outputs = core_kill(state)
    assert set(state.live) <= {cancel.client_order_id for cancel in only(outputs, CancelIntent)} | {
        order.client_order_id for order in state.live_orders() if order.cancel_sent
    }
    for event in after:
        if isinstance(event, Control) and event.command == Command.RESUME and event.actor != SESSION_ACTOR:
            continue
        held = state.account.position_lots
        state, outputs = CORE.step(state, event)
        assert state.trading != TradingState.ACTIVE
        for order in only(outputs, NewIntent):
            sign = 1 - 2 * order.side
            assert held * sign < 0
            assert (held + sign * order.lots) * sign <= 0


def core_kill(state):
    return CORE.step(state, control(Command.KILL))


def test_a_breaker_of_the_model_is_on_record():
    core = core_of(max_refusals=2)
    state, _ = run(core, [start(core), book(0), book(1, gap=True), book(2, gap=True)])
    assert state.breakers.opened == Breaker.MODEL_REFUSAL
    assert (state.phase, state.standing) == (Phase.FLATTENING, Standing.CLOSING)
