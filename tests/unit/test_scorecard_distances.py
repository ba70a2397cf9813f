"""The scorecard's distances against closed forms, SciPy, brute force and their nominal coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import wasserstein_distance

from market_models.scorecard import distances as dist
from market_models.scorecard.distances import Sample
from market_models.scorecard.score import interquartile_mean

FINITE = st.floats(-1e9, 1e9) | st.integers(-500, 500).map(float)
SAMPLES = hnp.arrays(np.float64, st.integers(1, 60), elements=FINITE)


def sample(value: np.ndarray, group: np.ndarray | None = None) -> Sample:
    n = len(value)
    return Sample(np.asarray(value, np.float64), np.arange(n) / n, np.zeros(n, np.int64) if group is None else group)


def distance(recorded: Sample, contender: Sample, blocks: int = 1, weights=None) -> tuple[np.ndarray, np.ndarray]:
    how = dist.compare(recorded, contender)
    cells = [dist.count_cells(part, how, 1 / blocks, blocks) for part in (recorded, contender)]
    return dist.distances(cells[0], cells[1], how, weights or (np.ones((1, blocks)), np.ones((1, blocks))))


def test_identical_data_are_no_distance_apart() -> None:
    value = np.random.default_rng(0).normal(size=5000)
    l1, w1 = distance(sample(value), sample(value[::-1]))
    assert l1[0] == 0 and w1[0] == 0


def test_a_shift_by_a_constant_is_that_constant_in_recorded_standard_deviations() -> None:
    value = np.random.default_rng(1).normal(3, 2, 300)  # few enough for every value to be a cut
    _, w1 = distance(sample(value[:150]), sample(value[:150] + 0.7))
    assert w1[0] == pytest.approx(0.7 / value[:150].std(), rel=1e-12)
    big = np.random.default_rng(2).normal(0, 2, 40_000)
    _, w1 = distance(sample(big), sample(big + 0.7))
    assert w1[0] == pytest.approx(0.7 / big.std(), rel=0.01)
    assert dist.exact_w1(big, big + 0.7) == pytest.approx(0.7, rel=1e-9)


def test_l1_of_two_discrete_laws_is_half_the_summed_difference_of_their_shares() -> None:
    p, q = np.array([40, 30, 20, 10]), np.array([10, 30, 20, 40])
    l1, w1 = distance(sample(np.repeat([0, 1, 2, 3], p)), sample(np.repeat([0, 1, 2, 3], q)))
    assert l1[0] == pytest.approx(0.3)
    # F - G is 0.3 on each of the three unit steps; the recorded law has mean 1 and variance 1.
    assert w1[0] == pytest.approx(0.9)
    l1, _ = distance(sample(np.repeat([0, 1, 2, 3], p)), sample(np.full(50, 99)))
    assert l1[0] == pytest.approx(1.0)


def test_bins_are_those_of_freedman_and_diaconis_and_a_contender_has_no_say() -> None:
    value = np.random.default_rng(3).normal(size=4000)
    edges = dist.bin_edges(value)
    fd = np.histogram_bin_edges(value, "fd")
    assert np.diff(edges)[0] == pytest.approx(np.diff(fd)[0], rel=0.03)
    assert dist.compare(sample(value), sample(value * 100)).edges.tolist() == edges.tolist()


def test_whole_numbers_have_edges_between_them_and_heavy_tails_at_most_a_hundred_bins() -> None:
    edges = dist.bin_edges(np.random.default_rng(4).poisson(4, 10_000))
    assert np.all(edges % 1 == 0.5) and np.all(np.diff(edges) == 1)
    heavy = np.random.default_rng(5).pareto(1.0, 50_000)
    assert 90 <= len(dist.bin_edges(heavy)) <= dist.MAX_BINS + 1
    assert dist.bin_edges(np.full(9, 5.0)).tolist() == [4.5, 5.5]


def test_resampled_blocks_are_the_same_as_drawing_the_values_again() -> None:
    rng = np.random.default_rng(6)
    own, other = rng.integers(0, 12, 400).astype(float), rng.integers(2, 15, 300).astype(float)
    weights = dist.draw_weights(8, 3, rng), dist.draw_weights(8, 3, rng)
    l1, w1 = distance(sample(own), sample(other), 8, weights)
    edges, scale = dist.bin_edges(own), own.std()
    for r in range(3):
        drawn = []
        for value, weight in ((own, weights[0][r]), (other, weights[1][r])):
            block = np.minimum((np.arange(len(value)) / len(value) / (1 / 8)).astype(int), 7)
            drawn.append(np.repeat(value, weight[block].astype(int)))
        shares = [np.bincount(np.searchsorted(edges, d, "right"), minlength=len(edges) + 1) / len(d) for d in drawn]
        assert l1[r] == pytest.approx(np.abs(shares[0] - shares[1]).sum() / 2)
        assert w1[r] == pytest.approx(wasserstein_distance(*drawn) / scale)


def test_groups_weigh_as_the_recording_has_them_and_a_group_that_is_missing_counts_as_1() -> None:
    own = sample(np.repeat([0.0, 1.0, 0.0, 1.0], [30, 30, 20, 20]), np.repeat([0, 1], [60, 40]))
    swapped = sample(np.repeat([0.0, 1.0, 0.0, 1.0], [60, 20, 5, 15]), np.repeat([0, 1], [80, 20]))
    l1, _ = distance(own, swapped)
    assert l1[0] == pytest.approx(0.6 * 0.25 + 0.4 * 0.25)
    l1, _ = distance(own, sample(np.repeat([0.0, 1.0], 50)))
    assert l1[0] == pytest.approx(0.6 * 0 + 0.4 * 1)


def test_the_interval_covers_the_true_distance_of_two_laws_nearly_as_often_as_it_says() -> None:
    rng, hits, rounds = np.random.default_rng(7), 0, 200
    p, q = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.2, 0.3, 0.1, 0.4])
    truth = np.abs(p - q).sum() / 2
    for _ in range(rounds):
        own, other = sample(rng.choice(4, 2000, p=p)), sample(rng.choice(4, 2000, p=q))
        ones = np.ones((1, 40))
        weights = tuple(np.vstack([ones, dist.draw_weights(40, 100, rng)]) for _ in range(2))
        l1, _ = distance(own, other, 40, weights)
        low, high = dist.interval(dist.centred(l1[1:], float(l1[0]), 1.0))
        hits += low <= truth <= high
    assert 0.88 <= hits / rounds <= 0.99  # 0.95 nominal; 40 blocks make it a little short


def test_the_interquartile_mean_leaves_out_the_lowest_and_highest_quarter() -> None:
    assert interquartile_mean([100, 1, 2, 3, 4, 5, 6, -50]) == pytest.approx((2 + 3 + 4 + 5) / 4)
    with pytest.raises(ValueError, match="values is empty"):
        interquartile_mean([])


@pytest.mark.parametrize("bad", [[], [np.nan], [1.0, np.inf]])
def test_values_that_are_missing_or_not_finite_have_no_bins(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="value has shape"):
        dist.bin_edges(bad)


@given(SAMPLES, SAMPLES)
@settings(max_examples=100, deadline=None)
def test_l1_stays_in_0_to_1_and_both_distances_vanish_against_oneself(one: np.ndarray, two: np.ndarray) -> None:
    l1, w1 = distance(sample(one), sample(two))
    assert -1e-12 <= l1[0] <= 1 + 1e-12 and w1[0] >= 0 and np.isfinite(w1[0])
    l1, w1 = distance(sample(one), sample(one))
    assert l1[0] == 0 and w1[0] == 0
