"""PPO with networks that remember: rollouts carry a memory, minibatches are whole sequences with the memory they began.

Otherwise as agents/update.py. A rollout of T steps is cut into sequences of `sequence_length` steps; the gradient does
not go further back than a sequence, the memory at its beginning is the one that collecting had there.
Source: Kapturowski et al. 2019, "Recurrent experience replay in distributed reinforcement learning" (stored states).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents import actions, hyperparameters, memory_networks, normaliser, ppo, rollout
from agents.learn import Discounts, Learner, Trajectory, explained_variance
from agents.memory_networks import unroll
from agents.rollout import Collection, account, per_agent
from agents.train_config import PPOConfig
from agents.train_state import Episodes, TrainState, env_keys, update_keys
from agents.update import close
from sim.vector import AnyVectorEnv, StepResult


class Experience(NamedTuple):
    """What agents met, cut into sequences; [C, L, ...] in front of every leaf of the first three."""

    steps: Trajectory
    value: jax.Array  # float32[C, L, B] of the critic that collected
    first: jax.Array  # bool[C, L, B] whether the observation begins an episode
    memory: Any  # [C, A, E, ...] before each sequence


class Sequences(NamedTuple):
    """N sequences of L steps of one agent."""

    memory: Any  # [N, ...] before the first step
    first: jax.Array  # bool[N, L]
    batch: ppo.Batch  # leaves [N, L, ...]


class _Carry(NamedTuple):
    collection: Collection
    memory: Any  # [A, E, ...]


class _Fixed(NamedTuple):
    """What stays the same within a rollout."""

    state: TrainState
    env: AnyVectorEnv
    env_params: Any
    config: PPOConfig
    key_env: jax.Array  # key[A]


def update(
    state: TrainState, env_params: Any, env: AnyVectorEnv, config: PPOConfig, chunk: int
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Run one update; returns the next state and the metrics, each float32[A]. env_params leaves are [B, ...]."""
    carry, experience, finished = collect(state, update_keys(state), env_params, env, config)
    progress = state.shared.update / jnp.maximum(state.shared.num_updates - 1, 1)
    hyper: Any = state.hyper
    learning_rate = hyperparameters.learning_rate(hyper, jnp.clip(progress, 0.0, 1.0))
    learner, stats = _learn_all(state, experience, _last_values(state, carry), learning_rate, config, chunk)
    learner = learner._replace(memory=carry.memory)
    collected, metrics = carry.collection, stats | {"learning_rate": learning_rate}
    return close(state, learner, collected.env_state, collected.episodes, finished, metrics, config)


def _learn_all(
    state: TrainState,
    experience: Experience,
    last_value: jax.Array,
    learning_rate: jax.Array,
    config: PPOConfig,
    chunk: int,
) -> tuple[Learner, dict[str, jax.Array]]:
    """Let every agent learn from its own environments, `chunk` agents at a time."""
    num_agents = state.agent_key.shape[0]
    hyper: Any = state.hyper
    number = config.envs_per_agent * config.steps_per_update // config.steps_a_sequence
    key = jax.random.fold_in(state.shared.key, state.shared.update)
    permutations = ppo.shuffles(key, number, config.epochs, config.minibatches)
    coefficient, discounts = ppo.coefficients(hyper, learning_rate), Discounts(hyper.gamma, hyper.gae_lambda)
    by_agent = Experience(
        *(jax.tree.map(partial(_agent_first, num_agents=num_agents), part) for part in experience[:3]),
        memory=jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), experience.memory),
    )

    def one(
        agent: tuple[Learner, Experience, jax.Array, Discounts, ppo.Coefficients],
    ) -> tuple[Learner, dict[str, jax.Array]]:
        return learn(*agent, permutations, config.normalise_returns)

    agents = (state.learner, by_agent, per_agent(last_value, num_agents), discounts, coefficient)
    return jax.lax.map(one, agents, batch_size=chunk)


def _agent_first(leaf: jax.Array, num_agents: int) -> jax.Array:
    """Lay out [C, L, A * E, ...] as [A, C, L, E, ...]."""
    return jnp.moveaxis(leaf.reshape(*leaf.shape[:2], num_agents, -1, *leaf.shape[3:]), 2, 0)


def collect(
    state: TrainState, keys: jax.Array, env_params: Any, env: AnyVectorEnv, config: PPOConfig
) -> tuple[_Carry, Experience, dict[str, jax.Array]]:
    """Run `config.steps_per_update` steps with keys [A]; random numbers are those of agents/rollout.py.

    Returns what is carried on, the experience, and per-agent sums float32[A] over the episodes that ended.
    """
    num_agents, length = keys.shape[0], config.steps_a_sequence
    key_action, key_env = jax.vmap(jax.random.split, out_axes=1)(keys)
    noise = rollout.draw_noise(key_action, env, config)
    xs = jax.tree.map(
        lambda leaf: leaf.reshape(-1, length, *leaf.shape[1:]), (jnp.arange(config.steps_per_update), noise)
    )
    zeros = jnp.zeros(num_agents * config.envs_per_agent, jnp.float32)
    start = Collection(state.env_state, state.episodes, dict.fromkeys((*state.recent, "episodes"), zeros))
    fixed = _Fixed(state, env, env_params, config, key_env)

    def sequence(carry: _Carry, xs: tuple[jax.Array, jax.Array]) -> tuple[_Carry, tuple]:
        after, steps = jax.lax.scan(partial(_step, fixed), carry, xs)
        return after, (*steps, carry.memory)

    carry, parts = jax.lax.scan(sequence, _Carry(start, state.learner.memory), xs)
    finished = {name: per_agent(total, num_agents).sum(axis=1) for name, total in carry.collection.finished.items()}
    return carry, Experience(*parts), finished


