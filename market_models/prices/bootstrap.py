"""Stationary block bootstrap of recorded bars: recorded log returns, drawn in blocks of random length.

Formula: a path takes log returns i, i + 1, .. of the record (which closes to a ring) from a uniform start; each bar
ends the block with probability 1 / mean_block and the next block starts anywhere. Autocovariances are kept up to the
factor (1 - 1 / mean_block)^lag (1 - lag / n, roughly). No loop over bars.
Fit: the record itself; the mean block is the automatic choice of Politis, White 2004 (corrected by Patton, Politis,
White 2009, in `arch`) for squared returns or for returns, whichever is longer: a length for the mean alone would cut
volatility clusters apart. The standard errors are of the moments that the bootstrap must keep, over its own paths;
there is no likelihood.
Assumptions: the record is stationary, and its past is all that may happen.
Bias: nothing worse than the worst recorded bar ever comes, and what is longer than a block (regimes, slow memory) is
broken up, so it understates long drawdowns; agents can learn the record by heart, so hold part of it back.
Source: Politis, Romano 1994, The stationary bootstrap.
"""

from typing import Final, NamedTuple

import numpy as np
from arch.bootstrap import optimal_block_length

from market_models.prices import base

ERROR_PATHS: Final = 200
ERROR_SEED: Final = 19_940_101


class Params(NamedTuple):
    """Units: start_price in the price's own, the rest in log return and bars."""

    start_price: float
    log_returns: np.ndarray  # [n], the record
    mean_block_bars: float  # at least 1


class Moments(NamedTuple):
    """What a block bootstrap keeps of log returns: single numbers, or one of each a path."""

    mean: np.ndarray
    volatility: np.ndarray  # standard deviation
    squared_autocorrelation: np.ndarray  # of squared returns at lag 1


def _example_returns() -> np.ndarray:
    noise = np.random.Generator(np.random.Philox(1)).standard_normal(500)
    return 0.0003 + 0.01 * noise * np.exp(0.5 * np.sin(np.arange(500) / 12))


EXAMPLE: Final = Params(start_price=100.0, log_returns=_example_returns(), mean_block_bars=20.0)


def sample(params: Params, num_steps: int, num_paths: int, seed: int) -> np.ndarray:
    """Draw price paths float64[num_paths, num_steps + 1]; ValueError names a bad argument."""
    limits = {"start_price": base.POSITIVE, "log_returns": base.ANY, "mean_block_bars": (1.0, float(base.MAX_STEPS))}
    base.check_params(params, limits)
    if np.ndim(params.log_returns) != 1 or len(params.log_returns) < 2:
        raise ValueError(f"log_returns has shape {np.shape(params.log_returns)}, expected [n] with n at least 2")
    generator = base.make_generator(num_steps, num_paths, seed)
    shape, count = (num_paths, num_steps), len(params.log_returns)
    begins = generator.random(shape) < 1 / params.mean_block_bars
    begins[:, 0] = True
    steps = np.arange(num_steps)
    begun = np.maximum.accumulate(np.where(begins, steps, 0), axis=1)
    starts = np.take_along_axis(generator.integers(count, size=shape), begun, axis=1)
    return base.compound(params.start_price, np.asarray(params.log_returns)[(starts + steps - begun) % count])


def fit(prices: np.ndarray) -> base.Fit:
    """Keep prices [T], T at least 50, and choose the mean block; `standard_errors` are Moments, no likelihood."""
    prices = base.check_prices(prices, 50)
    returns = np.diff(np.log(prices))
    if returns.std() <= 1e-12:
        raise ValueError("prices move by the same return every bar, expected returns that vary")
    lengths = [
        optimal_block_length(series)["stationary"].iloc[0] for series in (returns, (returns / returns.std()) ** 2)
    ]
    params = Params(float(prices[0]), returns, float(max(1.0, *lengths)))
    paths = sample(params, len(returns), ERROR_PATHS, ERROR_SEED)
    errors = [values.std(ddof=1) for values in measure_moments(np.diff(np.log(paths), axis=1))]
    return base.Fit(params, Moments(*errors), None)


def measure_moments(log_returns: np.ndarray) -> Moments:
    """Return the moments of log returns [.., T] over the last axis."""
    mean, squares = log_returns.mean(axis=-1), log_returns**2
    centred = squares - squares.mean(axis=-1, keepdims=True)
    lag_1 = (centred[..., 1:] * centred[..., :-1]).sum(axis=-1) / (centred**2).sum(axis=-1)
    return Moments(mean, log_returns.std(axis=-1), lag_1)
