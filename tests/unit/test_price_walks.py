"""Walks, Ornstein-Uhlenbeck and Merton against closed forms, and their fits against what made the prices."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from market_models.prices import arithmetic_walk, geometric_walk, merton, ornstein_uhlenbeck
from market_models.prices.registry import get_price_model
from tests.support.price_fits import z_scores

PATHS = 40_000


def assert_moments(values: np.ndarray, mean: float, variance: float) -> None:
    """Hold the sample's mean and variance to the closed form within four errors."""
    count = len(values)
    assert abs(values.mean() - mean) < 4 * (variance / count) ** 0.5
    spread = (values - mean) ** 2
    assert abs(spread.mean() - variance) < 4 * spread.std() / count**0.5


@pytest.mark.parametrize("name", ["arithmetic_walk", "geometric_walk", "merton", "ornstein_uhlenbeck"])
def test_fits_of_simulated_prices_scatter_around_the_truth_by_their_standard_errors(name: str) -> None:
    model, count = get_price_model(name), 8 if name == "merton" else 100
    paths = model.sample(model.example, 2000, count, 5)
    scores = np.array([z_scores(*model.fit(path)[:2], model.example) for path in paths])
    low, high = stats.chi2.ppf([1e-4, 1 - 1e-4], count) / count
    assert ((scores**2).mean(axis=0) > low).all()
    assert ((scores**2).mean(axis=0) < high).all()


@pytest.mark.parametrize("name", ["arithmetic_walk", "geometric_walk", "merton", "ornstein_uhlenbeck"])
def test_fit_simulate_fit_returns_the_fitted_parameters_within_three_standard_errors(name: str) -> None:
    model = get_price_model(name)
    first = model.fit(model.sample(model.example, 3000, 1, 1)[0])
    second = model.fit(model.sample(first.params, 6000, 1, 2)[0])
    assert np.abs(z_scores(second.params, second.standard_errors, first.params)).max() < 3


def test_arithmetic_prices_have_the_closed_form_moments_after_twenty_bars() -> None:
    last = arithmetic_walk.sample(arithmetic_walk.Params(10.0, -0.1, 2.0), 20, PATHS, 1)[:, -1]
    assert_moments(last, 10 - 0.1 * 20, 4.0 * 20)


def test_geometric_prices_have_the_log_normal_mean_and_variance() -> None:
    last = geometric_walk.sample(geometric_walk.Params(50.0, 0.01, 0.05), 16, PATHS, 1)[:, -1]
    mean = 50 * np.exp(0.01 * 16 + 0.0025 * 16 / 2)
    assert_moments(last, mean, mean**2 * np.expm1(0.0025 * 16))


def test_a_walk_without_volatility_is_its_drift() -> None:
    path = geometric_walk.sample(geometric_walk.Params(2.0, 0.1, 0.0), 10, 1, 0)[0]
    np.testing.assert_allclose(path, 2 * np.exp(0.1 * np.arange(11)), rtol=1e-12)


def test_the_reverting_price_has_the_closed_form_mean_variance_and_autocovariance() -> None:
    params = ornstein_uhlenbeck.Params(5.0, 1.0, 0.2, 0.7)
    paths = ornstein_uhlenbeck.sample(params, 30, PATHS, 3)
    assert_moments(paths[:, 4], 1 + 4 * np.exp(-0.8), 0.49 * (1 - np.exp(-1.6)) / 0.4)
    product = (paths[:, 30] - 1) * (paths[:, 25] - 1)
    stationary = 0.49 / 0.4
    expected = stationary * (np.exp(-1.0) - np.exp(-0.2 * 55)) + 16 * np.exp(-0.2 * 55)
    assert abs(product.mean() - expected) < 4 * product.std() / PATHS**0.5


def test_the_reverting_price_obeys_its_recursion_when_there_is_no_noise() -> None:
    path = ornstein_uhlenbeck.sample(ornstein_uhlenbeck.Params(3.0, 1.0, 0.5, 0.0), 8, 1, 0)[0]
    np.testing.assert_allclose(path, 1 + 2 * np.exp(-0.5 * np.arange(9)), rtol=1e-12)


