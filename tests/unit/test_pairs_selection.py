"""Pairs and their hedge: selection against processes whose truth is known, the filter against statsmodels."""

import gzip
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from statsmodels.regression.recursive_ls import RecursiveLS
from statsmodels.tsa.ar_model import AutoReg
from statsmodels.tsa.statespace.kalman_filter import KalmanFilter
from statsmodels.tsa.vector_ar.vecm import select_coint_rank

from kernels.features.kalman import HedgeFilter, advance_hedge, start_hedge
from market_models.pair_selection import fit_pair, fit_reversion, johansen_trace, select_pairs
from market_models.prices import cointegration, ornstein_uhlenbeck

PULLED = cointegration.EXAMPLE._replace(short_run=np.zeros((0, 2, 2)))
APART = PULLED._replace(loadings=np.zeros((2, 1)), covariance=np.diag([4e-4, 5e-4]))


def filtered(xp, y, x, drift, noise, mean, variance):
    state, errors, variances = start_hedge(xp, xp.asarray(mean), xp.asarray(variance)), [], []
    for one, other in zip(y, x, strict=True):
        state, surprise = advance_hedge(xp, state, one, other, drift, noise)
        errors.append(float(surprise.error))
        variances.append(float(surprise.variance))
    return state, np.array(errors), np.array(variances)


def drifting(bars=200, seed=2):
    rng = np.random.default_rng(seed)
    x = 4 + np.cumsum(rng.normal(0, 0.02, bars))
    beta = 0.9 + np.cumsum(rng.normal(0, 0.005, bars))
    return 0.3 + beta * x + rng.normal(0, 0.01, bars), x


