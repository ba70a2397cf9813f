"""Shrunk covariance against scikit-learn, contributions against finite differences and sums."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from kernels.risk import covariance as cv
from kernels.risk.tails import elliptical_risk
from kernels.risk.var import historical_risk


@pytest.mark.parametrize(("total", "assets"), [(30, 1), (60, 10), (40, 80), (500, 30)])
def test_the_shrunk_covariance_is_scikit_learns(total, assets):
    rng = np.random.default_rng(total)
    returns = rng.normal(size=(total, assets)) @ rng.normal(size=(assets, assets)) + 3.0
    found, oracle = cv.ledoit_wolf(returns), LedoitWolf().fit(returns)
    assert found.shrinkage == pytest.approx(oracle.shrinkage_, rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(found.covariance, oracle.covariance_, rtol=1e-9, atol=1e-12)
    assert np.linalg.eigvalsh(found.covariance).min() > 0


def _portfolio(assets=6, seed=1):
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(assets, assets))
    return rng.normal(size=assets) * 100, factor @ factor.T / assets * 1e-4, rng.normal(size=assets) * 1e-3


def _risk(weights, matrix, mean, dof):
    return elliptical_risk(float(weights @ mean), float(weights @ matrix @ weights) ** 0.5, 0.01, dof)


@pytest.mark.parametrize("dof", [None, 4.0])
def test_marginals_are_slopes_and_components_sum_to_the_total(dof):
    weights, matrix, mean = _portfolio()
    found = cv.elliptical_contributions(weights, matrix, 0.01, mean, dof)
    assert found.total == pytest.approx(_risk(weights, matrix, mean, dof))
    assert found.component_var.sum() == pytest.approx(found.total.var, rel=1e-12)
    assert found.component_es.sum() == pytest.approx(found.total.es, rel=1e-12)
    for asset in range(len(weights)):
        step = 1e-3 * np.eye(len(weights))[asset]
        up, down = _risk(weights + step, matrix, mean, dof), _risk(weights - step, matrix, mean, dof)
        assert found.marginal_var[asset] == pytest.approx((up.var - down.var) / 2e-3, rel=1e-6)
        assert found.marginal_es[asset] == pytest.approx((up.es - down.es) / 2e-3, rel=1e-6)


def test_two_uncorrelated_assets_share_var_by_their_variances():
    found = cv.elliptical_contributions([3.0, 4.0], np.diag([1.0, 1.0]), 0.01)
    assert found.total.var == pytest.approx(5 * 2.3263478740)
    assert found.component_var / found.total.var == pytest.approx([9 / 25, 16 / 25])


def test_scenario_components_sum_to_the_historical_shortfall_and_a_hedge_takes_away():
    rng = np.random.default_rng(2)
    market = rng.standard_t(4, 5000)
    pnl = np.stack([market + rng.normal(size=5000), 0.5 * market, -0.7 * market], axis=1)
    parts = cv.scenario_component_es(pnl, 0.01)
    assert parts.sum() == pytest.approx(historical_risk(pnl.sum(axis=1), 0.01).es, rel=1e-12)
    assert parts[1] > 0 > parts[2]
    assert parts[2] == pytest.approx(-1.4 * parts[1])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cv.ledoit_wolf(np.ones((40, 2))), "returns of asset 0 never move"),
        (lambda: cv.ledoit_wolf(np.ones((29, 2))), "T >= 30"),
        (lambda: cv.ledoit_wolf(np.full((40, 2), np.nan)), "returns holds 80 values"),
        (lambda: cv.elliptical_contributions([1.0], np.eye(2), 0.01), "covariance 2, exposures 1, mean 2"),
        (lambda: cv.elliptical_contributions([1.0, -1.0], np.ones((2, 2)), 0.01), "leave no variance"),
        (lambda: cv.elliptical_contributions([1.0, 1.0], [[1.0, 0.5], [0.4, 1.0]], 0.01), "not symmetric"),
        (lambda: cv.elliptical_contributions([1.0], [[-1.0]], 0.01), "variance below 0"),
        (lambda: cv.elliptical_contributions([1.0], [[1.0]], 0.01, dof=2.0), r"dof is 2\.0"),
        (lambda: cv.scenario_component_es(np.ones((50, 2)), 0.01), "at least 100 values"),
    ],
)
def test_what_has_no_contribution_is_refused_with_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
