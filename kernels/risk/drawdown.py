"""Drawdown and daily loss as a state machine: (state, equity, time) -> (state, breach). Integers, no clock.

Drawdown = peak - equity, as a share of the peak since the start. Daily loss = base - equity, as a share of the base:
the last equity seen before the day began, so that a gap over the day's end counts to the new day. A day begins at a
configured hour of UTC. A share at its limit keeps it; above is a breach. What has opened stays latched, over days and
recoveries, until a person re-enables it; then its own reference, peak or base, becomes the last equity, and the other
one's stays: who re-enables a daily loss each day still meets the drawdown.
Equity is net of deposits and withdrawals; a withdrawal that is not taken out first reads as a loss.
Equity that is refused (below 0, not whole) is no reason to go on: the caller halts.
"""

from enum import IntFlag
from typing import Final, NamedTuple

from kernels import checks as check

HOUR_NS: Final = 3_600 * 10**9
DAY_NS: Final = 24 * HOUR_NS


class Control(IntFlag):
    """What latched. Numbers are on record and never change."""

    NONE = 0
    DRAWDOWN = 1
    DAILY_LOSS = 2


class DrawdownConfig(NamedTuple):
    """Limits in basis points; a limit of 10,000 is never exceeded."""

    max_drawdown_bps: int = 2_000  # of the peak
    max_daily_loss_bps: int = 500  # of the day's base
    day_start_hour: int = 0  # UTC

    def checked(self) -> "DrawdownConfig":
        """Return the configuration; ValueError names the field that is out of range."""
        check.whole("max_drawdown_bps", self.max_drawdown_bps, 0, 10_000)
        check.whole("max_daily_loss_bps", self.max_daily_loss_bps, 0, 10_000)
        check.whole("day_start_hour", self.day_start_hour, 0, 23)
        return self


class DrawdownState(NamedTuple):
    """What the control remembers; equity in 1e-8 quote units."""

    peak_e8: int
    base_e8: int  # the day's losses count from here
    day: int  # days since 1970, each from its starting hour
    equity_e8: int  # last seen
    time_ns: int  # of it
    latched: Control = Control.NONE


class DrawdownBreach(NamedTuple):
    """What latched just now, and the figures that it was judged by."""

    controls: Control
    equity_e8: int
    peak_e8: int
    base_e8: int
    time_ns: int


def start(config: DrawdownConfig, equity_e8: int, time_ns: int) -> DrawdownState:
    """Return the state at the first equity, which must be above 0: a share of nothing is no share."""
    config.checked()
    equity = check.whole("equity_e8", equity_e8, 1)
    return DrawdownState(equity, equity, _day(config, time_ns), equity, time_ns)


def observe(
    config: DrawdownConfig, state: DrawdownState, equity_e8: int, time_ns: int
) -> tuple[DrawdownState, DrawdownBreach | None]:
    """Return the state after an equity, and what latched at it.

    ValueError for equity that is no whole number of at least 0, and for a time before the last one.
    """
    equity = check.whole("equity_e8", equity_e8, 0)
    day = _day(config, time_ns)
    if time_ns < state.time_ns:
        raise ValueError(f"time_ns is {time_ns}, expected at least the last one, {state.time_ns}")
    peak = max(state.peak_e8, equity)
    base = state.base_e8 if day == state.day else state.equity_e8
    opened = Control.NONE
    if (peak - equity) * 10_000 > config.max_drawdown_bps * peak:
        opened |= Control.DRAWDOWN
    if (base - equity) * 10_000 > config.max_daily_loss_bps * base:
        opened |= Control.DAILY_LOSS
    fresh = opened & ~state.latched
    breach = DrawdownBreach(fresh, equity, peak, base, time_ns) if fresh else None
    return DrawdownState(peak, base, day, equity, time_ns, state.latched | opened), breach


def re_enable(state: DrawdownState, by_person: bool = False) -> DrawdownState | None:
    """Return the state with nothing latched; None where no person asked.

    The reference of what was latched becomes the last equity. At equity 0 nothing can be lost any more, and nothing
    latches: trading on from there is for the gate to refuse, whose limits are shares of equity.
    """
    if not by_person:
        return None
    peak = state.equity_e8 if state.latched & Control.DRAWDOWN else state.peak_e8
    base = state.equity_e8 if state.latched & Control.DAILY_LOSS else state.base_e8
    return state._replace(peak_e8=peak, base_e8=base, latched=Control.NONE)


def may_trade(state: DrawdownState) -> bool:
    """Return whether nothing is latched."""
    return state.latched == Control.NONE


def _day(config: DrawdownConfig, time_ns: int) -> int:
    return (check.whole("time_ns", time_ns, -(2**61)) - config.day_start_hour * HOUR_NS) // DAY_NS
