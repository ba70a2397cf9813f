"""`sweep`: trials are runs, and a sweep that was stopped goes on as if it had not been."""

import json
import os
from pathlib import Path

import jax
import optuna
import pytest
import yaml
from jax.experimental.compilation_cache import compilation_cache

from experiments.config import ConfigError
from experiments.sweep import run_sweep
from experiments.sweep_config import experiment_of, load_sweep, wandb_sweep
from experiments.training import load_run_config
from tests.support.sweeps import SWEEP, written

SEED_THAT_DRAWS_BOTH = 2


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory):
    """Trials of one shape share their compiled program, as they do under the command."""
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("cache")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    before, os.environ["WANDB_MODE"] = os.environ.get("WANDB_MODE"), "disabled"
    yield
    os.environ.pop("WANDB_MODE")
    if before is not None:
        os.environ["WANDB_MODE"] = before
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    sweep = load_sweep(written(folder))
    out = folder / "out"
    first = run_sweep(sweep, out, 1, seed=3)
    return sweep, out, first, run_sweep(sweep, out, 3, seed=3, resume=True)


def test_trials_are_runs_with_their_values_and_the_best_is_the_largest(finished):
    _, out, first, found = finished
    assert (first["trials"], found["trials"], found["complete"]) == (1, 3, 3)
    assert found["best"] == max(found["table"], key=lambda row: row["value"])
    for row in found["table"]:
        config = load_run_config(Path(row["run"]))
        assert list(config.train.ppo.hidden) == row["params"]["train.ppo.hidden"]
        assert config.train.seed == row["params"]["train.seed"] in range(10)
        told = json.loads((Path(row["run"]) / "run.json").read_text())
        assert told["final"]["episode_return"]["mean"] == pytest.approx(row["value"])
    assert first["table"][0] == found["table"][0] and (out / "trial_0002").is_dir()


def test_a_resumed_sweep_makes_the_trials_of_one_that_was_not_stopped(finished, tmp_path):
    sweep, _, _, found = finished
    whole = run_sweep(sweep, tmp_path / "whole", 2, seed=3)
    for one, other in zip(whole["table"], found["table"], strict=False):
        assert (one["params"], one["value"]) == (other["params"], other["value"])


def test_a_trial_whose_process_died_is_taken_up_again_and_counted_once(finished):
    sweep, out, _, found = finished
    from experiments.sweep import _open

    study = _open(sweep, out)
    trial = study.ask()
    trial.suggest_categorical("train.ppo.hidden", sweep.space["train.ppo.hidden"])
    trial.suggest_int("train.seed", 0, 9)
    trial.set_user_attr("directory", "trial_0003")
    after = run_sweep(sweep, out, 4, seed=3, resume=True)
    assert after["trials"] == 4 and after["table"][:3] == found["table"]
    last = after["table"][3]
    assert last["run"].endswith("trial_0003") and last["state"] == "complete"
    assert json.dumps(last["params"]["train.ppo.hidden"]) == trial.params["train.ppo.hidden"]
    assert optuna.load_study(study_name="sweep", storage=study._storage).trials[3].state.name == "FAIL"


def test_another_search_or_a_forgotten_resume_does_not_touch_a_sweep(finished, tmp_path):
    sweep, out, *_ = finished
    with pytest.raises(FileExistsError, match="--resume"):
        run_sweep(sweep, out, 3, seed=3)
    with pytest.raises(ValueError, match="seed is not what is asked for"):
        run_sweep(sweep, out, 3, seed=4, resume=True)
    with pytest.raises(ValueError, match="space is not what is asked for"):
        other = {"train.seed": {"low": 0, "high": 3, "whole": True}}
        run_sweep(load_sweep(written(tmp_path, space=other)), out, 3, seed=3, resume=True)


def test_values_that_do_not_go_together_fail_with_their_reason_and_the_sweep_goes_on(tmp_path):
    space = {"train.ppo.minibatches": {"choices": [2, 64]}, "train.ppo.steps_per_update": {"choices": [64, 65]}}
    sweep = load_sweep(written(tmp_path, space=space))
    with pytest.raises(ConfigError, match="minibatches is 64; it must divide"):
        experiment_of(sweep, {"train.ppo.minibatches": 64, "train.ppo.steps_per_update": 65})
    found = run_sweep(sweep, tmp_path / "out", 2, seed=0)  # draws 64 and 65, then 2 and 64
    failed, whole = found["table"]
    assert (found["trials"], found["fail"], failed["state"], whole["state"]) == (2, 1, "fail", "complete")
    assert "must divide" in failed["reason"] and failed["value"] is None and found["best"] == whole


def test_where_tracking_is_online_the_search_is_also_written_for_wandb(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    # No two of these go together: nothing is trained, so nothing is uploaded.
    space = {"train.ppo.minibatches": {"choices": [64, 128]}, "train.ppo.steps_per_update": {"choices": [65, 67]}}
    sweep = load_sweep(written(tmp_path, space=space))
    found = run_sweep(sweep, tmp_path / "out", 2)
    assert (found["fail"], found["best"]) == (2, None)
    assert yaml.safe_load((tmp_path / "out" / "wandb_sweep.yaml").read_text()) == wandb_sweep(sweep)


def test_a_trial_below_the_median_of_earlier_ones_is_stopped_early(tmp_path):
    # A cart that is pushed twenty times as hard loses its pole at once, whatever its agent learns.
    space = {"train.env_ranges.force_mag": {"choices": [{"low": force, "high": force} for force in (10.0, 200.0)]}}
    text = SWEEP.replace("num_updates: 4", "num_updates: 20")
    sweep = load_sweep(written(tmp_path, text, space=space, prune=True, startup_trials=1))
    found = run_sweep(sweep, tmp_path / "out", 4, seed=SEED_THAT_DRAWS_BOTH)
    pruned = [row for row in found["table"] if row["state"] == "pruned"]
    assert found["pruned"] == len(pruned) >= 1
    assert found["best"]["params"]["train.env_ranges.force_mag"]["low"] == 10
    assert all(json.loads((Path(row["run"]) / "run.json").read_text())["updates"] < 20 for row in pruned)
