"""Acting with a stacked population: sampled or greedy actions for every agent at once."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from agents import networks


def sample_action(logits: jax.Array, uniform: jax.Array) -> jax.Array:
    """Draw an action int32[...] from logits float32[..., N] with one uniform number in [0, 1) each, float32[...].

    Inverse of the cumulative distribution: one random number an action instead of N.
    """
    weights = jnp.exp(logits - jnp.max(logits, axis=-1, keepdims=True))
    cumulative = jnp.cumsum(weights, axis=-1)
    target = uniform[..., None] * cumulative[..., -1:]
    # Leaving the last sum out keeps the action in range whatever the rounding.
    return jnp.sum(target >= cumulative[..., :-1], axis=-1, dtype=jnp.int32)


def log_prob(logits: jax.Array, action: jax.Array) -> jax.Array:
    """Return log pi(action), float32[...], for logits float32[..., N] and action int32[...]."""
    normalised = jax.nn.log_softmax(logits)
    return jnp.take_along_axis(normalised, action[..., None], axis=-1)[..., 0]


def entropy(logits: jax.Array) -> jax.Array:
    """Return the entropy in nats, float32[...], of the distribution with logits float32[..., N]."""
    normalised = jax.nn.log_softmax(logits)
    return -jnp.sum(jnp.exp(normalised) * normalised, axis=-1)


def population_logits(params: Mapping[str, Any], obs: jax.Array) -> jax.Array:
    """Return float32[A, ..., N] for a population's parameters (leaves [A, ...]) and obs float32[A, ..., D]."""
    return jax.vmap(networks.logits)(params["actor"], obs)


def act(params: Mapping[str, Any], obs: jax.Array, key: jax.Array) -> jax.Array:
    """Sample actions int32[A, E] for obs float32[A, E, D] from one key."""
    scores = population_logits(params, obs)
    return sample_action(scores, jax.random.uniform(key, scores.shape[:-1]))


def act_greedy(params: Mapping[str, Any], obs: jax.Array) -> jax.Array:
    """Return the most probable actions int32[A, E] for obs float32[A, E, D]; ties go to the lowest."""
    return jnp.argmax(population_logits(params, obs), axis=-1).astype(jnp.int32)
