"""Filtered historical simulation: yesterday's shocks in today's volatility, by GARCH(1,1) or EWMA.

h_(t+1) = omega + alpha (r_t - mean)^2 + beta h_t; EWMA is omega = 0, alpha = 1 - decay, beta = decay, mean 0. The first
variance is that recursion on an exponentially weighted mean of the first 75 squared residuals, weights 0.94^t.
Source: Barone-Adesi, Giannopoulos, Vosper (1999), VaR without correlations for portfolios of derivative securities, J.
Futures Markets 19; Bollerslev (1986); J.P. Morgan (1996), RiskMetrics technical document, for the decay of 0.94.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit, prange
from scipy import optimize

from kernels import checks as check
from kernels.lob.philox import philox4x32
from kernels.risk.tails import TailRisk
from kernels.risk.var import checked_moving, historical_risk

GARCH_LEAST: Final = 250  # observations below which three variance parameters are not worth fitting
EWMA_LEAST: Final = 100
_BACKCAST_DAYS: Final = 75
_BACKCAST_DECAY: Final = 0.94
_STATIONARY: Final = 1.0 - 1e-6


class Garch(NamedTuple):
    """Parameters of a volatility recursion, in the series' unit."""

    mean: float
    omega: float
    alpha: float
    beta: float


class Filtered(NamedTuple):
    """A series through its volatility recursion; residual = (r - mean) / volatility."""

    garch: Garch
    volatility: np.ndarray  # float64[T], known before each observation
    residuals: np.ndarray  # float64[T]
    next_volatility: float
    log_likelihood: float  # Gaussian


@njit(nogil=True, cache=True)
def _variances(squares, first, omega, alpha, beta):
    """Return float64[T+1] variances: before each observation, and after the last."""
    out = np.empty(len(squares) + 1)
    out[0] = first
    for t in range(len(squares)):
        out[t + 1] = omega + alpha * squares[t] + beta * out[t]
    return out


