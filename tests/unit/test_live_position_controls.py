"""Position level in the core: stops that close with reduce-only orders, and quotes cut to bounds and sizing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.execution.quotes import TargetQuotes
from kernels.risk.spec import RiskLimits
from kernels.risk.states import Standing
from kernels.risk.stops import StopConfig, StopReason
from live_bridge.control_state import ControlState
from live_bridge.controls import ControlsConfig, InventoryBounds, PortfolioConfig, SizingRule
from live_bridge.core import Core
from live_bridge.core_state import CoreState, Turn
from live_bridge.position_control import cut
from live_bridge.risk_types import CutReason, SizeCut, StopTriggered
from live_bridge.types import (
    CancelIntent,
    Command,
    Decision,
    NewIntent,
    OrderKind,
    Origin,
    Refusal,
    Timer,
    TradingState,
)
from tests.support.core_events import NOON, SECOND, ack, book, cancel_ack, core_config, fill, run, start
from tests.unit.test_live_guards import Joins, codes, control, names, only, request


def stopped_core(**stops) -> Core:
    return Core(core_config(controls=ControlsConfig(stops=StopConfig(**stops), stop_bar_ns=SECOND)), Joins())


def long_ten(core: Core) -> tuple[CoreState, str]:
    """A session that bought ten lots at 9,990 and offers ten; return the state and the offer's name."""
    state, outputs = run(core, [start(core), book(0)])
    bid, ask = names(outputs)
    state, _ = run(core, [ack(bid), ack(ask), fill(bid, "t1", 0, 10, 9_990)], state)
    return state, ask


CASES = [
    ({"fixed_tick": 20}, [book(1, 9_971, 9_991), book(2, 9_970, 9_990)], StopReason.FIXED),
    (
        {"trailing_tick": 30},
        [book(1, 10_020, 10_040), book(2, 9_991, 10_011), book(3, 9_990, 10_010)],
        StopReason.TRAILING,
    ),
    (
        {"atr_multiple_x100": 200, "atr_periods": 2},
        # Bars close with true ranges of 0, 0, 10, 9: the average is 7, twice that is 14 below the best bid of 10,000.
        [book(1), book(2, 10_000, 10_020), book(3, 9_991, 10_011), book(4, 9_986, 10_006)],
        StopReason.VOLATILITY,
    ),
    ({"max_hold_ns": 3 * SECOND}, [book(1), book(2), Timer(NOON + 3 * SECOND, 1)], StopReason.TIME),
]


@pytest.mark.parametrize(("stops", "market", "reason"), CASES, ids=lambda each: getattr(each, "name", None))
def test_each_stop_fires_at_its_distance_says_so_once_and_closes_with_a_reduce_only_order(stops, market, reason):
    core = stopped_core(**stops)
    state, ask = long_ten(core)
    state, outputs = run(core, market[:-1], state)
    assert only(outputs, StopTriggered) == [], "one tick or one moment before"
    state, outputs = core.step(state, market[-1])
    (said,) = only(outputs, StopTriggered)
    assert (said.reason, said.position_lots, said.entry_tick) == (reason, 10, 9_990)
    assert codes(outputs) == [f"STOP_{reason.name}"]
    assert ask in [cancel.client_order_id for cancel in only(outputs, CancelIntent)]
    lots = [order.left_lots for order in state.live_orders()]
    state, _ = run(core, [cancel_ack(name, left) for name, left in zip(state.live, lots, strict=True)], state)
    state, outputs = core.step(state, book(5, 9_970, 9_990))
    (closing,) = only(outputs, NewIntent)
    assert (closing.side, closing.lots, closing.reduce_only, closing.origin) == (1, 10, True, Origin.PROTECT)
    assert closing.kind == OrderKind.IOC
    assert only(outputs, Decision) == []
    assert f"stop {reason.name} closes" in only(outputs, Refusal)[0].detail
    name = closing.client_order_id
    state, outputs = run(core, [ack(name), fill(name, "t9", 1, 10, 9_970), book(6, 9_970, 9_990)], state)
    assert (state.account.position_lots, state.controls.stop.side) == (0, 0)
    assert len(only(outputs, Decision)) == 1, "it quotes again once it is flat"
    assert state.standing == Standing.ACTIVE


def test_the_entry_is_the_mean_of_what_was_added_and_a_reversal_begins_anew():
    core = stopped_core(fixed_tick=1_000)
    state, ask = long_ten(core)
    _, outputs = run(core, [request(0, 9_980, 5)], state)
    state, _ = core.step(state, request(0, 9_980, 5))
    state, _ = run(core, [ack(names(outputs)[0]), fill(names(outputs)[0], "t2", 0, 5, 9_960)], state)
    assert state.controls.stop.entry_tick == (10 * 9_990 + 5 * 9_960) // 15
    state, _ = core.step(state, fill(ask, "t3", 1, 4, 10_010))
    assert state.controls.stop.entry_tick == (10 * 9_990 + 5 * 9_960) // 15, "less of it has the same entry"
    state, _ = core.step(state, fill(ask, "t4", 1, 20, 10_010))
    assert (state.controls.stop.side, state.controls.stop.entry_tick) == (-1, 10_010)


