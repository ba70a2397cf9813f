"""Regimes: enumeration of paths, hmmlearn, fit of what was simulated, no look-ahead; change points by full search."""

import itertools
import re

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM
from scipy.stats import norm

from market_models.regimes.change_points import MEAN, MEAN_AND_VARIANCE, find_changes
from market_models.regimes.hidden_markov import (
    RegimeModel,
    advance_regime,
    filter_regimes,
    fit_regimes,
    simulate_regimes,
)
from market_models.regimes.observations import regime_observations

CALM_AND_WILD = RegimeModel(
    np.array([0.7, 0.3]), np.array([[0.98, 0.02], [0.05, 0.95]]), np.zeros((2, 1)), np.array([[1e-8], [1.6e-7]])
)
THREE = RegimeModel(
    np.array([0.5, 0.3, 0.2]),
    np.array([[0.9, 0.08, 0.02], [0.1, 0.85, 0.05], [0.02, 0.08, 0.9]]),
    np.array([[0.0, 3.0], [1.0, 2.0], [-1.0, 0.0]]),
    np.array([[0.2, 1.0], [1.0, 0.3], [4.0, 2.0]]),
)


def enumerate_paths(model: RegimeModel, x: np.ndarray) -> tuple[np.ndarray, float]:
    """Return P(last state | x) and the density of x by the sum over every path."""
    joint = np.zeros(len(model.start_frac))
    for path in itertools.product(range(len(joint)), repeat=len(x)):
        chance = model.start_frac[path[0]]
        for before, after in itertools.pairwise(path):
            chance *= model.transition_frac[before, after]
        joint[path[-1]] += chance * norm.pdf(x, model.mean[list(path)], np.sqrt(model.variance[list(path)])).prod()
    return joint / joint.sum(), joint.sum()


def test_filtered_probabilities_and_likelihood_are_the_sums_over_all_paths():
    _, x = simulate_regimes(THREE, 7, seed=3)
    for rows in range(1, 8):
        frac, density = enumerate_paths(THREE, x[:rows])
        ours = filter_regimes(THREE, x[:rows])
        np.testing.assert_allclose(ours.probability_frac[-1], frac, rtol=1e-9)
        assert ours.log_likelihood == pytest.approx(np.log(density), rel=1e-10)
        assert ours.label[-1] == frac.argmax()


def test_the_last_filtered_row_and_the_likelihood_agree_with_hmmlearn():
    _, x = simulate_regimes(THREE, 400, seed=4)
    hmm = GaussianHMM(3, "diag")
    hmm.startprob_, hmm.transmat_, hmm.means_, hmm.covars_ = THREE
    ours = filter_regimes(THREE, x)
    np.testing.assert_allclose(ours.probability_frac[-1], hmm.predict_proba(x)[-1], rtol=1e-7, atol=1e-12)
    assert ours.log_likelihood == pytest.approx(hmm.score(x), rel=1e-10)
    assert np.abs(ours.probability_frac - hmm.predict_proba(x)).max() > 0.1  # its other rows look ahead


def test_a_label_does_not_change_when_later_rows_do_and_one_step_at_a_time_gives_the_same_bits():
    _, x = simulate_regimes(THREE, 60, seed=5)
    whole, probability = filter_regimes(THREE, x), None
    for t in range(60):
        later = x.copy()
        later[t + 1 :] = 1e3 * np.random.default_rng(t).normal(size=later[t + 1 :].shape)
        np.testing.assert_array_equal(
            filter_regimes(THREE, later).probability_frac[: t + 1], whole.probability_frac[: t + 1]
        )
        probability = advance_regime(THREE, probability, x[t])
        np.testing.assert_array_equal(probability, whole.probability_frac[t])


