"""Input checks of every numerical module: what is missing, not finite or impossible is refused by the field's name.

One rule for arrays: they come back as float64 of their own memory, so that no result is a view of what a caller holds.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

# Of the largest entry. A covariance that is a sum of products differs across its diagonal by N rounding errors at most,
# 1e-13 for 500 assets; two digits more let one through that was written with twelve digits. An error of a percent of a
# basis point, which would be a mistake, stays out. Rounding leaves the least eigenvalue within the same distance of 0.
MATRIX_ROOM: Final = 1e-10
MOST: Final = 2**61  # what int64 sums without overflow


def number(name: str, value: Any, low: float = -np.inf, high: float = np.inf, open_low: bool = False) -> float:
    """Return a finite float within low..high (above low where `open_low`); ValueError names the field."""
    if isinstance(value, bool | np.bool_ | str | bytes):
        raise ValueError(f"{name} is {value!r}, expected a number")
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} is {value!r}, expected a number") from error
    if not np.isfinite(found):
        raise ValueError(f"{name} is {value!r}, expected a finite number")
    if not low <= found <= high or (open_low and found == low):
        raise ValueError(f"{name} is {value!r}, expected {_range(low, high, open_low)}")
    return found


def whole(name: str, value: Any, low: int, high: int = MOST) -> int:
    """Return an int within low..high; ValueError names the field."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= int(value) <= high:
        raise ValueError(f"{name} is {value!r}, expected a whole number from {low} to {high}")
    return int(value)


def vector(name: str, values: Any, size: int | None = None, least: int = 1) -> np.ndarray:
    """Return a finite float64[N] with N >= `least`, N = `size` where given; ValueError names the field."""
    found = _array(name, values)
    if found.ndim != 1 or len(found) < least or (size is not None and len(found) != size):
        wanted = f"at least {least}" if size is None else str(size)
        raise ValueError(f"{name} has shape {list(found.shape)}, expected one axis of {wanted} values")
    return _finite(name, found)


def positive(name: str, values: Any, least: int = 1) -> np.ndarray:
    """Return a finite float64[N] with N >= `least` and every value above 0; ValueError names the field."""
    found = vector(name, values, least=least)
    if (found <= 0).any():
        raise ValueError(f"{name} has a value at {int(np.argmax(found <= 0))} that is not above 0")
    return found


def matrix(name: str, values: Any, least_rows: int = 1) -> np.ndarray:
    """Return a finite float64[T, N] with T >= `least_rows` and N >= 1; ValueError names the field."""
    found = _array(name, values)
    if found.ndim != 2 or found.shape[0] < least_rows or found.shape[1] < 1:
        raise ValueError(f"{name} has shape {list(found.shape)}, expected [T, N] with T >= {least_rows}, N >= 1")
    return _finite(name, found)


def covariance(name: str, values: Any, size: int | None = None) -> np.ndarray:
    """Return a symmetric positive semidefinite float64[N, N]; ValueError names the field and what is wrong.

    Both hold within MATRIX_ROOM of the largest entry; a variance below 0 is refused at any size.
    """
    found = matrix(name, values)
    if found.shape[0] != found.shape[1] or (size is not None and len(found) != size):
        wanted = "[N, N]" if size is None else f"[{size}, {size}]"
        raise ValueError(f"{name} has shape {list(found.shape)}, expected {wanted}")
    if (np.diag(found) < 0).any():
        raise ValueError(f"{name} holds a variance below 0")
    # A power of two brings the largest entry near 1: exact, and nothing below overflows.
    exponent = int(np.frexp(np.abs(found).max())[1])
    scaled = np.ldexp(found, -exponent)
    if np.abs(scaled - scaled.T).max() > MATRIX_ROOM * np.abs(scaled).max():
        raise ValueError(f"{name} is not symmetric")
    scaled = (scaled + scaled.T) / 2
    eigenvalues = np.linalg.eigvalsh(scaled)
    if eigenvalues[0] < -MATRIX_ROOM * max(eigenvalues[-1], 0.0):
        raise ValueError(
            f"{name} has eigenvalue {np.ldexp(eigenvalues[0], exponent)}, expected a positive semidefinite matrix"
        )
    return np.ldexp(scaled, exponent)


def same_length(**arrays: np.ndarray) -> int:
    """Return the common length; ValueError lists the lengths where they differ."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"lengths differ: {told}; expected one value of each a row")
    return next(iter(lengths.values()))


def names(name: str, values: Sequence[str]) -> tuple[str, ...]:
    """Return distinct non-empty names, at least one; ValueError names the field."""
    found = tuple(values)
    if isinstance(values, str) or not found or not all(isinstance(one, str) and one for one in found):
        raise ValueError(f"{name} is {values!r}, expected at least one name")
    if len(set(found)) != len(found):
        raise ValueError(f"{name} holds a name twice: {found}")
    return found


def _range(low: float, high: float, open_low: bool) -> str:
    least = f"above {low}" if open_low else f"at least {low}"
    return f"at most {high}" if low == -np.inf else least if high == np.inf else f"{least} and at most {high}"


def _array(name: str, values: Any) -> np.ndarray:
    if isinstance(values, np.ma.MaskedArray):  # what is masked is missing
        values = np.ma.filled(values.astype(np.float64), np.nan)
    if isinstance(values, np.ndarray) and values.dtype.kind not in "biufO":
        raise ValueError(f"{name} is no array of numbers but of {values.dtype}")
    try:
        return np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} is no array of numbers") from error


def _finite(name: str, found: np.ndarray) -> np.ndarray:
    finite = np.isfinite(found)
    if not finite.all():
        first = [int(place) for place in np.argwhere(~finite)[0]]
        place = first[0] if len(first) == 1 else first
        raise ValueError(f"{name} holds {int((~finite).sum())} values that are not finite, the first at {place}")
    return found
