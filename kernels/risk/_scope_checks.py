"""Checks of an order against what its strategy, its venue and the firm hold, each at its worst case."""

from numba import njit

from kernels.risk import columns as c
from kernels.risk import spec
from kernels.risk._numbers import adverse_tick, plus, share_of, times
from kernels.risk._order_checks import OK
from kernels.risk._prepare import unit_value_e8, worst_lots
from kernels.risk.spec import RiskReason

_MAX_ORDER_LOTS = int(RiskReason.MAX_ORDER_LOTS)
_MAX_ORDER_VALUE = int(RiskReason.MAX_ORDER_VALUE)
_LOSS_BUDGET = int(RiskReason.LOSS_BUDGET)
_REDUCE_ONLY = int(RiskReason.REDUCE_ONLY)
_MAX_POSITION = int(RiskReason.MAX_POSITION)
_NO_MARK = int(RiskReason.NO_MARK)
_LEVERAGE = int(RiskReason.LEVERAGE)
_CONCENTRATION = int(RiskReason.CONCENTRATION)
_MAX_OPEN_ORDERS = int(RiskReason.MAX_OPEN_ORDERS)
_SELF_TRADE = int(RiskReason.SELF_TRADE)
_MESSAGE_RATE = int(RiskReason.MESSAGE_RATE)


@njit(nogil=True, cache=True, inline="always")
def must_reduce(intent, scopes, g, s):
    """Whether an order may only reduce in scope g: that scope is restricted, or g is its strategy and it says so."""
    return scopes[g, c.SCOPE_TRADING] == spec.REDUCE_ONLY or (g == s and intent[c.INTENT_REDUCE_ONLY] == 1)


@njit(nogil=True, cache=True)
def size_reason(intent, instrument, scopes, s, v, f):
    """Order volume, order value, loss budget. An order that may only reduce has no loss budget."""
    lots, tick_value = intent[c.INTENT_LOTS], instrument[c.INSTRUMENT_TICK_VALUE_E8]
    for g in (s, v, f):
        if lots > scopes[g, c.SCOPE_MAX_ORDER_LOTS]:
            return _MAX_ORDER_LOTS
    value_e8 = times(lots, abs(intent[c.INTENT_PRICE_TICK]) * tick_value)
    for g in (s, v, f):
        if value_e8 > scopes[g, c.SCOPE_MAX_ORDER_VALUE_E8]:
            return _MAX_ORDER_VALUE
    loss_tick = intent[c.INTENT_LOSS_TICK]
    if loss_tick == 0:
        loss_tick = adverse_tick(intent[c.INTENT_PRICE_TICK], instrument[c.INSTRUMENT_ADVERSE_BPS])
    loss_e8 = times(lots, times(loss_tick, tick_value))
    for g in (s, v, f):
        limit = scopes[g, c.SCOPE_MAX_LOSS_BPS]
        if limit == spec.UNLIMITED or must_reduce(intent, scopes, g, s):
            continue
        if loss_e8 > share_of(scopes[g, c.SCOPE_EQUITY_E8], limit):
            return _LOSS_BUDGET
    return OK


@njit(nogil=True, cache=True)
def position_reason(intent, instrument, scopes, cells, s, v, f):
    """Reduce-only where it is asked for, else the position limit in lots and in value."""
    i, side, lots = intent[c.INTENT_INSTRUMENT], intent[c.INTENT_SIDE], intent[c.INTENT_LOTS]
    for g in (s, v, f):
        position = cells[g, i, c.CELL_POSITION_LOTS]
        reducible = -position if side == 0 else position
        if must_reduce(intent, scopes, g, s) and cells[g, i, c.CELL_OPEN_LOTS + side] + lots > reducible:
            return _REDUCE_ONLY
    unit = unit_value_e8(instrument)
    for g in (s, v, f):
        if must_reduce(intent, scopes, g, s):
            continue
        position = cells[g, i, c.CELL_POSITION_LOTS]
        reached = (position if side == 0 else -position) + cells[g, i, c.CELL_OPEN_LOTS + side] + lots
        if reached > cells[g, i, c.CELL_MAX_POSITION_LOTS]:
            return _MAX_POSITION
        limit = scopes[g, c.SCOPE_MAX_POSITION_BPS]
        if limit == spec.UNLIMITED or unit < 0 or reached <= 0:
            continue
        if times(reached, unit) > share_of(scopes[g, c.SCOPE_EQUITY_E8], limit):
            return _MAX_POSITION
    return OK


