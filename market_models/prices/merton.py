"""Merton jump diffusion: normal log returns and, now and then, a jump.

Formula: r = mu + sigma Z + (sum of N jumps), N Poisson(lambda) a bar, each jump normal(m, s^2). Given N the return is
normal(mu + N m, sigma^2 + N s^2), so a path is one cumulative sum. Mean mu + lambda m, variance
sigma^2 + lambda (m^2 + s^2), third central moment lambda (m^3 + 3 m s^2).
Fit: maximum likelihood of the Poisson mixture (cut at 15 jumps a bar), errors from the numerical Hessian. The
likelihood has no upper limit as sigma goes to 0 (one return alone under the narrow normal), so sigma is held above a
tenth of the sample's deviation: a local maximum, as in Honore 1998.
Assumptions: jumps are independent of each other and of volatility; lambda at most 2 a bar.
Bias: jumps do not cluster and volatility is constant, so it understates losses over several bars and, where recorded
clustering is read as jumps, overstates how often a calm bar is broken.
Source: Merton 1976, Option pricing when underlying stock returns are discontinuous.
"""

from typing import Final, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln, logsumexp

from market_models.prices import base

MAX_JUMPS: Final = 15  # beyond: less than 1e-9 of the probability at the largest lambda
LEAST_SIGMA_FRAC: Final = 0.1


class Params(NamedTuple):
    """Units: start_price in the price's own, the rest in log return and bars."""

    start_price: float
    log_drift_per_bar: float  # mu, of the diffusion alone
    volatility_per_bar: float  # sigma, of the diffusion alone
    jumps_per_bar: float  # lambda
    jump_mean: float  # m, log return
    jump_volatility: float  # s, log return


LIMITS: Final = {
    "start_price": base.POSITIVE,
    "log_drift_per_bar": base.ANY,
    "volatility_per_bar": base.POSITIVE,
    "jumps_per_bar": (0.0, 2.0),
    "jump_mean": base.ANY,
    "jump_volatility": base.NOT_NEGATIVE,
}
EXAMPLE: Final = Params(100.0, 0.0006, 0.008, 0.08, -0.004, 0.03)


def sample(params: Params, num_steps: int, num_paths: int, seed: int) -> np.ndarray:
    """Draw price paths float64[num_paths, num_steps + 1]; ValueError names a bad argument."""
    base.check_params(params, LIMITS)
    generator = base.make_generator(num_steps, num_paths, seed)
    jumps = generator.poisson(params.jumps_per_bar, (num_paths, num_steps))
    sd = np.sqrt(params.volatility_per_bar**2 + jumps * params.jump_volatility**2)
    noise = generator.standard_normal((num_paths, num_steps))
    return base.compound(params.start_price, params.log_drift_per_bar + jumps * params.jump_mean + sd * noise)


def log_likelihood(returns: np.ndarray, theta: np.ndarray) -> float:
    """Return the log likelihood of log returns [T] under (mu, sigma, lambda, m, s); lambda above 0."""
    mu, sigma, rate, jump_mean, jump_sd = theta
    jumps = np.arange(MAX_JUMPS + 1)[:, None]
    variance = sigma**2 + jumps * jump_sd**2
    log_weight = jumps * np.log(rate) - rate - gammaln(jumps + 1)
    log_density = -0.5 * (np.log(2 * np.pi * variance) + (returns - mu - jumps * jump_mean) ** 2 / variance)
    return float(np.sum(logsumexp(log_weight + log_density, axis=0)))


def fit(prices: np.ndarray) -> base.Fit:
    """Fit prices [T], T at least 100; ValueError where the maximum is not inside the parameters' range."""
    prices = base.check_prices(prices, 100)
    returns = np.diff(np.log(prices))
    scale = float(returns.std())
    if scale <= 1e-12:
        raise ValueError("prices move by the same return every bar, expected returns that vary")
    scaled = returns / scale
    theta = _maximise(scaled)
    covariance = _covariance(scaled, theta)
    unit = np.array([scale, scale, 1.0, scale, scale])
    params = Params(float(prices[0]), *(theta * unit).tolist())
    errors = Params(0.0, *(np.sqrt(np.diag(covariance)) * unit).tolist())
    return base.Fit(params, errors, log_likelihood(returns, theta * unit))


def _maximise(scaled: np.ndarray) -> np.ndarray:
    bounds = [(-2, 2), (LEAST_SIGMA_FRAC, 2), (1e-4, 2), (-10, 10), (0.05, 20)]
    starts = ([0.0, 0.8, 0.05, 0.0, 2.0], [0.0, 0.5, 0.5, 0.0, 1.0])
    fits = [
        minimize(lambda theta: -log_likelihood(scaled, theta) / len(scaled), start, bounds=bounds, method="L-BFGS-B")
        for start in starts
    ]
    best = min(fits, key=lambda one: one.fun)
    low, high = np.array(bounds).T
    if (best.x <= low + 1e-6).any() or (best.x >= high - 1e-6).any():
        raise ValueError("prices show no jumps that a Merton model can tell from its diffusion; try geometric_walk")
    return best.x


def _covariance(scaled: np.ndarray, theta: np.ndarray) -> np.ndarray:
    information = -base.hessian(lambda at: log_likelihood(scaled, at), theta, 1e-3 * np.maximum(np.abs(theta), 0.05))
    if np.linalg.eigvalsh(information).min() <= 0:
        raise ValueError("prices do not tell a Merton model's parameters apart; give more of them")
    return np.linalg.inv(information)
