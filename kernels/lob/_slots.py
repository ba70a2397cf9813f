"""The slots of one order book in numba: find, take, rest.

Layout: best order last, so that most events move few slots; slots past the last order are 0 after every message.
Orders leave at once. With vector shifts, lazy deletion (dead slots squeezed out at the end of a call) was only 3 %
faster at capacity 128, about 60 orders a side and 100 messages a call; it is slower at one message a call.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from kernels.lob import spec
from kernels.lob._lanes import LANES, WORD_BYTES, block_down, block_up, count_less, last_equal
from kernels.lob._memory import INLINE, RARE, int32_view, zero_bytes

# Words of a context, which describes one market to the compiled kernels. First the kernels' own, for each side: lots of
# the best level; the best price (as a key) and saturated level lots after the last message, for the order-flow
# imbalance. Then addresses and sizes.
LEVEL_LOTS = 0
SEEN_KEY = 2
SEEN_LOTS = 4
CONTEXT_BOOK = 6  # addresses of the six fields of `spec.Book`
CONTEXT_FILLS = 12
CONTEXT_SUMMARY = 13
CONTEXT_CAPACITY = 14
CONTEXT_MAX_FILLS = 15
CONTEXT_FILLS_MODE = 16
CONTEXT_REFERENCE_TICK = 17
CONTEXT_SELF_TRADE = 18
CONTEXT_QUEUE_MODEL = 19
NUM_CONTEXT = 20
PRICE_FIELD = 0
ID_FIELD = 2
NUM_ORDER_FIELDS = 4  # price_tick, lots, order_id, owner: the rows that move together


class Slots(NamedTuple):
    """One book as numba sees it: the fields of `spec.Book`, and the context."""

    price_tick: np.ndarray  # int32[2, O]
    lots: np.ndarray  # int32[2, O]
    order_id: np.ndarray  # int32[2, O]
    owner: np.ndarray  # int32[2, O]
    num_orders: np.ndarray  # int32[2]
    counters: np.ndarray  # int32[8]
    work: np.ndarray  # int64[NUM_CONTEXT]


@njit(**INLINE)
def book_of(context):
    """Return the book that a context int64[NUM_CONTEXT] describes."""
    side = (2, context[CONTEXT_CAPACITY])
    return Slots(
        int32_view(context[CONTEXT_BOOK], side),
        int32_view(context[CONTEXT_BOOK + 1], side),
        int32_view(context[CONTEXT_BOOK + 2], side),
        int32_view(context[CONTEXT_BOOK + 3], side),
        int32_view(context[CONTEXT_BOOK + 4], (2,)),
        int32_view(context[CONTEXT_BOOK + 5], (spec.NUM_COUNTERS,)),
        context,
    )


@njit(**INLINE)
def point_at_book(context, fields, b, capacity):
    """Point a context at book `b` of the batches whose addresses `fields` begins with."""
    for field in range(4):
        context[CONTEXT_BOOK + field] = fields[field] + b * 8 * capacity
    context[CONTEXT_BOOK + 4] = fields[4] + b * 8
    context[CONTEXT_BOOK + 5] = fields[5] + b * 4 * spec.NUM_COUNTERS
    context[CONTEXT_CAPACITY] = capacity


@njit(**INLINE)
def clear_fills(context, num_fills):
    """Write zeros into the rows of fills past the last one written."""
    row_bytes = WORD_BYTES * spec.NUM_FILL_COLUMNS
    zero_bytes(context[CONTEXT_FILLS] + num_fills * row_bytes, (context[CONTEXT_MAX_FILLS] - num_fills) * row_bytes)


@njit(**INLINE)
def key_of(side, price_tick):
    """Return a price as a number that is larger where the price is better for an order resting on `side`."""
    return price_tick ^ -side  # asks: bitwise not, which reverses the order and cannot overflow


@njit(**INLINE)
def row_address(book, side, field):
    """Return the address of a side's row of an order field."""
    return book.work[CONTEXT_BOOK + field] + side * WORD_BYTES * book.work[CONTEXT_CAPACITY]


@njit(**INLINE)
def find(book, side, order_id):
    """Return 1 + the slot of the best-priority order with this id, 0 if there is none."""
    return last_equal(row_address(book, side, ID_FIELD), np.int64(book.num_orders[side]), order_id)


@njit(**INLINE)
def best_level_lots(book, side):
    """Return the lots of the best level, 0 for an empty side."""
    slot = book.num_orders[side] - 1
    if slot < 0:
        return 0
    price = book.price_tick[side, slot]
    lots = np.int64(0)
    while slot >= 0 and book.price_tick[side, slot] == price:
        lots += book.lots[side, slot]
        slot -= 1
    return lots


@njit(**INLINE)
def clear(book, side, slot):
    """Write zeros into a slot."""
    book.price_tick[side, slot] = 0
    book.lots[side, slot] = 0
    book.order_id[side, slot] = 0
    book.owner[side, slot] = 0


