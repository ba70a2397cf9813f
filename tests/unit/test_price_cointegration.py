"""The cointegrated basket against closed forms, and the printed figures of crude oil and of MacKinnon."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from market_models.prices import cointegration as ci
from tests.support.price_fits import z_scores

# Source: MacKinnon 2010, asymptotic 1, 5 and 10 %.
CONSTANT = {
    1: (-3.4304, -2.8615, -2.5668),
    2: (-3.8964, -3.3361, -3.0444),
    3: (-4.2937, -3.7407, -3.4522),
    4: (-4.6433, -4.0960, -3.8102),
    5: (-4.9576, -4.4152, -4.1316),
    6: (-5.2457, -4.7069, -4.4250),
}
TREND = {
    1: (-3.9588, -3.4105, -3.1270),
    2: (-4.3276, -3.7806, -3.4963),
    3: (-4.6630, -4.1189, -3.8351),
    4: (-4.9694, -4.4287, -4.1463),
    5: (-5.2528, -4.7154, -4.4342),
    6: (-5.5173, -4.9823, -4.7023),
}
FINITE = {1: (-3.4975, -2.8909, -2.5824), 2: (-4.0093, -3.3979, -3.0871)}  # constant, 100 bars


@pytest.fixture
def crude(data_dir: Path) -> np.ndarray:
    """Return monthly WTI and Brent [393, 2]."""
    path = data_dir / "bars/daily/arch_crude.csv.gz"
    if not path.exists():
        pytest.skip("recorded data has no bars/daily/arch_crude.csv.gz")
    with gzip.open(path, "rt", encoding="utf-8-sig") as rows:
        return np.loadtxt(rows, delimiter=",", skiprows=1, usecols=(2, 1))


@pytest.mark.parametrize("num_assets", range(1, 7))
def test_critical_values_are_mackinnons_to_the_printed_digits(num_assets: int) -> None:
    np.testing.assert_allclose(ci.critical_values(num_assets), CONSTANT[num_assets], atol=5.1e-5)
    np.testing.assert_allclose(ci.critical_values(num_assets, trend="ct"), TREND[num_assets], atol=5.1e-5)
    if num_assets in FINITE:
        np.testing.assert_allclose(ci.critical_values(num_assets, 100), FINITE[num_assets], atol=5.1e-5)


@pytest.mark.data
def test_crude_oil_is_cointegrated_with_the_printed_statistic_and_vector(crude: np.ndarray) -> None:
    assert crude.shape == (393, 2)
    test = ci.engle_granger(crude)
    assert f"{test.statistic:.6f}" == "-5.539573"
    assert f"{test.p_value:.2e}" == "1.49e-05"
    assert f"{test.slopes[0]:.7f} {test.constant:.7f}" == "0.9071785 0.3488505"
    assert test.statistic < test.critical_values[0]


@pytest.mark.data
def test_fit_simulate_fit_on_crude_oil_returns_the_parameters_within_three_errors(crude: np.ndarray) -> None:
    first = ci.fit(crude)
    again = ci.fit(ci.sample(first.params, 4000, 1, 2)[0])
    assert np.abs(z_scores(again.params, again.standard_errors, first.params)).max() < 3


@pytest.mark.parametrize("num_lags", [0, 1, 2])
def test_fits_of_simulated_baskets_scatter_around_the_truth_by_their_standard_errors(num_lags: int) -> None:
    lags = np.array([[[0.10, 0.05], [-0.05, 0.15]], [[-0.1, 0.0], [0.05, -0.1]]])[:num_lags]
    truth = ci.EXAMPLE._replace(short_run=lags)
    fits = [ci.fit(path, num_lags=num_lags) for path in ci.sample(truth, 2000, 60, 4)]
    spread = (np.array([z_scores(*one[:2], truth) for one in fits]) ** 2).mean(axis=0)
    assert (spread > 0.5).all()
    assert (spread < 1.8).all()


def test_the_log_likelihood_is_the_normal_density_of_the_shocks() -> None:
    prices = ci.sample(ci.EXAMPLE, 300, 1, 4)[0]
    params, _, log_likelihood = ci.fit(prices)
    logs, moves = np.log(prices), np.diff(np.log(prices), axis=0)
    pull = (logs[1:-1] @ params.vectors + params.constants) @ params.loadings.T
    shocks = moves[1:] - pull - moves[:-1] @ params.short_run[0].T
    assert log_likelihood == pytest.approx(multivariate_normal([0, 0], params.covariance).logpdf(shocks).sum())


def test_the_distance_to_the_relation_has_the_closed_form_mean_and_variance() -> None:
    params = ci.EXAMPLE._replace(short_run=np.zeros((0, 2, 2)))
    distance = np.log(ci.sample(params, 60, 40_000, 3)) @ params.vectors[:, 0] + params.constants[0]
    keep = 1 + params.vectors[:, 0] @ params.loadings[:, 0]
    noise = params.vectors[:, 0] @ params.covariance @ params.vectors[:, 0]
    for step in (1, 10, 60):
        mean, variance = distance[0, 0] * keep**step, noise * (1 - keep ** (2 * step)) / (1 - keep**2)
        assert abs(distance[:, step].mean() - mean) < 4 * (variance / 40_000) ** 0.5
        assert distance[:, step].var() == pytest.approx(variance, rel=0.03)


def test_walks_that_share_nothing_are_not_called_cointegrated() -> None:
    walks = np.exp(np.cumsum(np.random.Generator(np.random.Philox(2)).normal(0, 0.01, (500, 2)), axis=0))
    assert ci.engle_granger(walks).p_value > 0.05


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("loadings", np.array([[0.3], [0.0]])),
        ("loadings", np.zeros((3, 1))),
        ("covariance", np.array([[1.0, 2.0], [2.0, 1.0]])),
        ("short_run", np.zeros((1, 3, 3))),
    ],
)
def test_a_basket_that_makes_no_sense_is_refused_by_the_field(field: str, value: np.ndarray) -> None:
    with pytest.raises(ValueError, match=field):
        ci.sample(ci.EXAMPLE._replace(**{field: value}), 5, 1, 0)


def test_a_rank_or_lag_that_does_not_fit_the_basket_is_refused() -> None:
    prices = ci.sample(ci.EXAMPLE, 100, 1, 4)[0]
    with pytest.raises(ValueError, match="rank"):
        ci.fit(prices, rank=2)
    with pytest.raises(ValueError, match="num_lags"):
        ci.fit(prices, num_lags=50)
    with pytest.raises(ValueError, match="at least 2"):
        ci.fit(prices[:, :1])