@njit(nogil=True, parallel=True, cache=True)
def _path_sums(residuals, count, days, variance, mean, omega, alpha, beta, key_0, key_1):
    """Return float64[count] summed returns; day d of path p draws residual floor(u T), u word d mod 4 of Philox."""
    out = np.empty(count)
    total = np.uint64(len(residuals))
    for path in prange(count):
        now, summed = variance, 0.0
        for block in range((days + 3) // 4):
            words = philox4x32(key_0, key_1, path, block)
            for place in range(min(4, days - 4 * block)):
                pick = (np.uint64(words[place]) * total) >> np.uint64(32)
                shock = np.sqrt(now) * residuals[pick]
                summed += mean + shock
                now = omega + alpha * shock * shock + beta * now
        out[path] = summed
    return out


def _backcast(squares: np.ndarray) -> float:
    """Return the weighted mean of the first squared residuals that stands before the series."""
    weights = _BACKCAST_DECAY ** np.arange(min(_BACKCAST_DAYS, len(squares)))
    return float(weights @ squares[: len(weights)] / weights.sum())


def apply_filter(returns: Any, garch: Garch) -> Filtered:
    """Return the series' volatility and residuals; ValueError for parameters that give no positive variance.

    returns: float64[T], T >= 100.
    """
    series = check.vector("returns", returns, least=EWMA_LEAST)
    checked_moving("returns", series)
    if not np.isfinite(garch).all() or min(garch.omega, garch.alpha, garch.beta) < 0 or garch.alpha + garch.beta > 1:
        raise ValueError(f"garch is {garch}, expected finite, none but the mean below 0, alpha + beta at most 1")
    before = _backcast((series - series.mean()) ** 2)
    first = garch.omega + (garch.alpha + garch.beta) * before
    variances = _variances((series - garch.mean) ** 2, first, garch.omega, garch.alpha, garch.beta)
    if not variances.min() > 0:
        raise ValueError("returns stand still so long that their variance is 0")
    volatility = np.sqrt(variances[:-1])
    residuals = (series - garch.mean) / volatility
    log_likelihood = -0.5 * (np.log(2 * np.pi * variances[:-1]) + residuals**2).sum()
    return Filtered(garch, volatility, residuals, float(np.sqrt(variances[-1])), float(log_likelihood))


def ewma_filter(returns: Any, decay: float = 0.94) -> Filtered:
    """Return the series filtered by an exponentially weighted volatility around 0; ValueError unless 0 < decay < 1."""
    if not 0.0 < decay < 1.0:
        raise ValueError(f"decay is {decay}, expected a number above 0 and below 1")
    return apply_filter(returns, Garch(0.0, 0.0, 1.0 - decay, decay))


def _minus_log(parameters: np.ndarray, series: np.ndarray, before: float) -> float:
    """Return the mean negative Gaussian log likelihood, less its constant, at (mean, omega, alpha, beta)."""
    mean, omega, alpha, beta = (float(value) for value in parameters)
    squares = (series - mean) ** 2
    variances = _variances(squares, omega + (alpha + beta) * before, omega, alpha, beta)[:-1]
    variances = np.maximum(variances, 1e-12)  # a line search may try a variance of 0
    return float(0.5 * (np.log(variances) + squares / variances).mean())


def fit_garch(returns: Any) -> Filtered:
    """Return the series filtered by the GARCH(1,1) of largest Gaussian likelihood, constant mean.

    returns: float64[T], T >= 250. ValueError where the search does not converge or no variance stays: alpha + beta
    below 1 is part of the search.
    """
    series = check.vector("returns", returns, least=GARCH_LEAST)
    unit = checked_moving("returns", series)
    scaled = series / unit
    before = _backcast((scaled - scaled.mean()) ** 2)
    middle = float(scaled.mean())
    starts = [np.array([middle, 1.0 - a - b, a, b]) for a in (0.03, 0.1, 0.2) for b in (0.5, 0.7, 0.78)]
    start = min(starts, key=lambda parameters: _minus_log(parameters, scaled, before))
    found = optimize.minimize(
        _minus_log,
        start,
        (scaled, before),
        method="SLSQP",
        bounds=[(middle - 1.0, middle + 1.0), (1e-8, 10.0), (0.0, 1.0), (0.0, 1.0)],
        constraints={"type": "ineq", "fun": lambda p: _STATIONARY - p[2] - p[3]},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    if not found.success or not np.isfinite(found.fun):
        raise ValueError(f"returns have no GARCH(1,1): the search did not converge ({found.message})")
    mean, omega, alpha, beta = (float(value) for value in found.x)
    alpha, beta = max(alpha, 0.0), min(max(beta, 0.0), 1.0 - max(alpha, 0.0))  # bounds hold to rounding
    return apply_filter(series, Garch(mean * unit, omega * unit**2, alpha, beta))


def filtered_risk(filtered: Filtered, tail_frac: float) -> TailRisk:
    """Return historical VaR and ES, positive losses, of the next observation: mean + next volatility x residuals."""
    return historical_risk(filtered.garch.mean + filtered.next_volatility * filtered.residuals, tail_frac)


def filtered_path_risk(filtered: Filtered, tail_frac: float, horizon: int, paths: int, seed: int) -> TailRisk:
    """Return VaR and ES of the sum of the next `horizon` returns, over bootstrapped paths of residuals.

    Each day draws a residual with replacement and moves the variance on. Memory 8 x paths bytes.
    """
    return historical_risk(filtered_paths(filtered, horizon, paths, seed), tail_frac)


def filtered_paths(filtered: Filtered, horizon: int, paths: int, seed: int) -> np.ndarray:
    """Return float64[paths] sums of the next `horizon` returns.

    Counter-based: Philox 4x32-7 at key = seed, counter = (path, day div 4), so that a path is the same whatever the
    number of paths, threads and the machine. No residual is likelier than another by more than T / 2^32.
    """
    days, count = check.whole("horizon", horizon, 1, 10_000), check.whole("paths", paths, 1, 10**8)
    whole = check.whole("seed", seed, 0, 2**64 - 1)
    variance, garch = filtered.next_volatility**2, filtered.garch
    return _path_sums(filtered.residuals, count, days, variance, *garch, whole & 0xFFFFFFFF, whole >> 32)
