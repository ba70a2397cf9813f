"""Heston: log returns whose variance is pulled to its mean, with shocks of its own.

Formula, time in bars: d log P = mu dt + sqrt(V) dW, dV = kappa (theta - V) dt + xi sqrt(V) dB, corr(dW, dB) = rho; mu
is the mean log return, the -V/2 of Ito's rule is part of it. V[0] is drawn from the stationary gamma distribution
(shape 2 kappa theta / xi^2, mean theta). V is drawn exactly from one bar to the next (noncentral chi square), its
integral I over the bar by the trapezoid, then r = mu + (rho / xi)(V' - V - kappa theta + kappa I) +
sqrt((1 - rho^2) I) Z (Broadie, Kaya 2006; Andersen 2008). Sampled bar by bar, all paths at once.

Fit: there is no closed likelihood, so by moments. With g = (1 - exp(-kappa)) / kappa, e = r - mu and k = 1, 2, ..:
E e^2 = theta; cov(e[t], e[t+k]^2) = B exp(-kappa (k - 1)), B = rho xi theta g^2;
cov(e[t]^2, e[t+k]^2) = A exp(-kappa (k - 1)),
A = theta xi^2 g^2 / (2 kappa) + 2 (rho xi)^2 theta g (g - exp(-kappa)) / kappa.
Least squares over up to 100 lags give kappa and A, then B; errors are the spread of the estimator over simulated
records of the same length (parametric bootstrap), so they assume the model.
Assumptions: one time scale of variance, normal shocks, no jumps.
Bias: moments of the fourth order converge slowly: over 40 records of 5,000 bars of EXAMPLE, kappa came out 3 % and xi
2 % too large on average, with deviations of 26 % and 17 %. Recorded variance has several time scales and jumps, so it
understates both the worst bar and the longest storm. The trapezoid is off by O(kappa^2) in a bar: kappa is limited to
0.5.
Source: Heston 1993, A closed-form solution for options with stochastic volatility.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from market_models.prices import base

MAX_REVERSION: Final = 0.5
ERROR_PATHS: Final = 60
ERROR_SEED: Final = 19_930_327
ERROR_BLOCK: Final = 15  # paths held at once


class Params(NamedTuple):
    """Units: start_price in the price's own, the rest in log return and bars."""

    start_price: float
    log_drift_per_bar: float  # mu
    mean_variance: float  # theta, squared log return a bar
    reversion_per_bar: float  # kappa
    variance_volatility: float  # xi, log return a bar
    correlation: float  # rho


LIMITS: Final = {
    "start_price": base.POSITIVE,
    "log_drift_per_bar": base.ANY,
    "mean_variance": base.POSITIVE,
    "reversion_per_bar": (1e-5, MAX_REVERSION),
    "variance_volatility": base.POSITIVE,
    "correlation": (-1.0, 1.0),
}
EXAMPLE: Final = Params(100.0, 0.0004, 1e-4, 0.06, 2.5e-3, -0.6)


def sample(params: Params, num_steps: int, num_paths: int, seed: int) -> np.ndarray:
    """Draw price paths float64[num_paths, num_steps + 1]; ValueError names a bad argument."""
    base.check_params(params, LIMITS)
    returns = _draw_returns(params, num_steps, num_paths, base.make_generator(num_steps, num_paths, seed))
    return base.compound(params.start_price, returns)


def fit(prices: np.ndarray) -> base.Fit:
    """Fit prices [T], T at least 300 (better 5,000), by moments; ValueError where they show no Heston variance."""
    prices = base.check_prices(prices, 300)
    returns = np.diff(np.log(prices))
    if returns.std() <= 1e-12:
        raise ValueError("prices move by the same return every bar, expected returns that vary")
    values = _estimate(returns)
    if values is None:
        raise ValueError("prices show no variance that is pulled to a mean as in Heston's model; try geometric_walk")
    params = Params(float(prices[0]), *values)
    return base.Fit(params, Params(0.0, *_spread(params, len(returns))), None)


