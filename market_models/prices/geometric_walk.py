"""Geometric random walk: prices whose log returns are independent and normal.

Formula: log P[t+1] = log P[t] + log_drift + volatility * Z[t], so E[P[t]] = P[0] exp((log_drift + volatility^2 / 2) t).
Assumptions: log returns have one variance and no memory; prices stay positive.
Bias: no fat tails, jumps or volatility clustering, so it understates drawdowns, the gap risk of a stop and the value of
scaling positions by volatility.
Source: Osborne 1959, Brownian motion in the stock market; Samuelson 1965; Black, Scholes 1973.
"""

from typing import Final, NamedTuple

import numpy as np

from market_models.prices import arithmetic_walk, base


class Params(NamedTuple):
    """Units: start_price in the price's own, the rest in log return."""

    start_price: float
    log_drift_per_bar: float  # mean log return of one bar
    volatility_per_bar: float  # standard deviation of one bar's log return


LIMITS: Final = {"start_price": base.POSITIVE, "log_drift_per_bar": base.ANY, "volatility_per_bar": base.NOT_NEGATIVE}
EXAMPLE: Final = Params(start_price=100.0, log_drift_per_bar=0.0003, volatility_per_bar=0.012)


def sample(params: Params, num_steps: int, num_paths: int, seed: int) -> np.ndarray:
    """Draw price paths float64[num_paths, num_steps + 1]; ValueError names a bad argument."""
    base.check_params(params, LIMITS)
    generator = base.make_generator(num_steps, num_paths, seed)
    noise = generator.standard_normal((num_paths, num_steps))
    return base.compound(params.start_price, params.log_drift_per_bar + params.volatility_per_bar * noise)


def fit(prices: np.ndarray) -> base.Fit:
    """Fit prices [T], T at least 3, by maximum likelihood of the log returns."""
    prices = base.check_prices(prices, 3)
    of_logs = arithmetic_walk.fit(np.log(prices))
    params = Params(float(prices[0]), of_logs.params.drift_per_bar, of_logs.params.volatility_per_bar)
    return base.Fit(params, Params(*of_logs.standard_errors), of_logs.log_likelihood)
