"""After a kill, over the whole core: what leaves is a cancel or brings the position nearer to zero, whatever happens.

The judge is a venue that knows the truth (tests/support/true_venue.py): fills that the core has not heard of count, and
so does every order that could still fill. Only a person re-enables, and only after the venue has confirmed.
"""

import json
from typing import cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from kernels.execution.quotes import JOIN, NUM_CODES
from kernels.features.normalise import default_normaliser
from kernels.risk.drawdown import DrawdownConfig
from kernels.risk.exposure import ExposureLimits
from kernels.risk.spec import RiskLimits
from kernels.risk.states import BreakerLimits
from kernels.risk.stops import StopConfig
from live_bridge.controls import Actions, ControlsConfig, Holding, InventoryBounds, PortfolioConfig
from live_bridge.core import Core
from live_bridge.core_snapshot import decode_state, encode_state
from live_bridge.core_state import CoreState
from live_bridge.policy import PolicyAnswer
from live_bridge.records import decode, encode
from live_bridge.types import (
    CancelIntent,
    Command,
    Control,
    Event,
    Fill,
    HoldingMark,
    LimitsChange,
    NewIntent,
    OrderKind,
    OrderRequest,
    OrderState,
    OutcomeUnknown,
    Reconciled,
    Timer,
    TradingState,
)
from tests.support.core_events import NOON, SECOND, book, core_config, start
from tests.support.true_venue import TrueVenue

PEOPLE, NOBODY = ("ann", "bob"), ("session", "", "Session")
PICK = st.integers(0, 10**6)


class Joins:
    digest = "joins"
    normaliser = default_normaliser()

    def act(self, obs) -> PolicyAnswer:
        return PolicyAnswer(NUM_CODES * JOIN + JOIN, 0.0)


COMMANDS = (Command.KILL, Command.KILL, Command.FLATTEN, Command.RESUME, Command.RESUME, Command.REDUCE_ONLY)
LIMITS = ("max_order_lots", "max_position_lots", "max_repeats", "tradable", "max_age_ns", "collar_tick")
CORE = Core(
    core_config(limits=RiskLimits(max_repeats=30), breakers=BreakerLimits(max_rejects=3), max_refusals=6), Joins()
)


GUARDED = Core(
    core_config(
        capital_e8=200_000 * 10**8,
        max_refusals=6,
        controls=ControlsConfig(
            stops=StopConfig(fixed_tick=10, trailing_tick=15, max_hold_ns=20 * SECOND),
            inventory=InventoryBounds(-15, 20),
            portfolio=PortfolioConfig(
                interval_ns=SECOND,
                grace_ns=5 * SECOND,
                window=100,
                holdings=(Holding("GOLD", "metals"),),
                exposure=ExposureLimits(position_frac=0.009),
                drawdown=DrawdownConfig(max_drawdown_bps=2, max_daily_loss_bps=1),
                actions=Actions(exposure="REDUCE_ONLY", drawdown="REDUCE_ONLY", daily_loss="HALT"),
            ),
        ),
    ),
    Joins(),
)


def judge(venue: TrueVenue, intent: NewIntent) -> None:
    """Fail where an order could do anything but reduce, whatever of ours fills before it."""
    assert intent.lots <= venue.reducible(intent.side), (intent, venue.position, venue.orders)


