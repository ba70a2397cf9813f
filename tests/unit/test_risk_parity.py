"""Risk parity against closed forms, a general solver and published bounds; the hierarchy against a second writing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from kernels.risk.risk_parity import hierarchical_risk_parity, risk_contributions, risk_parity


def random_covariance(seed: int, size: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(size, size + 2))
    volatility = np.exp(rng.normal(-2, 0.7, size))
    sigma = factors @ factors.T
    scale = volatility / np.sqrt(np.diag(sigma))
    return sigma * np.outer(scale, scale)


def block(size: int, volatility: float, correlation: float) -> np.ndarray:
    return volatility**2 * (np.full((size, size), correlation) + (1 - correlation) * np.eye(size))


def two_blocks(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    size = len(first)
    sigma = np.zeros((size + len(second),) * 2)
    sigma[:size, :size], sigma[size:, size:] = first, second
    return sigma


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 8), st.booleans())
def test_every_asset_has_its_share_of_the_volatility_and_shares_add_up_to_it(seed, size, equal):
    sigma = random_covariance(seed, size)
    budgets = np.ones(size) if equal else np.random.default_rng(seed).uniform(0.05, 1, size)
    found = risk_parity(sigma, None if equal else budgets)
    shares = risk_contributions(found.weights, sigma)
    volatility = np.sqrt(found.weights @ sigma @ found.weights)
    assert shares.sum() == pytest.approx(volatility)
    assert np.allclose(shares / volatility, budgets / budgets.sum(), atol=1e-9)
    assert found.residual <= 1e-9
    assert found.weights.sum() == pytest.approx(1)
    assert (found.weights > 0).all()


@pytest.mark.parametrize("seed", range(6))
def test_weights_are_those_of_a_general_solver_for_the_least_variance_under_a_log_bound(seed):
    """Maillard et al., equation 7: the least w' Sigma w with sum b ln w >= c, then brought to sum 1."""
    size = 2 + seed
    sigma, budgets = random_covariance(seed, size), np.random.default_rng(seed).dirichlet(np.full(size, 3.0))
    scaled = sigma / np.diag(sigma).mean()
    oracle = minimize(
        lambda w: w @ scaled @ w,
        np.ones(size),
        jac=lambda w: 2 * scaled @ w,
        bounds=[(1e-6, None)] * size,
        constraints=[{"type": "ineq", "fun": lambda w: budgets @ np.log(w), "jac": lambda w: budgets / w}],
        method="SLSQP",
        options={"ftol": 1e-11, "maxiter": 1_000},
    )
    assert oracle.success
    assert np.allclose(risk_parity(sigma, budgets).weights, oracle.x / oracle.x.sum(), atol=1e-5)


@pytest.mark.parametrize("correlation", [-0.24, 0.0, 0.6, 0.99])
def test_with_one_correlation_for_all_pairs_weights_are_inverse_to_volatility(correlation):
    volatility = np.array([0.1, 0.2, 0.4, 0.05, 0.3])
    sigma = block(5, 1.0, correlation) * np.outer(volatility, volatility)
    assert np.allclose(risk_parity(sigma).weights, (1 / volatility) / (1 / volatility).sum(), rtol=1e-9)


