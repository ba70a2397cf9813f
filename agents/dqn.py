"""The DQN family for one agent on one minibatch: double, dueling, distributional in any combination.

The return's distribution is represented by N quantiles; with one quantile this is DQN with a Huber loss.
Source: Mnih et al. 2015, "Human-level control through deep reinforcement learning"; van Hasselt, Guez, Silver 2016,
"Deep reinforcement learning with double Q-learning"; Dabney et al. 2018, "Distributional reinforcement learning with
quantile regression".
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents import adam, hyperparameters, networks, q_networks
from agents.adam import AdamState
from agents.hyperparameters import DQNHyperparameters
from agents.off_policy_config import DQNConfig
from agents.replay import Transition


class Coefficients(NamedTuple):
    """One agent's scalars of an update, each float32[]."""

    learning_rate: jax.Array
    gamma: jax.Array
    tau: jax.Array
    epsilon: jax.Array
    huber_threshold: jax.Array
    max_grad_norm: jax.Array


class Training(NamedTuple):
    """What one agent learns with beside its online network."""

    target: networks.PolicyParams
    optimizer: AdamState


def coefficients(hyper: DQNHyperparameters, progress: jax.Array) -> Coefficients:
    """Return what this update needs, each float32[A]; progress in [0, 1] over the run's updates."""
    fallen = jnp.clip(progress / jnp.maximum(hyper.exploration_frac, 1e-6), 0.0, 1.0)
    return Coefficients(
        learning_rate=hyperparameters.decayed(hyper.learning_rate, hyper.final_learning_rate_frac, progress),
        gamma=hyper.gamma,
        tau=hyper.tau,
        epsilon=hyper.epsilon_start + fallen * (hyper.epsilon_end - hyper.epsilon_start),
        huber_threshold=hyper.huber_threshold,
        max_grad_norm=hyper.max_grad_norm,
    )


def init(keys: jax.Array, hyper: DQNHyperparameters, env: Any, config: DQNConfig) -> tuple[Any, Training]:
    """Start A agents with keys [A]: their networks, and what they learn with."""
    params = q_networks.init_population(
        keys, env.obs_dim, env.num_actions, config.hidden, config.quantiles, config.dueling
    )
    return params, Training(jax.tree.map(jnp.copy, params), jax.vmap(adam.init)(params))


def noise(key: jax.Array, shape: tuple[int, int], env: Any) -> jax.Array:
    """Return the uniform numbers float32[T, E] that one agent's actions of an update are drawn with."""
    return jax.random.uniform(key, shape, jnp.float32)


def explore(
    params: Any, obs: jax.Array, uniform: jax.Array, coefficient: Coefficients, warm: jax.Array, config: DQNConfig
) -> jax.Array:
    """Return one agent's epsilon-greedy actions int32[E] for obs float32[E, D] and uniform float32[E] in [0, 1).

    Below epsilon, uniform / epsilon is again uniform in [0, 1) and chooses the action: one random number each.
    """
    values = jnp.mean(q_networks.quantile_values(params, obs, config.quantiles), axis=-1)
    num_actions = values.shape[-1]
    chosen = (uniform / jnp.maximum(coefficient.epsilon, 1e-12) * num_actions).astype(jnp.int32)
    greedy = jnp.argmax(values, axis=-1).astype(jnp.int32)
    return jnp.where(uniform < coefficient.epsilon, jnp.minimum(chosen, num_actions - 1), greedy)


def targets(params: Any, target: Any, batch: Transition, gamma: jax.Array, config: DQNConfig) -> jax.Array:
    """Return float32[M, N], what each quantile of the return is regressed on.

    y_j = r + gamma (1 - terminated) Z'_j(s', a*), with a* the best action by the mean of Z' (of the online network's Z
    where `double`), Z' the target network.
    """
    later = q_networks.quantile_values(target, batch.next_obs, config.quantiles)
    judge = q_networks.quantile_values(params, batch.next_obs, config.quantiles) if config.double else later
    best = jnp.argmax(jnp.mean(judge, axis=-1), axis=-1)
    following = jnp.where(batch.terminated[:, None], 0.0, _of_action(later, best))
    return jax.lax.stop_gradient(batch.reward[:, None] + gamma * following)


def loss(
    params: Any, batch: Transition, wanted: jax.Array, threshold: jax.Array, config: DQNConfig
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Quantile Huber loss of one minibatch against `wanted` float32[M, N], and its statistics.

    sum_i mean_j |tau_i - 1{u_ij < 0}| H(u_ij) / threshold, u_ij = y_j - Z_i(s, a), tau_i = (i + 1/2) / N, H(u) =
    u^2 / 2 up to the threshold and threshold (|u| - threshold / 2) beyond.
    Source: Dabney et al. 2018, equation 10.
    """
    values = q_networks.quantile_values(params, batch.obs, config.quantiles)
    chosen = _of_action(values, batch.action)
    error = wanted[:, None, :] - chosen[:, :, None]
    size = jnp.abs(error)
    huber = jnp.where(size <= threshold, 0.5 * error**2, threshold * (size - 0.5 * threshold))
    fraction = (jnp.arange(config.quantiles, dtype=jnp.float32) + 0.5) / config.quantiles
    weight = jnp.abs(fraction[None, :, None] - (error < 0.0))
    total = jnp.mean(jnp.sum(jnp.mean(weight * huber, axis=2), axis=1)) / threshold
    stats = {
        "value_loss": total,
        "q_mean": jnp.mean(chosen),
        "td_error": jnp.mean(jnp.abs(jnp.mean(wanted, axis=1) - jnp.mean(chosen, axis=1))),
    }
    return total, stats


def learn(
    params: Any, training: Training, batch: Transition, coefficient: Coefficients, key: jax.Array, config: DQNConfig
) -> tuple[Any, Training, dict[str, jax.Array]]:
    """One gradient step of one agent on a minibatch (leaves [M, ...]), then the target's step towards it."""
    wanted = targets(params, training.target, batch, coefficient.gamma, config)
    gradient, stats = jax.grad(loss, has_aux=True)(params, batch, wanted, coefficient.huber_threshold, config)
    params, optimizer, taken = adam.guarded_step(
        params, training.optimizer, gradient, coefficient.max_grad_norm, coefficient.learning_rate
    )
    target = towards(training.target, params, coefficient.tau)
    return params, Training(target, optimizer), stats | taken


def towards(target: Any, online: Any, tau: jax.Array) -> Any:
    """Move every leaf of `target` by the share `tau` of its distance to `online`."""
    return jax.tree.map(lambda old, new: old + tau * (new - old), target, online)


def _of_action(values: jax.Array, action: jax.Array) -> jax.Array:
    """Pick float32[M, N] of float32[M, num_actions, N] by int32[M].

    A dense selection: the gradient of a gather is a scatter, which XLA runs one element at a time on a CPU.
    """
    chosen = action[:, None] == jnp.arange(values.shape[1])
    return jnp.sum(jnp.where(chosen[:, :, None], values, 0.0), axis=1)