class KillSwitch(RuleBasedStateMachine):
    """One core, one venue; everything that can happen to a session happens in any order."""

    core = CORE

    def __init__(self) -> None:
        super().__init__()
        self.venue = TrueVenue(now_ns=NOON)
        self.state, self.events, self.epoch, self.number = CoreState(), [], 0, 0
        self.killed = self.confirmed = False
        self.step(self.session_start(recovered=False))
        self.step(book())

    def session_start(self, recovered: bool):
        self.epoch += 1
        return start(self.core, self.epoch, recovered)

    def step(self, event) -> list:
        self.events.append(event)
        self.state, outputs = self.core.step(self.state, event)
        for output in outputs:
            if isinstance(output, NewIntent):
                if self.killed:
                    judge(self.venue, output)
                self.venue.take(output)
            elif isinstance(output, CancelIntent):
                assert output.client_order_id in self.venue.orders
                self.venue.cancels.append(output.client_order_id)
        return outputs

    # The market and the venue.

    @rule(after=st.integers(0, 3), move=st.integers(-30, 30), gap=st.integers(0, 9))
    def market(self, after: int, move: int, gap: int) -> None:
        self.number += after
        self.venue.now_ns = NOON + self.number * SECOND
        self.step(book(self.number, bid=9_990 + move, ask=10_010 + move, gap=gap == 0))

    @rule(lots=st.integers(1, 10), pick=PICK)
    def a_quote_is_hit(self, lots: int, pick: int) -> None:
        """Ordinary trading: what is open is cancelled, new quotes are placed, one of them fills in part."""
        self.market(1, 0, 1)
        self.everything_arrives()
        if names := self.venue.alive():
            self.venue.trade(names[pick % len(names)], lots)

    @rule(price=st.sampled_from([5_000, 15_000]))
    def spike(self, price: int) -> None:
        self.number += 1
        self.step(book(self.number, bid=price, ask=price + 20))

    @rule(silent_s=st.integers(0, 400))
    def silence(self, silent_s: int) -> None:
        self.step(Timer(self.venue.now_ns + silent_s * SECOND, 1))

    @rule(mark_e8=st.integers(0, 10**12), known=st.booleans())
    def holding(self, mark_e8: int, known: bool) -> None:
        self.step(HoldingMark("GOLD", 10**8, mark_e8, known, "ann", self.venue.now_ns, 1))

    @precondition(lambda self: self.venue.alive())
    @rule(pick=PICK, lots=st.integers(1, 12), kind=st.sampled_from(["accept", "refuse", "trade", "trade", "expire"]))
    def at_the_venue(self, pick: int, lots: int, kind: str) -> None:
        name = self.venue.alive()[pick % len(self.venue.alive())]
        if kind == "trade":
            self.venue.trade(name, lots)
        elif kind == "expire":
            self.venue.end(name, expired=True)
        else:
            getattr(self.venue, kind)(name)

    @precondition(lambda self: self.venue.cancels)
    @rule(pick=PICK)
    def cancel_arrives(self, pick: int) -> None:
        self.venue.end(self.venue.cancels.pop(pick % len(self.venue.cancels)), expired=False)

    @precondition(lambda self: self.venue.waiting)
    @rule(pick=PICK, again=st.integers(0, 4))
    def deliver(self, pick: int, again: int) -> None:
        place = pick % len(self.venue.waiting)
        self.step(self.venue.waiting[place] if again == 0 else self.venue.waiting.pop(place))

    @rule()
    def everything_arrives(self) -> None:
        for name in self.venue.alive():
            self.venue.accept(name)
        while self.venue.cancels:
            self.cancel_arrives(0)
        while self.venue.waiting:
            self.deliver(0, 1)

    @precondition(lambda self: self.venue.orders)
    @rule(pick=PICK)
    def answer_lost(self, pick: int) -> None:
        name = sorted(self.venue.orders)[pick % len(self.venue.orders)]
        self.step(OutcomeUnknown(name, "reset", self.venue.now_ns, 1))

    @precondition(lambda self: self.state.live)
    @rule(pick=PICK, fetch=st.booleans())
    def query(self, pick: int, fetch: bool) -> None:
        if fetch:
            self.fetch_fills()
        if self.state.live:
            self.step(self.venue.answer(self.state.live[pick % len(self.state.live)]))

    def fetch_fills(self) -> None:
        for fill in self.venue.trades:
            self.step(fill)

    # Accounts, people and restarts.

    @rule(fetch=st.booleans(), differ=st.integers(0, 5))
    def reconcile(self, fetch: bool, differ: int) -> None:
        if fetch:
            self.fetch_fills()
        opened = self.venue.alive()
        same = self.venue.position == self.state.account.position_lots and set(opened) == set(self.state.live)
        equal = same and differ != 0
        self.step(Reconciled(self.venue.position, len(opened), 0, equal, self.venue.now_ns, 1))
        self.confirmed = self.killed and equal and not opened

    @rule(command=st.sampled_from(COMMANDS), actor=st.sampled_from([*PEOPLE, *NOBODY]))
    def command(self, command: Command, actor: str) -> None:
        if command == Command.KILL:
            self.killed, self.confirmed = True, False
        may = command == Command.RESUME and actor in PEOPLE and self.confirmed
        self.step(Control(command, actor, "test", self.venue.now_ns, 1))
        if command == Command.KILL:
            asked = {*self.venue.cancels, *(o.client_order_id for o in self.state.live_orders() if o.cancel_sent)}
            assert set(self.venue.alive()) <= asked
        if may and self.state.trading == TradingState.ACTIVE:
            self.killed = self.confirmed = False

    @rule(actor=st.sampled_from(PEOPLE), pick=PICK, lots=st.integers(1, 10), overtaken=st.booleans())
    def kill_and_flatten(self, actor: str, pick: int, lots: int, overtaken: bool) -> None:
        """Kill, let the cancels arrive, trade the rest to zero; where `overtaken`, the last fill comes after it all."""
        self.command(Command.KILL, actor)
        if names := self.venue.alive():
            self.venue.trade(names[pick % len(names)], lots)
        while self.venue.cancels:
            self.cancel_arrives(0)
        late = [each for each in self.venue.waiting if isinstance(each, Fill) and overtaken]
        self.venue.waiting = [each for each in self.venue.waiting if each not in late]
        self.everything_arrives()
        self.reconcile(fetch=not overtaken, differ=1)
        self.command(Command.FLATTEN, actor)
        self.market(1, 0, 1)
        self.market(1, 0, 1)
        self.venue.waiting += late

    @rule(
        scope=st.sampled_from(["strategy", "venue", "firm"]),
        name=st.sampled_from(LIMITS),
        value=st.sampled_from([-1, 0, 1, 3, 20, 500, 2**61]),
        actor=st.sampled_from([*PEOPLE, *NOBODY]),
    )
    def limits(self, scope: str, name: str, value: int, actor: str) -> None:
        self.step(LimitsChange(scope, json.dumps({name: value}), actor, "test", self.venue.now_ns, 1))

    @rule(
        side=st.integers(0, 1),
        price=st.integers(9_950, 10_050),
        lots=st.integers(1, 25),
        kind=st.sampled_from(OrderKind),
        reduce_only=st.booleans(),
    )
    def request(self, side: int, price: int, lots: int, kind: OrderKind, reduce_only: bool) -> None:
        self.step(OrderRequest("r", 0, side, price, lots, kind, reduce_only, "ann", self.venue.now_ns, 1))

    @rule(from_journal=st.booleans(), lost=st.booleans(), stop=st.integers(0, 3))
    def restart(self, from_journal: bool, lost: bool, stop: int) -> None:
        if stop == 0:
            self.command(Command.STOP, "session")
        if lost:
            self.venue.drop_travelling()
        if from_journal:
            again = CoreState()
            for event in self.events:
                again, _ = self.core.step(again, cast(Event, decode(encode(event))))
        else:
            again, _ = decode_state(encode_state(self.state))
        assert encode_state(again) == encode_state(self.state)
        self.state = again
        self.step(self.session_start(recovered=True))

    @invariant()
    def never_active_after_a_kill(self) -> None:
        assert not (self.killed and self.state.trading == TradingState.ACTIVE)
        assert set(self.venue.alive()) <= set(self.state.live), "an order may fill that the core holds for ended"