def test_a_fit_of_simulated_returns_gives_back_the_model_and_a_fit_of_that_one_agrees():
    truth = CALM_AND_WILD
    for seed in (0, 1):
        state, x = simulate_regimes(truth, 5000, seed=seed)
        fit = fit_regimes(x, 2, seed=7, restarts=1)
        assert fit.converged and fit.log_likelihood >= filter_regimes(truth, x).log_likelihood
        np.testing.assert_allclose(fit.model.variance, truth.variance, rtol=0.12)
        np.testing.assert_allclose(fit.model.transition_frac, truth.transition_frac, atol=0.02)
        assert (filter_regimes(fit.model, x).label == state).mean() > 0.93
        truth = fit.model
    one = fit_regimes(x[:1500], 2, seed=7, restarts=1)
    again = fit_regimes(x[:1500], 2, seed=7, restarts=1)
    for ours, theirs in zip(one.model, again.model, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_three_states_of_two_columns_come_back_in_order_of_volatility_and_bic_finds_their_number():
    _, x = simulate_regimes(THREE, 1500, seed=8)
    fits = {K: fit_regimes(x * [1e-4, 50.0], K, restarts=3) for K in (2, 3, 4)}
    model = fits[3].model
    assert (np.diff(model.variance[:, 0]) > 0).all()
    np.testing.assert_allclose(model.mean / [1e-4, 50.0], THREE.mean, atol=0.25)
    np.testing.assert_allclose(model.variance / [1e-8, 2500.0], THREE.variance, rtol=0.25)
    assert min(fits, key=lambda K: fits[K].bic) == 3
    free = 2 + 6 + 6 + 6  # start, transitions, means, variances
    assert fits[3].bic == pytest.approx(free * np.log(1500) - 2 * fits[3].log_likelihood)


def test_a_row_far_out_leaves_probabilities_finite():
    frac = filter_regimes(CALM_AND_WILD, [0.0, 1e3, 0.0]).probability_frac
    assert np.isfinite(frac).all() and np.allclose(frac.sum(1), 1) and frac[1, 1] == 1.0


def test_observations_of_a_row_are_trailing_and_have_their_closed_forms():
    rising = np.exp(0.001 * np.arange(50))
    rows = regime_observations(rising, np.full(50, 20.0), 10)
    assert rows.shape == (40, 3)
    np.testing.assert_allclose(rows, np.tile([np.log(0.001), 1.0, np.log(20.0)], (40, 1)), rtol=1e-9)
    later = rising.copy()
    later[31:] *= 2.0
    changed = regime_observations(later, np.full(50, 20.0), 10)
    np.testing.assert_array_equal(changed[:21], rows[:21])  # row 20 is known at price 30
    assert not np.allclose(changed[21], rows[21])


def best_split(x: np.ndarray, min_rows: int, penalty: float, kind: str) -> list[int]:
    """Return the segments' first rows by dynamic programming over every split, from scratch."""
    best: dict[int, tuple[float, list[int]]] = {0: (-penalty, [])}
    for end in range(min_rows, len(x) + 1):
        options = []
        for start, (cost, path) in best.items():
            if end - start < min_rows:
                continue
            part = x[start:end]
            own = ((part - part.mean()) ** 2).sum() if kind == MEAN else len(part) * np.log(part.var())
            options.append((cost + own + penalty, [*path, start]))
        if options:
            best[end] = min(options)
    return best[len(x)][1]


@pytest.mark.parametrize("kind", [MEAN, MEAN_AND_VARIANCE])
def test_changes_are_those_of_the_full_search(kind):
    rng = np.random.default_rng(9)
    for _ in range(3):
        x = rng.normal(np.repeat(rng.normal(0, 2, 4), 25), np.repeat(rng.uniform(0.3, 3, 4), 25))
        step = np.diff(x)
        noise = 1.4826 * np.median(np.abs(step - np.median(step))) / np.sqrt(2) if kind == MEAN else x.std()
        found = find_changes(x, kind, min_rows=8, penalty=12.0)
        assert found.first_row.tolist() == best_split(x / noise, 8, 12.0, kind)
        assert len(found.first_row) > 1


def test_simulated_changes_of_volatility_are_found_near_their_rows_and_a_fit_of_the_fit_agrees():
    rng = np.random.default_rng(10)
    rows, std = np.array([0, 150, 310]), np.array([1e-4, 5e-4, 2e-4])
    for _ in range(2):
        label = np.searchsorted(rows, np.arange(450), side="right") - 1
        found = find_changes(rng.normal(0, std[label]), MEAN_AND_VARIANCE, min_rows=30)
        assert len(found.first_row) == 3 and np.abs(found.first_row - rows).max() <= 20
        np.testing.assert_allclose(found.std[:, 0], std, rtol=0.2)
        rows, std = found.first_row, found.std[:, 0]


def test_noise_alone_has_no_change():
    rng = np.random.default_rng(11)
    for kind in (MEAN, MEAN_AND_VARIANCE):
        counts = [len(find_changes(rng.normal(5, 2, 110), kind).first_row) for _ in range(6)]
        assert sum(counts) <= 7, kind


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: fit_regimes(np.ones(100), 2), "column 0 of observations is constant"),
        (lambda: fit_regimes(np.arange(15.0), 2), "20 rows or more"),
        (lambda: fit_regimes(np.arange(100.0), 1), "num_states is 1"),
        (lambda: fit_regimes(np.tile([0.0, 1.0], 50), 3), "observations have 2 different rows, too few for 3 states"),
        (lambda: filter_regimes(THREE, [1.0, 2.0]), "observations have 1 columns, the model 2"),
        (lambda: advance_regime(THREE, None, [1.0]), "observation has 1 values"),
        (lambda: filter_regimes(THREE, [[1.0, np.inf]]), "row 0 that is not finite"),
        (lambda: find_changes(np.arange(100.0), "median"), "kind is 'median'"),
        (lambda: find_changes(np.ones(100)), "column 0 of values has no noise"),
        (lambda: find_changes(np.arange(10.0)), "values have shape (10, 1)"),
        (lambda: regime_observations([1.0, 2.0], [1.0, 1.0], 2), "2 rows are too few for a window of 2"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call()