def test_the_ornstein_uhlenbeck_fit_agrees_with_ordinary_least_squares() -> None:
    prices = ornstein_uhlenbeck.sample(ornstein_uhlenbeck.EXAMPLE, 800, 1, 9)[0]
    result = sm.OLS(prices[1:], sm.add_constant(prices[:-1])).fit()
    fit = ornstein_uhlenbeck.fit(prices)
    assert fit.params.reversion_per_bar == pytest.approx(-np.log(result.params[1]), rel=1e-9)
    assert fit.params.mean_price == pytest.approx(result.params[0] / (1 - result.params[1]), rel=1e-9)
    assert fit.log_likelihood == pytest.approx(result.llf, rel=1e-9)
    unbiased = (800 / 798) ** 0.5
    gradient = np.array([1.0, fit.params.mean_price]) / (1 - result.params[1])
    covariance = result.cov_params()
    assert fit.standard_errors.mean_price * unbiased == pytest.approx((gradient @ covariance @ gradient) ** 0.5)
    assert fit.standard_errors.reversion_per_bar * unbiased == pytest.approx(result.bse[1] / result.params[1])


def test_a_price_that_runs_away_is_refused_by_the_reverting_fit() -> None:
    with pytest.raises(ValueError, match="lag-1 slope"):
        ornstein_uhlenbeck.fit(1.1 ** np.arange(50.0))


def test_jump_returns_have_the_closed_form_mean_variance_skewness_and_kurtosis() -> None:
    params = merton.Params(1.0, 0.001, 0.01, 0.3, -0.02, 0.03)
    returns = np.diff(np.log(merton.sample(params, 1, 400_000, 4)), axis=1)[:, 0]
    variance = 1e-4 + 0.3 * (0.02**2 + 0.03**2)
    assert_moments(returns, 0.001 - 0.3 * 0.02, variance)
    third = 0.3 * (-(0.02**3) - 3 * 0.02 * 0.03**2)
    fourth = 0.3 * (0.02**4 + 6 * 0.02**2 * 0.03**2 + 3 * 0.03**4)
    assert stats.skew(returns) == pytest.approx(third / variance**1.5, abs=0.05)
    assert stats.kurtosis(returns) == pytest.approx(fourth / variance**2, abs=0.3)


def test_the_jump_density_integrates_to_one_and_is_the_normal_without_jumps() -> None:
    theta = np.array([0.1, 0.8, 0.4, -0.5, 1.5])
    grid = np.linspace(-15, 15, 3001)
    density = np.exp([merton.log_likelihood(np.array([x]), theta) for x in grid])
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-6)
    calm = merton.log_likelihood(grid, np.array([0.1, 0.8, 1e-300, 0.0, 1.0]))
    assert calm == pytest.approx(stats.norm.logpdf(grid, 0.1, 0.8).sum(), rel=1e-12)


def test_returns_that_are_exactly_normal_are_refused_by_the_jump_fit() -> None:
    returns = 0.01 * stats.norm.ppf((np.arange(1000) + 0.5) / 1000)
    with pytest.raises(ValueError, match=r"no jumps|apart"):
        merton.fit(np.exp(np.cumsum(returns)))


@pytest.mark.parametrize("model", [geometric_walk, merton])
def test_a_model_of_log_returns_refuses_a_price_of_zero(model) -> None:
    prices = geometric_walk.sample(geometric_walk.EXAMPLE, 200, 1, 3)[0]
    prices[5] = 0.0
    with pytest.raises(ValueError, match="above 0"):
        model.fit(prices)


def test_a_path_beyond_float64_is_refused() -> None:
    with pytest.raises(ValueError, match="range of float64"):
        geometric_walk.sample(geometric_walk.Params(1.0, 100.0, 0.1), 20, 1, 0)
