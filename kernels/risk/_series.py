"""What every portfolio number asks of its input: finite, of one axis, long enough. Otherwise it is refused."""

from typing import Any, Final

import numpy as np

MOMENTS_LEAST: Final = 30  # observations below which a variance or a fit is not worth a limit


def checked_series(name: str, values: Any, least: int = 1) -> np.ndarray:
    """Return float64[T] with T >= least; ValueError names the series that is of another shape, short or not finite."""
    series = np.asarray(values, np.float64)
    if series.ndim != 1 or len(series) < least:
        raise ValueError(f"{name} has shape {list(series.shape)}, expected one axis of at least {least} observations")
    if not np.isfinite(series).all():
        raise ValueError(f"{name} holds {int((~np.isfinite(series)).sum())} values that are not finite")
    return series


def checked_tail(tail_frac: float) -> float:
    """Return the probability of the loss tail; ValueError unless it is above 0 and below one half."""
    if not 0.0 < tail_frac < 0.5:
        raise ValueError(f"tail_frac is {tail_frac}, expected a probability above 0 and below 0.5, 0.01 for VaR 99 %")
    return float(tail_frac)


def checked_count(name: str, value: int, least: int, most: int) -> int:
    """Return a whole number of least..most; ValueError names it otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise ValueError(f"{name} is {value!r}, expected a whole number of {least}..{most}")
    return int(value)


def checked_tail_series(name: str, values: Any, tail_frac: float) -> np.ndarray:
    """Return float64[T] whose tail holds at least one observation, T * tail_frac >= 1; else ValueError."""
    least = int(np.ceil(1.0 / checked_tail(tail_frac) - 1e-9))
    return checked_series(name, values, max(least, MOMENTS_LEAST))
