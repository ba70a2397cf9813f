"""The 64-bit words of a kernel's call, as the structs of process.cu and market_step.cu have them."""

from typing import Final

import numpy as np

from kernels.lob.spec import Book, LobConfig, LobOutput

NUM_BOOK_FIELDS: Final = len(Book._fields)
NUM_OUTPUT_FIELDS: Final = len(LobOutput._fields)

# process: addresses of the book's fields (0-5), messages, reference tick, the new book's fields (8-13), the output's
# (14-19), then sizes and modes.
PROCESS_BOOK: Final = 0
PROCESS_MESSAGES: Final = 6
PROCESS_REFERENCE: Final = 7
PROCESS_NEW_BOOK: Final = 8
PROCESS_OUTPUT: Final = 14
PROCESS_BATCH: Final = 20
PROCESS_NUM_MESSAGES: Final = 21
PROCESS_MAX_FILLS: Final = 22
PROCESS_LEVELS: Final = 23
PROCESS_FILLS_MODE: Final = 24
PROCESS_SELF_TRADE: Final = 25
PROCESS_QUEUE_MODEL: Final = 26
NUM_PROCESS_WORDS: Final = 27


def process_words(
    books: Book, messages: np.ndarray, reference_tick: np.ndarray, new_books: Book, out: LobOutput, config: LobConfig
) -> np.ndarray:
    """Return the words of a call on NumPy arrays with the leading axis B, all C-contiguous int32.

    The arrays have to outlive the call. `new_books` may be `books`.
    """
    arrays = (*books, messages, reference_tick, *new_books, *out)
    sizes = (*messages.shape[:2], config.max_fills, config.depth_levels)
    modes = (config.fills_mode, config.self_trade, config.queue_model)
    return np.array([*(array.ctypes.data for array in arrays), *sizes, *modes], np.int64)
