"""Proximal policy optimisation of one agent on one batch; `vmap` and chunking over agents are at the call site.

Source: Schulman et al. 2017, "Proximal policy optimization algorithms" (clipped objective, equations 7 and 9);
Schulman et al. 2016, "High-dimensional continuous control using generalized advantage estimation".
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents import actions, adam, networks
from agents.adam import AdamState
from agents.hyperparameters import Hyperparameters

ADVANTAGE_EPS = 1e-8
Loss = Callable[[Any, Any, Any], tuple[jax.Array, dict[str, jax.Array]]]
"""Parameters, minibatch, coefficients -> loss float32[] and its parts."""


class Batch(NamedTuple):
    """N transitions of one agent."""

    obs: jax.Array  # float32[N, D]
    action: jax.Array  # int32[N], or float32[N, K] as it was drawn
    log_prob: jax.Array  # float32[N] under the policy that acted
    advantage: jax.Array  # float32[N]
    target: jax.Array  # float32[N] what the critic should say


class Coefficients(NamedTuple):
    """One agent's scalars of the update, each float32[]."""

    learning_rate: jax.Array
    clip: jax.Array
    entropy_coef: jax.Array
    value_coef: jax.Array
    max_grad_norm: jax.Array


def coefficients(hyper: Hyperparameters, learning_rate: jax.Array) -> Coefficients:
    """Pick what the update needs, each float32[A]; `learning_rate` is the one of this update."""
    return Coefficients(learning_rate, hyper.clip, hyper.entropy_coef, hyper.value_coef, hyper.max_grad_norm)


def advantages(
    reward: jax.Array,
    value: jax.Array,
    next_value: jax.Array,
    done: jax.Array,
    gamma: jax.Array,
    gae_lambda: jax.Array,
) -> jax.Array:
    """Generalised advantage estimates float32[T, B] of T steps.

    delta_t = r_t + gamma V(s_{t+1}) - V(s_t);  A_t = delta_t + gamma lambda (1 - done_t) A_{t+1},  A_T = 0.
    `next_value` is 0 after termination, the value of the observation before the reset after truncation; `done` is
    either; gamma and gae_lambda are float32[B].
    """
    delta = reward + gamma * next_value - value
    decay = jnp.where(done, 0.0, gamma * gae_lambda)

    def step(later: jax.Array, xs: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        delta_t, decay_t = xs
        advantage = delta_t + decay_t * later
        return advantage, advantage

    return jax.lax.scan(step, jnp.zeros_like(delta[0]), (delta, decay), reverse=True)[1]


def loss(
    params: networks.PolicyParams, batch: Batch, coefficient: Coefficients
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Clipped policy loss + value_coef * value loss - entropy_coef * entropy of one minibatch, and its parts.

    Advantages are normalised within the minibatch; the value loss is half the mean squared error.
    """
    outputs = networks.logits(params["actor"], batch.obs)
    return judge(outputs, networks.value(params["critic"], batch.obs), batch, coefficient)


def judge(
    outputs: jax.Array, value: jax.Array, batch: Batch, coefficient: Coefficients
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the loss and its parts for outputs float32[N, ...] of the actor and values float32[N] of the critic."""
    log_prob, entropy = actions.of_actions(batch.action).terms(outputs, batch.action)
    log_ratio = log_prob - batch.log_prob
    ratio = jnp.exp(log_ratio)
    centred = batch.advantage - jnp.mean(batch.advantage)
    advantage = centred * (1.0 / (jnp.sqrt(jnp.mean(centred**2)) + ADVANTAGE_EPS))
    clipped = jnp.clip(ratio, 1.0 - coefficient.clip, 1.0 + coefficient.clip)
    policy_loss = -jnp.mean(jnp.minimum(ratio * advantage, clipped * advantage))
    value_loss = 0.5 * jnp.mean((value - batch.target) ** 2)
    total = policy_loss + coefficient.value_coef * value_loss - coefficient.entropy_coef * entropy
    stats = {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "approx_kl": jnp.mean(ratio - 1.0 - log_ratio),  # Source: Schulman 2020, k3 estimator
        "clip_frac": jnp.mean((jnp.abs(ratio - 1.0) > coefficient.clip).astype(jnp.float32)),
    }
    return total, stats


def minibatch_step(
    params: networks.PolicyParams, optimizer: AdamState, batch: Any, coefficient: Coefficients, loss: Loss = loss
) -> tuple[networks.PolicyParams, AdamState, dict[str, jax.Array]]:
    """One Adam step of one agent with its gradient's global norm clipped.

    A gradient that is not finite changes nothing and is counted in `skipped_steps`: one diverging agent of a
    population keeps its last finite weights.
    """
    gradient, stats = jax.grad(loss, has_aux=True)(params, batch, coefficient)
    params, optimizer, taken = adam.guarded_step(
        params, optimizer, gradient, coefficient.max_grad_norm, coefficient.learning_rate
    )
    return params, optimizer, stats | taken


def fit(
    params: networks.PolicyParams,
    optimizer: AdamState,
    batch: Any,
    coefficient: Coefficients,
    permutations: jax.Array,
    loss: Loss = loss,
) -> tuple[networks.PolicyParams, AdamState, dict[str, jax.Array]]:
    """Run all minibatches of all epochs for one agent: permutations int32[S, M] are rows of `batch`, one row a step.

    Returns the statistics' means over the steps (`skipped_steps`: their sum).
    """

    def step(carry: tuple[networks.PolicyParams, AdamState], rows: jax.Array) -> tuple[tuple, dict[str, jax.Array]]:
        minibatch = jax.tree.map(lambda leaf: leaf.at[rows].get(mode="promise_in_bounds"), batch)
        params, optimizer, stats = minibatch_step(carry[0], carry[1], minibatch, coefficient, loss)
        return (params, optimizer), stats

    (params, optimizer), stats = jax.lax.scan(step, (params, optimizer), permutations)
    means = {name: jnp.mean(values, axis=0) for name, values in stats.items()}
    return params, optimizer, means | {"skipped_steps": jnp.sum(stats["skipped_steps"], axis=0)}


def shuffles(key: jax.Array, size: int, epochs: int, minibatches: int) -> jax.Array:
    """Return int32[epochs * minibatches, size // minibatches]: a fresh permutation of all rows in every epoch.

    One for all agents: their experience is independent, and a permutation each costs 20 % of the update on a CPU.
    """
    rows = jax.vmap(lambda k: jax.random.permutation(k, size))(jax.random.split(key, epochs))
    return rows.reshape(epochs * minibatches, size // minibatches)
