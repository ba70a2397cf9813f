"""DQN and SAC populations: one compilation whatever the values, resumed and split over devices in the same bits."""

from dataclasses import fields, replace

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from agents import hyperparameters, sharding
from agents.checkpoint import CheckpointError, Checkpoints, agreement
from agents.population import train
from agents.program import get_program
from agents.train_config import DQNRanges, PPOConfig, Range, SACRanges, TrainConfig
from tests.support.probe_envs import CONTINUOUS_PROBE, PROBE, SMALL_DQN, SMALL_SAC, ProbeParams

ENVS = {"dqn": PROBE, "sac": CONTINUOUS_PROBE}
ALGORITHM = pytest.mark.parametrize("name", ["dqn", "sac"])
PARAMS = ProbeParams(last=0.5, length=5, truncates=True)
TINY = {"steps_per_update": 20, "buffer_capacity": 48, "learning_starts": 40, "batch_size": 8, "hidden": (8,)}
RANGES = {
    "dqn": DQNRanges(**{f.name: Range(0.1, 0.9) for f in fields(DQNRanges)}),
    "sac": SACRanges(**{f.name: Range(0.1, 0.9) for f in fields(SACRanges)}),
}


def config(name, **changes):
    """Eight agents that differ in every hyperparameter; the buffer turns over several times."""
    sizes = replace(SMALL_DQN if name == "dqn" else SMALL_SAC, **TINY)
    sizes = replace(sizes, quantiles=3) if name == "dqn" else sizes
    own = {name: sizes, f"{name}_ranges": RANGES[name]}
    drawn = {"match": Range(0.5, 2.0)}
    settings = TrainConfig(num_agents=8, num_updates=8, algorithm=name, env_ranges=drawn, checkpoint_every=4, **own)
    return replace(settings, **changes)


def weights(run_dir):
    return {name: leaf.tobytes() for name, leaf in load_file(run_dir / "population.safetensors").items()}


def whole_state(settings, env, run_dir):
    """Every leaf of the newest checkpoint, replay buffers and optimizers too, as bytes by path."""
    mesh = sharding.make_mesh(settings.num_agents)
    hyper = hyperparameters.sample(settings)
    batched = hyperparameters.batch_env_params(PARAMS, hyper, settings.sizes)
    target = get_program(env, settings.sizes, mesh).abstract(hyper, batched)
    checkpoints = Checkpoints(run_dir)
    restored = checkpoints.restore(target, sharding.state_shardings(target, mesh), agreement(settings, env, PARAMS))
    checkpoints.close()
    assert restored is not None and restored.update == settings.num_updates
    leaves = jax.tree_util.tree_flatten_with_path(restored.state)[0]
    is_key = lambda leaf: jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    return {
        jax.tree_util.keystr(path): np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf).tobytes()
        for path, leaf in leaves
    }


@ALGORITHM
def test_a_population_traces_once_and_a_stopped_run_resumes_in_the_same_bits(name, tmp_path):
    settings, env = config(name), ENVS[name]
    for key, values in hyperparameters.by_name(hyperparameters.sample(settings)).items():
        assert len(np.unique(values)) == 8, f"{key} must differ from agent to agent"
    program = get_program(env, settings.sizes, sharding.make_mesh(8))
    straight, stopped, seen = tmp_path / "straight", tmp_path / "stopped", []
    train(settings, env, PARAMS, straight)
    first = train(settings, env, PARAMS, stopped, on_update=seen.append, stop=lambda: len(seen) >= 6)
    assert (first.status, first.updates) == ("stopped", 6)
    assert train(settings, env, PARAMS, stopped, resume=True).status == "done"
    assert weights(straight) == weights(stopped)
    assert whole_state(settings, env, straight) == whole_state(settings, env, stopped)
    assert pq.read_table(straight / "metrics.parquet").equals(pq.read_table(stopped / "metrics.parquet"))
    narrow = replace(RANGES[name], gamma=Range(0.1, 0.2))
    other = train(replace(settings, seed=5, **{f"{name}_ranges": narrow}), env, PARAMS, tmp_path / "other")
    assert weights(tmp_path / "other") != weights(straight)
    assert other.compile_s < 0.5
    assert program.traces == 1
    with pytest.raises(CheckpointError, match=f"key '{name}_ranges.gamma.high' was 0.9, now 0.2"):
        train(replace(settings, **{f"{name}_ranges": narrow}), env, PARAMS, straight, resume=True)


@ALGORITHM
def test_one_device_and_two_give_the_same_bits(name, tmp_path):
    if len(jax.devices()) < 2:
        pytest.skip("one device: set XLA_FLAGS=--xla_force_host_platform_device_count=2 on a CPU")
    for devices in (1, 2):
        result = train(config(name, num_devices=devices), ENVS[name], PARAMS, tmp_path / str(devices))
        assert result.devices == devices
    assert weights(tmp_path / "1") == weights(tmp_path / "2")


@pytest.mark.parametrize(
    ("settings", "env", "message"),
    [
        (config("sac"), PROBE, "'sac', which needs continuous actions.* discrete ones; valid here: ppo, dqn"),
        (config("dqn"), CONTINUOUS_PROBE, "'dqn', which needs discrete .* continuous ones; valid here: ppo, sac"),
    ],
)
def test_an_algorithm_that_cannot_act_in_an_environment_is_refused(settings, env, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(settings, env, PARAMS, tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TrainConfig(algorithm="dqn", ppo=PPOConfig(epochs=2)), "ppo is set, but algorithm is 'dqn', which"),
        (lambda: TrainConfig(algorithm="td3"), "algorithm is 'td3'; valid: ppo, dqn, sac"),
        (lambda: replace(SMALL_DQN, quantiles=0), "quantiles is 0"),
        (lambda: replace(SMALL_SAC, train_every=3), "train_every is 3; it must divide steps_per_update = 40"),
        (lambda: replace(SMALL_SAC, buffer_capacity=1001), "buffer_capacity is 1001; .* envs_per_agent = 4"),
        (lambda: replace(SMALL_SAC, learning_starts=1001), "learning_starts is 1001; valid: at most"),
        (lambda: replace(SMALL_SAC, hidden=()), r"hidden is \[\]"),
        (lambda: DQNRanges(tau=Range(0.5, 1.5)), "tau can be drawn from 0.5 to 1.5; valid: 0 to 1"),
        (lambda: SACRanges(initial_temperature=Range(0.0, 1.0)), "initial_temperature .* above 0"),
        (lambda: config("dqn", num_updates=2**26), r"transitions an agent; valid: below 2\^31"),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_its_field_and_what_is_valid(make, message):
    with pytest.raises(ValueError, match=message):
        make()
