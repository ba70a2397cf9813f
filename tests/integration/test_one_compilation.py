"""A population of different hyperparameters is one compiled program, traced once, and its agents do not mix."""

from dataclasses import replace

import jax
import numpy as np

from agents import hyperparameters, sharding
from agents.networks import load_population
from agents.population import train
from agents.program import get_program
from agents.train_config import PPORanges, Range, TrainConfig
from tests.support.probe_envs import PROBE, SMALL, ProbeParams

EVERYTHING_DIFFERS = PPORanges(
    learning_rate=Range(1e-4, 1e-2, "log"),
    final_learning_rate_frac=Range(0.0, 1.0),
    gamma=Range(0.8, 0.999),
    gae_lambda=Range(0.5, 1.0),
    clip=Range(0.05, 0.4),
    entropy_coef=Range(1e-4, 1e-1, "log"),
    value_coef=Range(0.1, 1.0),
    max_grad_norm=Range(0.1, 2.0, "log"),
    reward_scale=Range(0.1, 10.0, "log"),
)
CONFIG = TrainConfig(
    num_agents=256,
    num_updates=2,
    ppo=replace(SMALL, envs_per_agent=2, steps_per_update=4, epochs=1),
    ranges=EVERYTHING_DIFFERS,
    env_ranges={"match": Range(0.0, 2.0), "length": Range(1.0, 9.0)},
    checkpoint_every=0,
)


def test_256_agents_that_differ_in_every_hyperparameter_trace_once_and_so_does_a_second_run(tmp_path):
    hyper = hyperparameters.sample(CONFIG)
    for name, values in hyperparameters.by_name(hyper).items():
        assert len(np.unique(values)) == 256, f"{name} must differ from agent to agent"
    program = get_program(PROBE, CONFIG.ppo, sharding.make_mesh(256))
    first = train(CONFIG, PROBE, ProbeParams(), tmp_path / "first")
    assert program.traces == 1
    assert first.compile_s > 0.1
    other = replace(CONFIG, seed=7, num_updates=4, ranges=replace(EVERYTHING_DIFFERS, gamma=Range(0.1, 0.7)))
    second = train(other, PROBE, ProbeParams(constant=3.0), tmp_path / "second")
    assert program.traces == 1
    assert second.compile_s < 0.1
    kernels = [load_population(tmp_path / name)["actor"]["0"]["kernel"] for name in ("first", "second")]
    assert not np.array_equal(*kernels)


def test_an_agents_weights_do_not_depend_on_the_other_agents_hyperparameters():
    mesh = sharding.make_mesh(256)
    program = get_program(PROBE, CONFIG.ppo, mesh)
    hyper = hyperparameters.sample(CONFIG)
    ends = []
    for factor in (1.0, 3.0):
        changed = hyper._replace(
            learning_rate=hyper.learning_rate.at[1:].multiply(factor),
            env=hyper.env | {"match": hyper.env["match"] * factor},
        )
        changed.env["match"] = changed.env["match"].at[0].set(1.0)
        batched = sharding.place(hyperparameters.batch_env_params(ProbeParams(), changed, CONFIG.ppo), mesh)
        state, _ = program(program.init(0, 2, changed, batched), batched)
        ends.append(jax.tree.leaves(state.learner.params))
    for ours, other in zip(*ends, strict=True):
        np.testing.assert_array_equal(ours[0], other[0])
    assert any(not np.array_equal(ours[1], other[1]) for ours, other in zip(*ends, strict=True))
