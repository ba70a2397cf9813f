"""The shipped configurations of gymnax environments load, and train through the same command as a market's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.algorithms import ALGORITHMS
from experiments.config import ConfigError
from experiments.environments import EnvironmentSettings
from experiments.experiment import CONFIGS, MARKET_MAKING, load_experiment
from experiments.training import load_market_run, load_run_config, run_training, training_env

KNOWN_OPTIMA = ("merton", "almgren_chriss")
SMALL = ("train.num_agents=2", "train.num_updates=2", "train.checkpoint_every=0")


def test_every_shipped_configuration_loads_with_the_algorithm_of_its_name():
    loaded = {path.stem: load_experiment(path.stem) for path in CONFIGS.glob("*.yaml")}
    assert {"cartpole_ppo", "cartpole_dqn", "pendulum_sac", "quickstart"} <= set(loaded)
    for name, config in loaded.items():
        algorithm = name.rsplit("_", 1)[-1]
        registered = isinstance(config.environment, EnvironmentSettings)
        market = algorithm not in ALGORITHMS and not registered
        assert config.name == name
        assert registered == (name in KNOWN_OPTIMA)
        assert config.train.algorithm == (algorithm if algorithm in ALGORITHMS else "ppo")
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
        ("merton", ("train.ppo.updates_per_call=1", "environment.options.path_count=8", "train.ppo.envs_per_agent=2")),
        ("almgren_chriss", ("train.ppo.updates_per_call=1", "train.ppo.envs_per_agent=2", "train.ppo.hidden=[8]")),
        ("pendulum_sac", ("train.sac.updates_per_call=1", "train.sac.steps_per_update=16", "train.sac.hidden=[8]")),
    ],
)
def test_a_gymnax_environment_is_trained_and_its_run_says_that_it_is_no_market(name, sizes, tmp_path: Path):
    config = load_experiment(name, (*SMALL, *sizes))
    result = run_training(config, tmp_path, resume=False)
    assert (result.status, result.agents, result.updates) == ("done", 2, 2)
    origin = json.loads((tmp_path / "provenance.json").read_text())
    assert origin["environment"] == config.environment_name
    assert load_run_config(tmp_path) == config
    with pytest.raises(
        ValueError, match=f"trained in {config.environment_name}; only runs in market_making are judged"
    ):
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
        ("train.pbt.every_update=3", "unknown key 'train.pbt.every_update'; did you mean 'every_updates'"),
        ("train.pbt={every_updates: 2, factors: [2]}", r"key 'train.pbt.factors' holds \[2\], expected a list"),
        ("train.ppo.network=lstm", "key 'train.ppo.network' holds 'lstm', expected one of 'mlp', 'gru', 'attention'"),
        ("train.algorithm=a2c", "key 'train.algorithm' holds 'a2c', expected one of 'ppo', 'dqn', 'sac'"),
        ("train.algorithm=sac", "dqn is set, but algorithm is 'sac', which reads sac and sac_ranges"),
        ("environment=CartPole", "environment is 'CartPole'; valid: market_making, CartPole-v1"),
        ("market.capacity=64", "market is set, but environment CartPole-v1 has none"),
    ],
)
def test_a_mistake_in_a_configuration_is_named(setting, message):
    with pytest.raises(ConfigError, match=message):
        load_experiment("cartpole_dqn", (setting,))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("environment.name=futures", "key 'environment': name is 'futures'; valid: execution_on_prices, pairs"),
        ("environment.name=market_making", "name is 'market_making'; valid: "),
        ("environment.options.fee_bp=1", "options has no key 'fee_bp' in trading; valid: .*fee_bps"),
        ("environment.option={}", "unknown key 'environment.option'; did you mean 'options'"),
        ("environment.options=3", "key 'environment.options' holds 3, expected dict"),
        ("environment=[trading]", "key 'environment' holds .*, expected"),
        ("market.capacity=64", "market is set, but environment trading has none"),
    ],
)
def test_a_mistake_in_a_registered_environment_is_named_when_the_file_is_read(setting, message):
    with pytest.raises(ConfigError, match=message):
        load_experiment("merton", (setting,))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("process_params={drift: 1}", "process_params has no field 'drift' in geometric_walk; valid: start_price"),
        ("process_params=3", "process_params is 3; valid: a mapping"),
        ("fee_bps=.nan", "environment.options: fee_bps nan is not a finite number"),
        ("process=walk", "price model 'walk' is not one of"),
    ],
)
def test_a_value_that_an_environment_refuses_is_named_when_it_is_made(setting, message, tmp_path):
    config = load_experiment("merton", ("environment.options.path_count=8", f"environment.options.{setting}"))
    with pytest.raises(ValueError, match=message):
        training_env(config, tmp_path)


def test_a_number_in_an_option_may_be_written_in_the_short_form_that_yaml_reads_as_text():
    config = load_experiment("almgren_chriss", ("environment.options.impact={name: linear, permanent: 3e-7}",))
    assert isinstance(config.environment, EnvironmentSettings)
    assert config.environment.options["impact"]["permanent"] == 3e-7
