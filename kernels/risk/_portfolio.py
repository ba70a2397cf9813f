"""Input checks that the portfolio modules share: what is not finite or impossible is refused by the field's name."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

EIGENVALUE_ROOM: Final = 1e-10  # of the largest: rounding may leave a covariance this far below zero


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
        raise ValueError(f"{name} is {value!r}, expected {'above' if open_low else 'from'} {low} to {high}")
    return found


def whole(name: str, value: Any, low: int, high: int = 2**61) -> int:
    """Return an int within low..high; ValueError names the field."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= int(value) <= high:
        raise ValueError(f"{name} is {value!r}, expected a whole number from {low} to {high}")
    return int(value)


def vector(name: str, values: Any, size: int | None = None) -> np.ndarray:
    """Return a finite float64[N], N >= 1, and N = `size` where given; ValueError names the field."""
    found = _array(name, values)
    if found.ndim != 1 or found.size == 0 or (size is not None and found.size != size):
        raise ValueError(f"{name} has shape {found.shape}, expected ({'N' if size is None else size},) with N >= 1")
    return found


def covariance(name: str, values: Any, size: int | None = None) -> np.ndarray:
    """Return a symmetric positive semidefinite float64[N, N]; ValueError names the field and what is wrong."""
    found = _array(name, values)
    if found.ndim != 2 or found.shape[0] != found.shape[1] or found.size == 0:
        raise ValueError(f"{name} has shape {found.shape}, expected a square matrix")
    if size is not None and found.shape[0] != size:
        raise ValueError(f"{name} has shape {found.shape}, expected ({size}, {size})")
    if np.abs(found - found.T).max() > 1e-9 * np.abs(found).max():
        raise ValueError(f"{name} is not symmetric")
    found = (found + found.T) / 2
    eigenvalues = np.linalg.eigvalsh(found)
    if eigenvalues[0] < -EIGENVALUE_ROOM * max(eigenvalues[-1], 0.0):
        raise ValueError(f"{name} has eigenvalue {eigenvalues[0]}, expected a positive semidefinite matrix")
    return found


def names(name: str, values: Sequence[str]) -> tuple[str, ...]:
    """Return distinct non-empty names, at least one; ValueError names the field."""
    found = tuple(values)
    if isinstance(values, str) or not found or not all(isinstance(one, str) and one for one in found):
        raise ValueError(f"{name} is {values!r}, expected at least one name")
    if len(set(found)) != len(found):
        raise ValueError(f"{name} holds a name twice: {found}")
    return found


def _array(name: str, values: Any) -> np.ndarray:
    try:
        found = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is no array of numbers") from error
    if not np.isfinite(found).all():
        raise ValueError(f"{name} holds a value that is not finite")
    return found
