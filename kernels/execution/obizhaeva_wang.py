"""Optimal execution against a block-shaped order book that refills exponentially.

A trade of x lots moves the price by x / q at once (q: lots a tick of depth); the part lambda x stays for ever, the rest
kappa x, kappa = 1 / q - lambda, decays at rate rho. Continuous time, horizon T:
    x_0 = x_T = X / (rho T + 2),   and between them lots flow at rho X / (rho T + 2)
Discrete, n equally spaced trades with a = exp(-rho tau), tau = T / (n - 1):
    x_first = x_last = X / ((n - 2)(1 - a) + 2),   x_k = (1 - a) x_first between them
Neither depends on q or lambda, only the cost does.
Source: Obizhaeva, Wang, "Optimal trading strategy and supply/demand dynamics", J. Fin. Markets 16, 2013, propositions
1-3 (risk neutral).
"""

from math import expm1, isfinite
from typing import Any, NamedTuple

import numpy as np


class ContinuousExecution(NamedTuple):
    """A block at each end and a steady flow between."""

    end_lots: float  # each of the two blocks
    rate: float  # lots a unit of time
    flow_lots: float  # all that the flow trades


def _check(size: float, resilience: float, horizon: float) -> None:
    for name, value in (("size", size), ("horizon", horizon)):
        if not (isfinite(value) and value > 0):
            raise ValueError(f"{name} {value} is not a finite number above 0")
    if not (isfinite(resilience) and resilience >= 0):
        raise ValueError(f"resilience {resilience} is not a finite number of at least 0")


def continuous(size: float, resilience: float, horizon: float) -> ContinuousExecution:
    """Return the continuous optimum for `size` lots, `resilience` rho a unit of time, `horizon` T."""
    _check(size, resilience, horizon)
    end = size / (resilience * horizon + 2)
    return ContinuousExecution(end, resilience * end, resilience * end * horizon)


def refill_share(resilience: float, horizon: float, trades: int) -> float:
    """Return 1 - exp(-rho tau), the share of the impact that decays between two of `trades` equally spaced trades."""
    _check(1.0, resilience, horizon)
    if trades < 1:
        raise ValueError(f"trades {trades} is below 1")
    return -expm1(-resilience * horizon / (trades - 1)) if trades > 1 else 0.0


def discrete(size: float, resilience: float, horizon: float, trades: int) -> np.ndarray:
    """Return the optimal lots float64[trades] of equally spaced trades, the first at 0, the last at T."""
    _check(size, resilience, horizon)
    share = refill_share(resilience, horizon, trades)
    if trades == 1:
        return np.array([size])
    end = size / ((trades - 2) * share + 2)
    lots = np.full(trades, share * end)
    lots[[0, -1]] = end
    return lots


def impact_cost(lots: Any, times: Any, depth: float, permanent: float, resilience: float) -> float:
    """Return the cost against the mid at arrival of trades float64[n] at ascending `times`, in price x lots.

    `depth` q [lots / price], `permanent` lambda [price / lot], at most 1 / q. Half the spread is extra, the same for
    every strategy. Cost: one pass.
    """
    traded, at = np.asarray(lots, np.float64), np.asarray(times, np.float64)
    if traded.ndim != 1 or traded.shape != at.shape or np.any(np.diff(at) < 0):
        raise ValueError(f"lots {traded.shape} and times {at.shape} are not two equal rows with ascending times")
    if not (depth > 0 and 0 <= permanent <= 1 / depth and resilience >= 0):
        raise ValueError(f"depth {depth}, permanent {permanent}, resilience {resilience}: need q > 0, 0 <= l <= 1/q")
    temporary = 1 / depth - permanent
    cost, moved, before = 0.0, 0.0, at[0] if len(at) else 0.0
    done = 0.0
    for quantity, time in zip(traded.tolist(), at.tolist(), strict=True):
        moved *= np.exp(-resilience * (time - before))
        cost += quantity * (permanent * done + moved + quantity / (2 * depth))
        moved += temporary * quantity
        done, before = done + quantity, time
    return float(cost)
