"""A run that was interrupted and resumed ends in the same bits as one that was not."""

import signal
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from agents import hyperparameters, sharding
from agents.checkpoint import CheckpointError, Checkpoints, agreement
from agents.population import train
from agents.program import get_program
from agents.train_config import Range, TrainConfig
from tests.support.probe_envs import PROBE, SMALL, ProbeParams

PARAMS = ProbeParams(match=1.0, last=0.5, length=5, truncates=True)
CONFIG = TrainConfig(num_agents=6, num_updates=12, ppo=SMALL, env_ranges={"match": Range(0.5, 2.0)}, checkpoint_every=4)


class DeathError(Exception):
    """Stands for a process that dies in the middle of a run."""


def whole_state(run_dir: Path, update: int):
    """Every leaf of the checkpointed state as NumPy arrays, keys as their words."""
    mesh = sharding.make_mesh(CONFIG.num_agents)
    program = get_program(PROBE, CONFIG.ppo, mesh)
    hyper = hyperparameters.sample(CONFIG)
    target = program.abstract(hyper, hyperparameters.batch_env_params(PARAMS, hyper, CONFIG.ppo))
    checkpoints = Checkpoints(run_dir)
    assert checkpoints.updates()[-1] == update
    restored = checkpoints.restore(target, sharding.state_shardings(target, mesh), agreement(CONFIG, PROBE, PARAMS))
    checkpoints.close()
    assert restored is not None
    is_key = lambda leaf: jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    words = jax.tree.map(lambda leaf: jax.random.key_data(leaf) if is_key(leaf) else leaf, restored.state)
    return jax.tree_util.tree_flatten_with_path(jax.tree.map(np.asarray, words))[0]


def assert_same_end(first: Path, second: Path) -> None:
    for (path, ours), (_, other) in zip(whole_state(first, 12), whole_state(second, 12), strict=True):
        np.testing.assert_array_equal(ours, other, err_msg=jax.tree_util.keystr(path))
    weights = load_file(first / "population.safetensors"), load_file(second / "population.safetensors")
    assert {name: leaf.tobytes() for name, leaf in weights[0].items()} == {
        name: leaf.tobytes() for name, leaf in weights[1].items()
    }
    assert pq.read_table(first / "metrics.parquet").equals(pq.read_table(second / "metrics.parquet"))
    assert (first / "hyperparameters.json").read_text() == (second / "hyperparameters.json").read_text()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted")
    assert train(CONFIG, PROBE, PARAMS, out).status == "done"
    return out


def test_a_run_stopped_between_two_checkpoints_and_resumed_ends_in_the_same_bits(uninterrupted, tmp_path):
    seen = []
    first = train(CONFIG, PROBE, PARAMS, tmp_path, on_update=seen.append, stop=lambda: len(seen) >= 6)
    assert (first.status, first.updates, first.env_steps) == ("stopped", 6, 6 * CONFIG.steps_per_update)
    second = train(CONFIG, PROBE, PARAMS, tmp_path, resume=True, on_update=seen.append)
    assert (second.status, second.updates) == ("done", 12)
    assert [report.update for report in seen] == list(range(1, 13))
    assert_same_end(uninterrupted, tmp_path)


def test_a_run_that_died_after_a_checkpoint_resumes_from_it_and_ends_in_the_same_bits(uninterrupted, tmp_path):
    def die(report):
        if report.update == 7:
            raise DeathError

    with pytest.raises(DeathError):
        train(CONFIG, PROBE, PARAMS, tmp_path, on_update=die)
    seen = []
    train(CONFIG, PROBE, PARAMS, tmp_path, resume=True, on_update=seen.append)
    assert seen[0].update == 5, "the run continues behind the checkpoint of update 4"
    assert_same_end(uninterrupted, tmp_path)


