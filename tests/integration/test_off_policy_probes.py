"""DQN and SAC arrive at the known answers of the probes, every agent by its own hyperparameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import networks, sac
from agents.algorithms import ALGORITHMS
from agents.greedy import greedy_returns
from agents.hyperparameters import sample
from agents.networks import load_population
from agents.population import train
from agents.train_config import DQNRanges, Range, SACRanges, TrainConfig, fixed
from tests.support.probe_envs import CONTINUOUS_PROBE, PROBE, SMALL_DQN, SMALL_SAC, ProbeParams

ENVS = {"dqn": PROBE, "sac": CONTINUOUS_PROBE}
ALGORITHM = pytest.mark.parametrize("name", ["dqn", "sac"])
GAMMA = fixed(0.9)


def config(name, gamma=GAMMA, num_updates=80, constant=0.0, temperature=1e-4):
    shared = {"final_learning_rate_frac": fixed(0.02), "gamma": gamma, "tau": fixed(0.05)}
    if name == "dqn":
        ranges = DQNRanges(learning_rate=fixed(0.01), epsilon_end=fixed(1.0), huber_threshold=fixed(10.0), **shared)
        own = {"dqn": SMALL_DQN, "dqn_ranges": ranges}
    else:  # hardly any entropy: what it is worth would come on top of the rewards
        ranges = SACRanges(
            actor_learning_rate=fixed(0.01),
            critic_learning_rate=fixed(0.01),
            temperature_learning_rate=fixed(0.0),
            initial_temperature=fixed(temperature),
            **shared,
        )
        own = {"sac": SMALL_SAC, "sac_ranges": ranges}
    constant = constant if isinstance(constant, Range) else fixed(constant)
    drawn = {"constant": constant}  # always drawn: the same leaves for all tests, so one compilation
    return TrainConfig(
        num_agents=4, num_updates=num_updates, algorithm=name, env_ranges=drawn, checkpoint_every=0, **own
    )


def values(name, run_dir, signal, clock):
    """What every agent says that the best action is worth at one observation, float32[A]."""
    params, obs = load_population(run_dir), jnp.asarray([signal, clock])
    if name == "dqn":
        return np.asarray(jax.vmap(networks.logits, in_axes=(0, None))(params["actor"], obs)).max(axis=-1)

    def of_agent(agent):
        return sac.critic_values(agent, obs, sac.act_greedy(agent, obs))[0]

    return np.asarray(jax.vmap(of_agent)(params))


@ALGORITHM
def test_the_value_of_a_last_reward_follows_each_agents_own_reward(name, tmp_path):
    settings = config(name, constant=Range(scale="choice", choices=(1.0, -2.0)))
    result = train(settings, ENVS[name], ProbeParams(length=1), tmp_path)
    reward = np.asarray(sample(settings).env["constant"])
    assert set(reward) == {1.0, -2.0}, "both rewards must be drawn"
    for signal in (-1.0, 1.0):
        np.testing.assert_allclose(values(name, tmp_path, signal, 0.0), reward, atol=0.05)
    assert result.final["episode_length"]["mean"] == 1.0


@ALGORITHM
def test_a_reward_at_the_episodes_end_is_discounted_by_each_agents_own_gamma(name, tmp_path):
    settings = config(name, gamma=Range(scale="choice", choices=(0.5, 0.9)))
    train(settings, ENVS[name], ProbeParams(last=1.0, length=3), tmp_path)
    gamma = np.asarray(sample(settings).gamma)
    assert len(set(gamma)) == 2, "both discounts must be drawn"
    for time, left in ((0, 2), (1, 1), (2, 0)):
        np.testing.assert_allclose(values(name, tmp_path, 1.0, time / 3), gamma**left, atol=0.05)


@ALGORITHM
def test_a_time_limit_bootstraps_from_the_observation_before_the_reset(name, tmp_path):
    """1 at odd times for ever is worth 1 / (1 - gamma^2) then; the observation after the reset would give 4.4."""
    params = ProbeParams(odd=1.0, length=5, wrap=2, truncates=True)
    train(config(name, num_updates=120), ENVS[name], params, tmp_path)
    for signal in (-1.0, 1.0):
        np.testing.assert_allclose(values(name, tmp_path, signal, 0.5), 1 / 0.19, rtol=0.03)
        np.testing.assert_allclose(values(name, tmp_path, signal, 0.0), 0.9 / 0.19, rtol=0.03)


@ALGORITHM
def test_an_ending_does_not_bootstrap(name, tmp_path):
    train(config(name, constant=1.0), ENVS[name], ProbeParams(length=5, wrap=5), tmp_path)
    for time in range(5):
        left = (1 - 0.9 ** (5 - time)) / 0.1
        np.testing.assert_allclose(values(name, tmp_path, 1.0, time / 5), left, rtol=0.05)


@ALGORITHM
def test_the_better_action_is_found_by_every_agent_and_played_greedily(name, tmp_path):
    env, params = ENVS[name], ProbeParams(match=1.0)
    # Without exploration an agent can stay at a bound: 11 of 32 did at a temperature of 1e-4, none from 0.02 to 0.1.
    train(config(name, temperature=0.05), env, params, tmp_path)
    policies, algorithm = load_population(tmp_path), ALGORITHMS[name]
    for signal, best in ((-1.0, (0, 0.5)), (1.0, (1, 1.5))):
        obs = jnp.broadcast_to(jnp.asarray([[signal, 1 / 3]]), (4, 1, 2))
        action = np.asarray(algorithm.act_greedy(policies, obs, env)).reshape(4)
        np.testing.assert_allclose(action, best[name == "sac"], atol=0.15)
    returns = greedy_returns(algorithm, policies, env, params, episodes=5, max_steps=10)
    np.testing.assert_allclose(returns, 3.0, atol=0.1)  # uniform actions earn -1.75
    with pytest.raises(ValueError, match="20 episodes last longer than max_steps = 2"):
        greedy_returns(algorithm, policies, env, params, episodes=5, max_steps=2)
