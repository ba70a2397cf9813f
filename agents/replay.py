"""A replay buffer for each agent of a population: flashbax's item buffer, the agents' axis in front of every leaf.

The oldest transition is overwritten, samples are uniform with replacement over what is there.
Source: flashbax (Toledo et al. 2023), the item buffer.
"""

from typing import Any, NamedTuple

import flashbax
import jax


class Transition(NamedTuple):
    """One step; a minibatch of one agent has [M] in front of every leaf."""

    obs: jax.Array  # float32[D]
    action: jax.Array  # int32[], or float32[K] in [-1, 1]
    reward: jax.Array  # float32[] scaled by the agent's reward_scale
    terminated: jax.Array  # bool[] nothing follows; false where a time limit cut the episode off
    next_obs: jax.Array  # float32[D] before the reset


def make_buffer(capacity: int, batch_size: int) -> Any:
    """Return the pure functions of one agent's buffer; `batch_size` is at most `capacity`."""
    return flashbax.make_item_buffer(max_length=capacity, min_length=1, sample_batch_size=batch_size, add_batches=True)


def empty(buffer: Any, like: Transition) -> Any:
    """Return the empty buffers of A agents; `like` are transitions of E environments, [A, E, ...]."""
    return jax.vmap(buffer.init)(jax.tree.map(lambda leaf: leaf[:, 0], like))


def add(buffer: Any, state: Any, new: Transition) -> Any:
    """Write one transition of each of E environments, [A, E, ...], over the oldest."""
    stored = state.experience
    cast = jax.tree.map(lambda leaf, like: leaf.astype(like.dtype), new, stored)
    return jax.vmap(buffer.add)(state, cast)


def sample(buffer: Any, keys: jax.Array, state: Any) -> Transition:
    """Draw a minibatch for each agent with its own key, keys [A]; leaves [A, M, ...]; zeros before the first `add`."""
    return jax.vmap(buffer.sample)(state, keys).experience
