"""Selection, copying and perturbation of a population, as plain functions."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import hyperparameters, pbt
from agents.train_config import PBTConfig, PPORanges, Range, TrainConfig

CONFIG = TrainConfig(
    num_agents=4000,
    ranges=PPORanges(
        clip=Range(0.1, 0.4), gamma=Range(scale="choice", choices=(0.9, 0.95, 0.99)), max_grad_norm=Range(1.0, 1.1)
    ),
    env_ranges={"match": Range(-2.0, 2.0)},
    pbt=PBTConfig(every_updates=3, share=0.25, factors=(0.8, 1.25)),
)
SETTINGS = pbt.settings(CONFIG, ["episode_return", "episode_pnl"])
KEY = jax.random.key(5)


def explored(copied, own=None):
    hyper = hyperparameters.sample(CONFIG)
    own = jnp.arange(4000) if own is None else own
    before = jax.tree.map(lambda leaf: leaf[own], hyper)
    after = pbt.explore(KEY, before, copied, own, 4000, SETTINGS)
    return [{n: np.asarray(v) for n, v in hyperparameters.by_name(h).items()} for h in (before, after)]


def test_the_perturbations_of_two_hyperparameters_are_independent_of_each_other():
    before, after = explored(jnp.ones(4000, bool))
    free = ("learning_rate", "clip", "entropy_coef", "gae_lambda", "env.match")
    up = {name: np.abs(after[name]) > np.abs(before[name]) for name in free}
    moved = {name: after[name] != before[name] for name in free}
    for name in free:
        assert 0.35 < up[name][moved[name]].mean() < 0.65, f"{name} must go up as often as down"
    for first in free:
        for second in free:
            both = moved[first] & moved[second]
            if first < second and both.sum() > 500:
                correlation = np.corrcoef(up[first][both], up[second][both])[0, 1]
                assert abs(correlation) < 4 / np.sqrt(both.sum()), (first, second, correlation)


def test_a_copy_takes_one_of_two_factors_within_its_range_and_everyone_else_stays():
    copied = jnp.arange(4000) % 2 == 0
    before, after = explored(copied)
    mask = np.asarray(copied)
    for name, values in hyperparameters.hyperparameter_ranges(CONFIG).items():
        np.testing.assert_array_equal(after[name][~mask], before[name][~mask])
        low, high = values.bounds
        if values.scale == "choice":
            assert set(after[name][mask]) == set(np.float32(values.choices))
            continue
        factors = np.float32([0.8, 1.25])[:, None]
        allowed = np.clip(before[name][mask] * factors, np.float32(low), np.float32(high))
        assert (np.abs(after[name][mask] - allowed).min(axis=0) <= 1e-6 * np.abs(allowed).max()).all(), name


def test_a_share_of_the_population_draws_what_it_draws_in_the_whole():
    _, whole = explored(jnp.ones(4000, bool))
    _, part = explored(jnp.ones(1000, bool), own=jnp.arange(1000, 2000))
    for name, values in part.items():
        np.testing.assert_array_equal(values, whole[name][1000:2000])


def test_the_worst_copy_the_best_and_each_of_the_best_is_copied():
    score = jax.random.permutation(jax.random.key(1), jnp.arange(100.0))
    seen = set()
    for seed in range(40):
        parent = np.asarray(pbt.parents(jax.random.key(seed), score, jnp.int32(10)))
        replaced = np.flatnonzero(parent != np.arange(100))
        assert set(np.asarray(score)[replaced]) == set(range(10))
        seen |= set(np.asarray(score)[parent[replaced]])
    assert seen == set(range(90, 100))


def test_nobody_copies_an_agent_that_is_not_better_or_has_no_score():
    same = pbt.parents(KEY, jnp.zeros(8), jnp.int32(4))
    np.testing.assert_array_equal(same, np.arange(8))
    np.testing.assert_array_equal(pbt.parents(KEY, jnp.full(8, -jnp.inf), jnp.int32(4)), np.arange(8))
    some = np.asarray(pbt.parents(KEY, jnp.asarray([-jnp.inf, 1.0, 2.0, -jnp.inf]), jnp.int32(1)))
    np.testing.assert_array_equal(some, [2, 1, 2, 3])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PBTConfig(every_updates=-1), "every_updates is -1"),
        (lambda: PBTConfig(every_updates=1, share=0.6), "share is 0.6; valid: above 0, at most 0.5"),
        (lambda: PBTConfig(every_updates=1, factors=(0.0, 1.0)), r"factors is \[0.0, 1.0\]"),
        (lambda: PBTConfig(share=0.1), "pbt is set, but every_updates is 0"),
        (lambda: TrainConfig(num_agents=1, pbt=PBTConfig(every_updates=1)), "nobody of num_agents = 1"),
        (
            lambda: pbt.settings(replace(CONFIG, pbt=PBTConfig(every_updates=1, metric="pnl")), ["episode_return"]),
            "pbt.metric is 'pnl'; valid in this environment: episode_return",
        ),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_what_is_valid(make, message):
    with pytest.raises(ValueError, match=message):
        make()
