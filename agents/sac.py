"""Soft actor-critic for one agent on one minibatch: twin critics, tanh-Gaussian policy, automatic temperature.

Actions are in [-1, 1] here; the environment's bounds are applied on the way out.
Source: Haarnoja et al. 2018, "Soft actor-critic algorithms and applications" (arXiv 1812.05905).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents import adam, gaussian, networks
from agents.adam import AdamState
from agents.dqn import towards
from agents.hyperparameters import SACHyperparameters, decayed
from agents.off_policy_config import SACConfig
from agents.replay import Transition

CRITICS = ("critic_a", "critic_b")


class Coefficients(NamedTuple):
    """One agent's scalars of an update, each float32[]."""

    actor_learning_rate: jax.Array
    critic_learning_rate: jax.Array
    temperature_learning_rate: jax.Array
    gamma: jax.Array
    tau: jax.Array
    target_entropy: jax.Array  # nats a dimension of the action
    max_grad_norm: jax.Array


class Training(NamedTuple):
    """What one agent learns with beside its networks."""

    target: networks.PolicyParams  # of the critics
    actor_optimizer: AdamState
    critic_optimizer: AdamState
    log_temperature: jax.Array  # float32[]
    temperature_optimizer: AdamState


def coefficients(hyper: SACHyperparameters, progress: jax.Array) -> Coefficients:
    """Return what this update needs, each float32[A]; progress in [0, 1] over the run's updates."""
    final = hyper.final_learning_rate_frac
    return Coefficients(
        actor_learning_rate=decayed(hyper.actor_learning_rate, final, progress),
        critic_learning_rate=decayed(hyper.critic_learning_rate, final, progress),
        temperature_learning_rate=decayed(hyper.temperature_learning_rate, final, progress),
        gamma=hyper.gamma,
        tau=hyper.tau,
        target_entropy=hyper.target_entropy,
        max_grad_norm=hyper.max_grad_norm,
    )


def init(keys: jax.Array, hyper: SACHyperparameters, env: Any, config: SACConfig) -> tuple[Any, Training]:
    """Start A agents with keys [A]: their networks, and what they learn with."""
    critic = ((env.obs_dim + env.action_dim, *config.hidden, 1), networks.CRITIC_GAIN)
    actor = ((env.obs_dim, *config.hidden, 2 * env.action_dim), networks.ACTOR_GAIN)
    shapes = {"actor": actor} | dict.fromkeys(CRITICS, critic)
    params = jax.lax.map(lambda key: networks.init_networks(key, shapes), keys)
    critics = {name: params[name] for name in CRITICS}
    log_temperature = jnp.log(hyper.initial_temperature)
    start = jax.vmap(adam.init)
    return params, Training(
        jax.tree.map(jnp.copy, critics), start(params["actor"]), start(critics), log_temperature, start(log_temperature)
    )


def noise(key: jax.Array, shape: tuple[int, int], env: Any) -> jax.Array:
    """Return the normal numbers float32[T, E, K] that one agent's actions of an update are drawn with."""
    return jax.random.normal(key, (*shape, env.action_dim), jnp.float32)


def explore(
    params: Any, obs: jax.Array, normal: jax.Array, coefficient: Coefficients, warm: jax.Array, config: SACConfig
) -> jax.Array:
    """Return one agent's actions float32[E, K] in [-1, 1]; uniform until it is `warm`.

    The uniform is 2 Phi(normal) - 1 = erf(normal / sqrt 2), so that one number serves both.
    """
    action, _ = gaussian.sample(networks.mlp(params["actor"], obs), normal)
    return jnp.where(warm, action, jax.lax.erf(normal * (0.5**0.5)))


def targets(params: Any, training: Training, batch: Transition, gamma: jax.Array, normal: jax.Array) -> jax.Array:
    """Return float32[M], what both critics are regressed on; normal float32[M, K] draws the next action.

    y = r + gamma (1 - terminated) (min(Q'_a, Q'_b)(s', a') - temperature log pi(a' | s')).
    """
    action, log_prob = gaussian.sample(networks.mlp(params["actor"], batch.next_obs), normal)
    least = jnp.minimum(*critic_values(training.target, batch.next_obs, action))
    soft = least - jnp.exp(training.log_temperature) * log_prob
    return jax.lax.stop_gradient(batch.reward + gamma * jnp.where(batch.terminated, 0.0, soft))


