"""Checks of input arrays that name the field and what is valid."""

from typing import Any

import numpy as np


def series(name: str, values: Any, *, at_least: int = 1) -> np.ndarray:
    """Return float64[N]; ValueError unless it is one axis of at least `at_least` finite numbers."""
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or len(array) < at_least:
        raise ValueError(f"{name} has shape {array.shape}, it must be one axis of at least {at_least} values")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has a value at {int(np.argmin(np.isfinite(array)))} that is not finite")
    return array


def positive_series(name: str, values: Any, *, at_least: int = 1) -> np.ndarray:
    """Return float64[N]; ValueError unless every one of at least `at_least` values is finite and above 0."""
    array = series(name, values, at_least=at_least)
    if (array <= 0).any():
        raise ValueError(f"{name} has a value at {int(np.argmax(array <= 0))} that is not above 0")
    return array


def same_length(**arrays: np.ndarray) -> int:
    """Return the common length; ValueError lists the lengths where they differ."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"lengths differ: {lengths}; every series must have one value a row")
    return next(iter(lengths.values()))


def whole_number(name: str, value: Any, minimum: int) -> int:
    """Return the int; ValueError unless it is a whole number of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < minimum:
        raise ValueError(f"{name} is {value!r}, it must be a whole number of at least {minimum}")
    return int(value)
