"""Adam with the learning rate and the gradient's scale as arrays, for `vmap` over the agents of a population.

Written out, with optax's `scale_by_adam` as its oracle in the tests: there the moments are divided by a factor that
differs from agent to agent, and XLA turns such a division into a product or not depending on the number of devices it
compiles for, which changes the last bit. Here it is a product.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Tree = Any
"""One agent's parameters, or any other tree of arrays."""

DECAY_MEAN = 0.9
DECAY_SQUARE = 0.999
EPS = 1e-5  # Source: Huang et al. 2022, "The 37 implementation details of proximal policy optimization"


class AdamState(NamedTuple):
    """One agent's optimizer state; `mean` and `square` have the structure of the parameters."""

    count: jax.Array  # int32[] steps taken
    mean: Tree
    square: Tree


def init(params: Tree) -> AdamState:
    """Start one agent's optimizer."""
    zeros = jax.tree.map(jnp.zeros_like, params)
    return AdamState(jnp.int32(0), zeros, zeros)


def step(
    params: Tree, state: AdamState, gradient: Tree, scale: jax.Array, learning_rate: jax.Array
) -> tuple[Tree, AdamState]:
    """Return parameters and state after one step on `scale` float32[] times the gradient.

    m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p = p - lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps).
    Source: Kingma, Ba 2015, "Adam: a method for stochastic optimization", algorithm 1.
    """
    count = state.count + 1
    unbias_mean = learning_rate / (1.0 - DECAY_MEAN**count)
    unbias_square = 1.0 / (1.0 - DECAY_SQUARE**count)
    scaled = jax.tree.map(lambda g: g * scale, gradient)
    mean = jax.tree.map(lambda m, g: DECAY_MEAN * m + (1.0 - DECAY_MEAN) * g, state.mean, scaled)
    square = jax.tree.map(lambda v, g: DECAY_SQUARE * v + (1.0 - DECAY_SQUARE) * g * g, state.square, scaled)
    moved = jax.tree.map(
        lambda p, m, v: p - (unbias_mean * m) / (jnp.sqrt(v * unbias_square) + EPS), params, mean, square
    )
    return moved, AdamState(count, mean, square)


def guarded_step(
    params: Tree,
    state: AdamState,
    gradient: Tree,
    max_norm: jax.Array,
    learning_rate: jax.Array,
) -> tuple[Tree, AdamState, dict[str, jax.Array]]:
    """Take one step with the gradient's global norm clipped to `max_norm` float32[].

    A gradient that is not finite changes nothing and is counted in `skipped_steps`: one diverging agent of a
    population keeps its last finite weights. Returns `grad_norm` beside it.
    """
    norm = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(gradient)))
    scale = jnp.minimum(1.0, max_norm / jnp.maximum(norm, 1e-12))
    moved, stepped = step(params, state, gradient, scale, learning_rate)
    finite = jnp.isfinite(norm)
    keep = lambda new, old: jnp.where(finite, new, old)  # noqa: E731
    stats = {"grad_norm": norm, "skipped_steps": 1.0 - finite.astype(jnp.float32)}
    return jax.tree.map(keep, moved, params), jax.tree.map(keep, stepped, state), stats
