"""A population that remembers gives the same bits resumed, split over devices and selected in training."""

from dataclasses import replace

import jax
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from agents.population import train
from agents.train_config import PBTConfig, PPOConfig, PPORanges, Range, TrainConfig
from tests.support.probe_envs import PROBE, ProbeParams

pytestmark = pytest.mark.slow
SIZES = PPOConfig(
    envs_per_agent=2,
    steps_per_update=8,
    epochs=1,
    minibatches=2,
    hidden=(8,),
    memory_width=8,
    window=3,
    sequence_length=4,
    updates_per_call=2,
)


@pytest.mark.parametrize("kind", ["gru", "attention"])
def test_a_stopped_run_resumes_and_splits_over_devices_in_the_same_bits(kind, tmp_path):
    sizes = replace(SIZES, network=kind)
    settings = TrainConfig(
        num_agents=4,
        num_updates=8,
        ppo=sizes,
        ranges=PPORanges(learning_rate=Range(1e-3, 1e-2, "log")),
        checkpoint_every=4,
        pbt=PBTConfig(every_updates=4),
    )
    params, seen = ProbeParams(match=1.0, length=3, truncates=True), []
    straight, moved = tmp_path / "straight", tmp_path / "moved"
    two = min(2, len(jax.devices()))
    train(replace(settings, num_devices=1), PROBE, params, straight)
    train(replace(settings, num_devices=two), PROBE, params, moved, on_update=seen.append, stop=lambda: len(seen) >= 6)
    train(replace(settings, num_devices=two), PROBE, params, moved, resume=True)
    weights = [
        {n: x.tobytes() for n, x in load_file(run / "population.safetensors").items()} for run in (straight, moved)
    ]
    assert weights[0] == weights[1]
    tables = [repr(pq.read_table(run / "metrics.parquet").to_pylist()) for run in (straight, moved)]
    assert tables[0] == tables[1]