def _draw_returns(params: Params, num_steps: int, num_paths: int, generator: np.random.Generator) -> np.ndarray:
    _, mu, theta, kappa, xi, rho = params
    keep = np.exp(-kappa)
    scale = xi**2 * (1 - keep) / (4 * kappa)
    freedom = 4 * kappa * theta / xi**2
    variance = generator.gamma(freedom / 2, xi**2 / (2 * kappa), num_paths)
    noise = generator.standard_normal((num_steps, num_paths))
    returns = np.empty((num_steps, num_paths))
    for step in range(num_steps):
        after = scale * generator.noncentral_chisquare(freedom, variance * keep / scale)
        integral = (variance + after) / 2
        shared = rho / xi * (after - variance - kappa * theta + kappa * integral)
        returns[step] = mu + shared + np.sqrt((1 - rho**2) * integral) * noise[step]
        variance = after
    return returns.T


def _estimate(returns: np.ndarray) -> tuple[float, float, float, float, float] | None:
    """Return (mu, theta, kappa, xi, rho), or None where the moments are those of no Heston model."""
    mu = float(returns.mean())
    shocks = returns - mu
    squares = shocks**2
    theta = float(squares.mean())
    lags = np.arange(min(100, len(returns) // 10))
    clustering = _lagged(squares - theta, squares - theta, len(lags)) / theta**2
    leverage = _lagged(shocks, squares - theta, len(lags)) / theta**1.5
    kappa, height = _fit_decay(clustering, lags)
    if height <= 0 or not 1e-4 < kappa < MAX_REVERSION - 1e-4:
        return None
    decay = np.exp(-kappa * lags)
    tilt = float(leverage @ decay / (decay @ decay)) * theta**1.5
    g = -np.expm1(-kappa) / kappa
    rho_xi = tilt / (theta * g**2)
    excess = height * theta**2 - 2 * rho_xi**2 * theta * g * (g - np.exp(-kappa)) / kappa
    xi_squared = 2 * kappa * excess / (theta * g**2)
    if xi_squared <= 0 or rho_xi**2 >= xi_squared:
        return None
    return mu, theta, kappa, float(xi_squared**0.5), float(rho_xi / xi_squared**0.5)


def _lagged(first: np.ndarray, second: np.ndarray, num_lags: int) -> np.ndarray:
    """Return the mean products float64[num_lags] of `first` and what `second` is 1, 2, .. bars later."""
    return np.array([(first[:-k] * second[k:]).mean() for k in range(1, num_lags + 1)])


def _fit_decay(curve: np.ndarray, lags: np.ndarray) -> tuple[float, float]:
    """Return (kappa, A) of the least squares A exp(-kappa lag) through `curve`."""

    def left(log_kappa: float) -> float:
        decay = np.exp(-np.exp(log_kappa) * lags)
        return float(-((curve @ decay) ** 2) / (decay @ decay))

    grid = np.linspace(np.log(1e-4), np.log(MAX_REVERSION), 60)
    at = int(np.argmin([left(point) for point in grid]))
    around = (grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)])
    best: Any = minimize_scalar(left, bounds=around, method="bounded")
    kappa = float(np.exp(best.x))
    decay = np.exp(-kappa * lags)
    return kappa, float(curve @ decay / (decay @ decay))


def _spread(params: Params, count: int) -> list[float]:
    """Return the deviation of each estimate over simulated records of `count` bars."""
    generator = np.random.Generator(np.random.Philox(ERROR_SEED))
    found = []
    for _ in range(ERROR_PATHS // ERROR_BLOCK):
        found += [_estimate(path) for path in _draw_returns(params, count, ERROR_BLOCK, generator)]
    kept = np.array([one for one in found if one is not None])
    if len(kept) < 0.8 * ERROR_PATHS:
        raise ValueError("prices are too few to tell a Heston model's parameters; give more of them")
    return kept.std(axis=0, ddof=1).tolist()
