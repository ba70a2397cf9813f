"""Training configurations refuse what cannot work, and hyperparameters are drawn as their ranges say."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from agents import hyperparameters
from agents.train_config import PPOConfig, PPORanges, Range, TrainConfig, fixed
from experiments.config import build, to_plain
from tests.support.probe_envs import ProbeParams

MANY = TrainConfig(num_agents=4000)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Range(2.0, 1.0), r"low is 2\.0, high is 1\.0; valid: finite numbers with low <= high"),
        (lambda: Range(0.0, float("inf")), "finite"),
        (lambda: Range(0.0, 1.0, "log"), r"low is 0\.0; a log range needs low > 0"),
        (lambda: Range(scale="choice"), "choices is empty"),
        (lambda: Range(scale="choice", choices=(1.0, float("nan"))), "choices is .*finite"),
        (lambda: Range(0.0, 1.0, choices=(1.0,)), "set scale to 'choice'"),
        (lambda: Range(0.0, 1.0, "cubic"), "scale is 'cubic'; valid: log, linear, choice"),
        (lambda: PPORanges(gamma=Range(0.9, 1.1)), r"gamma can be drawn from 0\.9 to 1\.1; valid: 0 to 1"),
        (lambda: PPORanges(clip=fixed(0.0)), "clip can be drawn .*above 0"),
        (lambda: PPORanges(entropy_coef=Range(scale="choice", choices=(0.1, -0.1))), "entropy_coef .*0 or more"),
        (lambda: PPOConfig(epochs=0), "epochs is 0; valid: 1 or more"),
        (lambda: PPOConfig(minibatches=3), r"minibatches is 3; it must divide .* = 512"),
        (lambda: PPOConfig(hidden=(64, 0)), r"hidden is \[64, 0\]"),
        (lambda: PPOConfig(agents_per_chunk=-1), "agents_per_chunk is -1"),
        (lambda: TrainConfig(num_agents=0), "num_agents is 0; valid: 1 or more"),
        (lambda: TrainConfig(checkpoint_every=-1), "checkpoint_every is -1"),
        (lambda: TrainConfig(seed=2**31), "seed is 2147483648"),
        (lambda: TrainConfig(num_updates=5, ppo=PPOConfig(updates_per_call=2)), "num_updates is 5; .* = 2"),
        (
            lambda: TrainConfig(num_updates=6, checkpoint_every=3, ppo=PPOConfig(updates_per_call=2)),
            "checkpoint_every is 3; .* = 2",
        ),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_its_field_and_what_is_valid(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_configuration_survives_the_strict_yaml_loader():
    config = replace(
        MANY, env_ranges={"penalty": Range(1e-3, 1.0, "log"), "lots": Range(scale="choice", choices=(1, 2))}
    )
    assert build(TrainConfig, to_plain(config), "run.yaml", "") == config


def test_log_ranges_are_uniform_in_the_logarithm_and_linear_ones_in_the_value():
    ranges = PPORanges(learning_rate=Range(1e-4, 1e-2, "log"), gamma=Range(0.9, 1.0), clip=fixed(0.2))
    hyper = hyperparameters.sample(replace(MANY, ranges=ranges))
    quartiles = np.quantile(np.log10(hyper.learning_rate), [0.0, 0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(quartiles, [-4.0, -3.5, -3.0, -2.5, -2.0], atol=0.06)
    np.testing.assert_allclose(np.quantile(hyper.gamma, [0.0, 0.5, 1.0]), [0.9, 0.95, 1.0], atol=0.004)
    assert (np.asarray(hyper.gamma) <= 1.0).all()
    assert set(np.asarray(hyper.clip)) == {np.float32(0.2)}
    assert all(leaf.dtype == np.float32 and leaf.shape == (4000,) for leaf in jax.tree.leaves(hyper))


def test_choices_are_equally_likely_and_nothing_else_is_drawn():
    hyper = hyperparameters.sample(replace(MANY, env_ranges={"x": Range(scale="choice", choices=(1.0, 2.0, 5.0))}))
    values, counts = np.unique(hyper.env["x"], return_counts=True)
    np.testing.assert_array_equal(values, [1.0, 2.0, 5.0])
    assert (counts > 1200).all()


def test_hyperparameters_are_uncorrelated_and_adding_one_leaves_the_others_as_they_were():
    first = hyperparameters.sample(MANY)
    second = hyperparameters.sample(replace(MANY, env_ranges={"new": Range(0.0, 1.0)}))
    for name, values in hyperparameters.by_name(first).items():
        np.testing.assert_array_equal(values, hyperparameters.by_name(second)[name])
    drawn = [first.learning_rate, first.gae_lambda, first.entropy_coef, second.env["new"]]
    correlation = np.corrcoef(np.asarray(drawn))
    assert np.abs(correlation - np.eye(4)).max() < 0.06


def test_another_seed_draws_other_hyperparameters():
    other = hyperparameters.sample(replace(MANY, seed=1))
    assert not np.array_equal(other.learning_rate, hyperparameters.sample(MANY).learning_rate)


def test_the_learning_rate_falls_linearly_to_its_last_share():
    ranges = PPORanges(learning_rate=fixed(0.5), final_learning_rate_frac=fixed(0.2))
    hyper = hyperparameters.sample(TrainConfig(num_agents=2, ranges=ranges))
    for progress, expected in ((0.0, 0.5), (0.5, 0.3), (1.0, 0.1)):
        np.testing.assert_allclose(hyperparameters.learning_rate(hyper, progress), expected, rtol=1e-6)


def test_environment_parameters_are_repeated_agent_major_with_each_agents_own_value():
    config = PPOConfig(envs_per_agent=2, minibatches=1)
    train = TrainConfig(num_agents=3, ppo=config, env_ranges={"match": Range(0.0, 1.0), "length": Range(2.0, 9.0)})
    hyper = hyperparameters.sample(train)
    batched = hyperparameters.batch_env_params(ProbeParams(last=7.0, truncates=True), hyper, config)
    np.testing.assert_array_equal(batched.match, np.repeat(hyper.env["match"], 2))
    np.testing.assert_array_equal(batched.length, np.repeat(np.round(hyper.env["length"]), 2))
    np.testing.assert_array_equal(batched.last, [7.0] * 6)
    assert batched.length.dtype == np.int32
    assert batched.truncates.dtype == bool


def test_a_parameter_that_is_not_there_is_named_with_those_that_are():
    hyper = hyperparameters.sample(TrainConfig(num_agents=2, env_ranges={"spread": fixed(1.0)}))
    with pytest.raises(ValueError, match=r"env_ranges names 'spread'.*valid: constant, last, match, odd"):
        hyperparameters.batch_env_params(ProbeParams(), hyper, PPOConfig())
