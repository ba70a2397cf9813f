"""A flow in the order book without agents, written down row by row as order-level recordings are: one row for every
execution, cancellation and resting order that changes the visible levels, and the depth after it.

The flow's sampler is compiled into the kernel, as in the market step (`step.py`); the book is the CPU backend's.
"""

from functools import cache
from typing import Any

import numpy as np
from numba import njit, types

from kernels.lob import _slots, spec
from kernels.lob._market import clock_ns, complete, set_clock
from kernels.lob._memory import INLINE, compile_kernel, fill_words, int32_view, int64_view, stack_words, uint32_view
from kernels.lob._rows import Sheet, apply_and_write
from kernels.lob._slots import NUM_CONTEXT, begin, book_of, point_at_book
from kernels.lob.row_spec import (
    NUM_ROW_COLUMNS,
    NUM_STATE,
    RUN_EXHAUSTED,
    RUN_OK,
    RUN_UNSUPPORTED,
    STATE_EVENTS,
    STATE_PROPOSALS,
    STATE_ROWS,
    STATE_STATUS,
)

NS_PER_US = 1000

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
