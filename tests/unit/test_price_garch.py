"""GARCH(1,1) against closed forms, a plain recursion, and the figures of arch's S&P 500 set."""

import math

import numpy as np
import pytest
from arch.data import sp500

from market_models.prices import garch
from tests.support.price_fits import z_scores

PARAMS = garch.Params(1.0, 0.0, 5e-6, 0.10, 0.80, 5e-5)  # the start is the mean variance, and the kurtosis exists


@pytest.fixture(scope="module")
def sp500_fit() -> garch.base.Fit:
    """Return the fit whose log returns are the recorded simple ones, as in the printed figures."""
    returns = sp500.load()["Adj Close"].pct_change().dropna().to_numpy()
    return garch.fit(np.exp(np.concatenate([[0.0], np.cumsum(returns)])))


def test_the_sp500_fit_has_the_printed_parameters_and_log_likelihood(sp500_fit: garch.base.Fit) -> None:
    params = sp500_fit.params
    assert f"{100 * params.log_drift_per_bar:.4f}" == "0.0564"
    assert f"{1e4 * params.omega:.4f}" == "0.0175"
    assert f"{params.alpha:.4f}" == "0.1022"
    assert f"{params.beta:.4f}" == "0.8852"
    assert sp500_fit.log_likelihood is not None
    assert f"{sp500_fit.log_likelihood - 5030 * math.log(100):.4f}" == "-6936.7185"  # of returns in percent


def test_the_log_likelihood_is_that_of_the_plain_recursion() -> None:
    prices = garch.sample(garch.EXAMPLE, 500, 1, 4)[0]
    result = garch.fit(prices)
    variance, total = result.params.start_variance, 0.0
    for value in np.diff(np.log(prices)):
        shock = value - result.params.log_drift_per_bar
        total -= 0.5 * (math.log(2 * math.pi * variance) + shock**2 / variance)
        variance = result.params.omega + result.params.alpha * shock**2 + result.params.beta * variance
    assert result.log_likelihood == pytest.approx(total, rel=1e-8)


def test_fit_simulate_fit_on_the_sp500_returns_the_parameters_within_three_errors(sp500_fit: garch.base.Fit) -> None:
    again = garch.fit(garch.sample(sp500_fit.params, 5030, 1, 3)[0])
    same_start = sp500_fit.params._replace(start_price=1.0, start_variance=again.params.start_variance)
    assert np.abs(z_scores(again.params, again.standard_errors, same_start)).max() < 3


def test_fits_of_simulated_prices_scatter_around_the_truth_by_their_standard_errors() -> None:
    scores = []
    for path in garch.sample(garch.EXAMPLE, 4000, 30, 8):
        result = garch.fit(path)
        start = garch.EXAMPLE._replace(start_variance=result.params.start_variance)
        scores.append(z_scores(result.params, result.standard_errors, start))
    spread = (np.array(scores) ** 2).mean(axis=0)
    assert (spread > 0.35).all()
    assert (spread < 2.2).all()


def test_returns_have_the_closed_form_kurtosis_and_autocorrelation_of_squares() -> None:
    alpha, beta = PARAMS.alpha, PARAMS.beta
    returns = np.diff(np.log(garch.sample(PARAMS, 1500, 1000, 2)), axis=1)
    square = returns[:, 500:] ** 2 / 5e-5
    persistence = (alpha + beta) ** 2
    kurtosis = 3 * (1 - persistence) / (1 - persistence - 2 * alpha**2)
    lag_1 = alpha * (1 - alpha * beta - beta**2) / (1 - 2 * alpha * beta - beta**2)
    for product, expected in (
        (square, 1.0),
        (square**2, kurtosis),
        (square[:, 1:] * square[:, :-1], 1 + lag_1 * (kurtosis - 1)),
    ):
        by_path = product.mean(axis=1)
        assert abs(by_path.mean() - expected) < 4 * by_path.std() / 1000**0.5


def test_the_variance_returns_to_its_mean_by_alpha_plus_beta_a_bar() -> None:
    returns = np.diff(np.log(garch.sample(PARAMS._replace(start_variance=4e-4), 12, 100_000, 6)), axis=1)
    expected = 5e-5 + 3.5e-4 * 0.9 ** np.arange(12)
    error = (returns**2).std(axis=0) / 100_000**0.5
    assert (np.abs((returns**2).mean(axis=0) - expected) < 4 * error).all()


def test_a_variance_that_explodes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"alpha \+ beta"):
        garch.sample(PARAMS._replace(alpha=0.3), 5, 1, 0)
