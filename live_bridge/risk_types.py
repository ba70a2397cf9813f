"""Records of the controls beside the gate: what a holding is worth, and what stops, sizing and portfolio limits did.

Integers as everywhere in the journal. Part of the vocabulary of live_bridge/types.py.
"""

from dataclasses import dataclass
from enum import IntEnum
from math import isfinite
from typing import Final

from kernels.risk.stops import StopReason

_MAX: Final = 2.0**61 / 10**8


def in_e8(value: float | None) -> int | None:
    """Return a number in 1e-8; None for what is missing, not finite, or beyond what the journal's word holds."""
    if value is None or not isfinite(value) or abs(value) >= _MAX:
        return None
    return round(value * 10**8)


class CutReason(IntEnum):
    """What made a quote smaller than the decision. Numbers are on record and never change."""

    INVENTORY = 1  # the inventory bounds
    VOLATILITY = 2  # the volatility target
    CAPS = 3  # share of equity, gross or net


@dataclass(frozen=True, slots=True)
class HoldingMark:
    """What is held of an asset that this session does not trade, and its price; an event from outside."""

    asset: str  # one of ControlsConfig.portfolio.holdings
    quantity_e8: int  # signed units, 1e-8
    mark_e8: int  # quote units a unit, 1e-8
    known: bool  # False: the source had no number that can be used
    actor: str
    event_ns: int = 0  # set by the session
    recv_ns: int = 0


@dataclass(frozen=True, slots=True)
class StopTriggered:
    """A stop decided that the position is to be closed; the orders that do it follow, with origin PROTECT."""

    instrument: int
    reason: StopReason
    position_lots: int
    entry_tick: int
    price_tick: int  # that it could be closed at; without a whole book the best since the entry
    event_ns: int


@dataclass(frozen=True, slots=True)
class SizeCut:
    """A quote was made smaller than the decision wanted; 0: there is none on that side."""

    instrument: int
    side: int
    reason: CutReason
    wanted_lots: int
    lots: int
    event_ns: int


@dataclass(frozen=True, slots=True)
class HedgeSuggestion:
    """What to hold of an asset against the position, by least variance. A suggestion: nothing is sent for it."""

    asset: str
    hedge_quantity: int  # whole units, signed
    ratio_ppm: int  # Cov / Var of the value changes of one lot and one unit
    kept_ppm: int  # of the variance that is left
    position_lots: int
    event_ns: int


@dataclass(frozen=True, slots=True)
class PortfolioRisk:
    """The portfolio's numbers at one observation; losses are positive."""

    observations: int
    equity_e8: int
    gross_e8: int
    net_e8: int
    var_e8: int
    es_e8: int
    drawdown_bps: int
    daily_loss_bps: int
    scale_ppm: int  # of the decision's lots that sizing leaves
    event_ns: int