def critic_values(critics: Any, obs: jax.Array, action: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return both critics' values, float32[M] each, of actions float32[M, K] in [-1, 1] at obs float32[M, D]."""
    joined = jnp.concatenate([obs, action], axis=-1)
    first, second = (networks.value(critics[name], joined) for name in CRITICS)
    return first, second


def critic_loss(critics: Any, batch: Transition, wanted: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Half the mean squared errors of both critics against `wanted` float32[M], added, and statistics."""
    first, second = critic_values(critics, batch.obs, batch.action)
    total = 0.5 * jnp.mean((first - wanted) ** 2) + 0.5 * jnp.mean((second - wanted) ** 2)
    return total, {"value_loss": total, "q_mean": jnp.mean(first)}


def actor_loss(
    actor: Any, critics: Any, obs: jax.Array, temperature: jax.Array, normal: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Mean of temperature log pi(a | s) - min(Q_a, Q_b)(s, a) over reparametrised actions; log pi float32[M] beside it.

    Source: Haarnoja et al. 2018, equation 7.
    """
    action, log_prob = gaussian.sample(networks.mlp(actor, obs), normal)
    least = jnp.minimum(*critic_values(critics, obs, action))
    return jnp.mean(temperature * log_prob - least), log_prob


def temperature_loss(log_temperature: jax.Array, log_prob: jax.Array, target_entropy: jax.Array) -> jax.Array:
    """Mean of -log temperature (log pi + target entropy): it rises while the policy's entropy is below the target.

    The logarithm in place of the temperature itself: its gradient does not vanish as the temperature does.
    Source: Haarnoja et al. 2018, equation 18 and section 6.
    """
    return -jnp.mean(log_temperature * jax.lax.stop_gradient(log_prob + target_entropy))


def learn(
    params: Any, training: Training, batch: Transition, coefficient: Coefficients, key: jax.Array, config: SACConfig
) -> tuple[Any, Training, dict[str, jax.Array]]:
    """One step of one agent's critics, then of its actor, of its temperature, and of the targets."""
    normals = jax.random.normal(key, (2, *batch.action.shape), jnp.float32)
    critics = {name: params[name] for name in CRITICS}
    wanted = targets(params, training, batch, coefficient.gamma, normals[0])
    gradient, stats = jax.grad(critic_loss, has_aux=True)(critics, batch, wanted)
    critics, critic_optimizer, taken = adam.guarded_step(
        critics, training.critic_optimizer, gradient, coefficient.max_grad_norm, coefficient.critic_learning_rate
    )
    training = training._replace(critic_optimizer=critic_optimizer)
    actor, training, actor_stats = _actor_step(params["actor"], critics, training, batch, coefficient, normals[1])
    training = training._replace(target=towards(training.target, critics, coefficient.tau))
    skipped = taken["skipped_steps"] + actor_stats.pop("skipped_steps")
    stats |= actor_stats | {"grad_norm": taken["grad_norm"], "skipped_steps": skipped}
    return {"actor": actor, **critics}, training, stats


def _actor_step(
    actor: Any, critics: Any, training: Training, batch: Transition, coefficient: Coefficients, normal: jax.Array
) -> tuple[Any, Training, dict[str, jax.Array]]:
    """Step the actor against the moved critics, then the temperature by the entropy of the actions just drawn."""
    temperature = jnp.exp(training.log_temperature)
    (policy_loss, log_prob), gradient = jax.value_and_grad(actor_loss, has_aux=True)(
        actor, critics, batch.obs, temperature, normal
    )
    actor, actor_optimizer, taken = adam.guarded_step(
        actor, training.actor_optimizer, gradient, coefficient.max_grad_norm, coefficient.actor_learning_rate
    )
    wanted_entropy = coefficient.target_entropy * batch.action.shape[-1]
    log_temperature, temperature_optimizer, _ = adam.guarded_step(
        training.log_temperature,
        training.temperature_optimizer,
        jax.grad(temperature_loss)(training.log_temperature, log_prob, wanted_entropy),
        jnp.float32(jnp.inf),
        coefficient.temperature_learning_rate,
    )
    training = training._replace(
        actor_optimizer=actor_optimizer,
        log_temperature=log_temperature,
        temperature_optimizer=temperature_optimizer,
    )
    stats = {"policy_loss": policy_loss, "entropy": -jnp.mean(log_prob), "temperature": temperature}
    return actor, training, stats | {"actor_grad_norm": taken["grad_norm"], "skipped_steps": taken["skipped_steps"]}


def act_greedy(params: Any, obs: jax.Array) -> jax.Array:
    """Return one agent's deterministic action float32[..., K] in [-1, 1]: tanh of the Gaussian's mean."""
    return jnp.tanh(gaussian.head(networks.mlp(params["actor"], obs))[0])
