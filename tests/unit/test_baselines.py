"""Classical strategies: their quotes, their batches, and what they earn in a generated market."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import baselines
from agents.baselines import STRATEGIES, StrategyView
from agents.baselines_run import run_strategy
from agents.baselines_theory import avellaneda_stoikov
from kernels.execution import quotes
from sim.vector import broadcast_params, market_making_vector
from tests.support.markets import small_market_making

KEY = jax.random.key(5)
SIZE, STEPS = 8, 24


def view(bid=100, ask=113, change=0, inventory=0, steps_left=30, lots=(5, 5)):
    depth = np.zeros((2, 6, 2), np.int32)
    depth[:, 0] = (bid, lots[0]), (ask, lots[1])
    return StrategyView(
        jnp.asarray(depth), jnp.int32(change), jnp.int32(inventory), jnp.int32(10), jnp.int32(steps_left)
    )


def quote(name, seen, **values):
    """Return the prices after the views in `seen`."""
    strategy = STRATEGIES[name]
    params = {k: v[0] for k, v in baselines.batch_params(strategy, 1, **values).items()}
    memory = baselines.init(KEY)
    for each in seen:
        memory, wanted = baselines.decide(strategy, memory, each, params)
    return wanted.present.tolist(), wanted.price_tick.tolist(), memory


def test_fixed_spread_skews_against_its_inventory():
    assert quote("fixed_spread", [view()], half_spread_tick=4.0, skew_tick=1.5)[:2] == ([True, True], [102, 111])
    skewed = quote("fixed_spread", [view(inventory=20)], half_spread_tick=4.0, skew_tick=1.5)
    assert skewed[1] == [99, 108]


def test_the_variance_is_the_mean_square_of_the_mid_changes_and_then_a_moving_average():
    changes = [0, 4, -2, 6]
    _, _, memory = quote("avellaneda_stoikov", [view(change=c) for c in changes], window=100.0)
    assert float(memory.variance) == pytest.approx((2.0**2 + 1.0**2 + 3.0**2) / 3)
    _, _, short = quote("avellaneda_stoikov", [view(change=c) for c in changes], window=2.0)
    assert float(short.variance) == pytest.approx((0.5 * (4.0 + 1.0) + 9.0) / 2)


def test_avellaneda_stoikov_quotes_the_formula_rounded_away_from_the_mid():
    seen = [view(), view(change=4, inventory=-20, steps_left=7)]
    present, prices, _ = quote("avellaneda_stoikov", seen, gamma=0.05, k=0.3, horizon=50.0)
    bid, ask = avellaneda_stoikov(np, 106.5, -2.0, 4.0, 7.0, 0.05, 0.3)
    assert present == [True, True] and prices == [np.floor(bid), np.ceil(ask)]


def test_scalping_enters_with_the_imbalance_and_waits_for_its_target():
    rules = {"entry": 0.5, "stop_tick": 4.0, "target_tick": 2.0, "trend_weight": 0.0}
    assert quote("scalping", [view(lots=(9, 1))], **rules)[:2] == ([True, False], [101, 112])
    assert quote("scalping", [view(lots=(1, 9))], **rules)[:2] == ([False, True], [101, 112])
    assert quote("scalping", [view(lots=(5, 4))], **rules)[0] == [False, False]
    present, prices, _ = quote("scalping", [view(), view(inventory=10)], **rules)
    assert present == [False, True] and prices[1] == 109  # mid 106.5 + 2, rounded away
    present, prices, _ = quote("scalping", [view(), view(inventory=-10)], **rules)
    assert present == [True, False] and prices[0] == 104


def test_scalping_leaves_at_its_stop_and_when_the_signal_turns():
    rules = {"entry": 0.5, "stop_tick": 4.0, "target_tick": 2.0, "trend_weight": 0.0}
    losing = [view(change=-100), view(inventory=10, change=-4), view(inventory=10, change=-4)]
    assert quote("scalping", losing[:2], **rules)[1][1] == 109  # 2 ticks lost since it was opened
    present, prices, memory = quote("scalping", losing, **rules)
    assert present == [False, True] and prices[1] == 101 and float(memory.held_move) == -4.0
    present, prices, _ = quote("scalping", [view(inventory=10, lots=(1, 9))], **rules)
    assert present == [False, True] and prices[1] == 101
    assert float(quote("scalping", [*losing, view()], **rules)[2].held_move) == 0.0


def test_scalping_follows_the_trend_where_it_has_weight():
    rules = {"entry": 0.5, "imbalance_weight": 0.0, "trend_weight": 1.0, "fast": 2.0}
    rising = [view(), view(change=4), view(change=4)]
    assert quote("scalping", rising, **rules)[0] == [True, False]
    assert quote("scalping", [view(), view(change=-4), view(change=-4)], **rules)[0] == [False, True]
    assert float(quote("scalping", rising, **rules)[2].trend) == 1.5  # 2 ticks twice, half of the way each


def test_a_one_sided_book_is_not_quoted():
    depth = view().net_depth.at[1, 0].set(0)
    empty = view()._replace(net_depth=depth)
    for name in STRATEGIES:
        assert quote(name, [empty])[0] == [False, False]


def test_an_unknown_parameter_is_refused_with_the_valid_ones():
    with pytest.raises(
        ValueError, match=r"glft has no parameter 'sigma'; it has \['gamma', 'intensity', 'k', 'window'\]"
    ):
        baselines.batch_params(STRATEGIES["glft"], 1, sigma=2.0)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_a_grid_holds_every_combination_once(name):
    strategy = STRATEGIES[name]
    assert name == strategy.name and set(strategy.grid) <= set(strategy.defaults)
    params = baselines.grid_params(strategy)
    assert set(params) == set(strategy.defaults)
    rows = set(zip(*(np.asarray(column).tolist() for column in params.values()), strict=True))
    assert len(rows) == np.prod([len(values) for values in strategy.grid.values()], dtype=int) * bool(params)


@cache
def played(name, **values):
    env = small_market_making(max_steps_in_episode=STEPS, inventory_penalty=0.0)
    vector = market_making_vector(env)
    params = broadcast_params(env.default_params, SIZE)
    batch = baselines.batch_params(STRATEGIES[name], SIZE, **values)
    return jax.tree.map(np.asarray, run_strategy(vector, name, batch, params, KEY, STEPS))


PLAYED = {"do_nothing": {}, "random": {}, "avellaneda_stoikov": {"k": 2.0}, "scalping": {"entry": 0.2}}


@pytest.mark.parametrize("name", sorted(PLAYED))
def test_a_strategy_plays_whole_episodes_within_its_limits(name):
    run = played(name, **PLAYED[name])
    assert run.reward.shape == (STEPS, SIZE) and run.done[-1].all() and not run.done[:-1].any()
    assert np.abs(run.info["inventory"]).max() <= 25 and not run.info["overflows"].any()
    np.testing.assert_allclose(run.reward.sum(axis=0), 0.001 * run.info["episode_pnl"][-1], rtol=1e-4, atol=1e-5)


def test_doing_nothing_earns_exactly_nothing_and_the_others_trade():
    assert not played("do_nothing").reward.any() and not played("do_nothing").info["num_fills"].any()
    for name in ("random", "avellaneda_stoikov", "scalping"):
        assert played(name, **PLAYED[name]).info["num_fills"][-1].mean() > 1


def test_random_actions_differ_between_environments_and_decisions():
    strategy = STRATEGIES["random"]
    memory = jax.vmap(baselines.init)(jax.random.split(KEY, 64))
    _, wanted = jax.vmap(lambda m: baselines.decide(strategy, m, view(), {}))(memory)
    assert len({tuple(row) for row in np.asarray(wanted.price_tick).tolist()}) > 8
    assert quotes.NUM_ACTIONS == 36
