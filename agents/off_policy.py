"""One update of a population that learns from replay buffers: act, store, sample, learn; the rule says how.

Rounds of `train_every` steps of every environment and `gradient_steps` minibatches, all in one compiled loop.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents import replay
from agents.replay import Transition
from agents.rollout import Collection, account, per_agent
from agents.train_config import DQNConfig, SACConfig
from agents.train_state import TrainState, env_keys, update_keys
from agents.update import close
from sim.vector import first_actions

Sizes = DQNConfig | SACConfig


class Rule(NamedTuple):
    """What an off-policy algorithm does, as functions of one agent; `coefficients` and `init` are of all at once."""

    coefficients: Callable[[Any, jax.Array], Any]  # hyperparameters float32[A], progress -> float32[A] each
    init: Callable[[jax.Array, Any, Any, Any], tuple[Any, Any]]  # keys [A], hyper, env, config -> params, training
    noise: Callable[[jax.Array, tuple[int, int], Any], jax.Array]  # key, (T, E), env -> [T, E, ...]
    explore: Callable[..., jax.Array]  # params, obs [E, D], noise [E, ...], coefficients, warm, config -> [E, ...]
    learn: Callable[..., tuple[Any, Any, dict[str, jax.Array]]]
    # ^ params, training, minibatch [M, ...], coefficients, key, config -> params, training, float32[] metrics
    to_env: Callable[[jax.Array, Any], jax.Array]  # actions as they are stored, env -> as the environment takes them


class Learner(NamedTuple):
    """The part of an agent that learning changes; leaves [A, ...]."""

    params: Any  # the networks that act
    training: Any  # target networks, optimizers: what only learning needs
    replay: Any  # agents/replay.py, [A, ...]


class _Run(NamedTuple):
    """What stays the same within an update."""

    rule: Rule
    env: Any
    env_params: Any
    config: Sizes
    chunk: int
    hyper: Any
    coefficient: Any
    key_env: jax.Array  # key[A]
    key_learn: jax.Array  # key[A]
    before: jax.Array  # int32[] transitions of an agent before this update


class _Carry(NamedTuple):
    collection: Collection
    learner: Learner


def init_learner(keys: jax.Array, hyper: Any, obs: jax.Array, env: Any, config: Sizes, rule: Rule) -> Learner:
    """Start A agents with keys [A]; obs float32[B, D] are the first observations, of which the buffer has the shape."""
    params, training = rule.init(keys, hyper, env, config)
    by_agent = per_agent(obs, keys.shape[0])
    scalar = jnp.zeros(by_agent.shape[:2], jnp.float32)
    action = per_agent(first_actions(env, obs.shape[0]), keys.shape[0])
    like = Transition(by_agent, action, scalar, scalar.astype(bool), by_agent)
    return Learner(params, training, replay.empty(_buffer(config), like))


def update(
    state: TrainState, env_params: Any, env: Any, config: Sizes, chunk: int, rule: Rule
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Run T steps of every environment and learn; returns the next state and the metrics, each float32[A].

    Metrics of learning are means over the gradient steps (`skipped_steps`: their sum), nan before the first.
    """
    num_agents = state.agent_key.shape[0]
    key_noise, key_env, key_learn = jax.vmap(lambda key: jax.random.split(key, 3), out_axes=1)(update_keys(state))
    rounds, shape = config.steps_per_update // config.train_every, (config.steps_per_update, config.envs_per_agent)
    noise = jnp.moveaxis(jax.vmap(lambda key: rule.noise(key, shape, env))(key_noise), 0, 1)
    progress = state.shared.update / jnp.maximum(state.shared.num_updates - 1, 1)
    coefficient = rule.coefficients(state.hyper, jnp.clip(progress, 0.0, 1.0))
    before = state.shared.update * (config.steps_per_update * config.envs_per_agent)
    run = _Run(rule, env, env_params, config, chunk, state.hyper, coefficient, key_env, key_learn, before)
    zeros = jnp.zeros(num_agents * config.envs_per_agent, jnp.float32)
    finished = dict.fromkeys((*state.recent, "episodes"), zeros)
    carry = _Carry(Collection(state.env_state, state.episodes, finished), state.learner)
    xs = (jnp.arange(rounds), noise.reshape(rounds, config.train_every, *noise.shape[1:]))
    carry, (stats, learned) = jax.lax.scan(partial(_round, run), carry, xs)
    sums = {name: per_agent(total, num_agents).sum(axis=1) for name, total in carry.collection.finished.items()}
    metrics = _means(stats, learned) | {name: getattr(coefficient, name) for name in _shown(coefficient)}
    collected = carry.collection
    return close(state, carry.learner, collected.env_state, collected.episodes, sums, metrics, config)


