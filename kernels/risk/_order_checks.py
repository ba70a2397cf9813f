"""Checks that need the order, its instrument and the market, but not what is held."""

from numba import njit

from kernels.lob.spec import MAX_ABS_PRICE_TICK
from kernels.lob.spec import MAX_LOTS as ENGINE_MAX_LOTS
from kernels.risk import columns as c
from kernels.risk import spec
from kernels.risk._numbers import is_far, is_word, times
from kernels.risk.spec import RiskReason

# numba freezes module constants; IntEnum members are taken as plain integers once, here.
OK = int(RiskReason.OK)
BAD_INPUT = int(RiskReason.BAD_INPUT)
_REPLACE_TARGET = int(RiskReason.REPLACE_TARGET)
_HALTED = int(RiskReason.HALTED)
_NOT_TRADABLE = int(RiskReason.NOT_TRADABLE)
_THROTTLED = int(RiskReason.THROTTLED)
_INVALID_BOOK = int(RiskReason.INVALID_BOOK)
_STALE_DATA = int(RiskReason.STALE_DATA)
_PRICE_STEP = int(RiskReason.PRICE_STEP)
_LOT_STEP = int(RiskReason.LOT_STEP)
_MIN_LOTS = int(RiskReason.MIN_LOTS)
_MAX_LOTS = int(RiskReason.MAX_LOTS)
_MIN_NOTIONAL = int(RiskReason.MIN_NOTIONAL)
_PRICE_COLLAR = int(RiskReason.PRICE_COLLAR)
_REFERENCE_COLLAR = int(RiskReason.REFERENCE_COLLAR)


@njit(nogil=True, cache=True)
def order_valid(intent, market, num_scopes):
    """Whether the order's own words are possible; the instrument may still be unknown."""
    num_venues = market.shape[0]
    kind, target = intent[c.INTENT_KIND], intent[c.INTENT_TARGET]
    return (
        (kind == c.NEW or kind == c.REPLACE)  # noqa: PLR1714 - numba has no set of constants here
        and 0 <= intent[c.INTENT_STRATEGY] < num_scopes - num_venues - 1
        and 0 <= intent[c.INTENT_VENUE] < num_venues
        and is_word(intent[c.INTENT_INSTRUMENT])
        and 0 <= intent[c.INTENT_SIDE] <= 1
        and -MAX_ABS_PRICE_TICK <= intent[c.INTENT_PRICE_TICK] <= MAX_ABS_PRICE_TICK
        and 1 <= intent[c.INTENT_LOTS] <= ENGINE_MAX_LOTS
        and 0 <= intent[c.INTENT_REDUCE_ONLY] <= 1
        and c.LIMIT <= intent[c.INTENT_TYPE] <= c.POST_ONLY
        and 0 <= intent[c.INTENT_LOSS_TICK] <= MAX_ABS_PRICE_TICK
        and is_word(target)
        and (target == 0 or kind == c.REPLACE)
    )


@njit(nogil=True, cache=True)
def surroundings_valid(intent, instruments, market, scopes, cells, s, v, f):  # noqa: PLR0911 - fail at the first
    """Whether limits, state and market data that an order needs are all there."""
    if not (scopes[s, c.SCOPE_VALID] and scopes[v, c.SCOPE_VALID] and scopes[f, c.SCOPE_VALID]):
        return False
    i = intent[c.INTENT_INSTRUMENT]
    if not 0 <= i < instruments.shape[0]:
        return True  # there is nothing of it to judge: it is not tradable
    if not instruments[i, c.INSTRUMENT_VALID]:
        return False
    book = market[intent[c.INTENT_VENUE], i]
    for place in (c.MARKET_BID_TICK, c.MARKET_ASK_TICK, c.MARKET_REFERENCE_TICK):
        if not -MAX_ABS_PRICE_TICK <= book[place] <= MAX_ABS_PRICE_TICK:
            return False
    if not (is_word(book[c.MARKET_BOOK_NS]) and is_word(book[c.MARKET_BOOK_VALID])):
        return False
    for g in (s, v, f):
        if not 0 <= cells[g, i, c.CELL_MAX_POSITION_LOTS] <= spec.UNLIMITED:
            return False
        if not 0 <= cells[g, i, c.CELL_REPEATS] <= spec.MAX_ABS_WORD:
            return False
    return True