def _run(params: Any, memory: Any, obs: jax.Array, first: jax.Array) -> tuple[Any, jax.Array, jax.Array]:
    """One step of a population: obs float32[A, E, D], first bool[A, E]; outputs [A, E, N], values [A, E]."""
    memory, outputs, value = jax.vmap(unroll, in_axes=(0, 0, 0, 0))(params, memory, obs[:, None], first[:, None])
    return memory, outputs[:, 0], value[:, 0]


def _step(fixed: _Fixed, carry: _Carry, xs: tuple[jax.Array, jax.Array]) -> tuple[_Carry, tuple]:
    index, noise = xs
    state, env = fixed.state, fixed.env
    num_agents, envs_per_agent = state.agent_key.shape[0], fixed.config.envs_per_agent
    rule, running = actions.of_env(env), carry.collection.episodes
    first = running.length == 0
    params = state.learner.params
    memory, outputs, value = _run(
        params, carry.memory, per_agent(running.obs, num_agents), per_agent(first, num_agents)
    )
    outputs = outputs.reshape(first.shape[0], -1)
    action = rule.sample(outputs, noise)
    keys = env_keys(env, jax.vmap(jax.random.fold_in, in_axes=(0, None))(fixed.key_env, index), fixed.config)
    env_state, result = env.step(keys, carry.collection.env_state, rule.to_env(action, env), fixed.env_params)
    reward = result.reward * jnp.repeat(state.hyper.reward_scale, envs_per_agent)
    gamma = jnp.repeat(state.hyper.gamma, envs_per_agent)
    episodes, discounted, finished = account(carry.collection, result, reward, gamma)
    stepped = Trajectory(
        obs=running.obs,
        action=action,
        log_prob=rule.log_prob(outputs, action),
        reward=reward,
        terminated=result.terminated,
        truncated=result.truncated,
        bootstrap=_truncation_value(params, memory, result, num_agents),
        discounted=discounted,
    )
    return _Carry(Collection(env_state, episodes, finished), memory), (stepped, value.reshape(-1), first)


def _truncation_value(params: Any, memory: Any, result: StepResult, num_agents: int) -> jax.Array:
    """Value float32[B] of the last observation of truncated episodes, remembered like the others."""
    obs = per_agent(result.final_obs, num_agents)
    return jax.lax.cond(
        jnp.any(result.truncated),
        lambda: _run(params, memory, obs, jnp.zeros(obs.shape[:2], bool))[2].reshape(-1),
        lambda: jnp.zeros(result.final_obs.shape[0], jnp.float32),
    )


def _last_values(state: TrainState, carry: _Carry) -> jax.Array:
    """Value float32[B] of the observations after the rollout."""
    episodes: Episodes = carry.collection.episodes
    num_agents = state.agent_key.shape[0]
    obs, first = per_agent(episodes.obs, num_agents), per_agent(episodes.length == 0, num_agents)
    return _run(state.learner.params, carry.memory, obs, first)[2].reshape(-1)


def learn(
    learner: Learner,
    experience: Experience,
    last_value: jax.Array,
    discounts: Discounts,
    coefficient: ppo.Coefficients,
    permutations: jax.Array,
    normalise_returns: bool,
) -> tuple[Learner, dict[str, jax.Array]]:
    """Update one agent: leaves of `experience` are [C, L, E, ...], its memory's [C, E, ...]; last_value float32[E].

    permutations int32[S, M] are the sequences of each of S steps, out of C * E. Returns the learner and metrics.
    """
    steps = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), experience.steps)  # [T, E, ...]
    returns, reward = learner.returns, steps.reward
    if normalise_returns:
        returns = normaliser.merge(returns, steps.discounted)
        reward = reward * (1.0 / normaliser.deviation(returns))
    value = experience.value.reshape(reward.shape)
    following = jnp.concatenate([value[1:], last_value[None]])
    next_value = jnp.where(steps.terminated, 0.0, jnp.where(steps.truncated, steps.bootstrap, following))
    advantage = ppo.advantages(reward, value, next_value, steps.terminated | steps.truncated, *discounts)
    batch = ppo.Batch(steps.obs, steps.action, steps.log_prob, advantage, advantage + value)
    length = experience.first.shape[1]
    cut = jax.tree.map(lambda leaf: as_sequences(leaf, length), batch)
    memory = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), experience.memory)
    sequences = Sequences(memory, as_sequences(experience.first.reshape(reward.shape), length), cut)
    metrics = {"explained_variance": explained_variance(batch), "reward_mean": jnp.mean(steps.reward)}
    params, optimizer, stats = ppo.fit(learner.params, learner.optimizer, sequences, coefficient, permutations, loss)
    return learner._replace(params=params, optimizer=optimizer, returns=returns), metrics | stats


def as_sequences(leaf: jax.Array, length: int) -> jax.Array:
    """Lay out [C * L, E, ...] as [C * E, L, ...]: sequences in the order of their memories."""
    cut = leaf.reshape(-1, length, *leaf.shape[1:])
    return jnp.moveaxis(cut, 2, 1).reshape(-1, length, *leaf.shape[2:])


def loss(
    params: memory_networks.Params, sequences: Sequences, coefficient: ppo.Coefficients
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """PPO's loss of a minibatch of sequences, run from the memory that each began with."""
    by_step = lambda leaf: jnp.moveaxis(leaf, 1, 0)  # noqa: E731
    batch = jax.tree.map(by_step, sequences.batch)
    _, outputs, value = unroll(params, sequences.memory, batch.obs, by_step(sequences.first))
    join = lambda leaf: leaf.reshape(-1, *leaf.shape[2:])  # noqa: E731
    return ppo.judge(join(outputs), join(value), jax.tree.map(join, batch), coefficient)
