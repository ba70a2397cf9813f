"""The replay buffer is a ring that holds the newest transitions, and samples are uniform over them."""

from collections import deque
from functools import partial

import jax
import numpy as np
import pytest

from agents import replay
from agents.replay import Transition

AGENTS, ENVS, CAPACITY = 2, 3, 12
BUFFER = replay.make_buffer(CAPACITY, 10)


def step(number):
    """One transition of each environment, its number in every field."""
    rows = 100.0 * np.arange(AGENTS)[:, None] + number * ENVS + np.arange(ENVS)
    obs = np.stack([rows, -rows], axis=-1).astype(np.float32)
    fields = (obs, rows.astype(np.int32), rows.astype(np.float32), rows % 2 == 1, obs + 0.5)
    return Transition(*map(jax.numpy.asarray, fields))


@pytest.mark.parametrize("steps", [1, 3, 4, 9])
def test_the_newest_transitions_are_kept_whole_and_the_oldest_overwritten(steps):
    add = jax.jit(partial(replay.add, BUFFER))
    state = replay.empty(BUFFER, step(0))
    expected = [deque(maxlen=CAPACITY) for _ in range(AGENTS)]
    for number in range(steps):
        state = add(state, step(number))
        for agent in range(AGENTS):
            expected[agent].extend(step(number).reward[agent])
    buffer = jax.tree.map(lambda leaf: leaf[:, 0], state.experience)
    for agent in range(AGENTS):
        stored = np.asarray(buffer.reward[agent])[: len(expected[agent])]
        assert sorted(stored) == sorted(expected[agent])
        np.testing.assert_array_equal(np.asarray(buffer.obs[agent])[: len(stored), 1], -stored)
        np.testing.assert_array_equal(np.asarray(buffer.action[agent])[: len(stored)], stored)
        np.testing.assert_array_equal(np.asarray(buffer.terminated[agent])[: len(stored)], stored % 2 == 1)
        np.testing.assert_array_equal(np.asarray(buffer.next_obs[agent])[: len(stored), 0], stored + 0.5)


@pytest.mark.parametrize("steps", [2, 9])
def test_samples_are_uniform_over_what_is_stored_and_nothing_else_comes(steps):
    large = replay.make_buffer(CAPACITY, CAPACITY)
    state = replay.empty(large, step(0))
    for number in range(steps):
        state = replay.add(large, state, step(number))
    keys = jax.random.split(jax.random.key(0), (1_000, AGENTS))
    drawn = jax.vmap(partial(replay.sample, large), in_axes=(0, None))(keys, state)
    drawn = jax.tree.map(
        lambda leaf: np.moveaxis(np.asarray(leaf), 1, 0).reshape(AGENTS, 12_000, *leaf.shape[3:]), drawn
    )
    stored = min(steps * ENVS, CAPACITY)
    for agent in range(AGENTS):
        values, counts = np.unique(drawn.reward[agent], return_counts=True)
        newest = 100 * agent + np.arange(steps * ENVS)[-stored:]
        np.testing.assert_array_equal(values, newest)
        expected = 12_000 / stored
        chi_square = ((counts - expected) ** 2 / expected).sum()
        assert chi_square < 31.3, "99.9 % quantile with 11 degrees of freedom"
        np.testing.assert_array_equal(drawn.next_obs[agent][:, 0], drawn.reward[agent] + 0.5)


def test_every_agent_samples_by_its_own_key_alone():
    state = replay.empty(BUFFER, step(0))
    for number in range(4):
        state = replay.add(BUFFER, state, step(number))
    keys = jax.random.split(jax.random.key(0), AGENTS)
    both = replay.sample(BUFFER, keys, state)
    second = replay.sample(BUFFER, keys[1:], jax.tree.map(lambda leaf: leaf[1:], state))
    np.testing.assert_array_equal(both.reward[1], second.reward[0])
    assert not np.array_equal(both.reward[0] + 100, both.reward[1])
