"""Risk parity: weights by equal (or given) shares of the portfolio's volatility, and hierarchical risk parity.

Risk contribution of asset i: w_i (Sigma w)_i / sqrt(w' Sigma w); they add up to the volatility. With budgets b > 0 that
add up to 1, the long-only weights with contributions b_i x volatility are x / sum x for the one minimum of

    f(x) = x' C x / 2 - sum b_i ln x_i,    grad f = C x - b / x = 0  <=>  x_i (C x)_i = b_i.

f / min b is self-concordant, so damped Newton steps 1 / (1 + decrement) come to the minimum from any start, by at least
0.3 - ln 1.3 = 0.037 a step while the decrement is above 0.3, then quadratically. The result is checked by its residual
and refused where that is too large; nothing is returned on trust.
Source: Maillard, Roncalli and Teiletche (2010), The Properties of Equally Weighted Risk Contribution Portfolios,
Journal of Portfolio Management 36(4); Spinu (2013), An Algorithm for Computing Risk Parity Weights, SSRN 2297383;
Nesterov (2004), Introductory Lectures on Convex Optimization, section 4.1.5.
Hierarchical: Lopez de Prado (2016), Building Diversified Portfolios that Outperform Out of Sample, Journal of Portfolio
Management 42(4).
"""

from typing import Any, Final, NamedTuple

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import pdist

from kernels import checks as check

MAX_STEPS: Final = 2_000
FULL_STEP: Final = 0.3  # decrement below which whole Newton steps converge quadratically: (3 - sqrt 5) / 2 = 0.38
TOLERANCE: Final = 1e-9  # of a contribution, as a share of the portfolio's variance


class RiskParity(NamedTuple):
    """Long-only weights with given shares of risk."""

    weights: np.ndarray  # float64[N], above 0, sum 1
    residual: float  # largest |share of variance - budget|
    steps: int  # of Newton


class Hierarchy(NamedTuple):
    """Hierarchical risk parity."""

    weights: np.ndarray  # float64[N], above 0, sum 1
    order: np.ndarray  # int64[N], assets so that similar ones stand together


def risk_contributions(weights: Any, covariance: Any) -> np.ndarray:
    """Return w_i (Sigma w)_i / sqrt(w' Sigma w), float64[N]; ValueError where the portfolio has no volatility."""
    held = check.vector("weights", weights)
    sigma = check.covariance("covariance", covariance, held.size)
    variance = float(held @ sigma @ held)
    if variance <= 0:
        raise ValueError("weights have no volatility under covariance: there is nothing to share out")
    return held * (sigma @ held) / np.sqrt(variance)


def risk_parity(covariance: Any, budgets: Any | None = None) -> RiskParity:
    """Return the long-only weights whose shares of risk are `budgets` (equal where None).

    covariance[N, N], budgets[N] above 0 and brought to sum 1. ValueError where an asset has no volatility, or where
    the covariance is so nearly singular that the residual stays above 1e-9.
    """
    sigma = check.covariance("covariance", covariance)
    size = sigma.shape[0]
    shares = check.vector("budgets", np.full(size, 1.0) if budgets is None else budgets, size)
    if not (shares > 0).all():
        raise ValueError(f"budgets hold {shares.min()}, expected all above 0")
    shares = shares / shares.sum()
    volatility = _volatility(sigma)
    x, steps = _newton(sigma / np.outer(volatility, volatility), shares)
    weights = x / volatility
    weights = weights / weights.sum()
    contributions = weights * (sigma @ weights)
    variance = contributions.sum()
    residual = float(np.abs(contributions / variance - shares).max()) if variance > 0 else np.inf
    if not residual <= TOLERANCE:
        raise ValueError(f"covariance is too nearly singular for risk parity: residual {residual} after {steps} steps")
    return RiskParity(weights, residual, steps)


def hierarchical_risk_parity(covariance: Any) -> Hierarchy:
    """Return the weights of hierarchical risk parity; the covariance may be singular.

    covariance[N, N]. Distance sqrt((1 - correlation) / 2), then the Euclidean distance between its columns; single
    linkage; assets in the order of the tree's leaves; then halves, from the whole down, by inverse variance.
    ValueError where an asset has no volatility.
    """
    sigma = check.covariance("covariance", covariance)
    volatility = _volatility(sigma)
    if sigma.shape[0] == 1:
        return Hierarchy(np.ones(1), np.zeros(1, np.int64))
    correlation = np.clip(sigma / np.outer(volatility, volatility), -1.0, 1.0)
    distance = np.sqrt((1.0 - correlation) / 2)
    order = leaves_list(linkage(pdist(distance), "single")).astype(np.int64)
    weights = np.ones(sigma.shape[0])
    groups = [order]
    while groups:
        group = groups.pop()
        if group.size == 1:
            continue
        left, right = group[: group.size // 2], group[group.size // 2 :]
        low, high = _cluster_variance(sigma, left), _cluster_variance(sigma, right)
        share = 1.0 - low / (low + high) if low + high > 0 else 0.5
        weights[left] *= share
        weights[right] *= 1.0 - share
        groups += [left, right]
    return Hierarchy(weights, order)


def _volatility(sigma: np.ndarray) -> np.ndarray:
    variances = np.diag(sigma)
    if not (variances > 0).all():
        raise ValueError(f"covariance has the variance {variances.min()}, expected all above 0")
    return np.sqrt(variances)


def _newton(correlation: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the minimum of f and the steps taken; where the Hessian is no longer positive, the last point before."""
    x = np.sqrt(shares)
    least = np.sqrt(shares.min())
    last = np.inf
    for step in range(1, MAX_STEPS + 1):
        gradient = correlation @ x - shares / x
        try:
            factor = cho_factor(correlation + np.diag(shares / x**2))
        except np.linalg.LinAlgError:
            return x, step
        move = -cho_solve(factor, gradient)
        decrement = np.sqrt(max(-gradient @ move, 0.0)) / least
        # Quadratic convergence has ended in rounding: whole steps no longer make the decrement smaller.
        if decrement < FULL_STEP and decrement >= last:
            return x, step
        last = decrement if decrement < FULL_STEP else np.inf
        x = x + (move if decrement < FULL_STEP else move / (1.0 + decrement))
    return x, MAX_STEPS


def _cluster_variance(sigma: np.ndarray, group: np.ndarray) -> float:
    """Return the variance of the group's inverse-variance portfolio."""
    inside = sigma[np.ix_(group, group)]
    weights = 1.0 / np.diag(inside)
    weights = weights / weights.sum()
    return max(float(weights @ inside @ weights), 0.0)
