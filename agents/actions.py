"""How the outputs of PPO's policy network become actions: one rule for discrete, one for continuous environments.

Continuous actions are drawn from a Gaussian and *clipped* to the bounds only on the way into the environment; the
density and the entropy are those of the number that was drawn. Squashing by tanh instead would leave the entropy bonus
without a closed form, and an optimum at a bound out of reach.
Source: Chou, Maturana, Scherer 2017, and Fujita, Maeda 2018, on what clipping costs; Andrychowicz et al. 2021, "What
matters in on-policy reinforcement learning?", sections 3.2 and B.8, on the choices and on the first deviation.
"""

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp

from agents import gaussian, policy
from sim.vector import action_kind, bounded_action

INITIAL_STD: Final = 0.5  # of an action in [-1, 1]


class ActionRule(NamedTuple):
    """Pure functions of outputs float32[..., N]; an action is int32[...] or float32[..., K]."""

    num_outputs: Callable[[Any], int]  # env -> N
    output_bias: Callable[[Any], jax.Array]  # env -> float32[N], of the fresh network's last layer
    noise: Callable[[jax.Array, tuple[int, ...], Any], jax.Array]  # key, shape, env -> float32[*shape] or [*shape, K]
    sample: Callable[[jax.Array, jax.Array], jax.Array]  # outputs, noise -> action
    log_prob: Callable[[jax.Array, jax.Array], jax.Array]  # outputs, action -> float32[...]
    terms: Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
    # ^ outputs [M, N], actions -> log probability float32[M], mean entropy in nats float32[]; for gradients
    greedy: Callable[[jax.Array], jax.Array]  # outputs -> the most probable action
    to_env: Callable[[jax.Array, Any], jax.Array]  # action, env -> as the environment takes it


def _uniform(key: jax.Array, shape: tuple[int, ...], env: Any) -> jax.Array:
    return jax.random.uniform(key, shape, jnp.float32)


def _normal(key: jax.Array, shape: tuple[int, ...], env: Any) -> jax.Array:
    return jax.random.normal(key, (*shape, env.action_dim), jnp.float32)


def _categorical_terms(outputs: jax.Array, action: jax.Array) -> tuple[jax.Array, jax.Array]:
    scores = jax.nn.log_softmax(outputs)
    # A dense selection: the gradient of a gather is a scatter, which XLA runs one element at a time on a CPU.
    chosen = action[..., None] == jnp.arange(scores.shape[-1])
    log_prob = jnp.sum(jnp.where(chosen, scores, 0.0), axis=-1)
    return log_prob, -jnp.mean(jnp.sum(jnp.exp(scores) * scores, axis=-1))


def _gaussian_terms(outputs: jax.Array, action: jax.Array) -> tuple[jax.Array, jax.Array]:
    return gaussian.log_density(outputs, action), jnp.mean(gaussian.entropy(outputs))


def _gaussian_bias(env: Any) -> jax.Array:
    """Zero means, and what `gaussian.head` turns into INITIAL_STD."""
    raw = gaussian.raw_log_std(math.log(INITIAL_STD))
    return jnp.concatenate([jnp.zeros(env.action_dim), jnp.full(env.action_dim, raw)]).astype(jnp.float32)


CATEGORICAL: Final = ActionRule(
    num_outputs=lambda env: env.num_actions,
    output_bias=lambda env: jnp.zeros(env.num_actions, jnp.float32),
    noise=_uniform,
    sample=policy.sample_action,
    log_prob=policy.log_prob,
    terms=_categorical_terms,
    greedy=lambda outputs: jnp.argmax(outputs, axis=-1).astype(jnp.int32),
    to_env=lambda action, env: action,
)
GAUSSIAN: Final = ActionRule(
    num_outputs=lambda env: 2 * env.action_dim,
    output_bias=_gaussian_bias,
    noise=_normal,
    sample=gaussian.draw,
    log_prob=gaussian.log_density,
    terms=_gaussian_terms,
    greedy=lambda outputs: gaussian.head(outputs)[0],
    to_env=lambda action, env: bounded_action(env, jnp.clip(action, -1.0, 1.0)),
)


def of_env(env: Any) -> ActionRule:
    """Return the rule for the actions of `env`."""
    return CATEGORICAL if action_kind(env) == "discrete" else GAUSSIAN


def of_actions(action: jax.Array) -> ActionRule:
    """Return the rule that stored actions were drawn by: whole numbers are discrete."""
    return CATEGORICAL if jnp.issubdtype(action.dtype, jnp.integer) else GAUSSIAN
