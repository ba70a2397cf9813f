"""Execution schedules as strategies: they cost what the published tables say, and each beats the others at its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.execution_strategies import EXECUTION_STRATEGIES, make_schedule, play_schedules, schedule_action
from kernels.execution import obizhaeva_wang
from kernels.execution.almgren_chriss import ImpactParams
from market_models.prices import arithmetic_walk
from sim.bars.make import make_execution

# truths.md section 3, in days: lambda, E, V of the example of Almgren and Chriss (2000).
EXAMPLE = ImpactParams(1e6, 5.0, 5, 0.95, 0.0625, 2.5e-7, 2.5e-6)
TABLE = {
    0.0: (662_500.0, 1.0830e12),
    1e-7: (670_057.5, 9.2472e11),
    5e-7: (768_132.8, 5.6340e11),
    1e-6: (911_227.0, 3.6413e11),
    2e-6: (1_140_715.2, 2.0193e11),
    1e-5: (1_845_211.3, 2.9485e10),
}
WALK = arithmetic_walk.EXAMPLE._replace(start_price=500.0, drift_per_bar=0.0, volatility_per_bar=0.95)


def environment(slices, **options):
    defaults = {"process": "arithmetic_walk", "process_params": WALK, "path_count": 256, "bar_s": 1.0, "bar_sd": 0.95}
    return make_execution(num_bars=slices, num_slices=slices, **{**defaults, **options})


def published(**options):
    impact = {"name": "linear", "permanent": 2.5e-7, "temporary": 2.5e-6, "fixed_tick": 0.0625}
    return environment(5, parent_lots=1e6, impact=impact, cost_scale=1e6, **options)


def test_almgren_chriss_costs_and_risks_what_the_table_says():
    done = np.stack([make_schedule("almgren_chriss", impact=EXAMPLE, risk_aversion=each) for each in TABLE])
    played = play_schedules(published(), done)
    for row, (cost, variance) in enumerate(TABLE.values()):
        np.testing.assert_allclose(played.expected_cost[row], cost, rtol=5e-5)
        np.testing.assert_allclose(played.risk[row], variance, rtol=5e-4)
    # On paths of prices the shortfall has this mean and this deviation.
    naive = np.asarray(played.shortfall[0], np.float64)
    assert naive.mean() == pytest.approx(662_500, abs=4 * 1_040_673 / 16)
    assert naive.std() == pytest.approx(1_040_673, rel=0.15)


def test_each_trajectory_is_the_best_of_the_table_at_its_own_risk_aversion():
    aversions = list(TABLE)
    done = np.stack([make_schedule("almgren_chriss", impact=EXAMPLE, risk_aversion=each) for each in aversions])
    for row, aversion in enumerate(aversions):
        env = published(price_noise_share=0.0, risk_aversion=aversion, path_count=2)
        assert int(np.argmax(play_schedules(env, done).reward[:, 0])) == row


def lots_traded(env, done):
    params, out = env.default_params, []
    state = env.reset_env(jax.random.key(0), params)[1]
    for _ in range(len(done)):
        before = float(state.left)
        action = schedule_action(env, state, params, jnp.asarray(done, jnp.float32))
        state = env.step_env(jax.random.key(0), state, action, params)[1]
        out.append(before - float(state.left))
    return np.array(out)


def test_twap_vwap_and_pov_trade_equal_parts_the_curve_and_a_share_of_it():
    env, curve = environment(6, parent_lots=1200.0, path_count=2), [5.0, 2.0, 1.0, 1.0, 2.0, 4.0]
    np.testing.assert_allclose(lots_traded(env, make_schedule("twap", slices=6)), 200.0, rtol=1e-4)
    vwap = lots_traded(env, make_schedule("vwap", curve=curve))
    np.testing.assert_allclose(vwap, 1200 * np.array(curve) / 15, rtol=1e-3)
    fields = {"curve": [2000.0, 1000.0, 1000.0, 3000.0, 9000.0, 500.0], "parent_lots": 1200.0}
    pov = lots_traded(env, make_schedule("pov", rate=0.1, **fields))
    np.testing.assert_allclose(pov, [200, 100, 100, 300, 500, 0], rtol=1e-3, atol=1.0)
    late = lots_traded(env, make_schedule("pov", rate=0.05, **fields))
    assert late[-1] == pytest.approx(1200 - 0.05 * 16_000, rel=1e-3)  # what is left goes last


def test_obizhaeva_and_wang_costs_what_theory_says_and_less_than_any_other():
    depth, permanent, resilience, slices = 5000.0, 5e-5, 0.3, 8
    impact = {"name": "transient", "depth": depth, "permanent": permanent, "resilience": resilience}
    env = environment(slices, parent_lots=1e4, impact=impact, path_count=2)
    total = resilience * (slices - 1)
    names = {"obizhaeva_wang": {"slices": slices, "resilience": total}, "twap": {"slices": slices}}
    curve = [3.0, 2, 1, 1, 1, 1, 2, 3]
    done = [*(make_schedule(name, **given) for name, given in names.items()), make_schedule("vwap", curve=curve)]
    cost = np.asarray(play_schedules(env, done).expected_cost[:, 0], np.float64)
    best = obizhaeva_wang.discrete(1e4, resilience, slices - 1.0, slices)
    wanted = obizhaeva_wang.impact_cost(best, np.arange(slices), depth, permanent, resilience)
    assert cost[0] == pytest.approx(wanted, rel=1e-4) and int(np.argmin(cost)) == 0


def test_levels_take_the_nearest_pace_and_the_parent_is_always_finished():
    env = environment(5, parent_lots=1e6, levels=(-0.5, 0.0, 0.5), path_count=2)
    steep = make_schedule("almgren_chriss", impact=EXAMPLE, risk_aversion=2e-6)
    assert lots_traded(env, make_schedule("twap", slices=5)).tolist() == pytest.approx([2e5] * 5, rel=1e-4)
    traded = lots_traded(env, steep)
    assert traded.sum() == pytest.approx(1e6) and traded[0] == pytest.approx(1e6 / 5 * 8**0.5, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("market", {}, "execution strategy 'market' is not one of twap, vwap, pov"),
        ("twap", {"slice": 3}, "execution strategy 'twap': .*slice"),
        ("twap", {"slices": 0}, "slices is 0"),
        ("vwap", {"curve": [1.0, np.nan]}, "curve holds 1 values that are not finite"),
        ("pov", {"curve": [1.0, -1.0], "rate": 0.1, "parent_lots": 5.0}, "curve has a volume of -1.0"),
        ("pov", {"curve": [1.0, 1.0], "rate": 1.5, "parent_lots": 5.0}, "rate is 1.5"),
    ],
)
def test_a_schedule_of_nonsense_is_refused_with_a_sentence(name, fields, message):
    with pytest.raises(ValueError, match=message):
        make_schedule(name, **fields)
    assert set(EXECUTION_STRATEGIES) == {"twap", "vwap", "pov", "almgren_chriss", "obizhaeva_wang"}


@pytest.mark.parametrize("done", [[[0.5, 1.0]], [[0.2, 0.5, 0.4, 0.8, 1.0]], [[0.2, 0.4, 0.6, 0.8, 0.9]]])
def test_what_is_no_schedule_of_the_parent_is_refused(done):
    with pytest.raises(ValueError, match="done"):
        play_schedules(published(path_count=2), done)
