"""What a rollout records, checked step by step in plain Python."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import hyperparameters, networks, rollout, train_state
from agents.learn import init_learner
from agents.train_config import PPORanges, Range, TrainConfig, fixed
from agents.train_state import Shared
from tests.oracles import ppo_oracle as oracle
from tests.support.probe_envs import PROBE, SMALL, ProbeParams

SCALES = (0.5, 2.0)
CONFIG = TrainConfig(
    num_agents=2,
    ppo=replace(SMALL, envs_per_agent=3, steps_per_update=11, minibatches=1),
    ranges=PPORanges(gamma=fixed(0.9), reward_scale=Range(*SCALES)),
    env_ranges={"length": Range(2.0, 5.0)},
)


@pytest.fixture(scope="module")
def rolled():
    """Two agents whose episodes last 4 and 3 steps, cut off at the first's limit and ended at the second's."""
    config = CONFIG.ppo
    hyper = hyperparameters.sample(CONFIG)._replace(
        reward_scale=jnp.asarray(SCALES), env={"length": jnp.asarray([4.0, 3.0])}
    )
    params = hyperparameters.batch_env_params(ProbeParams(match=1.0, constant=0.25, wrap=4), hyper, config)
    params = params._replace(truncates=jnp.repeat(jnp.asarray([True, False]), 3))

    def run():
        shared = Shared(jax.random.key(3), jnp.int32(0), jnp.int32(1))
        state = train_state.init(shared, jnp.arange(2), hyper, params, PROBE, config, init_learner)
        # Weights far from the start's, so that the two actions differ in probability.
        learner = state.learner._replace(params=jax.tree.map(lambda leaf: leaf + 0.2, state.learner.params))
        state = state._replace(learner=learner)
        _, episodes, trajectory, finished = rollout.collect(state, state.agent_key, params, PROBE, config)
        return state, episodes, trajectory, finished

    return jax.tree.map(np.asarray, jax.jit(lambda: jax.tree.map(_plain, run()))())


def _plain(leaf):
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def each_environment(trajectory):
    """Yield (agent, environment, its T steps as dicts)."""
    for env in range(6):
        steps = [{name: leaf[t, env] for name, leaf in trajectory._asdict().items()} for t in range(11)]
        yield env // 3, env, steps


def test_rewards_are_scaled_by_the_agent_and_episodes_end_as_their_own_parameters_say(rolled):
    _, _, trajectory, _ = rolled
    for agent, _, steps in each_environment(trajectory):
        length = (4, 3)[agent]
        for t, step in enumerate(steps):
            matched = (step["action"] == 1) == (step["obs"][0] > 0)
            assert step["reward"] == pytest.approx(SCALES[agent] * (matched + 0.25))
            assert (step["truncated"], step["terminated"]) == (
                (t + 1) % length == 0 and agent == 0,
                (t + 1) % length == 0 and agent == 1,
            )


def test_log_probabilities_are_those_of_the_acting_agents_own_network(rolled):
    state, _, trajectory, _ = rolled
    agents = networks.unstack(state.learner.params)
    for agent, _, steps in each_environment(trajectory):
        for step in steps:
            scores = oracle.forward(agents[agent]["actor"], step["obs"])
            expected = scores[step["action"]] - np.log(np.exp(scores).sum())
            assert step["log_prob"] == pytest.approx(expected, rel=1e-4)
    assert 0.1 < trajectory.action.mean() < 0.9


def test_a_truncated_step_carries_the_value_of_the_observation_before_the_reset(rolled):
    state, episodes, trajectory, _ = rolled
    critic = networks.unstack(state.learner.params)[0]["critic"]
    following = np.concatenate([trajectory.obs[1:], episodes.obs[None]])
    checked = 0
    for t, env in zip(*np.nonzero(trajectory.truncated), strict=True):
        # The clock starts again every 4 steps: before and after the reset it reads the same.
        assert trajectory.bootstrap[t, env] == pytest.approx(oracle.forward(critic, following[t, env])[0], rel=1e-4)
        checked += 1
    assert checked == 6


def test_discounted_returns_grow_within_an_episode_and_start_again_after_it(rolled):
    _, _, trajectory, _ = rolled
    for _, _, steps in each_environment(trajectory):
        running = 0.0
        for step in steps:
            running = 0.9 * running + step["reward"]
            assert step["discounted"] == pytest.approx(running, rel=1e-5)
            running = 0.0 if step["truncated"] or step["terminated"] else running


def test_ended_episodes_are_summed_by_agent_in_unscaled_reward(rolled):
    _, episodes, trajectory, finished = rolled
    totals = {name: np.zeros(2) for name in ("episodes", "episode_return", "episode_length", "episode_time")}
    for agent, env, steps in each_environment(trajectory):
        total, length = 0.0, 0
        for step in steps:
            total, length = total + step["reward"] / SCALES[agent], length + 1
            if step["truncated"] or step["terminated"]:
                for name, value in zip(totals, (1, total, length, length), strict=True):
                    totals[name][agent] += value
                total, length = 0.0, 0
        assert (episodes.total[env], episodes.length[env]) == (pytest.approx(total), length)
    assert set(finished) == set(totals)
    for name, expected in totals.items():
        np.testing.assert_allclose(finished[name], expected, rtol=1e-5, err_msg=name)


def test_every_agent_and_every_update_has_its_own_key(rolled):
    state, *_ = rolled
    keys = jax.random.wrap_key_data(jnp.asarray(state.agent_key))
    words = []
    for update in (0, 1, 2):
        shared = Shared(jax.random.key(3), jnp.int32(update), jnp.int32(3))
        moved = state._replace(agent_key=keys, shared=shared)
        words += np.asarray(jax.random.key_data(train_state.update_keys(moved))).tolist()
    assert len({tuple(word) for word in words}) == 6
