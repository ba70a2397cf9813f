"""A replay buffer for each agent of a population: a ring of transitions, whole and pure, with one clock for all.

All agents step together, so how many transitions were added is one number: the caller derives it from the count of
updates, and the buffer holds nothing but the transitions. Semantics of flashbax's flat buffer: the oldest transition is
overwritten, samples are uniform with replacement over what is there.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Transition(NamedTuple):
    """One step; a replay buffer has [A, C] in front of every leaf, a minibatch of one agent [M]."""

    obs: jax.Array  # float32[D]
    action: jax.Array  # int32[], or float32[K] in [-1, 1]
    reward: jax.Array  # float32[] scaled by the agent's reward_scale
    terminated: jax.Array  # bool[] nothing follows; false where a time limit cut the episode off
    next_obs: jax.Array  # float32[D] before the reset


def empty(like: Transition, capacity: int) -> Transition:
    """Return the buffers of A agents, leaves [A, capacity, ...]; `like` are transitions of E environments, [A, E, ...].

    Zeros until they are written; `capacity` must be a multiple of E.
    """
    return jax.tree.map(lambda leaf: jnp.zeros((leaf.shape[0], capacity, *leaf.shape[2:]), leaf.dtype), like)


def add(buffer: Transition, added: jax.Array, new: Transition) -> Transition:
    """Write one transition of each of E environments, [A, E, ...], over the oldest.

    `added` int32[] transitions of each agent were written before, a multiple of E.
    """
    start = added % buffer.reward.shape[1]
    return jax.tree.map(lambda whole, part: _write(whole, part, start), buffer, new)


def _write(whole: jax.Array, part: jax.Array, start: jax.Array) -> jax.Array:
    return jax.lax.dynamic_update_slice_in_dim(whole, part.astype(whole.dtype), start, axis=1)


def sample(keys: jax.Array, buffer: Transition, added: jax.Array, size: int) -> Transition:
    """Draw `size` transitions for each agent with its own key, keys [A]; leaves [A, size, ...].

    Uniform with replacement over those that are there; before the first they are zeros.
    """
    stored = jnp.clip(added, 1, buffer.reward.shape[1])
    rows = jax.vmap(lambda key: jax.random.randint(key, (size,), 0, stored))(keys)
    return jax.tree.map(lambda leaf: jax.vmap(_take)(leaf, rows), buffer)


def _take(leaf: jax.Array, rows: jax.Array) -> Any:
    return leaf.at[rows].get(mode="promise_in_bounds")
