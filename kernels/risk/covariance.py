"""Covariance shrunk towards a multiple of the identity, and what each asset adds to the risk of a portfolio.

Exposures are money in each asset, signed; returns and their covariance are per period.
"""

from typing import Any, NamedTuple

import numpy as np

from kernels import checks as check
from kernels.risk.tails import MOMENTS_LEAST, TailRisk, checked_tail, elliptical_risk
from kernels.risk.var import historical_risk


class Shrunk(NamedTuple):
    """A covariance matrix and how far it was moved to the identity, 0..1."""

    covariance: np.ndarray  # float64[N, N]
    shrinkage: float


class Contributions(NamedTuple):
    """Risk by asset. Components sum to the total; a component is exposure x marginal."""

    total: TailRisk
    marginal_var: np.ndarray  # float64[N], of one more unit of exposure
    component_var: np.ndarray  # float64[N]
    marginal_es: np.ndarray  # float64[N]
    component_es: np.ndarray  # float64[N]


def ledoit_wolf(returns: Any) -> Shrunk:
    """Return (1-d) S + d m I with S the covariance (divisor T), m its mean variance, d of least expected error.

    returns: float64[T, N], T >= 30. d = min(b, a)/a, a = |S - m I|^2, b = (1/T^2) sum_t |x_t x_t' - S|^2 in the
    Frobenius norm. ValueError where a value is not finite, an asset never moves, or T is too small.
    Source: Ledoit, Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices, J. Multivariate
    Analysis 88(2).
    """
    matrix = check.matrix("returns", returns, MOMENTS_LEAST)
    still = np.flatnonzero(np.ptp(matrix, axis=0) == 0)
    if len(still):
        raise ValueError(f"returns of asset {still[0]} never move, so their covariance says nothing")
    total, assets = matrix.shape
    centred = matrix - matrix.mean(axis=0)
    sample = centred.T @ centred / total
    middle = float(np.trace(sample)) / assets
    square = float((sample**2).sum())
    distance = square - assets * middle**2
    spread = (float(((centred**2).sum(axis=1) ** 2).mean()) - square) / total
    # One asset is its own target.
    shrinkage = min(max(spread, 0.0) / distance, 1.0) if distance > 1e-14 * square else 0.0
    return Shrunk((1.0 - shrinkage) * sample + shrinkage * middle * np.eye(assets), shrinkage)


def elliptical_contributions(
    exposures: Any, covariance: Any, tail_frac: float, mean: Any = None, dof: float | None = None
) -> Contributions:
    """Return each asset's part in VaR and ES of normal (dof None) or multivariate Student t returns.

    exposures w: float64[N] money; covariance C: float64[N, N]; mean m: float64[N] or None for 0. With deviation
    s = sqrt(w'Cw) and standard numbers k: VaR = k s - w'm, marginal = k C w/s - m, component = w x marginal (Euler).
    ValueError where an input is not finite or the portfolio has no variance.
    Source: McNeil, Frey, Embrechts (2015), Quantitative Risk Management, 2nd ed., section 8.5.
    """
    weights, matrix, drift = checked_portfolio(exposures, covariance, mean)
    slope = matrix @ weights
    variance = float(weights @ slope)
    if not variance > 1e-14 * float(np.abs(weights) @ np.abs(matrix) @ np.abs(weights)):
        raise ValueError("exposures leave no variance, so that no asset has a part in it")
    deviation = variance**0.5
    unit = elliptical_risk(0.0, 1.0, tail_frac, dof)
    marginal_var, marginal_es = unit.var * slope / deviation - drift, unit.es * slope / deviation - drift
    total = elliptical_risk(float(weights @ drift), deviation, tail_frac, dof)
    return Contributions(total, marginal_var, weights * marginal_var, marginal_es, weights * marginal_es)


def checked_portfolio(exposures: Any, covariance: Any, mean: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return exposures, covariance and mean of as many assets; ValueError otherwise."""
    matrix = check.covariance("covariance", covariance)
    weights = check.vector("exposures", exposures)
    drift = np.zeros(len(matrix)) if mean is None else check.vector("mean", mean)
    check.same_length(covariance=matrix, exposures=weights, mean=drift)
    return weights, matrix, drift


def scenario_component_es(pnl: Any, tail_frac: float) -> np.ndarray:
    """Return float64[N]: minus the mean P&L of each asset over the scenarios at or below the portfolio's quantile.

    pnl: float64[S, N] by scenario and asset, its rows' sums the portfolio's P&L. The components sum to its historical
    ES. ValueError as `historical_risk`.
    """
    matrix = check.matrix("pnl", pnl)
    total = matrix.sum(axis=1)
    historical_risk(total, checked_tail(tail_frac))  # refuses too few scenarios
    return -matrix[total <= np.quantile(total, tail_frac)].mean(axis=0)