def test_a_run_that_died_before_its_first_checkpoint_resumes_from_the_start(uninterrupted, tmp_path):
    def die(_):
        raise DeathError

    with pytest.raises(DeathError):
        train(CONFIG, PROBE, PARAMS, tmp_path, on_update=die)
    train(CONFIG, PROBE, PARAMS, tmp_path, resume=True)
    assert_same_end(uninterrupted, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_state_and_is_named_in_the_result(uninterrupted, tmp_path, number):
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    raise_once = lambda report: signal.raise_signal(number) if report.update == 1 else None  # noqa: E731
    result = train(CONFIG, PROBE, PARAMS, tmp_path, on_update=raise_once)
    assert (result.status, result.updates) == (number.name, 2)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    train(CONFIG, PROBE, PARAMS, tmp_path, resume=True)
    assert_same_end(uninterrupted, tmp_path)


def test_only_the_newest_two_checkpoints_are_kept(uninterrupted):
    names = sorted(path.name for path in (uninterrupted / "checkpoints").iterdir())
    assert names == ["12", "8"]


def test_a_half_written_checkpoint_is_ignored_and_a_damaged_one_set_aside(uninterrupted, tmp_path):
    seen = []
    train(CONFIG, PROBE, PARAMS, tmp_path, on_update=seen.append, stop=lambda: len(seen) >= 8)
    checkpoints = tmp_path / "checkpoints"
    (checkpoints / "10.orbax-checkpoint-tmp-3").mkdir()
    (checkpoints / "11").mkdir()
    (checkpoints / "8" / "meta" / "metadata").write_text("{")
    again = []
    train(CONFIG, PROBE, PARAMS, tmp_path, resume=True, on_update=again.append)
    assert again[0].update == 5
    assert {"8.damaged", "11.damaged"} <= {path.name for path in checkpoints.iterdir()}
    assert_same_end(uninterrupted, tmp_path)


def test_a_run_of_which_no_checkpoint_can_be_read_is_refused(uninterrupted, tmp_path):
    train(CONFIG, PROBE, PARAMS, tmp_path)
    for directory in (tmp_path / "checkpoints").iterdir():
        for file in directory.rglob("*"):
            if file.is_file():
                file.write_bytes(b"")
    with pytest.raises(CheckpointError, match="no checkpoint can be read"):
        train(CONFIG, PROBE, PARAMS, tmp_path, resume=True)


def test_a_finished_run_resumed_does_nothing_and_one_not_resumed_is_refused(uninterrupted):
    before = (uninterrupted / "population.safetensors").read_bytes()
    result = train(CONFIG, PROBE, PARAMS, uninterrupted, resume=True, on_update=lambda _: pytest.fail("an update ran"))
    assert (result.status, result.updates, result.env_steps_per_s) == ("done", 12, 0.0)
    assert (uninterrupted / "population.safetensors").read_bytes() == before
    with pytest.raises(CheckpointError, match="holds a run already"):
        train(CONFIG, PROBE, PARAMS, uninterrupted)


@pytest.mark.parametrize(
    ("config", "params", "key"),
    [
        (
            replace(CONFIG, ranges=replace(CONFIG.ranges, gamma=Range(0.5, 0.6))),
            PARAMS,
            r"'ranges\.gamma\.high' was 0\.99",
        ),
        (replace(CONFIG, seed=1), PARAMS, "'seed' was 0, now 1"),
        (replace(CONFIG, env_ranges={}), PARAMS, r"'env_ranges\.match\.choices' was \[\], now absent"),
        (replace(CONFIG, ppo=replace(SMALL, hidden=(8,))), PARAMS, r"'ppo\.hidden' was \[16\], now \[8\]"),
        (CONFIG, PARAMS._replace(length=6), r"'env_params\.length' was 5, now 6"),
    ],
)
def test_a_run_with_other_settings_is_refused_and_the_key_is_named(uninterrupted, config, params, key):
    with pytest.raises(CheckpointError, match=f"key {key}"):
        train(config, PROBE, params, uninterrupted, resume=True)
