"""Execution on prices: the optimal schedules of theory, played in the environment, cost what theory says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import spaces

from kernels.execution import almgren_chriss, obizhaeva_wang
from market_models.prices import arithmetic_walk
from sim.bars.execution import PACE
from sim.bars.make import make_execution

KEY = jax.random.key(0)
# truths.md section 3, in days: the published example of Almgren and Chriss.
TABLE = almgren_chriss.ImpactParams(1e6, 5.0, 5, 0.95, 0.0625, 2.5e-7, 2.5e-6)
WALK = arithmetic_walk.EXAMPLE._replace(start_price=500.0, drift_per_bar=0.0, volatility_per_bar=0.95)


def environment(**options):
    defaults = {"process": "arithmetic_walk", "process_params": WALK, "path_count": 64, "cost_scale": 1e6, "bar_s": 1.0}
    return make_execution(**{**defaults, **options})


def almgren_chriss_environment(risk_aversion):
    impact = {"name": "linear", "permanent": 2.5e-7, "temporary": 2.5e-6, "fixed_tick": 0.0625}
    options = {"num_bars": 5, "num_slices": 5, "parent_lots": 1e6, "bar_sd": 0.95, "impact": impact}
    return environment(risk_aversion=risk_aversion, price_noise_share=0.0, **options)


def play(env, actions, path=None):
    """Rewards float32[T] and infos of one parent order."""
    params = env.default_params
    state = env.reset_env(KEY, params)[1]
    if path is not None:
        state = state.replace(path=jnp.int32(path))

    def step(state, action):
        _, state, reward, _, info = env.step_env(KEY, state, action, params)
        return state, (reward, info)

    return jax.lax.scan(step, state, jnp.asarray(actions, jnp.float32))[1]


def paces(lots):
    """The actions float[N] that trade `lots` [N]."""
    left = lots.sum() - np.concatenate([[0.0], np.cumsum(lots)[:-1]])
    return np.log(lots * np.arange(len(lots), 0, -1) / left) / np.log(PACE)


@pytest.mark.parametrize("risk_aversion", [0.0, 5e-7, 1e-6, 2e-6])
def test_the_trajectory_of_almgren_and_chriss_earns_minus_its_objective(risk_aversion):
    env = almgren_chriss_environment(risk_aversion)
    best = almgren_chriss.trajectory(TABLE, risk_aversion)
    reward, info = play(env, paces(-np.diff(best))[:, None])
    expected = {0.0: (662_500.0, 1.0830e12), 5e-7: (768_132.8, 5.6340e11), 1e-6: (911_227.0, 3.6413e11)}
    if risk_aversion in expected:
        cost, variance = expected[risk_aversion]
        assert float(info["expected_cost"][-1]) == pytest.approx(cost, rel=2e-5)
        assert float(info["risk"][-1]) == pytest.approx(variance, rel=1e-4)
    objective = float(info["expected_cost"][-1] + risk_aversion * info["risk"][-1])
    assert float(reward.sum()) == pytest.approx(-objective / 1e6, rel=1e-4)
    for change in (-0.05, 0.05):
        worse = paces(-np.diff(best)).copy()
        worse[0] += change
        assert float(play(env, worse[:, None])[0].sum()) < float(reward.sum())


def test_the_schedule_of_obizhaeva_and_wang_costs_what_theory_says_and_twap_costs_more():
    depth, permanent, resilience, lots = 5000.0, 5e-5, 0.3, 1e4
    impact = {"name": "transient", "depth": depth, "permanent": permanent, "resilience": resilience}
    env = environment(num_bars=8, num_slices=8, parent_lots=lots, impact=impact, price_noise_share=0.0)
    best = obizhaeva_wang.discrete(lots, resilience, 7.0, 8)
    cost = float(play(env, paces(best)[:, None])[1]["expected_cost"][-1])
    assert cost == pytest.approx(obizhaeva_wang.impact_cost(best, np.arange(8), depth, permanent, resilience), rel=1e-4)
    twap = float(play(env, np.zeros((8, 1)))[1]["expected_cost"][-1])
    even = obizhaeva_wang.impact_cost(np.full(8, lots / 8), np.arange(8), depth, permanent, resilience)
    assert twap == pytest.approx(even, rel=1e-4) and twap > cost


def test_the_shortfall_is_measured_against_the_price_at_arrival():
    env = environment(num_bars=6, num_slices=6, parent_lots=100.0, side=1.0, bar_sd=0.95)
    for path in range(4):
        prices = np.asarray(env.paths.price[path, :, 0], np.float64)
        reward, info = play(env, np.zeros((6, 1)), path)
        bought = (100 / 6) * (prices[:6] - prices[0]).sum()
        assert float(info["shortfall"][-1]) == pytest.approx(bought, rel=1e-3, abs=0.02)
        assert float(reward.sum()) == pytest.approx(-bought / 1e6, rel=1e-3, abs=1e-7)
        assert float(info["lots_left"][-1]) == 0.0


def test_the_last_slice_takes_all_that_is_left_and_no_slice_takes_more():
    env = environment(num_bars=4, num_slices=4, parent_lots=1000.0)
    lots_left = np.asarray(play(env, [[-1.0]] * 4)[1]["lots_left"])
    slowest = 1000 * (1 - 1 / 32) * (1 - 1 / 24) * (1 - 1 / 16)  # an eighth of what TWAP would take
    np.testing.assert_allclose(lots_left[2:], [slowest, 0.0], rtol=1e-5)
    assert np.asarray(play(env, [[1.0]] * 4)[1]["lots_left"]).tolist() == [0, 0, 0, 0]


def test_levels_make_actions_discrete():
    env = environment(num_bars=4, num_slices=4, levels=(-1.0, 0.0, 1.0))
    assert isinstance(env.action_space(), spaces.Discrete) and env.num_actions == 3
    lots = env.slice_lots(env.reset_env(KEY, env.default_params)[1], jnp.int32(1), env.default_params)
    assert float(lots) == pytest.approx(2500)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_slices": 9}, "num_slices 9 passes the paths' 8 bars"),
        ({"side": 0.5}, "side 0.5 is not 1"),
        ({"levels": (0.0,)}, "levels .* is not at least two paces"),
        ({"parent_lots": -1.0}, "parent_lots -1.0 is not in"),
        ({"risk_aversion": np.inf}, "risk_aversion inf is not a finite number"),
        ({"slippage": {"name": "fixed_ticks"}}, "ExecutionParams has no field 'slippage'"),
        ({"process": "cointegration", "process_params": None}, "do not fit prices of 2 assets"),
    ],
)
def test_bad_options_are_refused_with_a_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        environment(**{"num_bars": 8, "num_slices": 8, **options})
