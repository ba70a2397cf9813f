"""Environments whose answer is known: training must arrive at it, for every agent by its own hyperparameters."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.hyperparameters import sample
from agents.networks import load_population, value
from agents.policy import population_logits
from agents.population import train
from agents.train_config import PPORanges, Range, TrainConfig, fixed
from tests.support.probe_envs import PROBE, SMALL, ProbeParams

DISCOUNT = fixed(0.9)
NOTHING = fixed(0.0)


def config(gamma=DISCOUNT, num_updates=150, constant=NOTHING):
    ranges = PPORanges(learning_rate=fixed(0.01), final_learning_rate_frac=fixed(0.05), gamma=gamma)
    drawn = {"constant": constant}  # always drawn: the same leaves for all tests, so one compilation
    return TrainConfig(
        num_agents=6, num_updates=num_updates, ppo=SMALL, ranges=ranges, env_ranges=drawn, checkpoint_every=0
    )


def values(run_dir, signal, clock):
    """Every agent's value float32[A] at one observation."""
    critics = load_population(run_dir)["critic"]
    return np.asarray(jax.vmap(value, in_axes=(0, None))(critics, jnp.asarray([signal, clock])))


def test_the_value_of_a_reward_of_one_is_one_and_follows_each_agents_own_reward(tmp_path):
    settings = config(constant=Range(scale="choice", choices=(1.0, -2.0)))
    result = train(settings, PROBE, ProbeParams(length=1), tmp_path)
    reward = np.asarray(sample(settings).env["constant"])
    assert set(reward) == {1.0, -2.0}, "both rewards must be drawn"
    for signal in (-1.0, 1.0):
        np.testing.assert_allclose(values(tmp_path, signal, 0.0), reward, atol=0.03)
    assert result.final["episode_return"]["q05"] == -2.0
    assert result.final["episode_length"]["mean"] == 1.0
    assert "episode_time" in result.final
    assert "episode_not_a_number_an_environment" not in result.final


def test_a_reward_at_the_episodes_end_is_discounted_by_each_agents_own_gamma(tmp_path):
    settings = config(gamma=Range(scale="choice", choices=(0.5, 0.9)))
    train(settings, PROBE, ProbeParams(last=1.0, length=3), tmp_path)
    gamma = np.asarray(sample(settings).gamma)
    assert len(set(gamma)) == 2, "both discounts must be drawn"
    for time, left in ((0, 2), (1, 1), (2, 0)):
        np.testing.assert_allclose(values(tmp_path, 1.0, time / 3), gamma**left, atol=0.04)


def test_a_time_limit_bootstraps_from_the_observation_before_the_reset(tmp_path):
    """1 at odd times for ever is worth V1 = 1 / (1 - gamma^2) then, gamma V1 at even times, cut off or not.

    Episodes are cut off at time 5, which is odd, and begin at time 0: going on from the observation after the reset
    would give 4.4 and 3.8 in place of 5.3 and 4.7.
    """
    params = ProbeParams(odd=1.0, length=5, wrap=2, truncates=True)
    train(config(num_updates=400), PROBE, params, tmp_path)
    for signal in (-1.0, 1.0):
        np.testing.assert_allclose(values(tmp_path, signal, 0.5), 1 / 0.19, rtol=0.02)
        np.testing.assert_allclose(values(tmp_path, signal, 0.0), 0.9 / 0.19, rtol=0.02)


def test_an_ending_does_not_bootstrap(tmp_path):
    train(config(constant=fixed(1.0)), PROBE, ProbeParams(length=5, wrap=5), tmp_path)
    for time in range(5):
        left = (1 - 0.9 ** (5 - time)) / 0.1
        np.testing.assert_allclose(values(tmp_path, 1.0, time / 5), left, rtol=0.05)


def test_the_better_action_is_found_by_every_agent(tmp_path):
    train(config(), PROBE, ProbeParams(match=1.0), tmp_path)
    actors = load_population(tmp_path)
    for signal, best in ((-1.0, 0), (1.0, 1)):
        obs = jnp.broadcast_to(jnp.asarray([[signal, 1 / 3]]), (6, 1, 2))
        probability = jax.nn.softmax(population_logits(actors, obs))[:, 0, best]
        assert (np.asarray(probability) > 0.9).all(), probability


def test_the_return_normaliser_makes_learning_independent_of_the_rewards_size(tmp_path):
    settings = replace(config(num_updates=80), ppo=replace(SMALL, normalise_returns=True))
    for size in (1e-3, 1e4):
        result = train(settings, PROBE, ProbeParams(match=size), tmp_path / str(size))
        assert result.final["episode_return"]["q05"] == pytest.approx(3 * size, rel=0.1)
