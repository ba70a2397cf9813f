"""Position level: stops as state machines, inventory bounds, hedge suggestion. Integers, no clock, no input or output.

A stop only says that a position should be closed; the order that closes it passes the gate like every other.
Average true range: Wilder (1978), New Concepts in Technical Trading Systems: ATR_t = ((n-1) ATR_(t-1) + TR_t)/n, the
first one the mean of n true ranges; TR = max(high, close_(t-1)) - min(low, close_(t-1)). It is kept in 1/65,536
tick, rounded down at each step, so that it is the same on every machine.
Minimum-variance hedge: h = Cov(S, F) / Var(F); Ederington (1979), The Hedging Performance of the New Futures Markets.
"""

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

ATR_ONE: Final = 65_536  # one tick


class StopReason(IntEnum):
    """Why a position should be closed; the first that holds, in this order."""

    NONE = 0
    FIXED = 1
    TRAILING = 2
    VOLATILITY = 3
    TIME = 4


class StopConfig(NamedTuple):
    """Distances in ticks and times in nanoseconds; 0: there is no such stop."""

    fixed_tick: int = 0  # against the entry price
    trailing_tick: int = 0  # against the best price since the entry
    atr_multiple_x100: int = 0  # of the average true range, against the best price since the entry; 250 is 2.5
    atr_periods: int = 14
    max_hold_ns: int = 0

    def checked(self) -> "StopConfig":
        """Return the configuration; ValueError names the field that is no whole number of at least 0 (periods: 1)."""
        for name, value in self._asdict().items():
            low = int(name == "atr_periods")
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ValueError(f"{name} is {value!r}, expected a whole number of at least {low}")
        return self


class StopState(NamedTuple):
    """A position under stops. `side` is the position's: 1 long, -1 short, 0 none."""

    side: int = 0
    entry_tick: int = 0
    best_tick: int = 0  # the price most in our favour since the entry
    entry_ns: int = 0
    reason: StopReason = StopReason.NONE  # stays until the position is closed


class AtrState(NamedTuple):
    """Average true range so far; ready after `atr_periods` bars."""

    bars: int = 0
    close_tick: int = 0
    value: int = 0  # 1/65,536 tick: the average, or while it is not ready the sum of the true ranges


def open_position(position_lots: int, entry_tick: int, now_ns: int) -> StopState:
    """Return the stops of a position just opened, reversed or closed."""
    side = (position_lots > 0) - (position_lots < 0)
    return StopState(side, entry_tick, entry_tick, now_ns) if side else StopState()


def advance_atr(state: AtrState, high_tick: int, low_tick: int, close_tick: int, periods: int) -> AtrState:
    """Return the average true range after a bar; ValueError if the bar is none."""
    if not low_tick <= close_tick <= high_tick:
        raise ValueError(f"bar high {high_tick}, low {low_tick}, close {close_tick} is none: low <= close <= high")
    high = high_tick if state.bars == 0 else max(high_tick, state.close_tick)
    low = low_tick if state.bars == 0 else min(low_tick, state.close_tick)
    true_range = (high - low) * ATR_ONE
    bars = state.bars + 1
    if bars < periods:
        return AtrState(bars, close_tick, state.value + true_range)
    if bars == periods:
        return AtrState(bars, close_tick, (state.value + true_range) // periods)
    return AtrState(bars, close_tick, (state.value * (periods - 1) + true_range) // periods)


def stop_distance_tick(config: StopConfig, atr: AtrState) -> int | None:
    """Return the volatility stop's distance, at least one tick; None while there is no average yet, or no such stop."""
    if not config.atr_multiple_x100 or atr.bars < config.atr_periods:
        return None
    return max(config.atr_multiple_x100 * atr.value // (100 * ATR_ONE), 1)


def advance_stop(config: StopConfig, state: StopState, atr: AtrState, price_tick: int, now_ns: int) -> StopState:
    """Return the stops after a price that the position could be closed at; a reason, once there, stays."""
    if state.side == 0 or state.reason:
        return state
    best = max(state.best_tick * state.side, price_tick * state.side) * state.side
    state = state._replace(best_tick=best)
    against_entry = (state.entry_tick - price_tick) * state.side
    against_best = (best - price_tick) * state.side
    volatility = stop_distance_tick(config, atr)
    hits = (
        (StopReason.FIXED, config.fixed_tick > 0 and against_entry >= config.fixed_tick),
        (StopReason.TRAILING, config.trailing_tick > 0 and against_best >= config.trailing_tick),
        (StopReason.VOLATILITY, volatility is not None and against_best >= volatility),
        (StopReason.TIME, config.max_hold_ns > 0 and now_ns - state.entry_ns >= config.max_hold_ns),
    )
    return state._replace(reason=next((reason for reason, hit in hits if hit), StopReason.NONE))


class Room(NamedTuple):
    """How many lots may still be bought and sold, open orders of that side filled."""

    buy_lots: int
    sell_lots: int


def inventory_room(position_lots: int, open_buy_lots: int, open_sell_lots: int, low_lots: int, high_lots: int) -> Room:
    """Return the room within low <= inventory <= high. Outside, only the way back is open.

    ValueError if the bounds are no interval or open lots are below 0.
    """
    if low_lots > high_lots or min(open_buy_lots, open_sell_lots) < 0:
        raise ValueError(
            f"bounds {low_lots}..{high_lots}, open lots {open_buy_lots} and {open_sell_lots} are impossible"
        )
    buys = max(high_lots - position_lots - open_buy_lots, 0)
    sells = max(position_lots - low_lots - open_sell_lots, 0)
    return Room(buys, sells)


class Hedge(NamedTuple):
    """What would offset a position. `hedge_lots` is what to hold of the hedge, signed."""

    ratio: float  # Cov / Var of the value changes
    hedge_lots: int
    variance_kept: float  # of the hedged value against the unhedged one, 0..1 where the ratio is not rounded


def suggest_hedge(changes_e8: np.ndarray, hedge_changes_e8: np.ndarray, position_lots: int) -> Hedge:
    """Return the minimum-variance hedge of `position_lots`, rounded to whole lots, a half towards zero.

    changes_e8, hedge_changes_e8: float64[T] changes of value of one lot over the same periods, T >= 3. ValueError where
    they are not finite, of another shape, or the hedge never moves.
    """
    ours, theirs = np.asarray(changes_e8, np.float64), np.asarray(hedge_changes_e8, np.float64)
    if ours.ndim != 1 or ours.shape != theirs.shape or len(ours) < 3:
        raise ValueError(
            f"changes are {list(ours.shape)} and {list(theirs.shape)}, expected two of the same [T], T >= 3"
        )
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        raise ValueError("changes_e8 and hedge_changes_e8 must be finite")
    ours, theirs = ours - ours.mean(), theirs - theirs.mean()
    if not (variance := float(theirs @ theirs)) > 0:
        raise ValueError("hedge_changes_e8 never changes, so it hedges nothing")
    ratio = float(ours @ theirs) / variance
    exact = -ratio * position_lots
    lots = int(np.sign(exact)) * int(np.ceil(abs(exact) - 0.5))  # a half is rounded towards zero: the smaller trade
    before = position_lots**2 * float(ours @ ours)
    left = position_lots * ours + lots * theirs
    return Hedge(ratio, lots, float(left @ left) / before if before > 0 else 0.0)
