"""Hedge, Fixed-Share and the causal gate: against their bounds, each other's closed forms and the regime filter."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.ensemble.weights import advance_gate, advance_weights, equal_weights, hedge_rate, regret_bound
from market_models.regimes.hidden_markov import RegimeModel, filter_regimes, simulate_regimes


def follow(gains, rate, share):
    """Return (what the weighted mixture earned each round, its weights [T, K])."""
    weights, used = np.full(gains.shape[1], 1 / gains.shape[1]), []
    for row in gains:
        used.append(weights)
        weights = advance_weights(np, weights, row, rate, share)
    return (np.array(used) * gains).sum(1), np.array(used)


def best_with_switches(gains, switches):
    """Return the most that any sequence of experts with at most `switches` switches earns, by dynamic programming."""
    value = np.tile(gains[0], (switches + 1, 1))
    for row in gains[1:]:
        jumped = np.vstack([np.full(len(row), -np.inf), np.tile(value.max(1)[:-1, None], len(row))])
        value = np.maximum(value, jumped) + row
    return float(value.max())


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 6), st.integers(1, 120), st.integers(0, 2**20), st.sampled_from(["coin", "switch", "against"]))
def test_hedge_regrets_at_most_its_bound(experts, rounds, seed, kind):
    rng, rate = np.random.default_rng(seed), hedge_rate(experts, rounds)
    gains = rng.integers(0, 2, (rounds, experts)).astype(float)
    if kind == "switch":
        gains = np.eye(experts)[np.arange(rounds) * experts // rounds]
    if kind == "against":  # an adversary who pays everyone but the heaviest
        weights = np.full(experts, 1 / experts)
        for t in range(rounds):
            gains[t] = np.arange(experts) != np.argmax(weights)
            weights = advance_weights(np, weights, gains[t], rate, 0.0)
    regret = gains.sum(0).max() - follow(gains, rate, 0.0)[0].sum()
    assert regret <= np.sqrt(rounds * np.log(experts) / 2) + 1e-9
    assert regret_bound(experts, rounds, rate) == pytest.approx(np.sqrt(rounds * np.log(experts) / 2))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 5), st.integers(2, 100), st.integers(0, 4), st.floats(0.001, 0.9), st.floats(0.01, 5), st.integers()
)
def test_fixed_share_regrets_at_most_its_bound_against_every_sequence_that_switches(
    experts, rounds, switches, share, rate, seed
):
    switches = min(switches, rounds - 1)
    rng = np.random.default_rng(abs(seed))
    gains = np.eye(experts)[np.arange(rounds) * (switches + 1) // rounds % experts] * rng.random((rounds, 1))
    regret = best_with_switches(gains, switches) - follow(gains, rate, share)[0].sum()
    assert regret <= regret_bound(experts, rounds, rate, share, switches) + 1e-9


def test_hedge_is_the_softmax_of_what_was_earned_and_fixed_share_never_forgets_an_expert():
    gains = np.random.default_rng(0).normal(size=(50, 4))
    _, used = follow(gains, 0.3, 0.0)
    earned = np.exp(0.3 * gains[:-1].sum(0))
    np.testing.assert_allclose(used[-1], earned / earned.sum(), rtol=1e-12)
    assert follow(100 * gains, 5.0, 0.04)[1].min() >= 0.04 / 4 - 1e-15


def test_fixed_share_follows_a_switch_that_hedge_misses():
    gains = np.repeat(np.eye(2), 400, axis=0)
    hedge, shared = (follow(gains, 0.3, share)[0].sum() for share in (0.0, 0.01))
    assert hedge == pytest.approx(400, abs=10) and shared > 770


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=8), st.floats(0, 1e6), st.floats(0, 1))
def test_weights_stay_a_distribution_whatever_was_gained(gains, rate, share):
    weights = np.zeros(len(gains))
    weights[0] = 1.0
    for _ in range(3):
        weights = advance_weights(np, weights, np.array(gains), rate, share)
        assert (weights >= 0).all() and weights.sum() == pytest.approx(1.0)


def test_jax_and_numpy_give_the_same_weights():
    gains = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)
    start = equal_weights(np, 5)
    one = advance_weights(np, start, gains, np.float32(2.0), np.float32(0.1))
    other = advance_weights(jnp, jnp.asarray(start), jnp.asarray(gains), 2.0, 0.1)
    np.testing.assert_allclose(one, other, rtol=2e-6)


def test_an_expert_whose_weight_is_denormal_is_forgotten_alike_by_numpy_and_jax():
    for xp in (np, jnp):
        weights = xp.array([1.0, 1e-38, 0.0], xp.float32)
        after = advance_weights(xp, weights, xp.array([-1e30, 1.0, 2.0], xp.float32), 1.0, 0.0)
        assert np.asarray(after).tolist() == [1.0, 0.0, 0.0]


def test_the_gate_is_the_hidden_markov_models_causal_filter():
    transition = np.array([[0.97, 0.03], [0.1, 0.9]])
    model = RegimeModel(np.array([0.6, 0.4]), transition, np.array([[0.1], [-0.3]]), np.array([[1.0], [9.0]]))
    _, rows = simulate_regimes(model, 300, 3)
    wanted = filter_regimes(model, rows).probability_frac
    probability = wanted[0]
    for row, expected in zip(rows[1:, 0], wanted[1:], strict=True):
        probability = advance_gate(np, probability, transition, model.mean[:, 0], np.sqrt(model.variance[:, 0]), row)
        np.testing.assert_allclose(probability, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"experts": 0}, "experts"),
        ({"rounds": 0}, "rounds"),
        ({"rate": 0.0}, "rate"),
        ({"rate": np.nan}, "rate"),
        ({"share": 1.5}, "share"),
        ({"switches": 10}, "switches"),
    ],
)
def test_a_bound_of_nonsense_is_refused_by_name(change, field):
    with pytest.raises(ValueError, match=field):
        regret_bound(**{"experts": 3, "rounds": 10, "rate": 0.1, **change})
