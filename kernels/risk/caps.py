"""Caps on portfolio weights, and two ways into them that never exceed one.

The set is {w: |w_i| <= asset cap, sum |w| <= gross cap, |sum w| <= net cap}. It is convex and holds 0.
Scaling multiplies all weights by the largest factor within. Projecting takes the nearest point (Euclidean): by
its optimality conditions w_i = sign(u_i) clip(|u_i| - lambda, 0, asset cap) with u = v - nu, lambda >= 0 for the
gross cap and nu for the net cap. The net falls as nu grows, so nu is found by bisection.
The net is a difference of long and short: it is held to its cap plus rounding, 4 N 2^-52 of the gross.
Source: Boyd and Vandenberghe (2004), Convex Optimization, sections 5.5.3 and 8.1.
"""

from typing import Any, Final, NamedTuple

import numpy as np

from kernels import checks as check

BISECTIONS: Final = 100  # more than float64 can tell apart


class Caps(NamedTuple):
    """Largest shares of equity."""

    gross_frac: float = 3.0  # sum of |weights|
    net_frac: float = 3.0  # |sum of weights|
    asset_frac: float = 0.10  # |weight|

    def checked(self) -> "Caps":
        """Return the caps; ValueError names the field that is not finite or below 0."""
        return Caps(*(check.number(name, value, 0) for name, value in self._asdict().items()))


def within(weights: Any, caps: Caps) -> bool:
    """Return whether weights[N] exceed no cap."""
    held, bounds = check.vector("weights", weights), caps.checked()
    return _excess(held, bounds, _room(held.size)) <= 1.0


def scale_into(weights: Any, caps: Caps) -> np.ndarray:
    """Return weights[N] times the largest factor of at most 1 that keeps every cap."""
    held, bounds = check.vector("weights", weights), caps.checked()
    if within(held, bounds):
        return held
    # A factor that is rounded up would leave the weights just outside; the room is left to what rounding does next.
    return held / _excess(held, bounds) * (1.0 - _room(held.size))


def project_into(weights: Any, caps: Caps) -> np.ndarray:
    """Return the nearest weights float64[N] that keep every cap."""
    held, bounds = check.vector("weights", weights), caps.checked()
    nearest = _shrunk(held, bounds)
    if abs(nearest.sum()) > bounds.net_frac:
        sign = np.sign(nearest.sum())
        low, high = 0.0, float(np.abs(held).max())
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            over = sign * _shrunk(held - sign * middle, bounds).sum() > bounds.net_frac
            low, high = (middle, high) if over else (low, middle)
        nearest = _shrunk(held - sign * high, bounds)
        # nu has the digits of the weights given, often far larger than the caps: the rest comes off one side.
        over_by = abs(nearest.sum()) - bounds.net_frac
        side = np.sign(nearest) == np.sign(nearest.sum())
        if over_by > 0:
            nearest[side] *= 1.0 - over_by / np.abs(nearest[side]).sum()
    return scale_into(nearest, bounds)


def _excess(held: np.ndarray, caps: Caps, net_room: float = 0.0) -> float:
    """Return the largest ratio of an amount to its cap; infinite where a cap is 0 and its amount is not."""
    sizes = np.abs(held)
    gross = sizes.sum()
    net = max(abs(held.sum()) - net_room * gross, 0.0)
    amounts = np.array([gross, net, sizes.max()])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratios = np.where(amounts > 0, amounts / np.array(caps), 0.0)
    return float(ratios.max())


def _room(size: int) -> float:
    return 4 * size * float(np.finfo(np.float64).eps)


def _shrunk(held: np.ndarray, caps: Caps) -> np.ndarray:
    """Return the nearest point under the asset and gross caps alone; the sum is linear between kinks of lambda."""
    sizes = np.abs(held)
    shift = 0.0
    if np.minimum(sizes, caps.asset_frac).sum() > caps.gross_frac:
        kinks = np.sort(np.concatenate([sizes, np.maximum(sizes - caps.asset_frac, 0.0)]))[::-1]
        gross = np.clip(sizes - kinks[:, None], 0.0, caps.asset_frac).sum(axis=1)
        shift = float(np.interp(caps.gross_frac, gross, kinks))
    return np.sign(held) * np.clip(sizes - shift, 0.0, caps.asset_frac)
