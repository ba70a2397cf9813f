"""Ornstein-Uhlenbeck: a price or spread that is pulled back to its mean.

Formula: dX = kappa (m - X) dt + sigma dW, sampled exactly at bars: X[t+1] = m + a (X[t] - m) + s Z[t], a = exp(-kappa),
s^2 = sigma^2 (1 - a^2) / (2 kappa). The recursion is one linear filter. Half-life log(2) / kappa bars; stationary
variance sigma^2 / (2 kappa).
Fit: maximum likelihood given the first price = least squares of X[t+1] on X[t]; errors by the delta method.
Assumptions: one mean for ever, normal noise; X may be negative.
Bias: the fitted kappa is too large in short samples (a is low by about (1 + 3 a) / n, Kendall 1954), and a spread whose
mean moves looks safer than it is: pairs agents trained on it are too confident that a spread returns.
Source: Uhlenbeck, Ornstein 1930; Vasicek 1977.
"""

from typing import Final, NamedTuple

import numpy as np
from scipy.signal import lfilter

from market_models.prices import base


class Params(NamedTuple):
    """Units: the price's own, and bars."""

    start_price: float
    mean_price: float
    reversion_per_bar: float  # kappa
    volatility_per_sqrt_bar: float  # sigma, price units a square root of a bar


LIMITS: Final = {
    "start_price": base.ANY,
    "mean_price": base.ANY,
    "reversion_per_bar": (1e-9, 100.0),
    "volatility_per_sqrt_bar": base.NOT_NEGATIVE,
}
EXAMPLE: Final = Params(start_price=1.0, mean_price=2.0, reversion_per_bar=0.08, volatility_per_sqrt_bar=0.5)


def sample(params: Params, num_steps: int, num_paths: int, seed: int) -> np.ndarray:
    """Draw price paths float64[num_paths, num_steps + 1], exact at the bars; ValueError names a bad argument."""
    base.check_params(params, LIMITS)
    generator = base.make_generator(num_steps, num_paths, seed)
    kappa = params.reversion_per_bar
    sd = params.volatility_per_sqrt_bar * np.sqrt(-np.expm1(-2 * kappa) / (2 * kappa))
    start = np.full((num_paths, 1), params.start_price - params.mean_price)
    shocks = np.concatenate([start, sd * generator.standard_normal((num_paths, num_steps))], axis=1)
    return base.check_paths(params.mean_price + np.asarray(lfilter([1.0], [1.0, -np.exp(-kappa)], shocks, axis=1)))


def fit(prices: np.ndarray) -> base.Fit:
    """Fit prices [T], T at least 10; ValueError where the series shows no pull to a mean (a outside 0..1)."""
    prices = base.check_prices(prices, 10, positive=False)
    before, after = prices[:-1], prices[1:]
    count, moment = len(before), before - before.mean()
    slope = float(moment @ after / (moment @ moment))
    if not 0 < slope < 1:
        raise ValueError(f"prices have lag-1 slope {slope:.6g}, outside 0..1: no Ornstein-Uhlenbeck process fits them")
    intercept = float(after.mean() - slope * before.mean())
    residuals = after - intercept - slope * before
    sd, mean, kappa = float(residuals.std()), intercept / (1 - slope), -np.log(slope)
    if sd <= 1e-12 * np.abs(prices).max():
        raise ValueError("prices follow their mean without noise, expected a series that varies")
    slope_error = sd / (moment @ moment) ** 0.5
    # With X - m as the regressor, d m = (residual mean + (mean of X - m) d a) / (1 - a).
    mean_error = np.hypot(sd / count**0.5, (before.mean() - mean) * slope_error) / (1 - slope)
    params = Params(float(prices[0]), mean, float(kappa), float(sd * _sigma_per_sd(slope)))
    errors = Params(0.0, float(mean_error), float(slope_error / slope), _sigma_error(sd, slope, slope_error, count))
    return base.Fit(params, errors, base.normal_log_likelihood(residuals, sd))


def _sigma_per_sd(slope: float) -> float:
    return float(np.sqrt(-2 * np.log(slope) / (1 - slope * slope)))


def _sigma_error(sd: float, slope: float, slope_error: float, count: int) -> float:
    step = 1e-4 * min(slope, 1 - slope)
    by_slope = sd * (_sigma_per_sd(slope + step) - _sigma_per_sd(slope - step)) / (2 * step)
    return float(np.hypot(_sigma_per_sd(slope) * sd / (2 * count) ** 0.5, by_slope * slope_error))