@njit(**INLINE)
def open_slot(book, side, slot):
    """Move the orders from `slot` on one slot up; the side has room."""
    base = np.int64(book.num_orders[side]) - LANES
    while base + LANES > slot:
        for field in range(NUM_ORDER_FIELDS):
            block_up(row_address(book, side, field) + WORD_BYTES * base, max(slot - base, 0))
        base -= LANES


@njit(**INLINE)
def close_slot(book, side, slot):
    """Move the orders past `slot` one slot down over it."""
    last = np.int64(book.num_orders[side]) - 1
    base = np.int64(slot)
    while base < last:
        for field in range(NUM_ORDER_FIELDS):
            block_down(row_address(book, side, field) + WORD_BYTES * base, last - base)
        base += LANES
    clear(book, side, last)
    book.num_orders[side] = last


@njit(**INLINE)
def take(book, side, slot, lots):
    """Take `lots` (at most what rests) off the order in `slot`; at zero it leaves."""
    at_touch = book.price_tick[side, slot] == book.price_tick[side, book.num_orders[side] - 1]
    left = book.lots[side, slot] - lots
    book.lots[side, slot] = left
    if left == 0:
        close_slot(book, side, slot)
    if at_touch:
        level = book.work[LEVEL_LOTS + side] - lots
        book.work[LEVEL_LOTS + side] = level if level else best_level_lots(book, side)


@njit(**RARE)
def make_room(book, side, price_tick):
    """Evict the worst background order of a full side if `price_tick` is better; say whether there is room now."""
    count = book.num_orders[side]
    slot = 0
    while slot < count and book.owner[side, slot] != 0:
        slot += 1
    if slot == count or key_of(side, price_tick) <= key_of(side, book.price_tick[side, slot]):
        return False
    book.counters[spec.NUM_EVICTED] += 1
    book.counters[spec.LOTS_EVICTED] += book.lots[side, slot]
    close_slot(book, side, slot)  # were it at the touch: the new order is better, so LEVEL_LOTS will be the new one's
    return True


@njit(**INLINE)
def insert(book, side, lots, price_tick, order_id, owner):
    """Put an order behind all orders of its price; the side has a free slot."""
    count = np.int64(book.num_orders[side])
    key = key_of(side, price_tick)
    level = LEVEL_LOTS + side
    if count == 0 or key > key_of(side, book.price_tick[side, count - 1]):
        book.work[level] = lots
    elif key == key_of(side, book.price_tick[side, count - 1]):
        book.work[level] += lots
    slot = count_less(row_address(book, side, PRICE_FIELD), count, -side, key)
    open_slot(book, side, slot)
    book.price_tick[side, slot] = price_tick
    book.lots[side, slot] = lots
    book.order_id[side, slot] = order_id
    book.owner[side, slot] = owner
    book.num_orders[side] = count + 1


@njit(**INLINE)
def rest(book, side, lots, price_tick, order_id, owner):
    """Rest an order by the rule for full sides; return the reject reason."""
    if book.num_orders[side] == book.price_tick.shape[1] and not make_room(book, side, price_tick):
        book.counters[spec.NUM_REJECTED_FULL] += 1
        book.counters[spec.LOTS_REJECTED_FULL] += lots
        return spec.SIDE_FULL
    insert(book, side, lots, price_tick, order_id, owner)
    return spec.OK


@njit(**INLINE)
def begin(book):
    """Set up the scratch words for a call."""
    for side in range(2):
        count = book.num_orders[side]
        lots = best_level_lots(book, side)
        book.work[LEVEL_LOTS + side] = lots
        book.work[SEEN_LOTS + side] = min(lots, spec.DEPTH_SATURATED)
        book.work[SEEN_KEY + side] = key_of(side, book.price_tick[side, count - 1]) if count else 0


@njit(**INLINE)
def write_depth(book, depth):
    """Write the best levels of both sides, int32[2, L, 2]."""
    num_levels = depth.shape[1]
    for side in range(2):
        slot = book.num_orders[side] - 1
        for level in range(num_levels):
            price = np.int64(book.price_tick[side, slot]) if slot >= 0 else 0
            lots = np.int64(0)
            while slot >= 0 and book.price_tick[side, slot] == price:
                lots += book.lots[side, slot]
                slot -= 1
            depth[side, level, 0] = price
            depth[side, level, 1] = min(lots, spec.DEPTH_SATURATED)


@njit(**INLINE)
def write_touch(book, summary):
    """Write the best bid and ask into the summary."""
    for side in range(2):
        count = book.num_orders[side]
        word = spec.SUM_BEST_BID_TICK + 2 * side
        summary[word] = book.price_tick[side, count - 1] if count else 0
        summary[word + 1] = count > 0
