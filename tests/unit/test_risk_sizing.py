"""Kelly, volatility target, caps and trade size: against numerical optima, exact fractions and the pre-trade gate."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar, root

from kernels.risk.caps import Caps, project_into, scale_into, within
from kernels.risk.reference import gate
from kernels.risk.sizing import (
    CapMethod,
    TradeBound,
    TradeLimits,
    kelly_binary,
    kelly_gaussian,
    kelly_weights,
    target_volatility,
    trade_lots,
    volatility_frac,
)
from tests.support.risk_worlds import order, world

FREE = Caps(gross_frac=1e9, net_frac=1e9, asset_frac=1e9)
WEIGHTS = st.lists(st.floats(-100, 100), min_size=1, max_size=6)
CAPS = st.builds(Caps, st.floats(0, 5), st.floats(0, 5), st.floats(0, 2))


def random_covariance(rng: np.random.Generator, size: int) -> np.ndarray:
    factors = rng.normal(size=(size, size + 3))
    volatility = np.exp(rng.normal(-2, 0.5, size))
    sigma = factors @ factors.T
    scale = volatility / np.sqrt(np.diag(sigma))
    return sigma * np.outer(scale, scale)


@pytest.mark.parametrize(("p", "gain", "loss"), [(0.6, 1, 1), (0.3, 4, 1), (0.55, 0.2, 0.15), (0.9, 0.05, 0.3)])
def test_the_binary_kelly_stake_maximises_the_expected_log_growth(p, gain, loss):
    best = minimize_scalar(
        lambda stake: -(p * np.log1p(gain * stake) + (1 - p) * np.log1p(-loss * stake)),
        bounds=(0, (1 - 1e-9) / loss),
        method="bounded",
        options={"xatol": 1e-10},
    ).x
    assert kelly_binary(p, gain, loss) == pytest.approx(best, rel=1e-5)


def test_the_binary_kelly_stake_is_that_of_kelly_1956_for_even_odds_and_nothing_without_an_edge():
    assert kelly_binary(0.53, 1) == pytest.approx(0.06)  # p - q
    assert kelly_binary(0.5, 1) == 0
    assert kelly_binary(0.3, 2) == 0


def test_half_kelly_keeps_three_quarters_of_the_growth_of_a_geometric_brownian_motion():
    def growth(weight: float) -> float:
        return weight * 0.08 - weight**2 * 0.04 / 2

    assert growth(kelly_gaussian(0.08, 0.04, 0.5)) == pytest.approx(0.75 * growth(kelly_gaussian(0.08, 0.04, 1)))
    assert kelly_gaussian(-0.08, 0.04, 1) == -2


@pytest.mark.parametrize("size", [1, 2, 4])
def test_multivariate_kelly_maximises_the_log_growth_of_a_walk_whose_steps_become_small(size):
    """Steps mu dt + L s sqrt(dt), s every sign vector: a walk that tends to the diffusion with that Sigma."""
    rng, dt = np.random.default_rng(size), 1e-6
    sigma, mean = random_covariance(rng, size), rng.normal(0, 0.02, size)
    signs = np.array(list(product((-1, 1), repeat=size)), float)
    returns = mean * dt + signs @ np.linalg.cholesky(sigma).T * np.sqrt(dt)
    found = root(lambda w: (returns / (1 + returns @ w)[:, None]).mean(axis=0) / dt, np.zeros(size), tol=1e-12)
    assert found.success
    assert np.allclose(kelly_weights(mean, sigma, 1.0, FREE), found.x, rtol=2e-4, atol=2e-4 * np.abs(found.x).max())


def test_one_asset_of_the_multivariate_formula_is_the_single_formula():
    assert kelly_weights([0.05], [[0.09]], 0.3, FREE) == pytest.approx([kelly_gaussian(0.05, 0.09, 0.3)])


@pytest.mark.parametrize("fraction", [0.0, 1.01, np.nan, np.inf, True, "half"])
def test_a_kelly_fraction_outside_zero_to_one_is_refused_by_name(fraction):
    with pytest.raises(ValueError, match="fraction"):
        kelly_weights([0.05], [[0.09]], fraction)


@settings(max_examples=200, deadline=None)
@given(WEIGHTS, CAPS)
def test_no_cap_is_ever_exceeded_and_weights_within_are_left_as_they_are(weights, caps):
    for into in (scale_into, project_into):
        found = into(weights, caps)
        assert np.abs(found).sum() <= caps.gross_frac
        rounding = 4 * len(weights) * np.finfo(float).eps * np.abs(found).sum()
        assert abs(found.sum()) <= caps.net_frac + rounding
        assert np.abs(found).max() <= caps.asset_frac
        assert np.allclose(into(found, caps), found, rtol=1e-12, atol=1e-12)
    if within(weights, caps):
        assert np.array_equal(scale_into(weights, caps), weights)
        assert np.allclose(project_into(weights, caps), weights, rtol=1e-12, atol=0)


def test_a_tiny_net_cap_leaves_weights_within_it_when_long_and_short_almost_cancel():
    """A counterexample that hypothesis found: the room for rounding was used up by the factor itself."""
    caps = Caps(1.0, 5.772738440498625e-44, 1.0)
    assert within(scale_into([84.5625, 0.5, -79.4140625], caps), caps)


def test_a_market_neutral_projection_of_weights_far_above_their_caps_stays_neutral_and_does_not_vanish():
    caps = Caps(gross_frac=0.003, net_frac=0.0, asset_frac=0.001)
    found = project_into([12.6, -13.2, 64.0, 10.5], caps)
    assert within(found, caps)
    assert found == pytest.approx([0.0005, -0.001, 0.001, -0.0005], abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(WEIGHTS, CAPS)
def test_scaling_keeps_the_mix_and_uses_a_cap_up(weights, caps):
    found, held = scale_into(weights, caps), np.array(weights)
    amounts = (abs(held).sum(), abs(sum(held)), max(abs(held)))
    factor = min(c / a if a > c else 1.0 for c, a in zip(caps, amounts, strict=True))  # c / a of a tiny a overflows
    assert np.allclose(found, held * factor, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_projection_finds_the_nearest_point_that_a_general_solver_finds(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 6))
    held = rng.normal(0.1, 0.5, size)
    caps = Caps(*rng.uniform((0.3, 0.02, 0.1), (1.5, 0.5, 0.6)))
    # Long and short parts apart make every cap linear.
    parts = minimize(
        lambda x: np.square(x[:size] - x[size:] - held).sum(),
        np.zeros(2 * size),
        bounds=[(0, caps.asset_frac)] * (2 * size),
        constraints=[
            {"type": "ineq", "fun": lambda x: caps.gross_frac - x.sum()},
            {"type": "ineq", "fun": lambda x: caps.net_frac - (x[:size] - x[size:]).sum()},
            {"type": "ineq", "fun": lambda x: caps.net_frac + (x[:size] - x[size:]).sum()},
        ],
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert parts.success
    assert np.allclose(project_into(held, caps), parts.x[:size] - parts.x[size:], atol=1e-6)


def test_projection_leaves_what_fits_where_scaling_shrinks_everything():
    mean, sigma = [0.5, 0.02], [[1.0, 0.0], [0.0, 1.0]]
    assert kelly_weights(mean, sigma, 0.5) == pytest.approx([0.1, 0.004])
    assert kelly_weights(mean, sigma, 0.5, method=CapMethod.PROJECT) == pytest.approx([0.1, 0.01])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6), st.floats(0.01, 0.5), st.floats(0.5, 5))
def test_the_sized_portfolio_has_the_target_volatility_unless_leverage_binds(seed, size, target, leverage):
    rng = np.random.default_rng(seed)
    sigma, weights = random_covariance(rng, size) / 252, rng.normal(size=size)
    sized = target_volatility(weights, sigma, target, leverage, periods_per_year=252)
    assert sized.leverage_frac <= leverage
    pairs = product(range(size), repeat=2)
    reached = np.sqrt(252 * sum(sized.weights[i] * sigma[i, j] * sized.weights[j] for i, j in pairs))
    assert sized.volatility_frac == pytest.approx(reached)
    if sized.capped:
        assert sized.leverage_frac == pytest.approx(leverage)
        assert reached < target
    else:
        assert reached == pytest.approx(target)


def test_the_default_target_is_twelve_percent_and_leverage_ends_at_three():
    assert target_volatility([1.0], [[0.04]]).weights == pytest.approx([0.6])
    quiet = target_volatility([1.0], [[0.0001]])
    assert quiet.capped
    assert quiet.weights == pytest.approx([3.0])
    assert quiet.volatility_frac == pytest.approx(0.03)


def test_realised_returns_of_the_sized_portfolio_have_the_target_volatility():
    rng = np.random.default_rng(0)
    sigma = random_covariance(rng, 3) / 252
    sized = target_volatility([1.0, -0.5, 0.2], sigma, max_leverage_frac=50, periods_per_year=252)
    returns = rng.multivariate_normal(np.zeros(3), sigma, 200_000) @ sized.weights
    assert returns.std() * np.sqrt(252) == pytest.approx(0.12, rel=0.01)  # its own error is 0.16 %


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, -1.0]])
def test_a_portfolio_without_volatility_is_refused(weights):
    with pytest.raises(ValueError, match="no volatility"):
        target_volatility(weights, [[0.04, 0.04], [0.04, 0.04]])


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 10**18),
    st.integers(1, 10**6),
    st.integers(-500, 500).filter(bool),
    st.integers(1, 10**8),
    st.integers(1, 20),
    st.integers(0, 2_000),
    st.integers(0, 5_000),
)
def test_trade_size_is_the_largest_multiple_within_both_limits(equity, entry, away, value, step, loss, position):
    size = trade_lots(equity, entry, entry - away, value, step, TradeLimits(loss, position))

    def fits(lots: int) -> bool:
        lost, worth = lots * abs(away) * value, lots * entry * value
        return lost <= Fraction(equity * loss, 10_000) and worth <= Fraction(equity * position, 10_000)

    assert size.lots % step == 0
    assert fits(size.lots)
    assert not fits(size.lots + step)


@pytest.mark.parametrize(("stop_away", "bound"), [(3_000, "LOSS_BUDGET"), (50, "MAX_POSITION")])
def test_the_gate_passes_the_size_and_refuses_one_lot_more_for_the_same_reason(stop_away, bound):
    here = world()
    for row in [*here["strategies"], *here["venues"], here["firm"]]:
        row.update(equity_e8=10**13, max_order_lots=10**6, max_order_value_e8=10**15)
    here["instruments"][0].update(max_lots=10**6)
    size = trade_lots(10**13, 9_990, 9_990 - stop_away, here["instruments"][0]["tick_value_e8"])
    asked = [gate([order(lots=size.lots + more, loss_tick=stop_away)], here) for more in (0, 1)]
    assert asked == [["OK"], [bound]]
    assert size.bound is {"LOSS_BUDGET": TradeBound.LOSS, "MAX_POSITION": TradeBound.POSITION}[bound]


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: kelly_binary(np.nan, 1), "win_prob_frac"),
        (lambda: kelly_binary(1.0, 1), "win_prob_frac"),
        (lambda: kelly_binary(0.6, np.inf), "gain_frac"),
        (lambda: kelly_binary(0.6, 1, 0), "loss_frac"),
        (lambda: kelly_gaussian(np.nan, 1), "excess_mean"),
        (lambda: kelly_gaussian(1, 0), "variance"),
        (lambda: kelly_weights([0.1, np.nan], np.eye(2)), "excess_mean"),
        (lambda: kelly_weights([0.1, 0.1], np.ones((2, 2))), "covariance is singular"),
        (lambda: kelly_weights([0.1, 0.1], [[1, 2], [2, 1]]), "covariance has eigenvalue"),
        (lambda: kelly_weights([0.1, 0.1], [[1, 0.5], [0.1, 1]]), "covariance is not symmetric"),
        (lambda: kelly_weights([0.1, 0.1], np.eye(3)), "covariance has shape"),
        (lambda: kelly_weights([0.1], [[np.inf]]), "covariance"),
        (lambda: kelly_weights([0.1], [[1.0]], caps=Caps(gross_frac=-1)), "gross_frac"),
        (lambda: scale_into([0.1], Caps(asset_frac=np.nan)), "asset_frac"),
        (lambda: project_into([], Caps()), "weights"),
        (lambda: target_volatility([1.0], [[1.0]], target_frac=0), "target_frac"),
        (lambda: target_volatility([1.0], [[1.0]], max_leverage_frac=np.inf), "max_leverage_frac"),
        (lambda: volatility_frac([1.0], [[1.0]], 0), "periods_per_year"),
        (lambda: trade_lots(-1, 100, 90, 1), "equity_e8"),
        (lambda: trade_lots(1.5, 100, 90, 1), "equity_e8"),  # pyright: ignore[reportArgumentType]
        (lambda: trade_lots(100, 100, 100, 1), "stop_tick"),
        (lambda: trade_lots(100, 100, 90, 0), "tick_value_e8"),
        (lambda: trade_lots(100, 100, 90, 1, 0), "lot_step"),
        (lambda: trade_lots(100, 100, 90, 1, 1, TradeLimits(max_loss_bps=-1)), "max_loss_bps"),
    ],
)
def test_bad_input_is_refused_by_the_name_of_its_field(call, field):
    with pytest.raises(ValueError, match=field):
        call()
