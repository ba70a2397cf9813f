"""What a sweep searches is checked before anything runs, and says the same to Optuna and to W&B."""

import pytest

from experiments.config import ConfigError
from experiments.experiment import CONFIGS
from experiments.sweep_config import Interval, experiment_of, load_sweep, wandb_sweep
from tests.support.sweeps import SWEEP, written


def test_the_budget_of_steps_is_the_same_for_every_shape(tmp_path):
    sweep = load_sweep(written(tmp_path, env_steps=4096))
    for steps, updates in ((64, 32), (128, 16)):
        config = experiment_of(sweep, {"train.ppo.steps_per_update": steps})
        assert config.train.num_updates == updates
    with pytest.raises(ConfigError, match=r"sweep.env_steps' 4096 is below one call of 8192 steps"):
        experiment_of(sweep, {"train.ppo.steps_per_update": 4096})


def test_the_same_search_in_the_words_of_wandb(tmp_path):
    space = {
        "train.ppo.hidden": {"choices": [[4], [8, 8]]},
        "train.num_agents": {"low": 2, "high": 8, "whole": True},
        "train.ranges.learning_rate.high": {"low": "1e-4", "high": 1e-2, "scale": "log"},
    }
    text = SWEEP.replace("  ppo:", "  ranges: {learning_rate: {low: 1.0e-5, high: 1.0e-3}}\n  ppo:")
    told = wandb_sweep(load_sweep(written(tmp_path, text, space=space)))
    assert told["metric"] == {"name": "episode_return/mean", "goal": "maximize"} and told["method"] == "bayes"
    assert told["parameters"] == {
        "train.ppo.hidden": {"values": [[4], [8, 8]]},
        "train.num_agents": {"distribution": "int_uniform", "min": 2, "max": 8},
        "train.ranges.learning_rate.high": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2},
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {"train.ppo.hiden": {"choices": [[4], [8]]}}}, "key 'train.ppo.hiden'; did you mean 'hidden'"),
        ({"space": {"train.ppo.epochs": {"choices": [1, 0]}}}, "epochs is 0; valid: 1 or more"),
        ({"space": {"train.ppo.epochs": {"low": 1, "high": 2}}}, "key 'train.ppo.epochs' holds 1.0, expected int"),
        ({"space": {"train.ppo.epochs": {"low": 3, "high": 2}}}, "low 3.0 is not below high 2.0"),
        ({"space": {"train.ppo.epochs": {"low": 0, "high": 2, "scale": "log"}}}, "is not above 0"),
        ({"space": {"train.ppo.epochs": {"low": 0.5, "high": 2, "whole": True}}}, "must be whole numbers"),
        ({"space": {"train.ppo.epochs": {"choices": [1]}}}, "a list of two or more"),
        ({"space": {"train.ppo.epochs": {"choices": [1, 1]}}}, "holds a choice twice"),
        ({"space": {}}, "key 'sweep.space' holds {}"),
        ({"statistic": "median"}, "statistic is 'median'; valid: q05"),
        ({"trials": 5}, "unknown key 'sweep.trials'"),
        ({"base": "quickstart"}, "stands beside sweep.base"),
    ],
)
def test_a_mistake_in_what_is_searched_is_named_before_anything_runs(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        load_sweep(written(tmp_path, **changes))


def test_the_shipped_sweep_is_of_the_quickstart_and_a_plain_experiment_is_no_sweep():
    sweep = load_sweep("quickstart")
    config = experiment_of(sweep, {"train.ppo.steps_per_update": 16})
    assert sweep.objective == "episode_pnl" and config.train.num_updates == 120
    assert sweep.space["train.ppo.epochs"] == Interval(1, 4, whole=True)
    with pytest.raises(ConfigError, match="missing key 'sweep'"):
        load_sweep(str(CONFIGS / "quickstart.yaml"))
