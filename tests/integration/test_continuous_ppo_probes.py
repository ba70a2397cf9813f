"""PPO with a Gaussian policy arrives at the known answers of the continuous probe."""

import jax
import jax.numpy as jnp
import numpy as np

from agents import hyperparameters, sharding
from agents.algorithms import ALGORITHMS
from agents.greedy import greedy_returns
from agents.networks import load_population, logits, value
from agents.population import train
from agents.program import get_program
from agents.train_config import PPORanges, Range, TrainConfig, fixed
from tests.support.probe_envs import CONTINUOUS_PROBE, SMALL, ProbeParams

DISCOUNT, SOME, NOTHING = fixed(0.9), fixed(0.003), fixed(0.0)


def config(gamma=DISCOUNT, num_updates=150, constant=NOTHING, entropy=SOME):
    ranges = PPORanges(
        learning_rate=fixed(0.01), final_learning_rate_frac=fixed(0.05), gamma=gamma, entropy_coef=entropy
    )
    drawn = {"constant": constant}  # always drawn: the same leaves for all tests, so one compilation
    return TrainConfig(
        num_agents=6, num_updates=num_updates, ppo=SMALL, ranges=ranges, env_ranges=drawn, checkpoint_every=0
    )


def values(run_dir, signal, clock):
    critics = load_population(run_dir)["critic"]
    return np.asarray(jax.vmap(value, in_axes=(0, None))(critics, jnp.asarray([signal, clock])))


def test_the_best_action_is_found_by_every_agent_and_played_greedily_with_one_compilation(tmp_path):
    params = ProbeParams(match=1.0)
    train(config(), CONTINUOUS_PROBE, params, tmp_path)
    policies, algorithm = load_population(tmp_path), ALGORITHMS["ppo"]
    for signal, best in ((-1.0, 0.5), (1.0, 1.5)):
        obs = jnp.broadcast_to(jnp.asarray([[signal, 1 / 3]]), (6, 1, 2))
        action = np.asarray(algorithm.act_greedy(policies, obs, CONTINUOUS_PROBE))
        assert action.shape == (6, 1, 1)
        np.testing.assert_allclose(action, best, atol=0.1)
    returns = greedy_returns(algorithm, policies, CONTINUOUS_PROBE, params, episodes=5, max_steps=10)
    np.testing.assert_allclose(returns, 3.0, atol=0.05)
    assert get_program(CONTINUOUS_PROBE, SMALL, sharding.make_mesh(6)).traces == 1


def test_values_follow_each_agents_own_reward_and_discount(tmp_path):
    settings = config(
        gamma=Range(scale="choice", choices=(0.5, 0.9)), constant=Range(scale="choice", choices=(1.0, -2.0))
    )
    train(settings, CONTINUOUS_PROBE, ProbeParams(length=3), tmp_path)
    drawn = hyperparameters.sample(settings)
    gamma, constant = np.asarray(drawn.gamma), np.asarray(drawn.env["constant"])
    assert len(set(zip(gamma.tolist(), constant.tolist(), strict=True))) > 2
    for time in range(3):
        expected = constant * (1 - gamma ** (3 - time)) / (1 - gamma)
        np.testing.assert_allclose(values(tmp_path, 1.0, time / 3), expected, atol=0.05, rtol=0.05)


def test_a_bonus_far_below_or_above_what_theory_says_narrows_or_widens_the_policy(tmp_path):
    """In one-step episodes the advantage is -match (z^2 - 1) of the standard normal z, over its deviation sqrt(2).

    Its product with the density's slope in log std, z^2 - 1, has the mean -sqrt(2): a bonus above that widens.
    """
    settings = config(entropy=Range(scale="choice", choices=(0.1, 2.1)), num_updates=60)
    train(settings, CONTINUOUS_PROBE, ProbeParams(match=1.0, length=1), tmp_path)
    bonus = np.asarray(hyperparameters.sample(settings).entropy_coef)
    assert len(set(bonus)) == 2, "both must be drawn"
    layers = load_population(tmp_path)["actor"]
    raw = np.asarray(jax.vmap(logits, in_axes=(0, None))(layers, jnp.asarray([1.0, 0.0])))[:, 1]
    std = np.exp(-5.0 + 3.5 * (np.tanh(raw) + 1.0))
    assert std[bonus < 2**0.5].max() < 0.25, std
    assert std[bonus > 2**0.5].min() > 1.0, std
