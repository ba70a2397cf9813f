"""Experience of a whole population: T steps of B = A * E environments, every agent with its own policy."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents import actions, networks, policy
from agents.learn import Trajectory
from agents.train_config import PPOConfig
from agents.train_state import Episodes, TrainState, env_keys, episode_metric, info_names
from sim.vector import AnyVectorEnv, StepResult


class Collection(NamedTuple):
    """What collecting carries from step to step."""

    env_state: Any
    episodes: Episodes
    finished: dict[str, jax.Array]  # sums over the episodes that ended, each float32[B]


def collect(
    state: TrainState, keys: jax.Array, env_params: Any, env: AnyVectorEnv, config: PPOConfig
) -> tuple[Any, Episodes, Trajectory, dict[str, jax.Array]]:
    """Run `config.steps_per_update` steps with keys [A].

    Returns the environments' state, their running episodes, the trajectory, and per-agent sums float32[A] over the
    episodes that ended (`episodes` counts them).
    """
    num_agents, num_steps = keys.shape[0], config.steps_per_update
    key_action, key_env = jax.vmap(jax.random.split, out_axes=1)(keys)
    noise = draw_noise(key_action, env, config)
    zeros = jnp.zeros(num_agents * config.envs_per_agent, jnp.float32)
    carry = Collection(state.env_state, state.episodes, dict.fromkeys((*state.recent, "episodes"), zeros))

    def step(carry: Collection, xs: tuple[jax.Array, jax.Array]) -> tuple[Collection, Trajectory]:
        step_index, noise_t = xs
        step_keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(key_env, step_index)
        return _step(carry, env_keys(env, step_keys, config), noise_t, state, env_params, env)

    carry, trajectory = jax.lax.scan(step, carry, (jnp.arange(num_steps), noise))
    finished = {name: per_agent(total, num_agents).sum(axis=1) for name, total in carry.finished.items()}
    return carry.env_state, carry.episodes, trajectory, finished


def draw_noise(keys: jax.Array, env: AnyVectorEnv, config: PPOConfig) -> jax.Array:
    """Return what the actions of a rollout are drawn with, float32[T, B] or [T, B, K], each agent's from its key."""
    shape, rule = (config.steps_per_update, config.envs_per_agent), actions.of_env(env)
    noise = jax.vmap(lambda key: rule.noise(key, shape, env))(keys)
    return jnp.moveaxis(noise, 1, 0).reshape(shape[0], -1, *noise.shape[3:])


def per_agent(x: jax.Array, num_agents: int) -> jax.Array:
    """Reshape [B, ...] to [A, E, ...]."""
    return x.reshape(num_agents, -1, *x.shape[1:])


def _step(
    carry: Collection, key: jax.Array, noise: jax.Array, state: TrainState, env_params: Any, env: AnyVectorEnv
) -> tuple[Collection, Trajectory]:
    num_agents = state.agent_key.shape[0]
    envs_per_agent, rule = noise.shape[0] // num_agents, actions.of_env(env)
    obs = carry.episodes.obs
    outputs = policy.population_logits(state.learner.params, per_agent(obs, num_agents)).reshape(obs.shape[0], -1)
    action = rule.sample(outputs, noise)
    env_state, result = env.step(key, carry.env_state, rule.to_env(action, env), env_params)
    reward = result.reward * jnp.repeat(state.hyper.reward_scale, envs_per_agent)
    gamma = jnp.repeat(state.hyper.gamma, envs_per_agent)
    episodes, discounted, finished = account(carry, result, reward, gamma)
    transition = Trajectory(
        obs=obs,
        action=action,
        log_prob=rule.log_prob(outputs, action),
        reward=reward,
        terminated=result.terminated,
        truncated=result.truncated,
        bootstrap=_truncation_value(state.learner.params, result, num_agents),
        discounted=discounted,
    )
    return Collection(env_state, episodes, finished), transition


def account(
    carry: Collection, result: StepResult, reward: jax.Array, gamma: jax.Array
) -> tuple[Episodes, jax.Array, dict[str, jax.Array]]:
    """Advance the running episodes; sum up those that end here. Episode returns are in the environment's own reward."""
    done = result.terminated | result.truncated
    total = carry.episodes.total + result.reward
    length = carry.episodes.length + 1
    discounted = carry.episodes.discounted * gamma + reward
    last = {"episode_return": total, "episode_length": length, "episodes": jnp.ones_like(total)}
    last |= {episode_metric(name): result.info[name] for name in info_names(result.info)}
    finished = {
        name: carry.finished[name] + jnp.where(done, last[name].astype(jnp.float32), 0.0) for name in carry.finished
    }
    episodes = Episodes(
        obs=result.obs,
        total=jnp.where(done, 0.0, total),
        length=jnp.where(done, 0, length),
        discounted=jnp.where(done, 0.0, discounted),
    )
    return episodes, discounted, finished


def _truncation_value(params: networks.PolicyParams, result: StepResult, num_agents: int) -> jax.Array:
    """Value float32[B] of the last observation of truncated episodes; the network is run only if there are any."""
    return jax.lax.cond(
        jnp.any(result.truncated),
        lambda: population_values(params, result.final_obs, num_agents),
        lambda: jnp.zeros(result.final_obs.shape[0], jnp.float32),
    )


def population_values(params: networks.PolicyParams, obs: jax.Array, num_agents: int) -> jax.Array:
    """Return float32[B] for obs float32[B, D], each environment judged by its own agent's critic."""
    return jax.vmap(networks.value)(params["critic"], per_agent(obs, num_agents)).reshape(-1)
