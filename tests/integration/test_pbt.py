"""Population-based training arrives at the best hyperparameters, once compiled, resumed and split in the same bits."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from agents import hyperparameters, pbt, sharding
from agents.checkpoint import Checkpoints, agreement
from agents.population import train
from agents.program import get_program
from agents.train_config import DQNRanges, PBTConfig, PPORanges, Range, TrainConfig
from tests.support.probe_envs import PROBE, SMALL, SMALL_DQN, Probe, ProbeParams

pytestmark = pytest.mark.slow
BEST = 0.3
TINY = replace(SMALL, envs_per_agent=2, steps_per_update=8, epochs=1, recent_updates=2, hidden=(4,))
PBT = PBTConfig(every_updates=2)


class Peak(Probe):
    """Pays most, nothing, where the parameter `constant` is BEST, whatever is done."""

    def step(self, key, state, action, params):
        following, result = super().step(key, state, action, params._replace(constant=0.0))
        return following, result._replace(reward=result.reward - jnp.log(params.constant / BEST) ** 2)


PEAK = Peak()
TOY = TrainConfig(
    num_agents=16,
    num_updates=60,
    ppo=TINY,
    env_ranges={"constant": Range(0.01, 100.0, "log")},
    checkpoint_every=20,
    pbt=PBT,
)
LEARNING = TrainConfig(
    num_agents=16,
    num_updates=8,
    ppo=replace(SMALL, hidden=(8,)),
    ranges=PPORanges(learning_rate=Range(1e-6, 3e-2, "log")),
    env_ranges={"match": Range(1.0, 1.5)},
    checkpoint_every=4,
    pbt=PBT,
)
PARAMS = ProbeParams(match=1.0, length=5, truncates=True)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    out = tmp_path_factory.mktemp("toy")
    assert train(TOY, PEAK, ProbeParams(), out).status == "done"
    return out


def ends(run_dir):
    files = [run_dir / name for name in ("metrics.parquet", "lineage.parquet")]
    tables = [pq.read_table(file).to_pylist() for file in files]
    weights = {name: leaf.tobytes() for name, leaf in load_file(run_dir / "population.safetensors").items()}
    return weights, repr(tables), (run_dir / "hyperparameters.json").read_text()


def hyper_of(run_dir, name):
    return np.array(json.loads((run_dir / "hyperparameters.json").read_text())["hyperparameters"][name])


def test_a_population_converges_to_the_hyperparameter_that_is_best(toy):
    begun = np.asarray(hyperparameters.sample(TOY).env["constant"])
    assert np.abs(np.log(begun / BEST)).max() > 3.0, "some agents must start far away"
    found = hyper_of(toy, "env.constant")
    assert np.abs(np.log(found / BEST)).max() < 2 * np.log(1.25), found


def test_the_lineage_says_who_was_copied_and_its_rows_lead_to_the_origins_that_are_left(toy):
    rows = pq.read_table(toy / "lineage.parquet").to_pylist()
    origin = np.arange(16)
    for update in sorted({row["update"] for row in rows}):
        assert update % PBT.every_updates == 0
        now = [row for row in rows if row["update"] == update]
        assert len(now) <= 4
        before = origin.copy()
        for row in now:
            origin[row["agent"]] = before[row["parent"]]
            assert row["origin"] == origin[row["agent"]]
    assert json.loads((toy / "hyperparameters.json").read_text())["origin"] == origin.tolist()
    metrics = pq.read_table(toy / "metrics.parquet").to_pylist()
    left = [row["mean"] for row in metrics if row["metric"] == "pbt_lineages"]
    assert left[0] == 16.0 and left[-1] == len(set(origin.tolist())) < 8
    assert {"hyper_learning_rate", "hyper_env.constant"} <= {row["metric"] for row in metrics}


def test_other_settings_do_not_compile_again(toy, tmp_path):
    program = get_program(PEAK, TINY, sharding.make_mesh(16))
    other = PBTConfig(every_updates=3, share=0.5, factors=(0.5, 2.0), metric="episode_length")
    before = program.traces
    again = train(replace(TOY, pbt=other, seed=9, num_updates=4, checkpoint_every=0), PEAK, ProbeParams(), tmp_path)
    assert program.traces == before
    assert again.compile_s < 0.5


def test_a_run_stopped_between_selections_resumes_and_splits_over_devices_in_the_same_bits(tmp_path):
    straight, moved = tmp_path / "straight", tmp_path / "moved"
    train(replace(LEARNING, num_devices=1), PROBE, PARAMS, straight)
    assert len(pq.read_table(straight / "lineage.parquet")) >= 4
    devices, seen = min(2, len(jax.devices())), []
    train(
        replace(LEARNING, num_devices=devices), PROBE, PARAMS, moved, on_update=seen.append, stop=lambda: len(seen) >= 6
    )
    train(replace(LEARNING, num_devices=devices), PROBE, PARAMS, moved, resume=True)
    assert ends(straight) == ends(moved)


def test_agents_whose_learning_rate_is_too_small_to_learn_are_replaced(tmp_path):
    settings = replace(LEARNING, num_updates=40, checkpoint_every=0)
    begun = np.asarray(hyperparameters.sample(settings).learning_rate)
    assert begun.min() < 1e-5, "some agents must not be able to learn"
    result = train(settings, PROBE, PARAMS, tmp_path)
    assert hyper_of(tmp_path, "learning_rate").min() > 1e-4
    matches = result.final["episode_return"]
    assert matches["q05"] is not None and matches["q05"] > 3.5, matches


def test_an_off_policy_agent_is_copied_too_and_keeps_its_own_experience(tmp_path):
    sizes = replace(SMALL_DQN, steps_per_update=8, buffer_capacity=80, learning_starts=16, batch_size=4, hidden=(4,))
    ranges = DQNRanges(gamma=Range(0.5, 0.9), huber_threshold=Range(0.5, 2.0))
    settings = TrainConfig(
        num_agents=4,
        num_updates=6,
        algorithm="dqn",
        dqn=sizes,
        dqn_ranges=ranges,
        checkpoint_every=6,
        pbt=replace(PBT, share=0.5),
    )
    train(settings, PROBE, PARAMS, tmp_path)
    rows = pq.read_table(tmp_path / "lineage.parquet").to_pylist()
    mesh = sharding.make_mesh(4)
    program, hyper = get_program(PROBE, sizes, mesh), hyperparameters.sample(settings)
    batched = hyperparameters.batch_env_params(PARAMS, hyper, sizes)
    chosen = pbt.settings(settings, program.episode_metrics(hyper, batched))
    target = program.abstract(hyper, batched, chosen)
    checkpoints = Checkpoints(tmp_path)
    restored = checkpoints.restore(target, sharding.state_shardings(target, mesh), agreement(settings, PROBE, PARAMS))
    checkpoints.close()
    assert restored is not None
    last = [row for row in rows if row["update"] == settings.num_updates]
    assert last, "somebody must be copied at the end"
    learner = restored.state.learner
    for row in last:
        for leaf in jax.tree.leaves((learner.params, learner.training)):
            np.testing.assert_array_equal(leaf[row["agent"]], leaf[row["parent"]])
        experience = learner.replay.experience
        assert not np.array_equal(experience.obs[row["agent"]], experience.obs[row["parent"]])
