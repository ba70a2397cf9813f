"""Optimal liquidation under linear impact: trajectory, expected cost, variance, efficient frontier, L-VaR.

A parent of X shares is sold in N intervals of tau = T / N; x_k is what is held after k intervals, n_k = x_{k-1} - x_k.
Permanent impact moves the price by gamma a share, temporary impact costs epsilon + (eta / tau) n_k a share:
    E = gamma X^2 / 2 + epsilon sum |n_k| + (eta~ / tau) sum n_k^2,    eta~ = eta - gamma tau / 2
    V = sigma^2 tau sum_{k=1..N} x_k^2
The minimum of E + lambda V solves x_{k-1} - 2 x_k + x_{k+1} = kappa~^2 tau^2 x_k, kappa~^2 = lambda sigma^2 / eta~:
    x_k = X sinh(kappa (T - k tau)) / sinh(kappa T),    cosh(kappa tau) = 1 + kappa~^2 tau^2 / 2
A negative lambda (a seller who likes risk) turns sinh and cosh into sin and cos; it has a minimum while kappa T < pi.
Units are the caller's, one for money, one for size, one for time; float64. Buying is the same with costs as written.
Source: Almgren, Chriss, "Optimal execution of portfolio transactions", J. Risk 3(2), 2000, sections 1-4.
"""

from math import asin, asinh, isfinite, pi, sqrt
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

LAMBDA_DECADES = (-14.0, 2.0)  # where `minimum_l_var` looks, in decades around 1 / (sigma^2 X) money units


class ImpactParams(NamedTuple):
    """The parent order and its linear market."""

    size: float  # X, shares
    horizon: float  # T, for example days
    intervals: int  # N
    volatility: float  # sigma, price / sqrt(time)
    fixed_cost: float  # epsilon, price a share: half the spread and fees
    permanent: float  # gamma, price / share
    temporary: float  # eta, price x time / share


class Execution(NamedTuple):
    """One point of the efficient frontier."""

    risk_aversion: float  # lambda, 1 / money; infinite where everything trades at once
    cost: float  # E, money
    variance: float  # V, money^2
    holdings: np.ndarray  # float64[N + 1], shares held at 0, tau .. T


def effective_temporary(params: ImpactParams) -> float:
    """Return eta~ = eta - gamma tau / 2 after checking every parameter; ValueError names the field that is wrong."""
    if int(params.intervals) != params.intervals or params.intervals < 1:
        raise ValueError(f"intervals {params.intervals} is not an integer of at least 1")
    for field in ("size", "horizon"):
        if not (isfinite(getattr(params, field)) and getattr(params, field) > 0):
            raise ValueError(f"{field} {getattr(params, field)} is not a finite number above 0")
    for field in ("volatility", "fixed_cost", "permanent", "temporary"):
        if not (isfinite(getattr(params, field)) and getattr(params, field) >= 0):
            raise ValueError(f"{field} {getattr(params, field)} is not a finite number of at least 0")
    tau = params.horizon / params.intervals
    effective = params.temporary - params.permanent * tau / 2
    if effective <= 0:
        raise ValueError(
            f"temporary {params.temporary} is not above permanent x interval / 2 = {params.permanent * tau / 2}:"
            " the discrete problem has no minimum; use more intervals"
        )
    return effective


def curvature(params: ImpactParams, risk_aversion: float) -> float:
    """Return kappa~^2 tau^2 = lambda sigma^2 tau^2 / eta~, the only number that the trajectory depends on.

    Negative for negative `risk_aversion`; ValueError where kappa T would reach pi and no minimum exists.
    """
    effective = effective_temporary(params)
    if not isfinite(risk_aversion):
        raise ValueError(f"risk_aversion {risk_aversion} is not finite; `immediate` trades everything at once")
    tau = params.horizon / params.intervals
    value = risk_aversion * params.volatility**2 * tau**2 / effective
    if value < 0 and (value <= -4 or 2 * asin(sqrt(-value) / 2) * params.intervals >= pi):
        raise ValueError(f"risk_aversion {risk_aversion} is too negative: kappa T reaches pi and no minimum exists")
    return value


