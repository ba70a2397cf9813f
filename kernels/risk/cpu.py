"""The pre-trade gate: every check of every order of a batch in one numba call.

Cost: O(G I + V I + K + N) integer operations, no allocation: aggregates are kept while the batch goes through, and
duplicates are found in a hash table. Deterministic: integers only, orders judged in the order of the batch.
"""

from numba import njit

from kernels.risk import columns as c
from kernels.risk._numbers import is_word
from kernels.risk._order_checks import (
    BAD_INPUT,
    OK,
    book_reason,
    order_valid,
    price_reason,
    surroundings_valid,
    target_reason,
    trading_reason,
)
from kernels.risk._prepare import note_resting, prepare
from kernels.risk._scope_checks import (
    count_reason,
    exposure_reason,
    match_reason,
    position_reason,
    reserve,
    size_reason,
)
from kernels.risk.spec import RiskReason

_DUPLICATE_INTENT = int(RiskReason.DUPLICATE_INTENT)


@njit(nogil=True, cache=True)
def gate(intents, num_intents, live, num_live, instruments, market, scopes, cells, groups, table, now_ns, reasons):
    """Write a RiskReason into `reasons` int64[N] for each of the first `num_intents` rows; return how many passed.

    Columns: kernels/risk/columns.py. `groups` int64[G, Q] and `table` int64[T] are scratch; T is a power of two of at
    least 2 (K + N). Cancels pass and are taken first; then new orders and replaces in their order, each that passes
    counting against those after it. A replaced order stays counted, whole, until it is gone.
    """
    sound = prepare(live, num_live, instruments, market, scopes, cells, groups) and is_word(now_ns)
    for row in range(num_intents):
        if intents[row, c.INTENT_KIND] == c.CANCEL:
            reasons[row] = OK
            _mark_busy(intents[row, c.INTENT_TARGET], live, num_live)
    table[:] = 0
    if sound:
        for k in range(num_live):
            if live[k, c.LIVE_BUSY] == 0:
                _insert_live(k, live, table)
    passed = 0
    for row in range(num_intents):
        intent = intents[row]
        if intent[c.INTENT_KIND] == c.CANCEL:
            continue
        reason = BAD_INPUT
        if sound and order_valid(intent, market, scopes.shape[0]):
            reason = _judge(row, intents, live, num_live, instruments, market, scopes, cells, groups, table, now_ns)
        reasons[row] = reason
        if reason == OK:
            passed += 1
    return passed


@njit(nogil=True, cache=True)
def _judge(row, intents, live, num_live, instruments, market, scopes, cells, groups, table, now_ns):  # noqa: PLR0911
    """Return the first failing check of one order whose own words are possible; reserve it if there is none."""
    intent = intents[row]
    firm = scopes.shape[0] - 1
    s, v, i = intent[c.INTENT_STRATEGY], firm - market.shape[0] + intent[c.INTENT_VENUE], intent[c.INTENT_INSTRUMENT]
    if not surroundings_valid(intent, instruments, market, scopes, cells, s, v, firm):
        return BAD_INPUT
    reason = target_reason(intent, live, num_live)
    if reason != OK:
        return reason
    reason = trading_reason(intent, instruments, scopes, cells, s, v, firm)
    if reason != OK:
        return reason
    instrument, book = instruments[i], market[intent[c.INTENT_VENUE], i]
    reason = book_reason(book, instrument, now_ns)
    if reason != OK:
        return reason
    reason = price_reason(intent, instrument, book)
    if reason != OK:
        return reason
    reason = size_reason(intent, instrument, scopes, s, v, firm)
    if reason != OK:
        return reason
    reason = position_reason(intent, instrument, scopes, cells, s, v, firm)
    if reason != OK:
        return reason
    reason = exposure_reason(intent, instrument, scopes, cells, groups, s, v, firm)
    if reason != OK:
        return reason
    reason = count_reason(scopes, s, v, firm)
    if reason != OK:
        return reason
    place = _find(intent, live, num_live, intents, table)
    if table[place] != 0:
        return _DUPLICATE_INTENT
    reason = match_reason(intent, book, scopes, s, v, firm)
    if reason == OK:
        table[place] = num_live + row + 1
        _mark_busy(intent[c.INTENT_TARGET], live, num_live)
        note_resting(book, intent[c.INTENT_SIDE], intent[c.INTENT_PRICE_TICK], intent[c.INTENT_TYPE])
        reserve(intent, instrument, scopes, cells, groups, s, v, firm)
    return reason


