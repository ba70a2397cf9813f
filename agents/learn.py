"""What one agent makes of its experience: normalise rewards, estimate advantages, fit. `vmap` over agents outside."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents import actions, adam, memory_networks, networks, normaliser, ppo
from agents.adam import AdamState
from agents.hyperparameters import Hyperparameters
from agents.normaliser import ReturnNormaliser
from agents.train_config import PPOConfig
from sim.vector import AnyVectorEnv


class Trajectory(NamedTuple):
    """T steps of E environments of one agent; of B = A * E environments, agent-major, as they are collected."""

    obs: jax.Array  # float32[T, E, D]
    action: jax.Array  # int32[T, E], or float32[T, E, K] as it was drawn
    log_prob: jax.Array  # float32[T, E] under the policy that acted
    reward: jax.Array  # float32[T, E] scaled by the agent's reward_scale
    terminated: jax.Array  # bool[T, E]
    truncated: jax.Array  # bool[T, E]
    bootstrap: jax.Array  # float32[T, E] value of the observation before the reset; read only where truncated
    discounted: jax.Array  # float32[T, E] running discounted return within the episode


class Learner(NamedTuple):
    """The part of an agent that learning changes."""

    params: networks.PolicyParams
    optimizer: AdamState
    returns: ReturnNormaliser
    memory: Any = ()  # agents/memory_networks.py: of the running episodes, leaves [A, E, ...]


def init_learner(
    keys: jax.Array, hyper: Hyperparameters, obs: jax.Array, env: AnyVectorEnv, config: PPOConfig
) -> Learner:
    """Start A agents, one key each (keys [A]); obs float32[B, D] are the first observations."""
    rule = actions.of_env(env)
    if config.network == "mlp":
        params: Any = networks.init_population(keys, env.obs_dim, rule.num_outputs(env), config.hidden)
        last = params["actor"][str(len(config.hidden))]
    else:
        params = memory_networks.init_population(keys, env.obs_dim, rule.num_outputs(env), config)
        last = params["actor"]["head"]
    last["bias"] = last["bias"] + rule.output_bias(env)
    zeros = jnp.zeros(keys.shape, jnp.float32)
    memory = jax.vmap(lambda agent: memory_networks.empty_memory(agent, config.envs_per_agent, env.obs_dim))(params)
    return Learner(params, jax.vmap(adam.init)(params), ReturnNormaliser(zeros, zeros, zeros), memory)


class Discounts(NamedTuple):
    """How an agent weighs the future, each float32[]."""

    gamma: jax.Array
    gae_lambda: jax.Array


def learn(
    learner: Learner,
    trajectory: Trajectory,
    last_obs: jax.Array,
    discounts: Discounts,
    coefficient: ppo.Coefficients,
    permutations: jax.Array,
    normalise_returns: bool,
) -> tuple[Learner, dict[str, jax.Array]]:
    """Update one agent from its trajectory (leaves [T, E, ...]) and the observations after it, float32[E, D].

    permutations int32[S, M] are the rows of each of S steps, out of T * E. Returns the learner and float32[] metrics.
    """
    returns, reward = learner.returns, trajectory.reward
    if normalise_returns:
        returns = normaliser.merge(returns, trajectory.discounted)
        reward = reward * (1.0 / normaliser.deviation(returns))
    batch = estimate(learner.params, trajectory._replace(reward=reward), last_obs, discounts)
    metrics = {"explained_variance": explained_variance(batch), "reward_mean": jnp.mean(trajectory.reward)}
    params, optimizer, stats = ppo.fit(learner.params, learner.optimizer, batch, coefficient, permutations)
    return Learner(params, optimizer, returns, learner.memory), metrics | stats


def estimate(
    params: networks.PolicyParams, trajectory: Trajectory, last_obs: jax.Array, discounts: Discounts
) -> ppo.Batch:
    """Estimate advantages and value targets; returns the T * E transitions in time order.

    After a termination nothing follows, after a truncation the value of the observation before the reset does.
    """
    value = networks.value(params["critic"], jnp.concatenate([trajectory.obs, last_obs[None]]))
    continued = jnp.where(trajectory.truncated, trajectory.bootstrap, value[1:])
    next_value = jnp.where(trajectory.terminated, 0.0, continued)
    done = trajectory.terminated | trajectory.truncated
    advantage = ppo.advantages(trajectory.reward, value[:-1], next_value, done, *discounts)
    leaves = (trajectory.obs, trajectory.action, trajectory.log_prob, advantage, advantage + value[:-1])
    return ppo.Batch(*(leaf.reshape(-1, *leaf.shape[2:]) for leaf in leaves))


def explained_variance(batch: ppo.Batch) -> jax.Array:
    """1 - Var(target - value) / Var(target) with the critic that collected; nan where the targets do not vary."""
    variance = jnp.var(batch.target)
    unexplained = jnp.var(batch.advantage)  # target - value is the advantage
    return jnp.where(variance > 0.0, 1.0 - unexplained / jnp.where(variance > 0.0, variance, 1.0), jnp.nan)
