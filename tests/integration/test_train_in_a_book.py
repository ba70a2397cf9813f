"""Populations of PPO train in the order-book environments as they are: executions, and several learners as rows."""

import numpy as np
import pytest

from agents.population import train
from agents.train_config import PPOConfig, TrainConfig
from sim.multi_agent_vector import MultiAgentVector
from sim.registry import make_multi_agent
from sim.vector import GymnaxVector
from tests.support.markets import CONFIG, small_calibration, small_execution


def trained(vector, params, envs, out):
    sizes = PPOConfig(envs_per_agent=envs, steps_per_update=8, epochs=1, minibatches=2, hidden=(8,))
    return train(TrainConfig(num_agents=2, num_updates=2, ppo=sizes), vector, params, out)


@pytest.mark.slow
def test_ppo_trains_an_execution(tmp_path):
    env = small_execution()
    result = trained(GymnaxVector(env, phases=4), env.default_params, 4, tmp_path / "run")
    assert result.status == "done" and result.env_steps == 2 * 2 * 4 * 8


@pytest.mark.slow
def test_ppo_trains_learners_of_both_roles_in_one_book(tmp_path):
    env = make_multi_agent(
        small_calibration(),
        num_makers=1,
        config=CONFIG._replace(market=CONFIG.market._replace(num_learners=2)),
        pool_size=4,
        max_steps_in_episode=6,
        horizon=np.array([6, 0], np.int32),
    )
    result = trained(MultiAgentVector(env, phases=3), env.default_params, 4, tmp_path / "run")
    assert result.status == "done" and result.env_steps == 2 * 2 * 4 * 8
