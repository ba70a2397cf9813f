"""Weights of K experts that follow their recent gains: Hedge and Fixed-Share, and the causal gate by regime.

    v_k = w_k exp(rate x gain_k) / sum_j w_j exp(rate x gain_j)        Hedge (exponential weights)
    w'_k = (1 - share) v_k + share / K                                 Fixed-Share; share 0 is Hedge

For gains within one range of width 1, against every sequence of experts that switches m times in T rounds,
    best - weighted <= ((m + 1) ln K + m ln(1 / share) + (T - m - 1) ln(1 / (1 - share))) / rate + rate T / 8,
so Hedge (m = 0) with rate sqrt(8 ln K / T) regrets at most sqrt(T ln K / 2).
Weights depend on the past alone: use them first, then `advance_weights` by what the round brought. `xp` is numpy or
jax.numpy; live uses numpy. Cost: O(K) a round.
Source: Herbster, Warmuth, Machine Learning 32 (1998); Cesa-Bianchi, Lugosi, Prediction, Learning, and Games (2006),
theorems 2.2 and 5.2; the gate: Hamilton, Econometrica 57(2) (1989).
"""

from math import inf, log, log1p, sqrt
from types import ModuleType
from typing import Any, Final

import numpy as np

from kernels import checks as check

Array = Any  # numpy or jax array
LEAST: Final = float(np.finfo(np.float32).tiny)  # of a weight or probability that is not 0


def equal_weights(xp: ModuleType, count: int) -> Array:
    """Return the weights float32[K] before anything is known."""
    return xp.full(check.whole("count", count, 1), 1.0 / count, np.float32)


def advance_weights(xp: ModuleType, weights: Array, gains: Array, rate: Array, share: Array) -> Array:
    """Return the weights [..., K] after a round's `gains` [..., K]; `rate` at least 0, `share` in 0..1.

    Gains are what helps, for instance returns, all in one unit; what is not finite is the caller's to refuse.
    """
    # The best gain of those with weight is taken off, so that no exponential overflows and their sum is above 0.
    # Below LEAST a weight is 0: XLA flushes what is smaller and NumPy does not.
    alive = weights >= LEAST
    best = xp.max(xp.where(alive, gains, -inf), axis=-1, keepdims=True)
    grown = xp.where(alive, weights * xp.exp(rate * xp.minimum(gains - best, 0.0)), 0.0)
    kept = grown / xp.sum(grown, axis=-1, keepdims=True)
    return (1.0 - share) * kept + share / weights.shape[-1]


def hedge_rate(experts: int, rounds: int) -> float:
    """Return sqrt(8 ln K / T), the rate with the least bound for Hedge; gains lie within one range of width 1."""
    return sqrt(8.0 * log(check.whole("experts", experts, 1)) / check.whole("rounds", rounds, 1))


def regret_bound(experts: int, rounds: int, rate: float, share: float = 0.0, switches: int = 0) -> float:
    """Return the bound of the module's head for a sequence with `switches`; infinite where `share` forbids it."""
    check.whole("experts", experts, 1)
    check.whole("switches", switches, 0, check.whole("rounds", rounds, 1) - 1)
    check.number("rate", rate, 0.0, open_low=True)
    check.number("share", share, 0.0, 1.0)
    stays = rounds - switches - 1
    if (switches and share == 0.0) or (stays and share == 1.0):
        return inf
    path = (switches + 1) * log(experts)
    path -= switches * log(share) if switches else 0.0
    path -= stays * log1p(-share) if stays else 0.0
    return path / rate + rate * rounds / 8.0


def advance_gate(
    xp: ModuleType, probability: Array, transition: Array, mean: Array, sd: Array, observation: Array
) -> Array:
    """Return the filtered probabilities [..., K] of regimes after `observation` [...], from those before it.

    `probability` [..., K] of the row before, `transition` [..., K, K] from row to column, `mean` and `sd` [..., K] of
    a normal observation, sd above 0: P(j) ~ N(x; mean_j, sd_j^2) sum_i p_i transition_ij.
    """
    expected = xp.sum(probability[..., :, None] * transition, axis=-2)
    score = (xp.asarray(observation)[..., None] - mean) / sd
    density = -0.5 * score * score - xp.log(sd)
    possible = expected >= LEAST
    top = xp.max(xp.where(possible, density, -inf), axis=-1, keepdims=True)
    joint = xp.where(possible, expected * xp.exp(xp.minimum(density - top, 0.0)), 0.0)
    return joint / xp.sum(joint, axis=-1, keepdims=True)
