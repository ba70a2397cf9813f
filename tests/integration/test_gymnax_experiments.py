"""The shipped configurations of gymnax environments load, and train through the same command as a market's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.algorithms import ALGORITHMS
from experiments.config import ConfigError
from experiments.experiment import CONFIGS, MARKET_MAKING, load_experiment
from experiments.training import load_market_run, run_training

SMALL = ("train.num_agents=2", "train.num_updates=2", "train.checkpoint_every=0")


def test_every_shipped_configuration_loads_with_the_algorithm_of_its_name():
    loaded = {path.stem: load_experiment(path.stem) for path in CONFIGS.glob("*.yaml")}
    assert {"cartpole_ppo", "cartpole_dqn", "pendulum_sac", "quickstart"} <= set(loaded)
    for name, config in loaded.items():
        algorithm = name.rsplit("_", 1)[-1]
        market = algorithm not in ALGORITHMS
        assert config.name == name
        assert config.train.algorithm == ("ppo" if market else algorithm)
        assert (config.environment == MARKET_MAKING) == market
    steps = {
        name: config.train.steps_per_update * config.train.num_updates // config.train.num_agents
        for name, config in loaded.items()
    }
    assert (steps["cartpole_dqn"], steps["pendulum_sac"]) == (200_000, 30_000)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("cartpole_ppo", ("train.ppo.updates_per_call=1", "train.ppo.steps_per_update=16", "train.ppo.hidden=[8]")),
        ("cartpole_dqn", ("train.dqn.updates_per_call=1", "train.dqn.steps_per_update=16", "train.dqn.hidden=[8]")),
        ("pendulum_sac", ("train.sac.updates_per_call=1", "train.sac.steps_per_update=16", "train.sac.hidden=[8]")),
    ],
)
def test_a_gymnax_environment_is_trained_and_its_run_says_that_it_is_no_market(name, sizes, tmp_path: Path):
    config = load_experiment(name, (*SMALL, *sizes))
    result = run_training(config, tmp_path, resume=False)
    assert (result.status, result.agents, result.updates) == ("done", 2, 2)
    origin = json.loads((tmp_path / "provenance.json").read_text())
    assert origin["environment"] == config.environment
    with pytest.raises(ValueError, match=f"trained in {config.environment}; only runs in market_making are judged"):
        load_market_run(tmp_path)


def test_the_train_command_trains_a_gymnax_environment(tmp_path: Path):
    settings = (*SMALL, "train.ppo.updates_per_call=1", "train.ppo.steps_per_update=16", "train.ppo.hidden=[8]")
    options = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "experiments", "train", "cartpole_ppo", "--out", str(tmp_path / "run"), *options]
    environment = {**os.environ, "WANDB_MODE": "disabled", "BOOKSWARM_HOME": str(tmp_path)}
    done = subprocess.run([*command, "--json"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "done"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.dqn.quantile=3", "unknown key 'train.dqn.quantile'; did you mean 'quantiles'"),
        ("train.dqn_ranges.epsilon={}", "unknown key 'train.dqn_ranges.epsilon'.*epsilon_start"),
        ("train.algorithm=a2c", "key 'train.algorithm' holds 'a2c', expected one of 'ppo', 'dqn', 'sac'"),
        ("train.algorithm=sac", "dqn is set, but algorithm is 'sac', which reads sac and sac_ranges"),
        ("environment=CartPole", "environment is 'CartPole'; valid: market_making, CartPole-v1"),
        ("market.capacity=64", "market is set, but environment CartPole-v1 has none"),
    ],
)
def test_a_mistake_in_a_configuration_is_named(setting, message):
    with pytest.raises(ConfigError, match=message):
        load_experiment("cartpole_dqn", (setting,))
