"""Everything a training run carries from one update to the next: what a checkpoint holds."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents.hyperparameters import AnyHyperparameters
from agents.train_config import Sizes
from sim.vector import AnyVectorEnv, first_actions

START = 2**31  # folded in for the start; updates fold in their number, which is below


class Shared(NamedTuple):
    """What all agents have in common; the one part that is not split over devices."""

    key: jax.Array  # PRNG key[] of the run: the minibatch shuffles, the same for every agent
    update: jax.Array  # int32[] updates done
    num_updates: jax.Array  # int32[] of the whole run: the learning-rate schedule's end
    pbt: Any = ()  # agents/pbt.py's Settings, where the population is selected in training


class Episodes(NamedTuple):
    """The running episodes of B = A * E environments, agent-major."""

    obs: jax.Array  # float32[B, D] what the next action is chosen from
    total: jax.Array  # float32[B] undiscounted return so far
    length: jax.Array  # int32[B] steps so far
    discounted: jax.Array  # float32[B] discounted return so far, feeds the normaliser


class TrainState(NamedTuple):
    """The carry of training. Leaves have the leading axis A or B = A * E, `shared` excepted."""

    shared: Shared
    agent_key: jax.Array  # PRNG key[A], folded in by the agent's global index: no result depends on the device count
    learner: Any  # the algorithm's: `params`, optimizers, replay buffer ...: each [A, ...]
    hyper: AnyHyperparameters  # each float32[A]; in the carry so that population-based training can change them
    env_state: Any  # each [B, ...]
    episodes: Episodes
    recent: dict[
        str, jax.Array
    ]  # each float32[A, W] per-agent mean of the episodes ended in the last W updates, or nan
    lineage: Any = ()  # agents/pbt.py's Lineage, [A], where the population is selected in training


def update_keys(state: TrainState) -> jax.Array:
    """Return key[A] of this update."""
    return jax.vmap(jax.random.fold_in, in_axes=(0, None))(state.agent_key, state.shared.update)


def env_keys(env: AnyVectorEnv, agent_keys: jax.Array, config: Sizes) -> jax.Array:
    """Return what `env` takes as key for one call, derived from key[A].

    An environment that declares `keys_per_env = True` gets key[B], one an environment, and its results do not depend on
    how the population is split over devices. Any other gets a single key[], that of the first agent it is called with.
    """
    if not getattr(env, "keys_per_env", False):
        return agent_keys[0]
    split = jax.vmap(lambda key: jax.random.split(key, config.envs_per_agent))(agent_keys)
    return split.reshape(-1)


def init(
    shared: Shared,
    agent_index: jax.Array,
    hyper: AnyHyperparameters,
    env_params: Any,
    env: AnyVectorEnv,
    config: Sizes,
    init_learner: Callable[..., Any],
) -> TrainState:
    """Start a population: agent_index int32[A] is global, env_params leaves are [B, ...].

    `init_learner` is the algorithm's (agents/algorithms.py).
    """
    agent_key = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(shared.key, agent_index)
    key_weights, key_env = jax.vmap(lambda key: jax.random.split(jax.random.fold_in(key, START)), out_axes=1)(agent_key)
    env_state, obs = env.reset(env_keys(env, key_env, config), env_params)
    zeros = jnp.zeros(obs.shape[0], jnp.float32)
    names = episode_metric_names(env, env_state, env_params)
    return TrainState(
        shared=shared,
        agent_key=agent_key,
        learner=init_learner(key_weights, hyper, obs, env, config),
        hyper=hyper,
        env_state=env_state,
        episodes=Episodes(obs, zeros, jnp.zeros(obs.shape[0], jnp.int32), zeros),
        recent={n: jnp.full((*agent_index.shape, config.recent_updates), jnp.nan, jnp.float32) for n in names},
    )


def episode_metric_names(env: AnyVectorEnv, env_state: Any, env_params: Any) -> list[str]:
    """Names of the metrics taken at an episode's last step: return, length and every per-environment `info` entry."""
    num_envs = jax.tree.leaves(env_params)[0].shape[0]
    key = jax.random.key(0)
    keys = jax.random.split(key, num_envs) if getattr(env, "keys_per_env", False) else key
    _, result = jax.eval_shape(env.step, keys, env_state, first_actions(env, num_envs), env_params)
    return ["episode_return", "episode_length", *(episode_metric(name) for name in info_names(result.info))]


def episode_metric(name: str) -> str:
    """Metric name of an `info` entry taken at an episode's last step."""
    return name if name.startswith("episode_") else f"episode_{name}"


def info_names(info: dict[str, Any]) -> Iterable[str]:
    """Names of the `info` entries that hold one number an environment."""
    return [
        name
        for name, leaf in sorted(info.items())
        if leaf.ndim == 1 and (jnp.issubdtype(leaf.dtype, jnp.number) or leaf.dtype == jnp.bool_)
    ]
