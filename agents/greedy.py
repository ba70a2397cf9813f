"""What a trained population earns without exploring: fresh episodes of every agent, all at once."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from agents import actions
from agents.algorithms import Algorithm
from agents.memory_networks import empty_memory, kind_of, unroll
from agents.rollout import per_agent
from sim.vector import AnyVectorEnv, broadcast_params

SEED_OFFSET = 2**31  # training seeds are below: no episode is one that was trained on


def greedy_returns(
    algorithm: Algorithm,
    params: Any,
    env: AnyVectorEnv,
    env_params: Any,
    *,
    episodes: int,
    max_steps: int,
    seed: int = 0,
) -> np.ndarray:
    """Play `episodes` fresh episodes with every agent's greedy policy; returns float64[A, episodes] undiscounted.

    `params` are a run's saved networks (`networks.load_population`), `env_params` those of one environment. Raises
    ValueError when an episode lasts longer than `max_steps`.
    """
    num_agents = jax.tree.leaves(params)[0].shape[0]
    batched = broadcast_params(env_params, num_agents * episodes)
    play = jax.jit(partial(_play, algorithm, env, max_steps, num_agents))
    total, done = jax.device_get(play(params, batched, jax.random.key(SEED_OFFSET + seed)))
    if not done.all():
        raise ValueError(f"{int((~done).sum())} episodes last longer than max_steps = {max_steps}; give a larger one")
    return total.reshape(num_agents, episodes).astype(np.float64)


def _play(
    algorithm: Algorithm, env: Any, max_steps: int, num_agents: int, params: Any, env_params: Any, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return the first episode's return float32[B] of every environment, and whether it ended, bool[B]."""
    size = jax.tree.leaves(env_params)[0].shape[0]
    env_state, obs = env.reset(jax.random.split(jax.random.fold_in(key, max_steps), size), env_params)
    memory = jax.vmap(lambda agent: empty_memory(agent, size // num_agents, obs.shape[1]))(params)
    start = (jnp.int32(0), env_state, obs, jnp.zeros(size, jnp.float32), jnp.zeros(size, bool), memory)

    def step(carry: tuple) -> tuple:
        count, env_state, obs, total, done, memory = carry
        if kind_of(params) == "mlp":
            action = algorithm.act_greedy(params, per_agent(obs, num_agents), env)
        else:
            memory, action = _act_from_memory(env, params, memory, per_agent(obs, num_agents))
        keys = jax.random.split(jax.random.fold_in(key, count), size)
        env_state, result = env.step(keys, env_state, action.reshape(size, *action.shape[2:]), env_params)
        total = total + jnp.where(done, 0.0, result.reward)
        return count + 1, env_state, result.obs, total, done | result.terminated | result.truncated, memory

    end = jax.lax.while_loop(lambda carry: (carry[0] < max_steps) & ~jnp.all(carry[4]), step, start)
    return end[3], end[4]


def _act_from_memory(env: Any, params: Any, memory: Any, obs: jax.Array) -> tuple[Any, jax.Array]:
    """Return the memory and the most probable actions [A, E, ...]; first episodes alone count: nothing is forgotten."""
    rule, first = actions.of_env(env), jnp.zeros((obs.shape[0], 1, obs.shape[1]), bool)
    memory, outputs, _ = jax.vmap(unroll)(params, memory, obs[:, None], first)
    return memory, rule.to_env(rule.greedy(outputs[:, 0]), env)
