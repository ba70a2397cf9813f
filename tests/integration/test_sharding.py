"""The population split over devices gives the same bits as on one device."""

from dataclasses import replace

import jax
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from agents import sharding
from agents.population import train
from agents.train_config import Range, TrainConfig
from tests.support.probe_envs import PROBE, SMALL, ProbeParams

CONFIG = TrainConfig(num_agents=8, num_updates=6, ppo=SMALL, env_ranges={"match": Range(0.5, 2.0)}, checkpoint_every=2)
PARAMS = ProbeParams(last=0.5, length=5, truncates=True)


@pytest.fixture(autouse=True)
def two_devices():
    if len(jax.devices()) < 2:
        pytest.skip("one device: set XLA_FLAGS=--xla_force_host_platform_device_count=2 on a CPU")


def weights(run_dir):
    return {name: leaf.tobytes() for name, leaf in load_file(run_dir / "population.safetensors").items()}


def test_one_device_and_two_give_the_same_bits_in_weights_and_metrics(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    assert train(replace(CONFIG, num_devices=1), PROBE, PARAMS, one).devices == 1
    assert train(replace(CONFIG, num_devices=2), PROBE, PARAMS, two).devices == 2
    assert weights(one) == weights(two)
    assert pq.read_table(one / "metrics.parquet").equals(pq.read_table(two / "metrics.parquet"))


def test_a_run_begun_on_two_devices_ends_on_one_in_the_same_bits(tmp_path):
    straight, moved = tmp_path / "straight", tmp_path / "moved"
    train(replace(CONFIG, num_devices=1), PROBE, PARAMS, straight)
    seen = []
    train(replace(CONFIG, num_devices=2), PROBE, PARAMS, moved, on_update=seen.append, stop=lambda: len(seen) >= 4)
    train(replace(CONFIG, num_devices=1), PROBE, PARAMS, moved, resume=True)
    assert weights(straight) == weights(moved)


def test_the_mesh_takes_as_many_devices_as_divide_the_population_and_refuses_what_does_not_fit():
    available = len(jax.devices())
    assert sharding.make_mesh(2 * available).size == available
    assert sharding.make_mesh(1).size == 1
    with pytest.raises(ValueError, match="num_agents is 3; it must be a multiple of num_devices = 2"):
        sharding.make_mesh(3, 2)
    with pytest.raises(ValueError, match=f"num_devices is {available + 1}; valid: 1 to {available}"):
        sharding.make_mesh(available + 1, available + 1)
