"""Decimal text to fixed-point integers, exactly, and refused where it is no number or does not fit."""

import re
from collections.abc import Sequence
from decimal import Decimal, DecimalException
from typing import TYPE_CHECKING, Any

import numpy as np

from market_models.datasets.formats.blocks import MAX_INT64, NULL

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_ANY = 10**27  # what the decimal context holds without rounding
_PLAIN = re.compile(r"([+-]?)(\d{1,18})(?:\.(\d*))?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


class RowError(ValueError):
    """One record cannot be used; the message is the reason under which it is quarantined."""


def to_fixed(value: object, decimals: int, what: str, bounded: bool = True) -> tuple[int, bool]:
    """Return (value in units of 10^-decimals, whether it was rounded to that).

    Raises RowError if it is no finite number or, where `bounded`, beyond int64. A value other than zero never becomes
    zero: in a book of levels zero removes a level.
    """
    text = value if type(value) is str else _text(value, what)
    plain = _PLAIN.fullmatch(text)
    part = (plain[3] or "") if plain else ""
    if plain and len(part) <= decimals:
        fixed, rounded = int(plain[2] + part.ljust(decimals, "0")), False
        fixed = -fixed if plain[1] == "-" else fixed
    else:
        fixed, rounded = _slowly(text, decimals, what)
    if bounded and abs(fixed) > MAX_INT64:
        raise RowError(f"{what} does not fit in 64 bits")
    return fixed, rounded


def to_int(value: object, what: str) -> int:
    """Return a JSON number or digits as an int64; RowError otherwise."""
    if type(value) is not int:
        if type(value) is not str or not re.fullmatch(r"-?\d{1,20}", value, re.ASCII):
            raise RowError(f"{what} is not an integer")
        value = int(value)
    if abs(value) > MAX_INT64:
        raise RowError(f"{what} does not fit in 64 bits")
    return value


def to_time(value: object, unit_ns: int, what: str = "time") -> int:
    """Return an integer time as nanoseconds; RowError if it is none, or outside 1678..2262."""
    time_ns = to_int(value, what) * unit_ns
    if abs(time_ns) > MAX_INT64:
        raise RowError(f"{what} is out of range")
    return time_ns


def column_to_fixed(texts: "pa.Array", decimals: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return (int64[N], bool[N] whether it is a number that fits, how many were rounded) of a column of bytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    digits = 18 - decimals
    pattern = rf"^[+-]?[0-9]{{1,{digits}}}(\.[0-9]{{0,{decimals}}})?$"
    plain = pc.call_function("match_substring_regex", [texts], pc.MatchSubstringOptions(pattern))
    plain = np.asarray(pc.fill_null(plain, False))
    values = np.full(len(texts), NULL, np.int64)
    if plain.any():
        some = texts if plain.all() else texts.filter(pa.array(plain))
        exact = pc.cast(pc.cast(some, pa.string()), pa.decimal128(38, decimals))
        # The low half of 128 bits: the pattern leaves at most 18 digits.
        words = np.frombuffer(exact.buffers()[1], np.int64)[2 * exact.offset :][: 2 * len(exact)]
        values[plain] = words[0::2]
    good, num_rounded = plain.copy(), 0
    for index in np.flatnonzero(~plain):
        try:
            values[index], rounded = to_fixed(texts[int(index)].as_py().decode("ascii", "replace"), decimals, "value")
            good[index], num_rounded = True, num_rounded + rounded
        except (RowError, AttributeError):
            good[index] = False
    return values, good, num_rounded


def floats_to_fixed(values: np.ndarray, decimals: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (int64[N], bool[N] fits) of float64: the nearest decimal, which is the one that was written."""
    with np.errstate(over="ignore"):
        scaled = np.rint(values * 10.0**decimals)
    good = np.isfinite(scaled) & (np.abs(scaled) < 2.0**62)
    return np.where(good, scaled, 0).astype(np.int64), good


def gcd_of(values: np.ndarray, so_far: int) -> int:
    """Return the greatest common divisor of `so_far` and all values but NULL."""
    known = values[values != NULL]
    return int(np.gcd.reduce(known, initial=np.int64(so_far))) if len(known) else so_far


def decimal_text(value: int, decimals: int) -> str:
    """Return a positive fixed-point step as plain decimal text: 10_000_000 of 9 decimals is "0.01"."""
    return format(Decimal(value).scaleb(-decimals).normalize(), "f")


def levels_to_fixed(pairs: Sequence[Any], price: Any, size: Any) -> list[tuple[int, int]]:
    """Return (price, size) of [price, size, ...] lists by the two converters; RowError if one is not such a list."""
    if type(pairs) is not list:
        raise RowError("levels are not a list")
    try:
        return [(price(pair[0]), size(pair[1])) for pair in pairs]
    except (TypeError, IndexError, KeyError):
        raise RowError("a level is not [price, size]") from None


def _text(value: object, what: str) -> str:
    if type(value) is int:
        return str(value)
    if isinstance(value, float):
        return repr(value)
    raise RowError(f"{what} is missing" if value is None else f"{what} is not a number")


def _slowly(text: str, decimals: int, what: str) -> tuple[int, bool]:
    if len(text) > 64 or not _NUMBER.fullmatch(text):
        raise RowError(f"{what} is not a number")
    try:
        exact = Decimal(text).scaleb(decimals)
        if abs(exact) > _MAX_ANY:
            raise RowError(f"{what} is out of range")
        fixed = int(exact.to_integral_value())
    except DecimalException:
        raise RowError(f"{what} is not a number") from None
    rounded = fixed != exact
    if rounded and not fixed:
        fixed = 1 if exact > 0 else -1
    return fixed, rounded
