"""A hedge ratio that drifts: regression with coefficients that walk at random, filtered bar by bar.

    y_t = alpha_t + beta_t x_t + e_t,  e ~ N(0, R);    (alpha, beta)_t = (alpha, beta)_t-1 + N(0, q I)
    P = P + q I;  v = y - h' m;  S = h' P h + R;  g = P h / S;  m = m + g v;  P = P - g g' S,   h = (1, x)
`v / sqrt(S)` is the standardised surprise: how far y is from its hedge, known before y enters the coefficients.
`xp` is numpy or jax.numpy; any leading batch axes. Cost: O(1) a bar, no allocation beyond the state.
Source: Kalman, J. Basic Engineering 82 (1960); as a hedge ratio: Chan, Algorithmic Trading (2013), chapter 3.
"""

from types import ModuleType
from typing import Any, NamedTuple

Array = Any  # numpy or jax array


class HedgeFilter(NamedTuple):
    """Coefficients alpha and beta, and their covariance."""

    mean: Array  # [..., 2]
    covariance: Array  # [..., 2, 2]


class Surprise(NamedTuple):
    """What one bar said, given the bars before it."""

    error: Array  # [...] v, in units of y
    variance: Array  # [...] S


def start_hedge(xp: ModuleType, mean: Array, variance: Array) -> HedgeFilter:
    """Return the filter before the first bar: `mean` [..., 2] of (alpha, beta), independent with `variance`."""
    variance = xp.asarray(variance)
    return HedgeFilter(xp.asarray(mean), variance[..., :, None] * xp.eye(2, dtype=variance.dtype))


def advance_hedge(
    xp: ModuleType, state: HedgeFilter, y: Array, x: Array, drift: Array, noise: Array
) -> tuple[HedgeFilter, Surprise]:
    """Take in one bar; `drift` q at least 0 and `noise` R above 0 are variances [...]."""
    y, x, drift = xp.asarray(y), xp.asarray(x), xp.asarray(drift)
    spread = state.covariance + drift[..., None, None] * xp.eye(2, dtype=state.covariance.dtype)
    design = xp.stack([xp.ones_like(x), x], axis=-1)
    reach = xp.sum(spread * design[..., None, :], axis=-1)
    variance = xp.sum(design * reach, axis=-1) + noise
    gain = reach / variance[..., None]
    error = y - xp.sum(design * state.mean, axis=-1)
    mean = state.mean + gain * error[..., None]
    # Joseph's form, (I - g h') P (I - g h')' + g g' R: it stays positive definite in float32.
    left = xp.eye(2, dtype=spread.dtype) - gain[..., :, None] * design[..., None, :]
    covariance = left @ spread @ xp.swapaxes(left, -1, -2)
    covariance = covariance + gain[..., :, None] * gain[..., None, :] * xp.asarray(noise)[..., None, None]
    return HedgeFilter(mean, covariance), Surprise(error, variance)