def test_a_drifting_hedge_ratio_is_that_of_statsmodels_kalman_filter():
    y, x = drifting()
    drift, noise = 2.5e-5, 1e-4
    judge = KalmanFilter(k_endog=1, k_states=2)
    judge.bind(y[:, None].copy())
    judge["design"] = np.stack([np.ones_like(x), x])[None]
    judge["transition"], judge["selection"] = np.eye(2), np.eye(2)
    judge["state_cov"], judge["obs_cov"] = drift * np.eye(2), np.array([[noise]])
    # Its first row is a prediction already; ours adds the drift to what it starts from.
    judge.initialize_known(np.zeros(2), (1.0 + drift) * np.eye(2))
    wanted = judge.filter()
    state, errors, variances = filtered(np, y, x, drift, noise, np.zeros(2), np.ones(2))
    np.testing.assert_allclose(errors, wanted.forecasts_error[0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(variances, wanted.forecasts_error_cov[0, 0], rtol=1e-6)
    np.testing.assert_allclose(state.mean, wanted.filtered_state[:, -1], rtol=1e-6)
    np.testing.assert_allclose(state.covariance, wanted.filtered_state_cov[..., -1], rtol=1e-5, atol=1e-12)


def test_without_drift_and_prior_the_hedge_is_least_squares():
    y, x = drifting(120)
    state, *_ = filtered(np, y, x, 0.0, 1.0, np.zeros(2), np.full(2, 1e8))
    wanted = np.asarray(RecursiveLS(y, np.column_stack([np.ones_like(x), x])).fit().params)
    np.testing.assert_allclose(state.mean, wanted, rtol=1e-4)


def test_the_filter_in_float32_and_jax_stays_near_and_positive():
    y, x = drifting(60)
    exact, errors, _ = filtered(np, y, x, 1e-5, 1e-4, np.zeros(2), np.ones(2))
    one, two = (jnp.asarray(v, jnp.float32) for v in (y, x))
    state, near, variances = filtered(jnp, one, two, jnp.float32(1e-5), jnp.float32(1e-4), jnp.zeros(2), jnp.ones(2))
    np.testing.assert_allclose(near[20:], errors[20:], atol=3e-4)
    assert (variances > 0).all() and np.linalg.eigvalsh(np.asarray(state.covariance)).min() > 0
    assert isinstance(state, HedgeFilter) and float(state.mean[1]) == pytest.approx(float(exact.mean[1]), abs=0.01)


def test_the_half_life_is_that_of_an_ar1_fit_and_of_the_process():
    params = ornstein_uhlenbeck.Params(0.0, 0.2, 0.1, 0.3)
    spread = ornstein_uhlenbeck.sample(params, 20_000, 1, 4)[0]
    found = fit_reversion(spread)
    constant, slope = np.asarray(AutoReg(spread, 1).fit().params)
    assert found.slope == pytest.approx(slope) and found.mean == pytest.approx(constant / (1 - slope))
    assert found.half_life_bars == pytest.approx(np.log(2) / 0.1, rel=0.06)
    assert found.deviation == pytest.approx(0.3 / np.sqrt(0.2), rel=0.05)


def test_a_spread_that_trends_or_alternates_has_no_half_life_between():
    assert fit_reversion(np.exp(np.arange(30) / 5)).half_life_bars == np.inf
    assert fit_reversion((-1.0) ** np.arange(30) + 0.01 * np.arange(30)).half_life_bars == 0.0


def test_the_trace_statistic_decides_the_rank_as_statsmodels_does():
    for params, rank in ((PULLED, 1), (APART, 0)):
        prices = cointegration.sample(params, 600, 1, 8)[0]
        trace, critical = johansen_trace(prices)
        judge = select_coint_rank(np.log(prices), 0, 1, method="trace", signif=0.05)
        assert (trace > critical) == (judge.rank >= 1) == (rank >= 1)
        assert trace == pytest.approx(judge.test_stats[0])


def test_the_relation_of_the_process_is_found_among_assets_without_one():
    pulled, apart = cointegration.sample(PULLED, 400, 1, 3)[0], cointegration.sample(APART, 400, 1, 11)[0]
    found = select_pairs(np.column_stack([apart[:, 0], pulled[:, 0], apart[:, 1], pulled[:, 1]]))
    assert [{pair.first, pair.second} for pair in found] == [{1, 3}]
    pair = found[0]
    slope = pair.slope if pair.first == 1 else 1 / pair.slope
    assert slope == pytest.approx(0.9, abs=0.1)
    pull = 0.08 + 0.9 * 0.05  # of the spread x1 - 0.9 x2 in one bar
    assert pair.reversion.half_life_bars == pytest.approx(np.log(0.5) / np.log(1 - pull), rel=0.5)


@pytest.mark.data
def test_crude_oils_are_the_pair_of_the_printed_figures(data_dir: Path):
    path = data_dir / "bars/daily/arch_crude.csv.gz"
    if not path.exists():
        pytest.skip("recorded data has no bars/daily/arch_crude.csv.gz")
    with gzip.open(path, "rt", encoding="utf-8-sig") as rows:
        prices = np.loadtxt(rows, delimiter=",", skiprows=1, usecols=(2, 1))
    pair = fit_pair(prices, 0, 1)  # log WTI - .9071785 log Brent - .3488505, p 1.49e-5: truths.md
    assert (pair.slope, pair.constant) == pytest.approx((0.9071785, 0.3488505), abs=1e-6)
    assert pair.p_value == pytest.approx(1.49e-5, rel=0.02)
    found = select_pairs(prices)
    assert [{one.first, one.second} for one in found] == [{0, 1}] and 0.5 < found[0].reversion.half_life_bars < 24


def test_independent_walks_are_rarely_taken_for_a_pair():
    paths = cointegration.sample(APART, 300, 40, 5)
    assert sum(bool(select_pairs(prices)) for prices in paths) <= 6


def test_pairs_are_sorted_by_half_life_and_slow_ones_can_be_refused():
    prices = cointegration.sample(PULLED, 400, 1, 3)[0]
    assert fit_pair(prices, 0, 1).vector.tolist() == [1.0, -fit_pair(prices, 0, 1).slope]
    assert select_pairs(prices) and not select_pairs(prices, max_half_life_bars=1.0)


@pytest.mark.parametrize(
    ("prices", "options", "message"),
    [
        (np.ones((10, 2)), {}, "at least 50"),
        (np.exp(np.random.default_rng(0).normal(size=(60, 1))), {}, "at least 2"),
        (np.exp(np.random.default_rng(0).normal(size=(60, 2))), {"size": 2.0}, "size"),
        (np.full((60, 2), np.nan), {}, "not finite"),
    ],
)
def test_prices_without_a_pair_in_them_are_refused_with_a_sentence(prices, options, message):
    with pytest.raises(ValueError, match=message):
        select_pairs(prices, **options)


def test_a_spread_that_never_moves_is_refused():
    with pytest.raises(ValueError, match="spread is constant"):
        fit_reversion(np.ones(20))