def kappa(params: ImpactParams, risk_aversion: float) -> float:
    """Return kappa, 1 / time; that of the cosine branch where `risk_aversion` is negative.

    cosh(y) = 1 + u / 2 is taken as y = 2 asinh(sqrt(u) / 2), which keeps its digits for small u.
    """
    value = curvature(params, risk_aversion)
    tau = params.horizon / params.intervals
    half = sqrt(abs(value)) / 2
    return 2 * (asin(half) if value < 0 else asinh(half)) / tau


def trajectory(params: ImpactParams, risk_aversion: float) -> np.ndarray:
    """Return the optimal holdings float64[N + 1], x_0 = X to x_N = 0."""
    rate = kappa(params, risk_aversion)
    left = params.horizon * (1 - np.arange(params.intervals + 1) / params.intervals)
    if rate == 0:
        share = left / params.horizon
    elif risk_aversion < 0:
        share = np.sin(rate * left) / np.sin(rate * params.horizon)
    else:
        # sinh(a) / sinh(b) without overflow for large kappa T.
        decay = np.exp(-rate * (params.horizon - left))
        share = decay * np.expm1(-2 * rate * left) / np.expm1(-2 * rate * params.horizon)
    holdings = params.size * share
    holdings[0], holdings[-1] = params.size, 0.0
    return holdings


def expected_cost(params: ImpactParams, holdings: Any) -> float:
    """Return E of any trajectory float64[N + 1] that starts at X and ends at 0."""
    effective = effective_temporary(params)
    traded = -np.diff(_checked(params, holdings))
    tau = params.horizon / params.intervals
    return float(
        params.permanent * params.size**2 / 2
        + params.fixed_cost * np.abs(traded).sum()
        + effective / tau * np.square(traded).sum()
    )


def cost_variance(params: ImpactParams, holdings: Any) -> float:
    """Return V of any trajectory float64[N + 1]."""
    tau = params.horizon / params.intervals
    return float(params.volatility**2 * tau * np.square(_checked(params, holdings)[1:]).sum())


def optimal_execution(params: ImpactParams, risk_aversion: float) -> Execution:
    """Return the frontier's point at `risk_aversion` (lambda, any sign)."""
    holdings = trajectory(params, risk_aversion)
    return Execution(risk_aversion, expected_cost(params, holdings), cost_variance(params, holdings), holdings)


def immediate(params: ImpactParams) -> Execution:
    """Return the frontier's other end: everything in the first interval."""
    holdings = np.zeros(params.intervals + 1)
    holdings[0] = params.size
    return Execution(np.inf, expected_cost(params, holdings), 0.0, holdings)


def efficient_frontier(params: ImpactParams, risk_aversions: Any) -> list[Execution]:
    """Return one point a lambda, in the order given."""
    return [optimal_execution(params, float(value)) for value in risk_aversions]


def l_var(execution: Execution, quantile: float) -> float:
    """Return the liquidity-adjusted value at risk E + lambda_v sqrt(V); `quantile` 1.645 is 95 %."""
    return execution.cost + quantile * sqrt(execution.variance)


def minimum_l_var(params: ImpactParams, quantile: float) -> Execution:
    """Return the point of the frontier with the least L-VaR, to a relative 1e-9 of its value."""
    if not (isfinite(quantile) and quantile > 0):
        raise ValueError(f"quantile {quantile} is not a finite number above 0")
    if params.volatility == 0:
        return optimal_execution(params, 0.0)
    unit = 1.0 / (params.volatility * sqrt(params.horizon) * params.size)
    found: Any = minimize_scalar(
        lambda decade: l_var(optimal_execution(params, unit * 10.0**decade), quantile),
        bounds=LAMBDA_DECADES,
        method="bounded",
        options={"xatol": 1e-6},
    )
    return optimal_execution(params, unit * 10.0 ** float(found.x))


def _checked(params: ImpactParams, holdings: Any) -> np.ndarray:
    held = np.asarray(holdings, np.float64)
    if held.shape != (params.intervals + 1,) or held[0] != params.size or held[-1] != 0:
        raise ValueError(
            f"holdings have shape {held.shape}; expected ({params.intervals + 1},) from {params.size} down to 0"
        )
    return held
