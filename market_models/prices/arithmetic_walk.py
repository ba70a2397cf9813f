"""Arithmetic random walk: prices whose changes are independent and normal.

Formula: P[t+1] = P[t] + drift + volatility * Z[t], Z standard normal; sampled as one cumulative sum.
Assumptions: changes have one variance at every level and no memory. Prices may fall below zero, as spreads may.
Bias: no fat tails and no volatility clustering, so it understates drawdowns and the losses of a stop; over long
horizons a price far from the fitted level keeps the fitted level's volatility.
Source: Bachelier 1900, Theorie de la speculation.
"""

from typing import Final, NamedTuple

import numpy as np

from market_models.prices import base


class Params(NamedTuple):
    """Units: the price's own."""

    start_price: float
    drift_per_bar: float  # price units a bar
    volatility_per_bar: float  # standard deviation of one bar's change, price units


LIMITS: Final = {"start_price": base.ANY, "drift_per_bar": base.ANY, "volatility_per_bar": base.NOT_NEGATIVE}
EXAMPLE: Final = Params(start_price=100.0, drift_per_bar=0.02, volatility_per_bar=1.1)


def sample(params: Params, num_steps: int, num_paths: int, seed: int) -> np.ndarray:
    """Draw price paths float64[num_paths, num_steps + 1]; ValueError names a bad argument."""
    base.check_params(params, LIMITS)
    generator = base.make_generator(num_steps, num_paths, seed)
    changes = params.drift_per_bar + params.volatility_per_bar * generator.standard_normal((num_paths, num_steps))
    changes = np.concatenate([np.zeros((num_paths, 1)), changes], axis=1)
    return base.check_paths(params.start_price + np.cumsum(changes, axis=1))


def fit(prices: np.ndarray) -> base.Fit:
    """Fit prices [T], T at least 3, by maximum likelihood; errors sd / sqrt(n) and sd / sqrt(2 n)."""
    prices = base.check_prices(prices, 3, positive=False)
    changes = np.diff(prices)
    drift, sd, count = float(changes.mean()), float(changes.std()), len(changes)
    if sd <= 1e-12 * np.abs(prices).max():
        raise ValueError("prices move by the same change every bar, expected changes that vary")
    errors = Params(0.0, sd / count**0.5, sd / (2 * count) ** 0.5)
    return base.Fit(Params(float(prices[0]), drift, sd), errors, base.normal_log_likelihood(changes - drift, sd))
