"""Encodings of the pre-trade risk gate: limits, intent columns, state words, typed reasons; one table for all."""

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

# A word that is absent, not finite or not an integer: whatever meets it is refused (fail closed).
ABSENT: Final = -(2**63)
MAX_ABS_WORD: Final = 2**61  # words beyond are refused too, so that sums and differences hold in int64

# Trading states.
ACTIVE: Final = 1
REDUCE_ONLY: Final = 2
HALTED: Final = 3

# Intent columns, int64[N, NUM_INTENT_COLUMNS].
INTENT_KIND: Final = 0  # NEW or CANCEL
INTENT_SIDE: Final = 1  # 0 BUY, 1 SELL
INTENT_PRICE_TICK: Final = 2
INTENT_LOTS: Final = 3
INTENT_REDUCE_ONLY: Final = 4  # 1: the order may only bring the position nearer to zero
NUM_INTENT_COLUMNS: Final = 5
NEW: Final = 1
CANCEL: Final = 2

# Live-order columns, int64[K, NUM_LIVE_COLUMNS]: every order that may still fill, unknown ones included.
LIVE_SIDE: Final = 0
LIVE_PRICE_TICK: Final = 1
LIVE_LOTS: Final = 2  # as sent
LIVE_LEFT_LOTS: Final = 3  # may still fill
LIVE_CANCELLING: Final = 4  # 1: a cancel is under way, so another order like it is no duplicate
NUM_LIVE_COLUMNS: Final = 5

# State words, int64[NUM_STATE]: what else the gate sees of the session.
STATE_TRADING: Final = 0  # ACTIVE, REDUCE_ONLY or HALTED
STATE_POSITION_LOTS: Final = 1
STATE_RECENT_ORDERS: Final = 2  # new orders sent within the window of the message rate
STATE_BEST_BID_TICK: Final = 3
STATE_BEST_ASK_TICK: Final = 4
STATE_BOOK_NS: Final = 5  # event time of the book
STATE_NOW_NS: Final = 6  # event time now
STATE_BOOK_VALID: Final = 7  # 1: whole and two-sided
NUM_STATE: Final = 8

MAX_TICK_VALUE_E8: Final = 2**32  # so that price times tick value holds in int64


class RiskReason(IntEnum):
    """Why the gate refused. Checks run in this order and the first that fails is the reason."""

    OK = 0
    BAD_INPUT = 1  # absent word, unknown kind or side, price or lots out of the engine's range
    HALTED = 2
    NOT_TRADABLE = 3
    INVALID_BOOK = 4  # absent, gapped, crossed or one-sided
    STALE_DATA = 5  # also where the book is from the future
    PRICE_STEP = 6
    LOT_STEP = 7
    MIN_LOTS = 8
    MAX_LOTS = 9
    PRICE_COLLAR = 10  # outside best bid - collar .. best ask + collar
    MAX_ORDER_VALUE = 11
    REDUCE_ONLY = 12  # would not reduce, or could flip the position through zero
    MAX_POSITION = 13  # with every live order of the side filled
    MAX_OPEN_ORDERS = 14
    DUPLICATE_INTENT = 15  # side, price and lots of an order that is live, or of one earlier in the batch
    MESSAGE_RATE = 16


class RiskLimits(NamedTuple):
    """The limits of one instrument, in the order of the kernel's limit words."""

    tradable: int = 1  # 1: the instrument is known and tradable
    price_step_tick: int = 1  # a price is a multiple of this
    lot_step: int = 1  # a quantity is a multiple of this
    min_lots: int = 1
    max_lots: int = 1_000
    collar_tick: int = 500
    max_order_value_e8: int = 1_000_000 * 10**8  # 1e-8 quote units
    tick_value_e8: int = 10**6  # value of one lot times one tick, 1e-8 quote units
    max_position_lots: int = 10_000
    max_open_orders: int = 16
    max_messages: int = 1_000  # new orders within the window; the caller counts them by event time
    max_age_ns: int = 60_000_000_000  # older market data is stale

    def pack(self) -> np.ndarray:
        """Return int64[NUM_LIMITS]; a value that is not a finite integer becomes ABSENT, so that the gate refuses."""
        return pack_words(self)


NUM_LIMITS: Final = len(RiskLimits._fields)
LIMIT_TRADABLE: Final = 0
LIMIT_PRICE_STEP_TICK: Final = 1
LIMIT_LOT_STEP: Final = 2
LIMIT_MIN_LOTS: Final = 3
LIMIT_MAX_LOTS: Final = 4
LIMIT_COLLAR_TICK: Final = 5
LIMIT_MAX_ORDER_VALUE_E8: Final = 6
LIMIT_TICK_VALUE_E8: Final = 7
LIMIT_MAX_POSITION_LOTS: Final = 8
LIMIT_MAX_OPEN_ORDERS: Final = 9
LIMIT_MAX_MESSAGES: Final = 10
LIMIT_MAX_AGE_NS: Final = 11


def word(value: object) -> int:
    """Return an int64 word, or ABSENT for None, a fraction, a non-finite float or what int64 cannot hold."""
    if isinstance(value, float | np.floating):
        if not float(value).is_integer():
            return ABSENT
        value = int(value)
    if not isinstance(value, int | np.integer | np.bool_) or not -(2**63) < int(value) < 2**63:
        return ABSENT
    return int(value)


def pack_words(values: object) -> np.ndarray:
    """Return int64[...] of `word` over an iterable of values."""
    return np.array([word(value) for value in values], np.int64)  # type: ignore[attr-defined]


def pack_rows(rows: object, num_columns: int) -> np.ndarray:
    """Return int64[N, num_columns] of `word` over rows of values; ValueError for a row of another length."""
    packed = [[word(value) for value in row] for row in rows]  # type: ignore[attr-defined]
    for row in packed:
        if len(row) != num_columns:
            raise ValueError(f"a row has {len(row)} values, expected {num_columns}")
    return np.array(packed, np.int64).reshape(len(packed), num_columns)
