"""Markov regime switching: normal log returns whose mean and deviation follow a hidden chain.

Formula: r[t] = mu[k] + sigma[k] Z[t] in regime k = s[t], P(s[t+1] = j | s[t] = i) = p[i, j], s[0] from the chain's
stationary distribution pi. Mean sum pi mu, variance sum pi (sigma^2 + mu^2) - mean^2, mean stay in i 1 / (1 - p[i, i])
bars. Regimes are drawn bar by bar, all paths at once; the rest is a cumulative sum. Regimes are sorted by volatility,
calmest first. Fit: maximum likelihood (Hamilton filter, EM start) by statsmodels; errors from its outer product.
Assumptions: stays are geometric; within a regime returns are independent and normal; no news tells the regime.
Bias: a few regimes give only a few volatilities, and recorded stays have a longer tail than geometric ones, so it
understates the slow memory of volatility; an agent learns to detect switches that are sharper than recorded ones.
Source: Hamilton 1989, A new approach to the economic analysis of nonstationary time series.
"""

import warnings
from typing import Any, Final, NamedTuple

import numpy as np
from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

from market_models.prices import base

MAX_REGIMES: Final = 4


class Params(NamedTuple):
    """Axis: K regimes, calmest first. Units: start_price in the price's own, the rest in log return and bars."""

    start_price: float
    log_drifts_per_bar: np.ndarray  # mu [K]
    volatilities_per_bar: np.ndarray  # sigma [K]
    transition: np.ndarray  # p [K, K], from row to column, rows sum to 1


EXAMPLE: Final = Params(
    start_price=100.0,
    log_drifts_per_bar=np.array([0.0008, -0.0010]),
    volatilities_per_bar=np.array([0.007, 0.020]),
    transition=np.array([[0.98, 0.02], [0.05, 0.95]]),
)


def sample(params: Params, num_steps: int, num_paths: int, seed: int) -> np.ndarray:
    """Draw price paths float64[num_paths, num_steps + 1]; ValueError names a bad argument."""
    _check(params)
    generator = base.make_generator(num_steps, num_paths, seed)
    regimes = _draw_regimes(params, num_steps, num_paths, generator)
    noise = generator.standard_normal((num_paths, num_steps))
    drift, volatility = np.asarray(params.log_drifts_per_bar), np.asarray(params.volatilities_per_bar)
    return base.compound(params.start_price, drift[regimes] + volatility[regimes] * noise)


def sample_regimes(params: Params, num_steps: int, num_paths: int, seed: int) -> np.ndarray:
    """Return int64[num_paths, num_steps], the regime behind each bar of the paths that `sample` draws."""
    _check(params)
    return _draw_regimes(params, num_steps, num_paths, base.make_generator(num_steps, num_paths, seed))


def stationary(transition: np.ndarray) -> np.ndarray:
    """Return the stationary distribution float64[K] of a chain with one; ValueError where there are several."""
    size = len(transition)
    system = np.vstack([np.asarray(transition).T - np.eye(size), np.ones(size)])
    if np.linalg.matrix_rank(system) < size:
        raise ValueError("transition has several stationary distributions, expected regimes that reach each other")
    return np.linalg.lstsq(system, np.append(np.zeros(size), 1.0), rcond=None)[0].clip(0.0)


def fit(prices: np.ndarray, num_regimes: int = 2) -> base.Fit:
    """Fit prices [T], T at least 200, with `num_regimes` in 2..4; ValueError where the regimes cannot be told apart."""
    prices = base.check_prices(prices, 200)
    if not 2 <= num_regimes <= MAX_REGIMES:
        raise ValueError(f"num_regimes {num_regimes} is not in 2..{MAX_REGIMES}")
    returns = np.diff(np.log(prices))
    scale = float(returns.std())
    if scale <= 1e-12:
        raise ValueError("prices move by the same return every bar, expected returns that vary")
    result = _maximise(returns / scale, num_regimes)
    params, errors = _read(result, num_regimes, scale, float(prices[0]))
    if not all(np.isfinite(np.asarray(one)).all() for one in errors):
        raise ValueError(f"prices do not tell {num_regimes} regimes apart; try fewer, or give more of them")
    return base.Fit(params, errors, float(result.llf - len(returns) * np.log(scale)))


def _maximise(scaled: np.ndarray, num_regimes: int) -> Any:
    model = MarkovRegression(scaled, k_regimes=num_regimes, trend="c", switching_variance=True)
    # statsmodels warns and goes on; what it warns of is judged by convergence and by finite errors.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            result: Any = model.fit(disp=0, maxiter=200)
            converged = bool(result.mle_retvals["converged"]) and np.isfinite(np.asarray(result.bse)).all()
        except (np.linalg.LinAlgError, RuntimeError):
            converged = False
    if not converged:
        raise ValueError(f"prices do not tell {num_regimes} regimes apart; try fewer, or give more of them")
    return result


def _read(result: Any, num_regimes: int, scale: float, start_price: float) -> tuple[Params, Params]:
    names, values = list(result.model.param_names), np.asarray(result.params)
    covariance, regimes = np.asarray(result.cov_params()), range(num_regimes)
    variance_at = [names.index(f"sigma2[{k}]") for k in regimes]
    mean_at = [names.index(f"const[{k}]") for k in regimes]
    order = np.argsort(values[variance_at])
    to = np.zeros((num_regimes, num_regimes, len(names)))  # probabilities as linear functions of the parameters
    for i in regimes:
        for j in range(num_regimes - 1):
            to[i, j, names.index(f"p[{i}->{j}]")] = 1
        to[i, -1] = -to[i, :-1].sum(axis=0)
    transition = to @ values
    transition[:, -1] += 1
    transition_error = np.sqrt(np.einsum("ijp,pq,ijq->ij", to, covariance, to))
    error = np.sqrt(np.diag(covariance))
    mean, volatility = values[mean_at], np.sqrt(values[variance_at])
    both = ((mean, volatility), (error[mean_at], error[variance_at] / (2 * volatility)))
    grid = np.ix_(order, order)
    (drifts, deviations), (drift_errors, deviation_errors) = ([scale * part[order] for part in one] for one in both)
    params = Params(start_price, drifts, deviations, transition[grid])
    return params, Params(0.0, drift_errors, deviation_errors, transition_error[grid])


def _draw_regimes(params: Params, num_steps: int, num_paths: int, generator: np.random.Generator) -> np.ndarray:
    uniform = generator.random((num_steps, num_paths))
    last = len(params.log_drifts_per_bar) - 1
    ends = np.cumsum(params.transition, axis=1)[:, :last]
    regimes = np.empty((num_steps, num_paths), np.int64)
    regimes[0] = np.searchsorted(np.cumsum(stationary(params.transition))[:last], uniform[0], side="right")
    for step in range(1, num_steps):
        regimes[step] = (uniform[step][:, None] >= ends[regimes[step - 1]]).sum(axis=1)
    return regimes.T


def _check(params: Params) -> None:
    base.check_params(params, {"start_price": base.POSITIVE, "log_drifts_per_bar": base.ANY})
    base.check_params(params, {"volatilities_per_bar": base.NOT_NEGATIVE, "transition": (0.0, 1.0)})
    size = np.size(params.log_drifts_per_bar)
    base.check_shape(params, "log_drifts_per_bar", (size,))
    base.check_shape(params, "volatilities_per_bar", (size,))
    base.check_shape(params, "transition", (size, size))
    if np.abs(np.sum(params.transition, axis=1) - 1).max() > 1e-9:
        raise ValueError(f"transition has rows that sum to {np.sum(params.transition, axis=1)}, expected 1")
