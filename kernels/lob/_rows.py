"""One background message on a book with its rows, in numba: what was done, and the visible levels after it."""

from typing import NamedTuple

import numpy as np
from numba import njit

from kernels.lob import spec
from kernels.lob._memory import INLINE, RARE
from kernels.lob._messages import ANY_PRICE, RESTING, invalid
from kernels.lob._slots import find, key_of, rest, take
from kernels.lob.row_spec import (
    EXECUTION,
    FULL_CANCEL,
    NEW,
    PARTIAL_CANCEL,
    ROW_LOTS,
    ROW_ORDER_ID,
    ROW_PRICE_TICK,
    ROW_SIDE,
    ROW_TYPE,
    STATE_PRIMED,
    STATE_ROWS,
)


class Sheet(NamedTuple):
    """Where rows are written, as numba sees it."""

    time_ns: np.ndarray  # int64[R]
    rows: np.ndarray  # int32[R, 5] ROW_* columns
    depth: np.ndarray  # int32[R, 2, L, 2] (price_tick, lots) after the row, best first
    visible: np.ndarray  # int32[2, L, 2] depth after the last row
    state: np.ndarray  # int64[NUM_STATE]
    record: int


@njit(**INLINE)
def show_side(book, visible, side):
    """Bring the visible levels int32[2, L, 2] of a side up to date; say whether they changed."""
    slot = np.int64(book.num_orders[side]) - 1
    changed = False
    for level in range(visible.shape[1]):
        price = np.int64(book.price_tick[side, slot]) if slot >= 0 else np.int64(0)
        lots = np.int64(0)
        while slot >= 0 and book.price_tick[side, slot] == price:
            lots += book.lots[side, slot]
            slot -= 1
        lots = min(lots, spec.DEPTH_SATURATED)
        changed |= visible[side, level, 0] != price or visible[side, level, 1] != lots
        visible[side, level, 0] = price
        visible[side, level, 1] = lots
    return changed


@njit(**RARE)
def write_row(book, sheet, now_ns, code, side, order_id, lots, price_tick):
    """Write the row of what was just done to a side at a price, if the visible levels differ from before it."""
    if not sheet.record:
        return
    visible, state = sheet.visible, sheet.state
    if state[STATE_PRIMED] == 0:
        state[STATE_PRIMED] = 1
        show_side(book, visible, spec.BUY)
        show_side(book, visible, spec.SELL)
        return
    num_levels = visible.shape[1]
    last = num_levels - 1
    is_deep = visible[side, last, 1] > 0 and key_of(side, price_tick) < key_of(side, np.int64(visible[side, last, 0]))
    changed = not is_deep and show_side(book, visible, side)
    if not changed:
        return
    row = state[STATE_ROWS]
    state[STATE_ROWS] = row + 1
    sheet.time_ns[row] = now_ns
    sheet.rows[row, ROW_TYPE] = code
    sheet.rows[row, ROW_ORDER_ID] = order_id
    sheet.rows[row, ROW_LOTS] = lots
    sheet.rows[row, ROW_PRICE_TICK] = price_tick
    sheet.rows[row, ROW_SIDE] = side
    for shown in range(2):
        for level in range(num_levels):
            sheet.depth[row, shown, level, 0] = visible[shown, level, 0]
            sheet.depth[row, shown, level, 1] = visible[shown, level, 1]


@njit(**RARE)
def remove_slot(book, sheet, now_ns, code, side, slot, lots):
    """Take lots off the order in a slot and write the row of it; at zero the order leaves."""
    order_id, price_tick = np.int64(book.order_id[side, slot]), np.int64(book.price_tick[side, slot])
    take(book, side, slot, lots)
    write_row(book, sheet, now_ns, code, side, order_id, lots, price_tick)


@njit(**INLINE)
def sweep(book, sheet, now_ns, side, lots, bound):
    """Execute a taker on `side` against orders whose key for it is at most `bound`; return the lots that are left."""
    maker_side = 1 - side
    while lots > 0 and book.num_orders[maker_side] > 0:
        slot = np.int64(book.num_orders[maker_side]) - 1
        if key_of(side, np.int64(book.price_tick[maker_side, slot])) > bound:
            break
        done = min(lots, np.int64(book.lots[maker_side, slot]))
        remove_slot(book, sheet, now_ns, EXECUTION, maker_side, slot, done)
        lots -= done
    return lots


@njit(**INLINE)
def rest_and_write(book, sheet, now_ns, side, lots, price_tick, order_id):
    """Rest an order by the rule for full sides; an order that it evicts leaves by a cancellation row of its own."""
    is_full = book.num_orders[side] == book.price_tick.shape[1]
    if is_full and key_of(side, price_tick) > key_of(side, np.int64(book.price_tick[side, 0])):
        evicted = np.int64(book.lots[side, 0])
        book.counters[spec.NUM_EVICTED] += 1
        book.counters[spec.LOTS_EVICTED] += evicted
        remove_slot(book, sheet, now_ns, FULL_CANCEL, side, np.int64(0), evicted)
    if rest(book, side, lots, price_tick, order_id, 0) == spec.OK:
        write_row(book, sheet, now_ns, NEW, side, order_id, lots, price_tick)


@njit(**INLINE)
def apply_and_write(book, sheet, now_ns, msg):
    """Apply one background message int32[8] and write its rows; say whether rows can tell its kind."""
    kind, side, lots = np.int64(msg[spec.KIND]), np.int64(msg[spec.SIDE]), np.int64(msg[spec.LOTS])
    price_tick, order_id = np.int64(msg[spec.PRICE_TICK]), np.int64(msg[spec.ORDER_ID])
    takes = kind in (spec.LIMIT, spec.MARKET, spec.IOC)
    if not takes and kind not in (spec.NOP, spec.DELETE, spec.REDUCE):
        return False
    if kind == spec.NOP or invalid(kind, side, lots, price_tick, order_id, 0) != spec.OK:
        return True
    if takes:
        bound = key_of(side, price_tick) if kind != spec.MARKET else ANY_PRICE
        left = sweep(book, sheet, now_ns, side, lots, bound)
        if left > 0 and (RESTING >> kind) & 1:
            rest_and_write(book, sheet, now_ns, side, left, price_tick, order_id)
        return True
    slot = find(book, side, order_id) - 1
    if slot < 0:
        book.counters[spec.NUM_UNKNOWN_CANCEL] += 1
        return True
    resting = np.int64(book.lots[side, slot])
    done = min(lots, resting) if kind == spec.REDUCE else resting
    remove_slot(book, sheet, now_ns, FULL_CANCEL if done == resting else PARTIAL_CANCEL, side, slot, done)
    return True
