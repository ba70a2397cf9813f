"""The gate's first pass: which rows can be trusted, and what every scope holds at its worst before the batch.

Cost: O(G I + V I + K), no allocation. Everything is written into the SCRATCH columns of kernels/risk/columns.py.
"""

from numba import njit

from kernels.lob.spec import MAX_ABS_PRICE_TICK
from kernels.lob.spec import MAX_LOTS as ENGINE_MAX_LOTS
from kernels.risk import columns as c
from kernels.risk import spec
from kernels.risk._numbers import is_word, plus, times

NO_BID = -(2**62)
NO_ASK = 2**62


@njit(nogil=True, cache=True)
def prepare(live, num_live, instruments, market, scopes, cells, groups):
    """Fill the scratch columns; return whether positions and live orders are sound (else nothing new may pass)."""
    for i in range(instruments.shape[0]):
        instruments[i, c.INSTRUMENT_VALID] = _instrument_valid(instruments[i], groups.shape[1])
    for g in range(scopes.shape[0]):
        scopes[g, c.SCOPE_VALID] = _scope_valid(scopes[g])
        scopes[g, c.SCOPE_OPEN] = 0
        scopes[g, c.SCOPE_SENT] = scopes[g, c.SCOPE_RECENT]
        scopes[g, c.SCOPE_GROSS_E8] = 0
        scopes[g, c.SCOPE_UNMARKED] = 0
    for v in range(market.shape[0]):
        for i in range(market.shape[1]):
            market[v, i, c.MARKET_OWN_BID_TICK] = NO_BID
            market[v, i, c.MARKET_OWN_ASK_TICK] = NO_ASK
    groups[:] = 0
    sound = _open_cells(cells)
    for k in range(num_live):
        if not _live_valid(live[k], market, scopes.shape[0]):
            sound = False
            continue
        live[k, c.LIVE_BUSY] = live[k, c.LIVE_CANCELLING]
        _take_live(live[k], market, scopes, cells)
    if sound:
        _add_exposures(instruments, scopes, cells, groups)
    return sound


@njit(nogil=True, cache=True)
def _scope_valid(row):
    return (
        _limits_valid(row, c.NUM_SCOPE_LIMITS)
        and is_word(row[c.SCOPE_TRADING])
        and is_word(row[c.SCOPE_EQUITY_E8])
        and 0 <= row[c.SCOPE_RECENT] <= spec.MAX_ABS_WORD
    )


@njit(nogil=True, cache=True)
def _limits_valid(row, count):
    for place in range(count):  # noqa: SIM110 - numba compiles no generator in `all`
        if not 0 <= row[place] <= spec.UNLIMITED:
            return False
    return True


@njit(nogil=True, cache=True)
def _instrument_valid(row, num_groups):
    return (
        _limits_valid(row, c.NUM_INSTRUMENT_LIMITS)
        and row[c.INSTRUMENT_PRICE_STEP_TICK] >= 1
        and row[c.INSTRUMENT_LOT_STEP] >= 1
        and 1 <= row[c.INSTRUMENT_TICK_VALUE_E8] <= spec.MAX_TICK_VALUE_E8
        and 0 <= row[c.INSTRUMENT_GROUP] < num_groups
    )


@njit(nogil=True, cache=True)
def _open_cells(cells):
    sound = True
    for g in range(cells.shape[0]):
        for i in range(cells.shape[1]):
            sound &= is_word(cells[g, i, c.CELL_POSITION_LOTS])
            cells[g, i, c.CELL_OPEN_LOTS] = 0
            cells[g, i, c.CELL_OPEN_LOTS + 1] = 0
    return sound


@njit(nogil=True, cache=True)
def _live_valid(row, market, num_scopes):
    num_venues = market.shape[0]
    return (
        0 <= row[c.LIVE_STRATEGY] < num_scopes - num_venues - 1
        and 0 <= row[c.LIVE_VENUE] < num_venues
        and 0 <= row[c.LIVE_INSTRUMENT] < market.shape[1]
        and 0 <= row[c.LIVE_SIDE] <= 1
        and -MAX_ABS_PRICE_TICK <= row[c.LIVE_PRICE_TICK] <= MAX_ABS_PRICE_TICK
        and 1 <= row[c.LIVE_LOTS] <= ENGINE_MAX_LOTS
        and 0 <= row[c.LIVE_LEFT_LOTS] <= ENGINE_MAX_LOTS
        and 0 <= row[c.LIVE_CANCELLING] <= 1
        and c.LIMIT <= row[c.LIVE_TYPE] <= c.POST_ONLY
    )


@njit(nogil=True, cache=True)
def _take_live(row, market, scopes, cells):
    """Count a live order in its three scopes, whole remainder open."""
    v, i, side = row[c.LIVE_VENUE], row[c.LIVE_INSTRUMENT], row[c.LIVE_SIDE]
    firm = scopes.shape[0] - 1
    for g in (row[c.LIVE_STRATEGY], firm - market.shape[0] + v, firm):
        scopes[g, c.SCOPE_OPEN] += 1
        cells[g, i, c.CELL_OPEN_LOTS + side] += row[c.LIVE_LEFT_LOTS]
    if row[c.LIVE_LEFT_LOTS] > 0:
        note_resting(market[v, i], side, row[c.LIVE_PRICE_TICK], row[c.LIVE_TYPE])


@njit(nogil=True, cache=True)
def note_resting(book, side, price, order_type):
    """Keep our best resting prices at a venue; an IOC never rests."""
    if order_type == c.IOC:
        return
    if side == 0:
        book[c.MARKET_OWN_BID_TICK] = max(book[c.MARKET_OWN_BID_TICK], price)
    else:
        book[c.MARKET_OWN_ASK_TICK] = min(book[c.MARKET_OWN_ASK_TICK], price)


@njit(nogil=True, cache=True)
def worst_lots(cell):
    """Return the largest inventory, either way, that fills of the open orders could leave."""
    position = cell[c.CELL_POSITION_LOTS]
    return max(position + cell[c.CELL_OPEN_LOTS], cell[c.CELL_OPEN_LOTS + 1] - position)


@njit(nogil=True, cache=True)
def unit_value_e8(instrument):
    """Return what one lot is worth at the mark; -1 where there is no mark."""
    mark = instrument[c.INSTRUMENT_MARK_TICK]
    if not -MAX_ABS_PRICE_TICK <= mark <= MAX_ABS_PRICE_TICK:
        return -1
    return abs(mark) * instrument[c.INSTRUMENT_TICK_VALUE_E8]


@njit(nogil=True, cache=True)
def _add_exposures(instruments, scopes, cells, groups):
    for i in range(instruments.shape[0]):
        unit = -1
        if instruments[i, c.INSTRUMENT_VALID] == 1:
            unit = unit_value_e8(instruments[i])
        for g in range(scopes.shape[0]):
            worst = worst_lots(cells[g, i])
            if worst == 0:
                continue
            if unit < 0:
                scopes[g, c.SCOPE_UNMARKED] += 1
                continue
            exposure = times(worst, unit)
            group = instruments[i, c.INSTRUMENT_GROUP]
            scopes[g, c.SCOPE_GROSS_E8] = plus(scopes[g, c.SCOPE_GROSS_E8], exposure)
            groups[g, group] = plus(groups[g, group], exposure)
