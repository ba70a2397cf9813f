"""A flow in the order book without agents, written down row by row as order-level recordings are: one row for every
execution, cancellation and resting order that changes the visible levels, and the depth after it.

The flow's sampler is compiled into the kernel, as in the market step (`step.py`); the book is the CPU backend's.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit, types

from kernels.lob import _slots, spec
from kernels.lob._market import clock_ns, complete, set_clock
from kernels.lob._memory import (
    INLINE,
    RARE,
    compile_kernel,
    fill_words,
    int32_view,
    int64_view,
    stack_words,
    uint32_view,
)
from kernels.lob._messages import ANY_PRICE, RESTING, invalid
from kernels.lob._slots import NUM_CONTEXT, begin, book_of, find, key_of, point_at_book, rest, take

NS_PER_US = 1000

# What a row says happened, in LOBSTER's numbers. Typed, because numba compiles a function again for each literal.
NEW = np.int64(1)
PARTIAL_CANCEL = np.int64(2)
FULL_CANCEL = np.int64(3)
EXECUTION = np.int64(4)

# Columns of a row, int32[..., 5].
ROW_TYPE = 0
ROW_ORDER_ID = 1
ROW_LOTS = 2
ROW_PRICE_TICK = 3
ROW_SIDE = 4  # of the resting order
NUM_ROW_COLUMNS = 5

# Words of the state of a run, int64[5].
STATE_ROWS = 0  # rows written since the caller set it to 0
STATE_EVENTS = 1  # events applied since then
STATE_PROPOSALS = 2  # draws since then, those that the sampler thinned out included
STATE_PRIMED = 3  # 0 before the first row of a recording, which only shows the book and is not written
STATE_STATUS = 4  # RUN_*
NUM_STATE = 5

RUN_OK = 0
RUN_EXHAUSTED = 1
RUN_UNSUPPORTED = 2  # the sampler sent a kind of message that no row can say

# Words of the call: addresses of the book's fields (0-5), then of these, then sizes.
CALL_META = 6
CALL_SEED = 7
CALL_PARAMS = 8
CALL_TIME = 9
CALL_ROWS = 10
CALL_DEPTH = 11
CALL_VISIBLE = 12
CALL_STATE = 13
CALL_SUMMARY = 14
CALL_CAPACITY = 15
CALL_NUM_PARAMS = 16
CALL_ROOM = 17
CALL_LEVELS = 18
CALL_GOAL = 19  # rows, or events where nothing is recorded, after which the call ends
CALL_MAX_PROPOSALS = 20
CALL_RECORD = 21
CALL_SHIFT_NS = 22  # added to the market's clock in every row
NUM_CALL_WORDS = 23


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


@njit(**INLINE)
def sheet_of(call):
    """Return the sheet that a call describes."""
    room, levels = call[CALL_ROOM], call[CALL_LEVELS]
    return Sheet(
        int64_view(call[CALL_TIME], (room,)),
        int32_view(call[CALL_ROWS], (room, NUM_ROW_COLUMNS)),
        int32_view(call[CALL_DEPTH], (room, 2, levels, 2)),
        int32_view(call[CALL_VISIBLE], (2, levels, 2)),
        int64_view(call[CALL_STATE], (NUM_STATE,)),
        call[CALL_RECORD],
    )


@cache
def rows_kernel(sampler: Any) -> Any:
    """Compile the kernel around `sampler` once a process; return a ctypes function of the address of a call's words.

    `sampler` has the market step's signature (`step.make_market_step`). The function runs without Python's lock. The
    caller vouches for the addresses, and for `room` of at least CALL_GOAL + capacity + 2 rows: an event is whole.
    """
    draw = njit(**INLINE)(sampler.py_func)

    def kernel(call_address):
        call = int64_view(call_address, (NUM_CALL_WORDS,))
        context = int64_view(stack_words(NUM_CONTEXT), (NUM_CONTEXT,))
        point_at_book(context, call, 0, call[CALL_CAPACITY])
        context[_slots.CONTEXT_SUMMARY] = call[CALL_SUMMARY]
        context[_slots.CONTEXT_QUEUE_MODEL] = spec.QUEUE_BACK_FIRST
        book = book_of(context)
        begin(book)
        sheet = sheet_of(call)
        state = sheet.state
        meta = int32_view(call[CALL_META], (spec.NUM_META,))
        seed = uint32_view(call[CALL_SEED], (2,))
        params = int32_view(call[CALL_PARAMS], (call[CALL_NUM_PARAMS],))
        background = int32_view(call[CALL_PARAMS], (0, spec.NUM_MESSAGE_COLUMNS))
        msg = int32_view(stack_words(4), (spec.NUM_MESSAGE_COLUMNS,))
        counted = STATE_ROWS if sheet.record else STATE_EVENTS
        last_proposal = state[STATE_PROPOSALS] + call[CALL_MAX_PROPOSALS]
        state[STATE_STATUS] = RUN_OK
        while state[counted] < call[CALL_GOAL] and state[STATE_PROPOSALS] < last_proposal:
            meta[spec.META_DRAW] += 1
            state[STATE_PROPOSALS] += 1
            fill_words(msg, 0)
            status, dt_us = draw(
                params,
                background,
                book.price_tick,
                book.lots,
                book.order_id,
                book.owner,
                book.num_orders,
                meta,
                seed,
                msg,
            )
            if status == spec.FLOW_EXHAUSTED:
                state[STATE_STATUS] = RUN_EXHAUSTED
                return
            time_ns = clock_ns(meta) + np.int64(dt_us) * NS_PER_US
            set_clock(meta, time_ns)
            if status != spec.FLOW_EVENT:
                continue
            complete(meta, msg)
            if not apply_and_write(book, sheet, time_ns + call[CALL_SHIFT_NS], msg):
                state[STATE_STATUS] = RUN_UNSUPPORTED
                return
            state[STATE_EVENTS] += 1

    return compile_kernel(kernel, types.void(types.int64))
