"""Rows of a recording as the bytes of LOBSTER's two csv files, in numba: no Python object a row, Python's lock free.

Format: message `seconds.nnnnnnnnn,type,order id,size,price,direction`; order book ask price, ask size, bid price, bid
size level by level, prices in 1e-4 dollars, an absent level +-9999999999 with size 0. Source: the readme in LOBSTER's
sample files.
"""

from typing import Final

import numpy as np
from numba import njit

from kernels.lob import row_spec, spec
from market_models.instrument import Instrument
from sim.generation.market import NS_PER_S, RowBlock

ABSENT_PRICE: Final = 9_999_999_999
PRICE_UNIT_E8: Final = 10_000  # LOBSTER's unit of price, 1e-4 dollars, in 1e-8
MAX_PRICE_UNIT: Final = 10**7  # price units a tick, so that no price has more than 18 digits
MESSAGE_BYTES: Final = 80  # at most: 20 of time, 1 of type, ids and sizes of 11, a price of 19, a direction of 2, marks
LEVEL_BYTES: Final = 2 * (20 + 1 + 11 + 1)

_COMMA, _NEWLINE, _MINUS, _POINT, _ZERO = (np.uint8(ord(mark)) for mark in ",\n-.0")
# "00" .. "99" behind one another, the two digits of a number at twice its place.
_PAIRS = np.frombuffer("".join(f"{pair:02d}" for pair in range(100)).encode(), np.uint8).copy()


def price_unit(instrument: Instrument) -> int:
    """Return how many of LOBSTER's units of price a tick is; ValueError where it is not a whole number of them."""
    unit, rest = divmod(instrument.tick_e8, PRICE_UNIT_E8)
    if rest or not 1 <= unit <= MAX_PRICE_UNIT:
        raise ValueError(
            f"tick_size {instrument.tick_size} of {instrument.name} is not a multiple of 0.0001 up to 1000, which "
            "LOBSTER's prices can say"
        )
    return unit


@njit(nogil=True, boundscheck=False, error_model="numpy", inline="always")
def _put_padded(out, end, value, digits):
    """Write `digits` digits of a number, zeros before it, so that they end before `end`."""
    rest = np.uint64(value)
    at = end
    for _ in range(digits >> 1):
        high = rest // np.uint64(100)
        pair = np.int64(rest - high * np.uint64(100)) << 1
        at -= 2
        out[at] = _PAIRS[pair]
        out[at + 1] = _PAIRS[pair + 1]
        rest = high
    if digits & 1:
        out[at - 1] = _ZERO + np.uint8(rest % np.uint64(10))


@njit(nogil=True, boundscheck=False, error_model="numpy", inline="always")
def _put_integer(out, at, value):
    """Write an integer in decimal at `at`; return the place behind it."""
    if value < 0:
        out[at] = _MINUS
        at += 1
        value = -value
    digits, bound = 1, np.int64(10)
    while digits < 18 and value >= bound:
        digits += 1
        bound *= 10
    _put_padded(out, at + digits, value, digits)
    return at + digits


@njit(nogil=True, boundscheck=False, error_model="numpy")
def put_messages(time_ns, rows, unit, out):
    """Write the message lines of rows into uint8[>= n x MESSAGE_BYTES]; return how many bytes they have."""
    at = np.int64(0)
    for row in range(time_ns.shape[0]):
        seconds = time_ns[row] // NS_PER_S
        at = _put_integer(out, at, seconds)
        out[at] = _POINT
        _put_padded(out, at + 10, time_ns[row] - seconds * NS_PER_S, 9)
        at += 10
        for column in range(row_spec.NUM_ROW_COLUMNS):
            value = np.int64(rows[row, column])
            if column == row_spec.ROW_PRICE_TICK:
                value *= unit
            if column == row_spec.ROW_SIDE:
                value = 1 - 2 * value  # 1 a buy order, -1 a sell order
            out[at] = _COMMA
            at = _put_integer(out, at + 1, value)
        out[at] = _NEWLINE
        at += 1
    return at


@njit(nogil=True, boundscheck=False, error_model="numpy")
def put_books(depth, unit, out):
    """Write the order-book lines of depths int32[n, 2, L, 2] into uint8[>= n x L x LEVEL_BYTES]; return the bytes."""
    at = np.int64(0)
    for row in range(depth.shape[0]):
        for level in range(depth.shape[2]):
            for turn in range(2):
                side = spec.SELL - turn
                lots = np.int64(depth[row, side, level, 1])
                price = np.int64(depth[row, side, level, 0]) * unit
                if lots == 0:
                    price = ABSENT_PRICE if side == spec.SELL else -ABSENT_PRICE
                at = _put_integer(out, at, price)
                out[at] = _COMMA
                at = _put_integer(out, at + 1, lots)
                out[at] = _COMMA
                at += 1
        out[at - 1] = _NEWLINE
    return at


class RowText:
    """Buffers that hold the text of one block of at most `max_rows` rows."""

    def __init__(self, instrument: Instrument, max_rows: int, levels: int) -> None:
        self._unit = np.int64(price_unit(instrument))
        self._message = np.empty(max_rows * MESSAGE_BYTES, np.uint8)
        self._book = np.empty(max_rows * levels * LEVEL_BYTES, np.uint8)

    def encode(self, block: RowBlock) -> tuple[memoryview, memoryview]:
        """Return the bytes of the block's message and order-book lines; the next call overwrites them."""
        needed = (len(block.time_ns) * MESSAGE_BYTES, len(block.depth) * block.depth.shape[2] * LEVEL_BYTES)
        if needed[0] > len(self._message) or needed[1] > len(self._book):
            raise ValueError(f"a block of {len(block.time_ns)} rows does not fit the text's buffers")
        message_bytes = put_messages(block.time_ns, block.rows, self._unit, self._message)
        book_bytes = put_books(block.depth, self._unit, self._book)
        return self._message.data[:message_bytes], self._book.data[:book_bytes]