@njit(nogil=True, cache=True)
def _mark_busy(target, live, num_live):
    if 1 <= target <= num_live:
        live[target - 1, c.LIVE_BUSY] = 1


# The table of orders by content: open addressing, entries are row numbers from 1, live rows before intents, so a match
# is always confirmed on the order itself. At most half full; nothing is ever taken out.


@njit(nogil=True, cache=True)
def _hash(strategy, venue, instrument, side, price, lots):
    mixed = (strategy * 8191 + venue) * 131071 + instrument * 2 + side
    mixed = mixed * 2147483647 + price
    mixed = mixed * 1000003 + lots
    mixed ^= (mixed >> 29) & 0x7FFFFFFFF
    mixed *= 1099511628211
    return mixed ^ ((mixed >> 32) & 0xFFFFFFFF)


@njit(nogil=True, cache=True)
def _same(intent, live, num_live, intents, entry):
    if entry <= num_live:
        other = live[entry - 1]
        return (
            other[c.LIVE_STRATEGY] == intent[c.INTENT_STRATEGY]
            and other[c.LIVE_VENUE] == intent[c.INTENT_VENUE]
            and other[c.LIVE_INSTRUMENT] == intent[c.INTENT_INSTRUMENT]
            and other[c.LIVE_SIDE] == intent[c.INTENT_SIDE]
            and other[c.LIVE_PRICE_TICK] == intent[c.INTENT_PRICE_TICK]
            and other[c.LIVE_LOTS] == intent[c.INTENT_LOTS]
        )
    other = intents[entry - num_live - 1]
    for place in range(c.INTENT_STRATEGY, c.INTENT_LOTS + 1):  # noqa: SIM110 - strategy, venue, instrument, side, price, lots
        if other[place] != intent[place]:
            return False
    return True


@njit(nogil=True, cache=True)
def _find(intent, live, num_live, intents, table):
    """Return the place of an order like this one, or the free place for it."""
    place = table.shape[0] - 1 & _hash(
        intent[c.INTENT_STRATEGY],
        intent[c.INTENT_VENUE],
        intent[c.INTENT_INSTRUMENT],
        intent[c.INTENT_SIDE],
        intent[c.INTENT_PRICE_TICK],
        intent[c.INTENT_LOTS],
    )
    while table[place] != 0 and not _same(intent, live, num_live, intents, table[place]):
        place = (place + 1) & (table.shape[0] - 1)
    return place


@njit(nogil=True, cache=True)
def _insert_live(k, live, table):
    """Enter a live order; one like another stays outside, for the other stands for both."""
    row = live[k]
    place = table.shape[0] - 1 & _hash(
        row[c.LIVE_STRATEGY],
        row[c.LIVE_VENUE],
        row[c.LIVE_INSTRUMENT],
        row[c.LIVE_SIDE],
        row[c.LIVE_PRICE_TICK],
        row[c.LIVE_LOTS],
    )
    while table[place] != 0:
        if _same_live(row, live[table[place] - 1]):
            return
        place = (place + 1) & (table.shape[0] - 1)
    table[place] = k + 1


@njit(nogil=True, cache=True)
def _same_live(one, other):
    for place in range(c.LIVE_STRATEGY, c.LIVE_LOTS + 1):  # noqa: SIM110 - strategy, venue, instrument, side, price, lots
        if one[place] != other[place]:
            return False
    return True