class GuardedKillSwitch(KillSwitch):
    """The same with stops, bounds and portfolio limits on, all of them near."""

    core = GUARDED


@pytest.mark.parametrize("machine", [KillSwitch, GuardedKillSwitch])
def test_after_a_kill_only_what_reduces_leaves_whatever_happens_until_a_person_re_enables_with_confirmation(machine):
    options = settings(max_examples=50, stateful_step_count=50, deadline=None, database=None)
    run_state_machine_as_test(machine, settings=options)


def long_with_a_quote_to_sell() -> KillSwitch:
    """A session that has bought ten lots and offers ten."""
    here = KillSwitch()
    here.everything_arrives()
    bid = next(name for name, order in here.venue.orders.items() if order.side == 0)
    here.venue.trade(bid, 10)
    here.everything_arrives()
    assert here.state.account.position_lots == here.venue.position == 10
    return here


def test_the_position_is_traded_to_zero_after_a_kill_and_a_person_re_enables_only_what_the_venue_confirmed():
    here = long_with_a_quote_to_sell()
    here.command(Command.KILL, "ann")
    here.command(Command.RESUME, "ann")
    assert here.state.trading == TradingState.HALTED, "the venue has not confirmed yet"
    here.everything_arrives()
    here.command(Command.FLATTEN, "ann")
    here.market(1, 0, 1)
    (name,) = here.venue.alive()
    assert (here.venue.orders[name].side, here.venue.orders[name].lots) == (1, 10)
    here.venue.trade(name, 10)
    here.everything_arrives()
    here.market(1, 0, 1)
    here.reconcile(fetch=False, differ=1)
    here.command(Command.RESUME, "session")
    assert here.state.trading == TradingState.HALTED, "nobody re-enables by itself"
    here.command(Command.RESUME, "ann")
    assert (here.state.trading, here.killed) == (TradingState.ACTIVE, False)


def test_an_acknowledged_cancel_that_a_fill_overtook_keeps_the_missing_lots_reserved():
    here = long_with_a_quote_to_sell()
    ask = here.venue.alive()[0]
    here.kill_and_flatten("ann", 0, 6, overtaken=True)
    assert here.state.orders.get(ask).state == OrderState.UNKNOWN  # type: ignore[union-attr]
    assert (here.venue.position, here.state.account.position_lots) == (4, 10)
    here.everything_arrives()
    here.query(0, fetch=False)
    assert here.state.live == ()
    here.market(1, 0, 1)
    (name,) = here.venue.alive()
    assert here.venue.orders[name].lots == 4


def test_the_judge_notices_an_order_that_could_pass_zero_by_a_fill_that_nobody_has_heard_of():
    venue = TrueVenue(position=10)
    first = NewIntent("a" * 32, 1, 0, 1, 10_000, 6, OrderKind.LIMIT, True, 3, "", NOON)  # type: ignore[arg-type]
    judge(venue, first)
    venue.take(first)
    second = NewIntent("b" * 32, 2, 0, 1, 10_000, 5, OrderKind.LIMIT, True, 3, "", NOON)  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        judge(venue, second)
    venue.trade("a" * 32, 6)
    with pytest.raises(AssertionError):
        judge(venue, second)
