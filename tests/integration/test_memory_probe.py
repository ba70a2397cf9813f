"""Policies that remember earn what a feed-forward one provably cannot."""

from dataclasses import replace

import numpy as np
import pytest

from agents.algorithms import ALGORITHMS
from agents.greedy import greedy_returns
from agents.networks import check_feed_forward, load_population
from agents.population import train
from agents.train_config import PPORanges, TrainConfig, fixed
from tests.support.probe_envs import MEMORY_PROBE, SMALL, ProbeParams

pytestmark = pytest.mark.slow
LENGTH = 5  # the signal is shown at time 0, the action that counts is taken at time 4
PARAMS = ProbeParams(match=1.0, length=LENGTH, wrap=LENGTH)
SIZES = replace(
    SMALL, envs_per_agent=16, steps_per_update=20, epochs=4, memory_width=16, window=6, sequence_length=10, hidden=(8,)
)
RANGES = PPORanges(
    learning_rate=fixed(0.01), final_learning_rate_frac=fixed(0.1), gamma=fixed(0.95), entropy_coef=fixed(0.01)
)
KINDS = pytest.mark.parametrize("kind", ["gru", "attention"])


def config(kind, num_updates=60):
    return TrainConfig(
        num_agents=2, num_updates=num_updates, ppo=replace(SIZES, network=kind), ranges=RANGES, checkpoint_every=0
    )


def returns(run_dir):
    params = load_population(run_dir)
    played = greedy_returns(ALGORITHMS["ppo"], params, MEMORY_PROBE, PARAMS, episodes=400, max_steps=LENGTH)
    return params, played.mean(axis=1)


@KINDS
def test_a_policy_that_remembers_finds_the_signal_shown_four_steps_before(kind, tmp_path):
    train(config(kind), MEMORY_PROBE, PARAMS, tmp_path)
    params, mean = returns(tmp_path)
    assert (mean > 0.97).all(), mean
    with pytest.raises(ValueError, match=r"export takes feed-forward networks .*this population's remember"):
        check_feed_forward(params, "export")


def test_a_feed_forward_policy_earns_half_of_it_whatever_it_learns(tmp_path):
    train(config("mlp"), MEMORY_PROBE, PARAMS, tmp_path)
    params, mean = returns(tmp_path)
    check_feed_forward(params, "export")
    np.testing.assert_allclose(mean, 0.5, atol=4 * 0.5 / np.sqrt(400))