def test_without_correlation_weights_are_root_budget_over_volatility():
    volatility, budgets = np.array([0.1, 0.2, 0.4]), np.array([0.5, 0.3, 0.2])
    expected = np.sqrt(budgets) / volatility
    assert np.allclose(risk_parity(np.diag(volatility**2), budgets).weights, expected / expected.sum(), rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_volatility_lies_between_the_least_variance_and_equal_weights(seed):
    """Maillard et al. (2010), section 3.2."""
    sigma = random_covariance(seed, 6)
    inverse = np.linalg.inv(sigma).sum(axis=1)
    portfolios = inverse / inverse.sum(), risk_parity(sigma).weights, np.full(6, 1 / 6)
    volatilities = [np.sqrt(weights @ sigma @ weights) for weights in portfolios]
    assert volatilities == sorted(volatilities)


def test_small_budgets_and_a_hundred_assets_converge_too():
    sigma, budgets = random_covariance(1, 100), np.random.default_rng(1).dirichlet(np.full(100, 0.3)) + 1e-6
    found = risk_parity(sigma, budgets)
    assert found.residual < 1e-12
    assert found.steps < 2_000
    assert risk_parity(sigma).steps < 40


def test_four_assets_by_hand():
    """A and C go together (0.8), B and D too (0.5), nothing across; variances A 1, C 1, B 4, D 1.

    Variance of {A, C} by inverse variance: (1 + 0.8) / 2 = 0.9. Of {B, D}, weights 1/5 and 4/5, covariance 1:
    (4 + 16 + 8) / 25 = 1.12. {A, C} gets 1.12 / 2.02 = 56/101, halved; {B, D} 45/101, of which B 1/5.
    """
    sigma = np.array([[1, 0, 0.8, 0], [0, 4, 0, 1], [0.8, 0, 1, 0], [0, 1, 0, 1]])
    found = hierarchical_risk_parity(sigma)
    assert {frozenset(found.order[:2].tolist()), frozenset(found.order[2:].tolist())} == {
        frozenset({0, 2}),
        frozenset({1, 3}),
    }
    assert np.allclose(found.weights * 101, [28, 9, 28, 36])


@pytest.mark.parametrize(("first", "second"), [((4, 0.1, 0.7), (4, 0.3, 0.4)), ((8, 0.2, 0.5), (8, 0.2, 0.9))])
def test_two_blocks_share_by_the_inverse_of_their_variances(first, second):
    (size, *_), variances = first, [v**2 * (1 + (n - 1) * r) / n for n, v, r in (first, second)]
    found = hierarchical_risk_parity(two_blocks(block(*first), block(*second)))
    assert np.allclose(found.weights[:size], variances[1] / sum(variances) / size)
    assert np.allclose(found.weights[size:], variances[0] / sum(variances) / size)


def plain_order(correlation: np.ndarray) -> list[int]:
    """Join the two nearest clusters until one is left; the cluster that came first stands first."""
    distance = np.sqrt((1 - correlation) / 2)
    far = np.array([[np.sqrt(np.square(a - b).sum()) for b in distance.T] for a in distance.T])
    clusters = [(number, [number]) for number in range(len(far))]
    for name in range(len(far), 2 * len(far) - 1):
        pairs = [(one, two) for one in clusters for two in clusters if one[0] < two[0]]
        one, two = min(pairs, key=lambda pair: min(far[i, j] for i in pair[0][1] for j in pair[1][1]))
        clusters = [other for other in clusters if other not in (one, two)] + [(name, one[1] + two[1])]
    return clusters[0][1]


def plain_shares(sigma: np.ndarray, order: list[int], share: float) -> dict[int, float]:
    if len(order) == 1:
        return {order[0]: share}
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    low, high = (
        sum(sigma[i, j] / sigma[i, i] / sigma[j, j] for i in half for j in half)
        / sum(1 / sigma[i, i] for i in half) ** 2
        for half in halves
    )
    left = share * high / (low + high)
    return plain_shares(sigma, halves[0], left) | plain_shares(sigma, halves[1], share - left)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 9))
def test_order_and_weights_are_those_of_a_plain_writing_of_the_paper(seed, size):
    sigma = random_covariance(seed, size)
    volatility = np.sqrt(np.diag(sigma))
    order = plain_order(np.clip(sigma / np.outer(volatility, volatility), -1, 1))
    shares = plain_shares(sigma, order, 1.0)
    found = hierarchical_risk_parity(sigma)
    assert found.order.tolist() == order
    assert np.allclose(found.weights, [shares[number] for number in range(size)])
    assert found.weights.sum() == pytest.approx(1)


def test_the_hierarchy_takes_a_singular_covariance_that_risk_parity_refuses():
    sigma = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert hierarchical_risk_parity(sigma).weights == pytest.approx([0.5, 0.5])
    with pytest.raises(ValueError, match="covariance is too nearly singular"):
        risk_parity(sigma)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: risk_parity([[1.0, np.nan], [np.nan, 1.0]]), "covariance"),
        (lambda: risk_parity([[1.0, 0.0], [0.0, 0.0]]), "covariance has the variance 0"),
        (lambda: risk_parity(np.eye(2), [1.0, 0.0]), "budgets"),
        (lambda: risk_parity(np.eye(2), [1.0]), "budgets"),
        (lambda: risk_parity(np.eye(2), [1.0, np.inf]), "budgets"),
        (lambda: hierarchical_risk_parity(np.zeros((2, 2))), "covariance has the variance 0"),
        (lambda: hierarchical_risk_parity(np.ones(3)), "covariance has shape"),
        (lambda: risk_contributions([0.0, 0.0], np.eye(2)), "weights have no volatility"),
        (lambda: risk_contributions([np.nan, 0.0], np.eye(2)), "weights"),
    ],
)
def test_bad_input_is_refused_by_the_name_of_its_field(call, field):
    with pytest.raises(ValueError, match=field):
        call()