def _buffer(config: Sizes) -> Any:
    return replay.make_buffer(config.buffer_capacity, config.batch_size)


def _round(run: _Run, carry: _Carry, xs: tuple[jax.Array, jax.Array]) -> tuple[_Carry, tuple[dict, jax.Array]]:
    """Step every environment `train_every` times, then learn from `gradient_steps` minibatches."""
    index, noise = xs
    config = run.config
    steps = index * config.train_every + jnp.arange(config.train_every)
    carry, _ = jax.lax.scan(lambda c, x: (_step(run, c, *x), None), carry, (steps, noise))
    added = run.before + (index + 1) * (config.train_every * config.envs_per_agent)
    learner, stats = jax.lax.scan(
        lambda learner, step: _gradient(run, learner, added, step),
        carry.learner,
        index * config.gradient_steps + jnp.arange(config.gradient_steps),
    )
    return carry._replace(learner=learner), (stats, added >= config.learning_starts)


def _step(run: _Run, carry: _Carry, step: jax.Array, noise: jax.Array) -> _Carry:
    """One step of every environment, stored."""
    num_agents, envs_per_agent = run.key_env.shape[0], run.config.envs_per_agent
    collection, learner = carry
    obs = collection.episodes.obs
    added = run.before + step * envs_per_agent
    warm = added >= run.config.learning_starts
    explore = jax.vmap(partial(run.rule.explore, config=run.config), in_axes=(0, 0, 0, 0, None))
    action = explore(learner.params, per_agent(obs, num_agents), noise, run.coefficient, warm)
    flat = run.rule.to_env(action.reshape(obs.shape[0], *action.shape[2:]), run.env)
    keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(run.key_env, step)
    env_state, result = run.env.step(env_keys(run.env, keys, run.config), collection.env_state, flat, run.env_params)
    reward = result.reward * jnp.repeat(run.hyper.reward_scale, envs_per_agent)
    episodes, _, finished = account(collection, result, reward, jnp.repeat(run.hyper.gamma, envs_per_agent))
    stepped = Transition(obs, flat, reward, result.terminated, result.final_obs)
    new = jax.tree.map(lambda leaf: per_agent(leaf, num_agents), stepped)._replace(action=action)
    stored = replay.add(_buffer(run.config), learner.replay, new)
    return _Carry(Collection(env_state, episodes, finished), learner._replace(replay=stored))


def _gradient(run: _Run, learner: Learner, added: jax.Array, step: jax.Array) -> tuple[Learner, dict[str, jax.Array]]:
    """One gradient step of every agent, `chunk` agents at a time; nothing before `learning_starts`."""
    keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(run.key_learn, step)
    key_sample, key_loss = jax.vmap(jax.random.split, out_axes=1)(keys)
    # Sampled outside the condition: a buffer that goes into a branch is copied.
    batch = replay.sample(_buffer(run.config), key_sample, learner.replay)
    agents = (learner.params, learner.training, batch, run.coefficient, key_loss)
    learn = partial(_learn_all, run)
    shapes = jax.eval_shape(learn, agents)[2]
    params, training, stats = jax.lax.cond(
        added >= run.config.learning_starts,
        learn,
        lambda agents: (*agents[:2], jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)),
        agents,
    )
    return learner._replace(params=params, training=training), stats


def _learn_all(run: _Run, agents: tuple) -> tuple[Any, Any, dict[str, jax.Array]]:
    return jax.lax.map(lambda agent: run.rule.learn(*agent, run.config), agents, batch_size=run.chunk)


def _means(stats: dict[str, jax.Array], learned: jax.Array) -> dict[str, jax.Array]:
    """Means float32[A] over the rounds float32[R, G, A] that learned; stats of the others are zero."""
    steps = jnp.sum(learned) * next(iter(stats.values())).shape[1]
    totals = {name: jnp.sum(values, axis=(0, 1)) for name, values in stats.items()}
    means = {name: jnp.where(steps > 0, total / jnp.maximum(steps, 1), jnp.nan) for name, total in totals.items()}
    return means | {"skipped_steps": totals["skipped_steps"]}


def _shown(coefficient: Any) -> list[str]:
    """Names of the scheduled coefficients: they are metrics."""
    return [name for name in coefficient._fields if name.endswith("learning_rate") or name == "epsilon"]
