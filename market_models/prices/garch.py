"""GARCH(1,1): log returns whose variance remembers the last bars.

Formula: r[t] = mu + sqrt(v[t]) Z[t], v[t+1] = omega + alpha (r[t] - mu)^2 + beta v[t], Z standard normal. The mean
variance is omega / (1 - alpha - beta), and E[v[t]] goes to it as (alpha + beta)^t; the kurtosis of r is
3 (1 - (alpha + beta)^2) / (1 - (alpha + beta)^2 - 2 alpha^2). Sampled bar by bar, all paths at once: there is no
closed form. Fit: maximum likelihood by `arch` with its backcast of the first variance; robust errors (Bollerslev,
Wooldridge 1992), valid where returns have fatter tails than the normal.
Assumptions: falls and rises of one size raise the variance equally; alpha + beta at most 1.
Bias: normal shocks leave tails thinner than recorded ones, so it understates the worst bar; no leverage effect, so it
understates the volatility that follows a fall; alpha + beta fitted over a window with breaks is too large.
Source: Bollerslev 1986, Generalized autoregressive conditional heteroskedasticity.
"""

from typing import Final, NamedTuple

import numpy as np
from arch import arch_model

from market_models.prices import base


class Params(NamedTuple):
    """Units: start_price in the price's own, the rest in log return."""

    start_price: float
    log_drift_per_bar: float  # mu
    omega: float  # squared log return
    alpha: float  # share of the last squared shock
    beta: float  # share of the last variance
    start_variance: float  # variance of the first bar's log return


LIMITS: Final = {
    "start_price": base.POSITIVE,
    "log_drift_per_bar": base.ANY,
    "omega": base.NOT_NEGATIVE,
    "alpha": (0.0, 1.0),
    "beta": (0.0, 1.0),
    "start_variance": base.NOT_NEGATIVE,
}
EXAMPLE: Final = Params(100.0, 0.0005, 2e-6, 0.10, 0.88, 1e-4)


def sample(params: Params, num_steps: int, num_paths: int, seed: int) -> np.ndarray:
    """Draw price paths float64[num_paths, num_steps + 1]; ValueError names a bad argument."""
    base.check_params(params, LIMITS)
    if params.alpha + params.beta > 1 + 1e-9:
        raise ValueError(f"alpha + beta is {params.alpha + params.beta}, valid: at most 1 (the variance would explode)")
    generator = base.make_generator(num_steps, num_paths, seed)
    noise = generator.standard_normal((num_steps, num_paths))
    shocks, variance = np.empty_like(noise), np.full(num_paths, params.start_variance)
    for step in range(num_steps):
        shocks[step] = np.sqrt(variance) * noise[step]
        variance = params.omega + params.alpha * shocks[step] ** 2 + params.beta * variance
    return base.compound(params.start_price, params.log_drift_per_bar + shocks.T)


def fit(prices: np.ndarray) -> base.Fit:
    """Fit prices [T], T at least 100; ValueError where the search does not converge.

    `start_variance` is arch's backcast, with which the log likelihood begins; its error is given as 0.
    """
    prices = base.check_prices(prices, 100)
    returns = np.diff(np.log(prices))
    if returns.std() <= 1e-12:
        raise ValueError("prices move by the same return every bar, expected returns that vary")
    # The search needs returns of order 1; a power of ten, so that daily returns are in percent as in arch's examples.
    scale = 10.0 ** -np.floor(np.log10(returns.std()))
    result = arch_model(scale * returns, rescale=False).fit(disp="off", show_warning=False)
    if result.convergence_flag != 0:
        raise ValueError("prices do not let the search for a GARCH(1,1) converge; give more of them")
    unit = np.array([scale, scale**2, 1.0, 1.0])
    errors = np.asarray(result.std_err) / unit
    if not np.isfinite(errors).all():
        raise ValueError("prices do not tell a GARCH(1,1)'s parameters apart; give more of them")
    start_variance = float((np.asarray(result.conditional_volatility)[0] / scale) ** 2)
    return base.Fit(
        _params(float(prices[0]), np.asarray(result.params) / unit, start_variance),
        _params(0.0, errors, 0.0),
        float(result.loglikelihood + len(returns) * np.log(scale)),
    )


def _params(start_price: float, values: np.ndarray, start_variance: float) -> Params:
    mu, omega, alpha, beta = values.tolist()
    return Params(start_price, mu, omega, alpha, beta, start_variance)
