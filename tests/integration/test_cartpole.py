"""A population learns CartPole from gymnax, through the repository's own vector environment."""

import gymnax
import numpy as np

from agents.population import train
from agents.train_config import PPOConfig, PPORanges, Range, TrainConfig, fixed
from sim.vector import from_gymnax


def test_every_agent_of_a_population_learns_to_balance_the_pole(tmp_path):
    env, params = gymnax.make("CartPole-v1")
    config = TrainConfig(
        num_agents=8,
        num_updates=100,
        ppo=PPOConfig(envs_per_agent=4, steps_per_update=128, hidden=(32, 32), updates_per_call=20, recent_updates=4),
        ranges=PPORanges(
            learning_rate=Range(2e-3, 4e-3, "log"), final_learning_rate_frac=fixed(0.0), gae_lambda=fixed(0.95)
        ),
        checkpoint_every=0,
    )
    seen = []
    result = train(config, from_gymnax(env), params, tmp_path, on_update=seen.append)
    first, last = seen[0].metrics["episode_return"], result.final["episode_return"]
    assert first["q95"] < 60.0
    assert last["q05"] > 400.0, last
    assert last["q50"] > 475.0, last
    assert np.isclose(last["q50"], result.final["episode_length"]["q50"]), "one reward a step"
