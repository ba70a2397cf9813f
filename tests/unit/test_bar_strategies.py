"""Classical strategies on bars: what they hold, by hand and by theory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import bar_rules
from agents.bar_episodes import bar_strategy_params, bar_strategy_player, play_strategy
from agents.bar_strategies import BAR_STRATEGIES
from agents.bar_strategy import BarView, to_action
from kernels.features.bars import history_of
from market_models.prices import geometric_walk
from sim.bars.make import make_trading
from tests.support.bar_worlds import drifting_logs, earned, one_asset

KEY = jax.random.key(3)


def views(signals, assets, bars=40, seed=0):
    """A view a bar of walks, and the moves behind it."""
    rng = np.random.default_rng(seed)
    moves = rng.normal(0, 0.01, (bars + 20, signals)).astype(np.float32)
    prices = 4 + np.cumsum(rng.normal(0, 0.01, (bars, assets)), 0)
    for t in range(bars):
        history = jax.tree.map(jnp.asarray, history_of(moves[: 20 + t]))
        gap = jnp.asarray(moves[: 20 + t].sum(0) * 5, jnp.float32)
        yield BarView(history, gap, jnp.asarray(prices[t], jnp.float32), jnp.int32(bars - t))


def held(name, seen, signals, **values):
    strategy = BAR_STRATEGIES[name]
    params = {key: value[0] for key, value in bar_strategy_params(name, [values]).items()}
    memory, out = strategy.start(KEY, signals), []
    step = jax.jit(strategy.positions)
    for view in seen:
        memory, positions = step(memory, view, params)
        out.append(np.asarray(positions))
    return np.array(out)


@pytest.mark.parametrize("name", sorted(BAR_STRATEGIES))
def test_every_strategy_holds_finite_positions_within_its_limits(name):
    strategy, signals = BAR_STRATEGIES[name], BAR_STRATEGIES[name].signals or 1
    assert name == strategy.name and strategy.doc and set(strategy.grid) <= set(strategy.defaults)
    seen = list(views(signals, 2, bars=12))
    whole = held(name, seen, signals)
    assert whole.shape == (12, signals) and np.isfinite(whole).all() and np.abs(whole).max() <= 1.0 + 1e-6


def test_positions_become_the_nearest_level_or_stay_as_they_are():
    levels = (-1.0, 0.0, 0.5, 1.0)
    wanted = [-3.0, -0.4, 0.2, 0.3, 0.9]
    assert [int(to_action(levels, jnp.array([w]))) for w in wanted] == [0, 1, 1, 2, 3]
    np.testing.assert_allclose(to_action((), jnp.array([2.0, -0.3])), [1.0, -0.3])


def walk_through(z, **changes):
    params = {"entry": 1.0, "exit": 0.2, "stop": 3.0, "half_life_bars": 2.0, "max_half_lives": 3.0, **changes}
    memory, sides = bar_rules.start_holding(KEY, 1), []
    for value in z:
        memory = bar_rules.enter_and_leave(memory, jnp.array([value]), params)
        sides.append(float(memory.side[0]))
    return sides


def test_a_spread_is_entered_beyond_entry_left_near_its_mean_and_cut_at_the_stop():
    assert walk_through([0.9, 1.1, 0.5, 0.1, 0.0, -1.2, -0.3, -0.1]) == [0, -1, -1, 0, 0, 1, 1, 0]
    assert walk_through([1.1, 3.2, 2.0, 1.5, 0.9, 1.2]) == [-1, 0, 0, 0, 0, -1]  # barred until within the entry
    assert walk_through([3.5, 2.5]) == [0, -1]  # never entered beyond the stop


def test_a_position_that_does_not_return_is_left_after_its_half_lives():
    assert walk_through([1.5] * 9) == [-1] * 6 + [0] * 3  # 3 half-lives of 2 bars, then barred


def test_momentum_is_smaller_where_the_signal_moves_more_than_the_target():
    seen = list(views(1, 1, bars=3))
    full, scaled = (held("momentum", seen, 1, target_deviation=t) for t in (1.0, 0.002))
    sd = np.array([np.sqrt(view.history.square[0, -1]) for view in seen])
    np.testing.assert_allclose(scaled[:, 0], full[:, 0] * np.minimum(0.002 / sd, 1), rtol=1e-4)


def test_merton_holds_the_weight_that_maximises_the_utility_of_the_path():
    params = geometric_walk.EXAMPLE._replace(log_drift_per_bar=0.003, volatility_per_bar=0.05)
    known = {"log_drift_per_bar": 0.003, "volatility_per_bar": 0.05, "risk_aversion": 2.0}
    weight = held("merton", list(views(1, 1, bars=1)), 1, **known)[0, 0]
    change = np.asarray(make_trading(num_bars=64, path_count=2048, process_params=params).paths.change, np.float64)
    tried = np.linspace(0, 1, 1001)
    best = tried[np.argmax([-(1 / (1 + w * change)).mean() for w in tried])]  # aversion 2: u = 1 - 1 / (1 + r)
    assert weight == pytest.approx(0.85, abs=1e-3) and weight == pytest.approx(best, abs=0.05)


def test_doing_nothing_earns_nothing_and_holding_earns_the_assets_return():
    markets = one_asset(drifting_logs(8, 30, 0), fee_bps=0.0)
    nothing, hold = (play_strategy(markets, name, [{}]) for name in ("do_nothing", "buy_and_hold"))
    assert np.abs(earned(nothing)).max() < 1e-7 and not nothing.num_trades.any() and not nothing.turnover_frac.any()
    price = markets.env.paths.price[..., 0]
    # A weight of 1 is all of equity in the asset: nothing is left to rebalance.
    np.testing.assert_allclose(earned(hold), price[:, -1] / price[:, 0] - 1, rtol=1e-3, atol=2e-5)


def test_random_positions_cover_the_range_and_differ_between_bars():
    drawn = held("random", list(views(2, 2, bars=40)), 2)
    assert len(np.unique(drawn)) == 80 and drawn.min() < -0.8 and drawn.max() > 0.8 and abs(drawn.mean()) < 0.2


@pytest.mark.parametrize(
    ("name", "signals", "message"),
    [
        ("carry", 1, "strategy 'carry' is not one of do_nothing"),
        ("kalman_pair", 1, "trades 2 signals, the env"),
    ],
)
def test_a_strategy_that_cannot_play_is_refused_with_a_sentence(name, signals, message):
    with pytest.raises(ValueError, match=message):
        bar_strategy_player(name, signals, ())


def test_an_unknown_parameter_is_refused_with_the_valid_ones():
    with pytest.raises(ValueError, match=r"momentum has no parameter 'gamma'; it has \['gain', 'horizon'"):
        bar_strategy_params("momentum", [{"gamma": 1.0}])
