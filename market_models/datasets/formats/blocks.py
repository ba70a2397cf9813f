"""The canonical form of recorded data: five kinds of rows, as structured NumPy arrays of bounded length.

A reader writes prices and sizes as fixed-point integers (`price` in 1e-9, `size` in 1e-8 units); once the whole file
was read, the tick and lot of every instrument are known exactly and `Imported.blocks()` gives the same columns in ticks
and lots. Times are int64 nanoseconds UTC (of a file without a date: since that day's midnight). NULL stands for what
the recording does not say: no local time, no opening price, no exchange time.
"""

from typing import NamedTuple

import numpy as np

PRICE_DECIMALS, SIZE_DECIMALS = 9, 8
PRICE_UNIT, SIZE_UNIT = 10**PRICE_DECIMALS, 10**SIZE_DECIMALS
NULL = int(np.iinfo(np.int64).min)
MAX_INT64 = int(np.iinfo(np.int64).max)
BLOCK_ROWS = 65_536
NO_SIDE = -1  # of a trade whose aggressor is not recorded

_COMMON = [("exchange_ns", "i8"), ("local_ns", "i8"), ("instrument", "i4")]
_PRICE_SIZE = [("price", "i8"), ("size", "i8")]

KINDS: dict[str, np.dtype] = {
    # `event` numbers as in recording.py (NEW .. HALT); `side` of the resting order; id 0 names no order.
    "orders": np.dtype([*_COMMON, ("event", "i1"), ("side", "i1"), ("order_id", "i8"), *_PRICE_SIZE]),
    # `event_id` is the venue's update id; size 0 removes the level; a snapshot starts a book anew.
    "levels": np.dtype([*_COMMON, ("event_id", "i8"), ("snapshot", "i1"), ("side", "i1"), *_PRICE_SIZE]),
    "quotes": np.dtype([*_COMMON, ("bid_price", "i8"), ("bid_size", "i8"), ("ask_price", "i8"), ("ask_size", "i8")]),
    "trades": np.dtype([*_COMMON, ("trade_id", "i8"), ("side", "i1"), *_PRICE_SIZE]),
    # exchange_ns is the bar's opening time.
    "bars": np.dtype([*_COMMON, ("open", "i8"), ("high", "i8"), ("low", "i8"), ("close", "i8"), ("size", "i8")]),
}
PRICE_COLUMNS = ("price", "bid_price", "ask_price", "open", "high", "low", "close")
SIZE_COLUMNS = ("size", "bid_size", "ask_size")


class Block(NamedTuple):
    """Rows of one kind, in the order of the recording."""

    kind: str
    first_row: int  # number of the first row among the import's rows of this kind
    rows: np.ndarray  # KINDS[kind], at most BLOCK_ROWS, or as many as one record brings


def make_rows(kind: str, length: int, **columns: object) -> np.ndarray:
    """Return a structured array; columns that are not named are NULL (int64), or 0 (codes)."""
    dtype = KINDS[kind]
    rows = np.zeros(length, dtype)
    for name in dtype.names or ():
        if name in columns:
            rows[name] = columns[name]
        elif dtype[name] == np.int64:
            rows[name] = NULL
    return rows
