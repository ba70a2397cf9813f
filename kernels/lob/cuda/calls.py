"""The 64-bit words of a kernel's call, as the structs of process.cu and market_step.cu have them."""

from typing import Final

import numpy as np

from kernels.lob.spec import Book, LobConfig, LobOutput
from kernels.lob.step import Market, MarketResult

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

# market step: addresses of the book's fields (0-5), of what follows it (6-12), of the new book's fields (13-18), of the
# new inbox and meta and the fields of `MarketResult` (19-25), then sizes and modes.
MARKET_INBOX: Final = 6
MARKET_META: Final = 7
MARKET_SEED: Final = 8
MARKET_AGENT_MESSAGES: Final = 9
MARKET_FLOW_PARAMS: Final = 10
MARKET_BACKGROUND: Final = 11
MARKET_HORIZON: Final = 12
NUM_MARKET_ARGUMENTS: Final = 13
MARKET_NEW_BOOK: Final = 13
NUM_MARKET_RESULTS: Final = 13
MARKET_BATCH: Final = 26
MARKET_INBOX_SIZE: Final = 27
MARKET_NUM_AGENT_MESSAGES: Final = 28
MARKET_NUM_PARAMS: Final = 29
MARKET_NUM_BACKGROUND: Final = 30
MARKET_MAX_FILLS: Final = 31
MARKET_LEVELS: Final = 32
MARKET_NUM_LEARNERS: Final = 33
MARKET_SELF_TRADE: Final = 34
MARKET_QUEUE_MODEL: Final = 35
NUM_MARKET_WORDS: Final = 36


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


def market_words(
    market: Market,
    inputs: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    new_market: Market,
    result: MarketResult,
    config: LobConfig,
) -> np.ndarray:
    """Return the words of a market step on NumPy arrays with the leading axis B, all C-contiguous.

    `inputs` are agents' messages, flow parameters, background and horizon. The arrays have to outlive the call;
    `new_market` may be `market`, and its seed is not used.
    """
    agents, params, background, _ = inputs
    old = (*market.book, market.inbox, market.meta, market.seed, *inputs)
    arrays = (*old, *new_market.book, new_market.inbox, new_market.meta, *result)
    sizes = (len(agents), market.inbox.shape[1], agents.shape[1], params.shape[1], background.shape[1])
    shape = (config.max_fills, config.depth_levels, result.own.shape[1])
    modes = (config.self_trade, config.queue_model)
    return np.array([*(array.ctypes.data for array in arrays), *sizes, *shape, *modes], np.int64)