BROKEN = [
    {"gap": True},
    {"event_ns": NOON - 100 * SECOND},
    {"bid": 9_000, "ask": 8_990},
    {"depth": np.zeros((2, 5, 2), np.int32)},
]


@pytest.mark.parametrize("broken", BROKEN, ids=["gapped", "stale", "crossed", "of another shape"])
def test_a_book_that_may_not_be_traded_on_moves_no_stop_but_time(broken):
    core = stopped_core(fixed_tick=20, trailing_tick=20, atr_multiple_x100=100, atr_periods=1, max_hold_ns=9 * SECOND)
    state, _ = long_ten(core)
    fields = {"bid": 9_000, "ask": 9_020} | broken
    state, outputs = core.step(state, book(2, **fields))
    assert only(outputs, StopTriggered) == []
    assert state.controls.stop.best_tick == 9_990
    _, outputs = core.step(state, book(9, **fields))
    assert [each.reason for each in only(outputs, StopTriggered)] == [StopReason.TIME]
    assert only(outputs, NewIntent) == []


def test_a_stop_sends_nothing_while_a_person_has_killed_the_session():
    core = stopped_core(fixed_tick=20)
    state, _ = long_ten(core)
    state, outputs = run(core, [control(Command.KILL), book(1, 9_900, 9_920), book(2, 9_900, 9_920)], state)
    assert [each.reason for each in only(outputs, StopTriggered)] == [StopReason.FIXED]
    assert only(outputs, NewIntent) == []
    assert state.trading == TradingState.HALTED


def test_inventory_bounds_cut_the_quote_that_could_leave_them_and_no_other():
    core = Core(core_config(controls=ControlsConfig(inventory=InventoryBounds(-3, 12))), Joins())
    state, outputs = run(core, [start(core), book(0)])
    assert [(order.side, order.lots) for order in only(outputs, NewIntent)] == [(0, 10), (1, 3)]
    assert [(c.side, c.wanted_lots, c.lots, c.reason) for c in only(outputs, SizeCut)] == [
        (1, 10, 3, CutReason.INVENTORY)
    ]
    bid, ask = names(outputs)
    events = [ack(bid), ack(ask), fill(bid, "t1", 0, 10), cancel_ack(ask, 3), book(1)]
    state, outputs = run(core, events, state)
    assert [(order.side, order.lots) for order in only(outputs, NewIntent)] == [(0, 2), (1, 10)]


def target_of(lots: list[int]) -> TargetQuotes:
    wanted = np.array(lots, np.int32)
    return TargetQuotes(wanted > 0, np.array([9_990, 10_010], np.int32), wanted, np.full(2, 10**6, np.int32))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 500), min_size=2, max_size=2),
    st.integers(-200, 200),
    st.floats(0.0, 1.0),
    st.tuples(st.integers(-300, 0), st.integers(0, 300)),
    st.integers(1, 7),
    st.integers(0, 9),
)
def test_what_is_cut_is_never_larger_keeps_steps_and_bounds_and_never_holds_back_a_close(
    wanted, position, scale, bounds, step, least
):
    rule = PortfolioConfig(sizing=SizingRule())
    controls = ControlsConfig(inventory=InventoryBounds(*bounds), portfolio=rule)
    config = core_config(limits=RiskLimits(lot_step=step, min_lots=least), controls=controls, inventory_cap_lots=40)
    turn = Turn(CoreState(limits=config.limits_by_scope(), controls=ControlState(scale=scale)))
    turn.account = turn.account._replace(position_lots=position)
    got = cut(config, turn, target_of(wanted), book())
    for side, sign in ((0, 1), (1, -1)):
        lots, after = int(got.lots[side]), sign * position + int(got.lots[side])
        assert 0 <= lots <= wanted[side]
        assert lots % step == 0
        assert lots == 0 or lots >= least
        closes = max(-sign * position, 0)
        high = bounds[1] if sign == 1 else -bounds[0]
        assert lots == 0 or after <= max(high, 0)
        assert lots <= max(wanted[side] * scale, closes)
        assert lots <= closes or after <= max(int(40 * scale), 0)
        if not got.present[side]:
            assert lots == 0
        assert lots >= min(wanted[side], closes) // step * step or lots == 0
    cuts = {each.side: each.lots for each in turn.outputs if isinstance(each, SizeCut)}
    assert cuts == {side: int(got.lots[side]) for side in (0, 1) if got.lots[side] < wanted[side]}
