"""What a parent order cost: implementation shortfall, slippage, participation, fill rate. Positive hurts.

With sign s = +1 for a buyer, -1 for a seller; arrival and end mids in half ticks (best bid + best ask):
    execution   = sum over fills of s lots (2 price - arrival)         half-tick lots, exact
    opportunity = s unfilled lots (end - arrival)                       half-tick lots, exact
    shortfall   = execution + opportunity (+ fees, which are money and kept apart)
    slippage    = sum of s lots (price - opposite touch when the child was decided), tick-lots
Basis points are of the parent's (slippage: the fills') value at the arrival mid (the touch), by its absolute value.
Source: Perold, "The implementation shortfall: paper versus reality", J. Portfolio Management 14(3), 1988.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit

from kernels.lob.spec import MAX_ABS_PRICE_TICK, MAX_LOTS

# Fill columns, int64[F, NUM_COST_COLUMNS].
COST_PARENT: Final = 0  # row of the parent in the batch
COST_PRICE_TICK: Final = 1
COST_LOTS: Final = 2
COST_TOUCH_TICK: Final = 3  # opposite best price when the child was decided
COST_FEE_E8: Final = 4  # money, 1e-8 of the quote currency, negative is a rebate
NUM_COST_COLUMNS: Final = 5

# Totals, int64[P, NUM_TOTALS].
TOTAL_FILLED_LOTS: Final = 0
TOTAL_EXECUTION: Final = 1  # half-tick lots
TOTAL_SLIPPAGE: Final = 2  # tick-lots
TOTAL_VALUE: Final = 3  # tick-lots: sum of lots x price
TOTAL_TOUCH_VALUE: Final = 4  # tick-lots: sum of lots x |touch|
TOTAL_FEES_E8: Final = 5
NUM_TOTALS: Final = 6


class ParentCosts(NamedTuple):
    """The report on one parent order. A ratio without a denominator is None, never a number."""

    arrival_price_tick: float  # mid
    parent_lots: int
    filled_lots: int
    fill_rate_frac: float
    average_price_tick: float | None
    execution_half_tick_lots: int  # the filled part against the arrival mid
    opportunity_half_tick_lots: int  # the unfilled part, marked at the end mid
    shortfall_half_tick_lots: int  # both
    shortfall_bps: float | None  # of the whole parent at the arrival mid, fees left out
    fees_e8: int
    total_bps: float | None  # shortfall and fees; None also where no tick value is given
    slippage_tick_lots: int
    slippage_bps: float | None
    participation_frac: float | None  # filled lots over what the market traded meanwhile, own fills included


def accumulate_reference(side: Any, arrival_half_tick: Any, fills: Any, totals: Any) -> None:
    """Add fills int64[F, 5] into `totals` int64[P, 6] for sides and arrivals int64[P]; NumPy, the reference."""
    parent, price, lots, touch, fee = fills.T
    sign = 1 - 2 * side[parent]
    columns = (lots, sign * lots * (2 * price - arrival_half_tick[parent]), sign * lots * (price - touch))
    for column, values in enumerate((*columns, lots * price, lots * np.abs(touch), fee)):
        np.add.at(totals[:, column], parent, values)


@njit(nogil=True, cache=True)
def accumulate(side, arrival_half_tick, fills, totals):
    """Add fills int64[F, 5] into `totals` int64[P, 6] for sides and arrivals int64[P]. One pass."""
    for row in range(fills.shape[0]):
        parent = fills[row, COST_PARENT]
        price, lots, touch = fills[row, COST_PRICE_TICK], fills[row, COST_LOTS], fills[row, COST_TOUCH_TICK]
        sign = 1 - 2 * side[parent]
        totals[parent, TOTAL_FILLED_LOTS] += lots
        totals[parent, TOTAL_EXECUTION] += sign * lots * (2 * price - arrival_half_tick[parent])
        totals[parent, TOTAL_SLIPPAGE] += sign * lots * (price - touch)
        totals[parent, TOTAL_VALUE] += lots * price
        totals[parent, TOTAL_TOUCH_VALUE] += lots * abs(touch)
        totals[parent, TOTAL_FEES_E8] += fills[row, COST_FEE_E8]


def cost_report(
    side: int,
    parent_lots: int,
    arrival_half_tick: int,
    end_half_tick: int,
    market_lots: int,
    fills: Any,
    tick_value_e8: int | None = None,
) -> ParentCosts:
    """Return the report on one parent order.

    `fills` int64[F, 5] (COST_* columns, parent 0); `end_half_tick` the mid that the unfilled part is marked at;
    `market_lots` what anybody traded between arrival and end; `tick_value_e8` the value of a tick-lot in 1e-8 of the
    quote currency, for fees in basis points. ValueError names what is out of range; more fills than the
    parent are.
    """
    rows = np.asarray(fills)
    rows = rows.reshape(0, NUM_COST_COLUMNS) if rows.size == 0 else rows
    _check(side, parent_lots, arrival_half_tick, end_half_tick, market_lots, rows, tick_value_e8)
    totals = np.zeros((1, NUM_TOTALS), np.int64)
    words = np.array([side], np.int64), np.array([arrival_half_tick], np.int64)
    accumulate(*words, np.ascontiguousarray(rows, np.int64), totals)
    filled, execution, slippage, value, touch_value, fees = totals[0].tolist()
    opportunity = (1 - 2 * side) * (parent_lots - filled) * (end_half_tick - arrival_half_tick)
    shortfall, worth = execution + opportunity, parent_lots * abs(arrival_half_tick)
    total = None if tick_value_e8 is None else _ratio(shortfall * tick_value_e8 + 2 * fees, worth * tick_value_e8, 1e4)
    return ParentCosts(
        arrival_price_tick=arrival_half_tick / 2,
        parent_lots=parent_lots,
        filled_lots=filled,
        fill_rate_frac=filled / parent_lots,
        average_price_tick=_ratio(value, filled),
        execution_half_tick_lots=execution,
        opportunity_half_tick_lots=opportunity,
        shortfall_half_tick_lots=shortfall,
        shortfall_bps=_ratio(shortfall, worth, 1e4),
        fees_e8=fees,
        total_bps=total,
        slippage_tick_lots=slippage,
        slippage_bps=_ratio(slippage, touch_value, 1e4),
        participation_frac=_ratio(filled, market_lots),
    )


def _ratio(numerator: int, denominator: int, scale: float = 1.0) -> float | None:
    return scale * numerator / denominator if denominator else None


def _check(side, parent_lots, arrival, end, market_lots, fills, tick_value_e8) -> None:
    mids = 2 * MAX_ABS_PRICE_TICK
    for name, value, low, high in (
        ("side", side, 0, 1),
        ("parent_lots", parent_lots, 1, MAX_LOTS),
        ("arrival_half_tick", arrival, -mids, mids),
        ("end_half_tick", end, -mids, mids),
        ("market_lots", market_lots, 0, 2**62),
        ("tick_value_e8", 1 if tick_value_e8 is None else tick_value_e8, 1, 2**62),
    ):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
            raise ValueError(f"{name} {value!r} is not an integer in {low}..{high}")
    if fills.ndim != 2 or fills.shape[1] != NUM_COST_COLUMNS or (fills.size and fills.dtype.kind not in "iu"):
        raise ValueError(f"fills is {fills.dtype}{fills.shape}, expected integers [F, {NUM_COST_COLUMNS}]")
    prices = np.abs(fills[:, [COST_PRICE_TICK, COST_TOUCH_TICK]])
    if (fills[:, COST_PARENT] != 0).any() or (prices > MAX_ABS_PRICE_TICK).any() or (fills[:, COST_LOTS] < 1).any():
        raise ValueError("fills has a parent other than 0, a price beyond the engine's range, or lots below 1")
    if fills[:, COST_LOTS].sum() > parent_lots:
        raise ValueError(f"fills hold {fills[:, COST_LOTS].sum()} lots, more than parent_lots {parent_lots}")