@njit(nogil=True, cache=True)
def _grown(cell, side, lots):
    """Return (worst lots, worst lots with the order)."""
    position, worst = cell[c.CELL_POSITION_LOTS], worst_lots(cell)
    reached = (position if side == 0 else -position) + cell[c.CELL_OPEN_LOTS + side] + lots
    return worst, max(worst, reached)


@njit(nogil=True, cache=True)
def exposure_reason(intent, instrument, scopes, cells, groups, s, v, f):
    """Leverage and concentration; an order that cannot raise the worst-case exposure passes."""
    i, unit = intent[c.INTENT_INSTRUMENT], unit_value_e8(instrument)
    group, side, lots = instrument[c.INSTRUMENT_GROUP], intent[c.INTENT_SIDE], intent[c.INTENT_LOTS]
    for g in (s, v, f):
        before, after = _grown(cells[g, i], side, lots)
        if not must_reduce(intent, scopes, g, s) and (unit < 0 or (after > before and scopes[g, c.SCOPE_UNMARKED])):
            return _NO_MARK
    for g in (s, v, f):
        limit = scopes[g, c.SCOPE_MAX_LEVERAGE_BPS]
        before, after = _grown(cells[g, i], side, lots)
        if limit == spec.UNLIMITED or after == before or must_reduce(intent, scopes, g, s):
            continue
        gross = plus(scopes[g, c.SCOPE_GROSS_E8], times(after, unit) - times(before, unit))
        if gross > share_of(scopes[g, c.SCOPE_EQUITY_E8], limit):
            return _LEVERAGE
    for g in (s, v, f):
        limit = scopes[g, c.SCOPE_MAX_GROUP_BPS]
        before, after = _grown(cells[g, i], side, lots)
        if limit == spec.UNLIMITED or after == before or must_reduce(intent, scopes, g, s):
            continue
        exposure = plus(groups[g, group], times(after, unit) - times(before, unit))
        if exposure > share_of(scopes[g, c.SCOPE_EQUITY_E8], limit):
            return _CONCENTRATION
    return OK


@njit(nogil=True, cache=True)
def count_reason(scopes, s, v, f):
    """Open orders."""
    for g in (s, v, f):
        if scopes[g, c.SCOPE_OPEN] + 1 > scopes[g, c.SCOPE_MAX_OPEN_ORDERS]:
            return _MAX_OPEN_ORDERS
    return OK


@njit(nogil=True, cache=True)
def match_reason(intent, book, scopes, s, v, f):
    """Self-trade, then the message rate. A post-only order never takes, so it cannot meet an order of ours."""
    price = intent[c.INTENT_PRICE_TICK]
    if intent[c.INTENT_TYPE] != c.POST_ONLY:
        if intent[c.INTENT_SIDE] == 0 and price >= book[c.MARKET_OWN_ASK_TICK]:
            return _SELF_TRADE
        if intent[c.INTENT_SIDE] == 1 and price <= book[c.MARKET_OWN_BID_TICK]:
            return _SELF_TRADE
    for g in (s, v, f):
        if scopes[g, c.SCOPE_SENT] + 1 > scopes[g, c.SCOPE_MAX_MESSAGES]:
            return _MESSAGE_RATE
    return OK


@njit(nogil=True, cache=True)
def reserve(intent, instrument, scopes, cells, groups, s, v, f):
    """Count an order that passed against those after it."""
    i, unit = intent[c.INTENT_INSTRUMENT], unit_value_e8(instrument)
    group, side, lots = instrument[c.INSTRUMENT_GROUP], intent[c.INTENT_SIDE], intent[c.INTENT_LOTS]
    for g in (s, v, f):
        before, after = _grown(cells[g, i], side, lots)
        if unit >= 0:
            added = times(after, unit) - times(before, unit)
            scopes[g, c.SCOPE_GROSS_E8] = plus(scopes[g, c.SCOPE_GROSS_E8], added)
            groups[g, group] = plus(groups[g, group], added)
        elif before == 0 and after > 0:
            scopes[g, c.SCOPE_UNMARKED] += 1
        cells[g, i, c.CELL_OPEN_LOTS + side] += lots
        scopes[g, c.SCOPE_OPEN] += 1
        scopes[g, c.SCOPE_SENT] += 1
