"""What every price process shares: its fit, its random stream and the checks at its boundary.

A process is a module with a frozen `Params`, `sample(params, num_steps, num_paths, seed)`, `fit(prices)` and an
`EXAMPLE`; time is counted in bars, so every rate is per bar. Column 0 of a sample is the start price.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.stats import norm

MAX_STEPS: Final = 10_000_000
MAX_SEED: Final = 2**64 - 1
TINY: Final = np.nextafter(0.0, 1.0)  # the least valid value of what must be positive
ANY: Final = (-np.finfo(np.float64).max, np.finfo(np.float64).max)
POSITIVE: Final = (TINY, ANY[1])
NOT_NEGATIVE: Final = (0.0, ANY[1])


class Fit(NamedTuple):
    """What a fit returns: parameters, their standard errors, and how likely the data is under them."""

    params: Any
    standard_errors: Any  # a Params unless the module says otherwise; 0 where a value is read off
    log_likelihood: float | None  # natural logarithm; None where the model has no closed form


def check_params(params: Any, limits: Mapping[str, tuple[float, float]]) -> None:
    """Raise ValueError naming the first field of `params` that is not finite or outside its closed `limits`."""
    for field, (low, high) in limits.items():
        try:
            value = np.asarray(getattr(params, field), np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"{field} {getattr(params, field)!r} is not a number or an array of numbers") from None
        if value.size == 0 or not np.isfinite(value).all() or value.min() < low or value.max() > high:
            raise ValueError(f"{field} {getattr(params, field)!r} is not a finite value in {low}..{high}")


def check_shape(params: Any, field: str, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless the array `field` of `params` has `shape`."""
    if np.shape(getattr(params, field)) != shape:
        raise ValueError(f"{field} has shape {np.shape(getattr(params, field))}, expected {shape}")


def make_generator(num_steps: int, num_paths: int, seed: int) -> np.random.Generator:
    """Return the Philox stream of `seed` after checking the sizes; ValueError names what is not valid."""
    for field, value, low, high in (
        ("num_steps", num_steps, 1, MAX_STEPS),
        ("num_paths", num_paths, 1, MAX_STEPS),
        ("seed", seed, 0, MAX_SEED),
    ):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
            raise ValueError(f"{field} {value!r} is not an integer in {low}..{high}")
    return np.random.Generator(np.random.Philox(int(seed)))


def check_prices(prices: np.ndarray, least: int, *, positive: bool = True, num_axes: int = 1) -> np.ndarray:
    """Return recorded prices as float64 [T] or [T, N], at least `least` of them; ValueError says what is wrong."""
    try:
        values = np.asarray(prices, np.float64)
    except (TypeError, ValueError):
        raise ValueError("prices holds something that is not a number") from None
    if values.ndim != num_axes or len(values) < least:
        axes = "[T]" if num_axes == 1 else "[T, N]"
        raise ValueError(f"prices has shape {values.shape}, expected {axes} with T at least {least}")
    if not np.isfinite(values).all():
        raise ValueError("prices holds a value that is not finite; drop or fill the gap before the fit")
    if positive and values.min() <= 0:
        raise ValueError(f"prices holds {values.min()}; a model of log returns needs prices above 0")
    if (values.min(axis=0) == values.max(axis=0)).any():
        raise ValueError("prices do not move, expected a series that varies")
    return values


def compound(start_price: float, log_returns: np.ndarray) -> np.ndarray:
    """Return prices [.., T + 1] from log returns [.., T]; ValueError if a path leaves the range of float64."""
    log_moves = np.concatenate([np.zeros((*log_returns.shape[:-1], 1)), np.cumsum(log_returns, axis=-1)], axis=-1)
    with np.errstate(over="ignore", under="ignore"):  # what overflows is refused, what underflows is a price of 0
        return check_paths(start_price * np.exp(log_moves))


def check_paths(paths: np.ndarray) -> np.ndarray:
    """Return `paths`, or raise ValueError where one of them is no longer finite."""
    if not np.isfinite(paths).all():
        raise ValueError("params make a path leave the range of float64; lower the drift, volatility or num_steps")
    return paths


def hessian(log_likelihood: Callable[[np.ndarray], float], at: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return the Hessian [P, P] by central differences with steps [P] in the parameters' own units."""
    size, signs = len(at), ((1, 1), (1, -1), (-1, 1), (-1, -1))
    moves = np.diag(step)
    result = np.empty((size, size))
    for i in range(size):
        for j in range(i, size):
            corners = [log_likelihood(at + a * moves[i] + b * moves[j]) * a * b for a, b in signs]
            result[i, j] = result[j, i] = sum(corners) / (4 * step[i] * step[j])
    return result


def normal_log_likelihood(residuals: np.ndarray, sd: float) -> float:
    """Return the sum of normal log densities of `residuals` with deviation `sd`."""
    return float(norm.logpdf(residuals, scale=sd).sum())
