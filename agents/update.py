"""One update of a whole population: collect, learn, account; a pure function of the training state."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from agents import hyperparameters, ppo, rollout
from agents.learn import Discounts, Learner, Trajectory, learn
from agents.metrics import LEADER_METRIC
from agents.rollout import per_agent
from agents.train_config import PPOConfig, Sizes
from agents.train_state import Episodes, TrainState, update_keys
from sim.vector import AnyVectorEnv

MAX_SAME_DEVICES = 4
CPU_AGENTS_PER_CHUNK = 16  # activations of a chunk stay in the L2 cache: 440 k against 345 k steps/s for all at once


def update(
    state: TrainState, env_params: Any, env: AnyVectorEnv, config: PPOConfig, chunk: int
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Run one PPO update; returns the next state and the metrics, each float32[A]. env_params leaves are [B, ...]."""
    env_state, episodes, trajectory, finished = rollout.collect(state, update_keys(state), env_params, env, config)
    progress = state.shared.update / jnp.maximum(state.shared.num_updates - 1, 1)
    hyper: Any = state.hyper
    learning_rate = hyperparameters.learning_rate(hyper, jnp.clip(progress, 0.0, 1.0))
    learner, stats = _learn(state, trajectory, episodes.obs, learning_rate, config, chunk)
    metrics = stats | {"learning_rate": learning_rate}
    return close(state, learner, env_state, episodes, finished, metrics, config)


def close(
    state: TrainState,
    learner: Any,
    env_state: Any,
    episodes: Episodes,
    finished: dict[str, jax.Array],
    metrics: dict[str, jax.Array],
    config: Sizes,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Return the next state and `metrics` with those of the episodes that ended: `finished` holds sums float32[A]."""
    means = _episode_means(finished)
    slot = state.shared.update % config.recent_updates
    recent = {name: window.at[:, slot].set(means[name]) for name, window in state.recent.items()}
    metrics = metrics | means | {"episodes": finished["episodes"]}
    metrics[LEADER_METRIC] = nan_mean(recent["episode_return"])
    following = state._replace(
        shared=state.shared._replace(update=state.shared.update + 1),
        learner=learner,
        env_state=env_state,
        episodes=episodes,
        recent=recent,
    )
    return following, metrics


def _learn(
    state: TrainState,
    trajectory: Trajectory,
    last_obs: jax.Array,
    learning_rate: jax.Array,
    config: PPOConfig,
    chunk: int,
) -> tuple[Learner, dict[str, jax.Array]]:
    """Let every agent learn from its own environments, `chunk` agents at a time."""
    num_agents = state.agent_key.shape[0]
    key = jax.random.fold_in(state.shared.key, state.shared.update)
    rows = config.steps_per_update * config.envs_per_agent
    permutations = ppo.shuffles(key, rows, config.epochs, config.minibatches)
    by_agent = jax.tree.map(lambda leaf: _agent_major(leaf, num_agents), trajectory)
    hyper: Any = state.hyper
    discounts = Discounts(hyper.gamma, hyper.gae_lambda)
    coefficient = ppo.coefficients(hyper, learning_rate)

    def one(agent: tuple[Learner, Trajectory, jax.Array, Discounts, ppo.Coefficients]) -> tuple[Learner, dict]:
        return learn(*agent, permutations, config.normalise_returns)

    agents = (state.learner, by_agent, per_agent(last_obs, num_agents), discounts, coefficient)
    return jax.lax.map(one, agents, batch_size=chunk)


def _agent_major(leaf: jax.Array, num_agents: int) -> jax.Array:
    """Lay out [T, A * E, ...] as [A, T, E, ...]."""
    return jnp.moveaxis(leaf.reshape(leaf.shape[0], num_agents, -1, *leaf.shape[2:]), 1, 0)


def _episode_means(finished: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Means over the episodes that ended in this update, float32[A]; nan where none did."""
    count = finished["episodes"]
    return {
        name: jnp.where(count > 0, total / count, jnp.nan) for name, total in finished.items() if name != "episodes"
    }


def nan_mean(window: jax.Array) -> jax.Array:
    """Mean float32[A] over the entries of float32[A, W] that are numbers; nan where there is none."""
    known = jnp.isfinite(window)
    count = jnp.sum(known, axis=1)
    mean = jnp.sum(jnp.where(known, window, 0.0), axis=1) / jnp.maximum(count, 1)
    return jnp.where(count > 0, mean, jnp.nan)


def chunk_size(config: Sizes, num_agents: int, num_devices: int, platform: str) -> int:
    """Return how many agents of a device learn together, of `num_agents` in the whole population.

    On a CPU it is the same for 1, 2 and 4 devices (where they divide the population), and every device goes through at
    least two chunks where it has two agents: sums are rounded by the shape of the compiled loop, and a loop of one
    turn is compiled away. Both together make results independent of the number of devices.
    """
    local = num_agents // num_devices
    if config.agents_per_chunk == 0 and platform != "cpu":
        return local
    smallest_share = num_agents // math.gcd(num_agents, MAX_SAME_DEVICES)
    share = smallest_share if local % smallest_share == 0 else local
    wanted = min(config.agents_per_chunk or CPU_AGENTS_PER_CHUNK, max(share // 2, 1))
    return next(size for size in range(wanted, 0, -1) if share % size == 0)