@njit(nogil=True, cache=True)
def target_reason(intent, live, num_live):
    """A replace names a live order of the same strategy, venue, instrument and side that is not on its way out."""
    if intent[c.INTENT_KIND] != c.REPLACE:
        return OK
    row = intent[c.INTENT_TARGET] - 1
    if not 0 <= row < num_live:
        return _REPLACE_TARGET
    same = (
        live[row, c.LIVE_BUSY] == 0
        and live[row, c.LIVE_STRATEGY] == intent[c.INTENT_STRATEGY]
        and live[row, c.LIVE_VENUE] == intent[c.INTENT_VENUE]
        and live[row, c.LIVE_INSTRUMENT] == intent[c.INTENT_INSTRUMENT]
        and live[row, c.LIVE_SIDE] == intent[c.INTENT_SIDE]
    )
    return OK if same else _REPLACE_TARGET


@njit(nogil=True, cache=True)
def trading_reason(intent, instruments, scopes, cells, s, v, f):
    """Trading states, instrument, throttle."""
    for g in (s, v, f):
        trading = scopes[g, c.SCOPE_TRADING]
        if trading != spec.ACTIVE and trading != spec.REDUCE_ONLY:  # noqa: PLR1714
            return _HALTED
    i = intent[c.INTENT_INSTRUMENT]
    if not 0 <= i < instruments.shape[0] or instruments[i, c.INSTRUMENT_TRADABLE] != 1:
        return _NOT_TRADABLE
    if intent[c.INTENT_REDUCE_ONLY] == 1:
        return OK
    for g in (s, v, f):
        if cells[g, i, c.CELL_REPEATS] >= scopes[g, c.SCOPE_MAX_REPEATS]:
            return _THROTTLED
    return OK


@njit(nogil=True, cache=True)
def book_reason(book, instrument, now_ns):
    """Market data: whole, uncrossed, fresh."""
    age_ns = now_ns - book[c.MARKET_BOOK_NS]
    if book[c.MARKET_BOOK_VALID] != 1 or book[c.MARKET_BID_TICK] >= book[c.MARKET_ASK_TICK]:
        return _INVALID_BOOK
    if age_ns < 0 or age_ns > instrument[c.INSTRUMENT_MAX_AGE_NS]:
        return _STALE_DATA
    return OK


@njit(nogil=True, cache=True)
def price_reason(intent, instrument, book):  # noqa: PLR0911 - one return a check, in the order of the checks
    """Steps, sizes and collars of the instrument."""
    price, lots = intent[c.INTENT_PRICE_TICK], intent[c.INTENT_LOTS]
    if price % instrument[c.INSTRUMENT_PRICE_STEP_TICK] != 0:
        return _PRICE_STEP
    if lots % instrument[c.INSTRUMENT_LOT_STEP] != 0:
        return _LOT_STEP
    if lots < instrument[c.INSTRUMENT_MIN_LOTS]:
        return _MIN_LOTS
    if lots > instrument[c.INSTRUMENT_MAX_LOTS]:
        return _MAX_LOTS
    if times(lots, abs(price) * instrument[c.INSTRUMENT_TICK_VALUE_E8]) < instrument[c.INSTRUMENT_MIN_NOTIONAL_E8]:
        return _MIN_NOTIONAL
    bid, ask = book[c.MARKET_BID_TICK], book[c.MARKET_ASK_TICK]
    max_tick, max_bps = instrument[c.INSTRUMENT_COLLAR_TICK], instrument[c.INSTRUMENT_COLLAR_BPS]
    if (price < bid and is_far(price, bid, max_tick, max_bps)) or (
        price > ask and is_far(price, ask, max_tick, max_bps)
    ):
        return _PRICE_COLLAR
    reference = book[c.MARKET_REFERENCE_TICK]
    max_tick = instrument[c.INSTRUMENT_REFERENCE_COLLAR_TICK]
    if is_far(price, reference, max_tick, instrument[c.INSTRUMENT_REFERENCE_COLLAR_BPS]):
        return _REFERENCE_COLLAR
    return OK
