"""The order book on a CPU core: numba, one market after the other, no allocation.

Cost of a message: a vector sweep over the ids or the prices of a side, and a vector shift of the orders between its
place and the touch. Deterministic: integers only, one thread a market.
"""

from functools import cache
from typing import Any

import numpy as np
from numba import types

from kernels.lob import _slots, spec
from kernels.lob._memory import compile_kernel, fill_words, int32_view, int64_view, stack_words
from kernels.lob._messages import messages_kernel
from kernels.lob._slots import NUM_CONTEXT, begin, book_of, clear_fills, point_at_book, write_depth, write_touch

# Words of the call that `process_kernel` takes: addresses of the fields of `spec.Book` (0-5), messages, reference
# ticks, fields of `spec.LobOutput` (8-13), then sizes and modes.
CALL_MESSAGES = 6
CALL_REFERENCE = 7
CALL_OUTPUT = 8
CALL_DEPTH = 13
CALL_BATCH = 14
CALL_CAPACITY = 15
CALL_NUM_MESSAGES = 16
CALL_MAX_FILLS = 17
CALL_LEVELS = 18
CALL_FILLS_MODE = 19
CALL_SELF_TRADE = 20
CALL_QUEUE_MODEL = 21
NUM_CALL_WORDS = 22


@cache
def process_kernel() -> Any:
    """Compile the kernel once a process; return it as a ctypes function of the address of a call's words.

    The FFI handler and the host call the same machine code. The caller vouches for the addresses.
    """
    apply_messages = messages_kernel()

    def process(call_address):
        call = int64_view(call_address, (NUM_CALL_WORDS,))
        num_messages, max_fills, levels = call[CALL_NUM_MESSAGES], call[CALL_MAX_FILLS], call[CALL_LEVELS]
        reference = int32_view(call[CALL_REFERENCE], (call[CALL_BATCH],))
        num_fills = int32_view(call[CALL_OUTPUT + 3], (call[CALL_BATCH],))
        context_address = stack_words(NUM_CONTEXT)
        context = int64_view(context_address, (NUM_CONTEXT,))
        context[_slots.CONTEXT_MAX_FILLS] = max_fills
        context[_slots.CONTEXT_FILLS_MODE] = call[CALL_FILLS_MODE]
        context[_slots.CONTEXT_SELF_TRADE] = call[CALL_SELF_TRADE]
        context[_slots.CONTEXT_QUEUE_MODEL] = call[CALL_QUEUE_MODEL]
        for b in range(call[CALL_BATCH]):
            point_at_book(context, call, b, call[CALL_CAPACITY])
            context[_slots.CONTEXT_FILLS] = call[CALL_OUTPUT + 2] + b * 32 * max_fills
            context[_slots.CONTEXT_SUMMARY] = call[CALL_OUTPUT + 4] + b * 64
            context[_slots.CONTEXT_REFERENCE_TICK] = reference[b]
            summary = int32_view(context[_slots.CONTEXT_SUMMARY], (spec.NUM_SUMMARY,))
            fill_words(summary, 0)
            book = book_of(context)
            begin(book)
            apply_messages(
                context_address,
                call[CALL_MESSAGES] + b * 32 * num_messages,
                num_messages,
                0,
                1,
                call[CALL_OUTPUT] + b * 4 * num_messages,
                call[CALL_OUTPUT + 1] - call[CALL_OUTPUT],
            )
            num_fills[b] = summary[spec.SUM_NUM_FILLS]
            clear_fills(context, num_fills[b])
            write_touch(book, summary)
            write_depth(book, int32_view(call[CALL_DEPTH] + b * 16 * levels, (2, levels, 2)))

    return compile_kernel(process, types.void(types.int64))


def _call_words(
    books: spec.Book, messages: np.ndarray, reference_tick: np.ndarray, out: spec.LobOutput, config: spec.LobConfig
) -> np.ndarray:
    batch, num_messages = messages.shape[:2]
    sizes = (batch, books.lots.shape[-1], num_messages, out.fills.shape[-2], out.depth.shape[-2])
    modes = (config.fills_mode, config.self_trade, config.queue_model)
    addresses = [field.ctypes.data for field in (*books, messages, reference_tick, *out)]
    return np.array([*addresses, *sizes, *modes], np.int64)


def process_markets(
    books: spec.Book, messages: np.ndarray, reference_tick: np.ndarray, out: spec.LobOutput, config: spec.LobConfig
) -> None:
    """Apply messages int32[B, M, 8] to B books in place and write `out`.

    Every array is C-contiguous int32 with the leading axis B; `kernels.lob.host` checks that.
    """
    words = _call_words(books, messages, reference_tick, out, config)
    process_kernel()(words.ctypes.data)


def trace_depth(
    books: spec.Book, groups: np.ndarray, reference_tick: np.ndarray, out: spec.LobOutput, config: spec.LobConfig
) -> np.ndarray:
    """Apply groups int32[N, G, 8] one after the other to the one book of a batch of one; `out` is scratch.

    Returns the depth after each group, int32[N, 2, L, 2].
    """
    num_groups = groups.shape[0]
    depth = np.empty((num_groups, *out.depth.shape[1:]), np.int32)
    words = _call_words(books, groups[:1], reference_tick, out._replace(depth=depth), config)
    kernel, address = process_kernel(), words.ctypes.data
    row_bytes, depth_bytes = groups[:1].nbytes, depth[:1].nbytes
    for _ in range(num_groups):
        kernel(address)
        words[CALL_MESSAGES] += row_bytes
        words[CALL_DEPTH] += depth_bytes
    return depth
