"""Stops, inventory bounds and hedges against plain readings of their definitions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.risk.stops import (
    ATR_ONE,
    AtrState,
    StopConfig,
    StopReason,
    StopState,
    advance_atr,
    advance_stop,
    inventory_room,
    open_position,
    stop_distance_tick,
    suggest_hedge,
)

NO_ATR = AtrState()


def follow(config: StopConfig, lots: int, prices: list[int], atr: AtrState = NO_ATR) -> StopReason:
    """Enter at the first price, at time 0; one nanosecond a price."""
    state = open_position(lots, prices[0], 0)
    for now, price in enumerate(prices):
        state = advance_stop(config, state, atr, price, now)
    return state.reason


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("config", "inside", "outside", "reason"),
    [
        (StopConfig(fixed_tick=5), [100, 110, 96], [100, 110, 95], StopReason.FIXED),
        (StopConfig(trailing_tick=5), [100, 110, 106], [100, 110, 105], StopReason.TRAILING),
        (StopConfig(max_hold_ns=3), [100, 100, 100], [100, 100, 100, 100], StopReason.TIME),
        (StopConfig(fixed_tick=5, trailing_tick=5), [100, 96], [100, 95], StopReason.FIXED),
    ],
)
def test_a_stop_holds_one_tick_inside_and_fires_at_its_distance_for_both_sides(side, config, inside, outside, reason):
    def mirrored(prices):
        return [100 + side * (price - 100) for price in prices]

    assert follow(config, 7 * side, mirrored(inside)) == StopReason.NONE
    assert follow(config, 7 * side, mirrored(outside)) == reason


def test_a_stop_that_fired_stays_and_no_position_has_none():
    state = advance_stop(StopConfig(fixed_tick=1), open_position(1, 100, 0), NO_ATR, 99, 1)
    assert advance_stop(StopConfig(fixed_tick=1), state, NO_ATR, 200, 2) == state
    assert open_position(0, 100, 5) == StopState()
    assert advance_stop(StopConfig(fixed_tick=1, max_hold_ns=1), StopState(), NO_ATR, 1, 99) == StopState()


def test_the_volatility_stop_waits_for_its_average_and_then_follows_it():
    config = StopConfig(atr_multiple_x100=250, atr_periods=3)
    atr = NO_ATR
    for bar in ((104, 100, 102), (106, 102, 104), (108, 104, 106)):
        assert stop_distance_tick(config, atr) is None
        atr = advance_atr(atr, *bar, 3)
    assert atr.value == 4 * ATR_ONE
    assert stop_distance_tick(config, atr) == 10
    assert follow(config, 1, [100, 120, 111], atr) == StopReason.NONE
    assert follow(config, 1, [100, 120, 110], atr) == StopReason.VOLATILITY
    flat = advance_atr(advance_atr(advance_atr(NO_ATR, 5, 5, 5, 3), 5, 5, 5, 3), 5, 5, 5, 3)
    assert stop_distance_tick(config, flat) == 1, "never at zero distance"


BARS = st.lists(
    st.tuples(st.integers(-500, 500), st.integers(0, 60), st.integers(0, 60)).map(
        lambda b: (b[0] + b[1], b[0] - b[2], b[0])
    ),
    min_size=1,
    max_size=40,
)


@given(BARS, st.integers(1, 14))
def test_the_average_true_range_is_wilders_to_within_its_rounding(bars, periods):
    state, ranges = NO_ATR, []
    for place, (high, low, close) in enumerate(bars):
        last = bars[place - 1][2] if place else None
        ranges.append(max(high - low, *((abs(high - last), abs(low - last)) if last is not None else (0, 0))))
        state = advance_atr(state, high, low, close, periods)
    if len(bars) < periods:
        assert state.bars < periods
        return
    exact = Fraction(sum(ranges[:periods]), periods)
    for each in ranges[periods:]:
        exact = (exact * (periods - 1) + each) / periods
    assert 0 <= exact - Fraction(state.value, ATR_ONE) <= Fraction(periods, ATR_ONE)


def test_bad_bars_and_bad_configurations_are_named():
    with pytest.raises(ValueError, match="high 1, low 2, close 1"):
        advance_atr(NO_ATR, 1, 2, 1, 3)
    with pytest.raises(ValueError, match="atr_periods is 0"):
        StopConfig(atr_periods=0).checked()
    with pytest.raises(ValueError, match="fixed_tick is -1"):
        StopConfig(fixed_tick=-1).checked()
    assert StopConfig().checked() == StopConfig()


@given(
    st.lists(st.integers(-50, 50), min_size=1, max_size=30),
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from([1, -1]),
)
def test_stops_are_what_a_plain_reading_of_the_prices_says(moves, fixed, trailing, side):
    prices = [1_000, *(1_000 + sum(moves[: n + 1]) for n in range(len(moves)))]
    expected = StopReason.NONE
    for place, price in enumerate(prices):
        profit = [side * (each - 1_000) for each in prices[: place + 1]]
        if profit[-1] <= -fixed:
            expected = StopReason.FIXED
        elif max(*profit, 0) - profit[-1] >= trailing:
            expected = StopReason.TRAILING
        if expected:
            break
        assert price is not None
    assert follow(StopConfig(fixed_tick=fixed, trailing_tick=trailing), side, prices) == expected


@given(st.integers(-99, 99), st.integers(0, 50), st.integers(0, 50), st.integers(-99, 0), st.integers(0, 99))
def test_filling_all_room_keeps_the_inventory_within_bounds_and_outside_only_the_way_back_is_open(
    held, buys, sells, low, high
):
    room = inventory_room(held, buys, sells, low, high)
    assert min(room) >= 0
    assert room.buy_lots == 0 or held + buys + room.buy_lots == high
    assert room.sell_lots == 0 or held - sells - room.sell_lots == low
    if held > high:
        assert room.buy_lots == 0
    if held < low:
        assert room.sell_lots == 0


def test_impossible_bounds_are_refused():
    with pytest.raises(ValueError, match=r"bounds 3\.\.2"):
        inventory_room(0, 0, 0, 3, 2)
    with pytest.raises(ValueError, match="open lots -1"):
        inventory_room(0, -1, 0, 0, 2)


@given(st.integers(0, 2**32 - 1), st.integers(-200, 200))
def test_the_hedge_leaves_less_variance_than_one_lot_more_or_less(seed, lots):
    rng = np.random.default_rng(seed)
    hedge = rng.normal(size=40)
    ours = rng.uniform(-2, 2) * hedge + rng.normal(size=40)
    found = suggest_hedge(ours, hedge, lots)
    assert found.ratio == pytest.approx(np.cov(ours, hedge)[0, 1] / np.var(hedge, ddof=1))
    variance = [np.var(lots * ours + (found.hedge_lots + more) * hedge) for more in (-1, 0, 1)]
    assert variance[1] <= min(variance) * (1 + 1e-9) + 1e-12
    if lots:
        assert found.variance_kept == pytest.approx(variance[1] / np.var(lots * ours), rel=1e-6)


def test_a_perfect_hedge_keeps_no_variance_and_halves_round_to_the_smaller_trade():
    hedge = np.array([1.0, -2.0, 3.0, 0.5])
    assert suggest_hedge(2 * hedge, hedge, 10) == (2.0, -20, 0.0)
    assert suggest_hedge(0.5 * hedge, hedge, 3).hedge_lots == -1
    assert suggest_hedge(0.5 * hedge, hedge, -3).hedge_lots == 1
    assert suggest_hedge(hedge, hedge, 0) == (1.0, 0, 0.0)


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ([1.0, 2.0], [1.0, 2.0], "T >= 3"),
        ([1.0, 2.0, 3.0], [1.0, 2.0], "same"),
        ([1.0, float("nan"), 3.0], [1.0, 2.0, 3.0], "finite"),
        ([1.0, 2.0, 3.0], [2.0, 2.0, 2.0], "never changes"),
    ],
)
def test_a_hedge_without_evidence_is_refused(ours, theirs, said):
    with pytest.raises(ValueError, match=said):
        suggest_hedge(np.array(ours), np.array(theirs), 1)
