"""Heston against its characteristic function and closed-form moments, and its fit against what made the prices."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from market_models.prices import geometric_walk, heston
from tests.support.price_fits import z_scores

PARAMS = heston.EXAMPLE
PATHS = 40_000


@pytest.fixture(scope="module")
def shocks() -> np.ndarray:
    """Return log returns less their mean [PATHS, 20] of paths that start in the stationary variance."""
    return np.diff(np.log(heston.sample(PARAMS, 20, PATHS, 5)), axis=1) - PARAMS.log_drift_per_bar


def characteristic(u: float, num_bars: int) -> complex:
    """Return E exp(i u log(P[num_bars] / P[0])) from the Riccati equations, V[0] from its gamma distribution."""
    _, mu, theta, kappa, xi, rho = PARAMS

    def slope(_: float, state: np.ndarray) -> list[complex]:
        return [
            kappa * theta * state[1],
            -(u**2) / 2 + (1j * rho * xi * u - kappa) * state[1] + (xi * state[1]) ** 2 / 2,
        ]

    end = solve_ivp(slope, (0, num_bars), np.zeros(2, complex), rtol=1e-10, atol=1e-12).y[:, -1]
    start = (1 - end[1] * xi**2 / (2 * kappa)) ** (-2 * kappa * theta / xi**2)
    return np.exp(1j * u * mu * num_bars + end[0]) * start


@pytest.mark.parametrize("num_bars", [1, 20])
@pytest.mark.parametrize("deviations", [0.5, 1.0, 2.0])
def test_log_returns_have_hestons_characteristic_function(shocks: np.ndarray, num_bars: int, deviations: float) -> None:
    u = deviations / (PARAMS.mean_variance * num_bars) ** 0.5
    moves = shocks[:, :num_bars].sum(axis=1) + num_bars * PARAMS.log_drift_per_bar
    assert abs(np.exp(1j * u * moves).mean() - characteristic(u, num_bars)) < 4 / PATHS**0.5


def test_squares_cluster_and_falls_raise_the_variance_as_the_closed_form_says(shocks: np.ndarray) -> None:
    _, _, theta, kappa, xi, rho = PARAMS
    g = (1 - np.exp(-kappa)) / kappa
    height = theta * xi**2 * g**2 / (2 * kappa) + 2 * (rho * xi) ** 2 * theta * g * (g - np.exp(-kappa)) / kappa
    squares = shocks**2 - theta
    for lag in (1, 4, 12):
        decay = np.exp(-kappa * (lag - 1))
        for products, expected in (
            ((squares[:, :-lag] * squares[:, lag:]).mean(axis=1), height * decay),
            ((shocks[:, :-lag] * squares[:, lag:]).mean(axis=1), rho * xi * theta * g**2 * decay),
        ):
            assert abs(products.mean() - expected) < 4 * products.std() / PATHS**0.5
            assert abs(expected) > 8 * products.std() / PATHS**0.5  # the check can see the effect


def test_the_variance_of_every_bar_is_the_mean_variance(shocks: np.ndarray) -> None:
    squares = shocks**2
    error = squares.std(axis=0) / PATHS**0.5
    assert (np.abs(squares.mean(axis=0) - PARAMS.mean_variance) < 4 * error).all()


def test_fit_simulate_fit_returns_the_parameters_within_three_errors() -> None:
    first = heston.fit(heston.sample(PARAMS, 10_000, 1, 1)[0])
    assert np.abs(z_scores(first.params, first.standard_errors, PARAMS)).max() < 3
    again = heston.fit(heston.sample(first.params, 10_000, 1, 2)[0])
    assert np.abs(z_scores(again.params, again.standard_errors, first.params)).max() < 3
    assert first.log_likelihood is None
    for field in ("mean_variance", "reversion_per_bar", "variance_volatility", "correlation"):
        assert abs(getattr(first.params, field)) > 3 * getattr(first.standard_errors, field) > 0


def test_returns_without_clustering_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no variance that is pulled|too few"):
        heston.fit(geometric_walk.sample(geometric_walk.EXAMPLE, 1000, 1, 3)[0])


@pytest.mark.parametrize(
    ("field", "value"), [("correlation", 1.1), ("reversion_per_bar", 0.7), ("variance_volatility", 0.0)]
)
def test_a_parameter_out_of_range_is_refused_by_its_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        heston.sample(PARAMS._replace(**{field: value}), 5, 1, 0)
