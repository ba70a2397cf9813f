"""Evaluation on bars: the episodes are the paths, the rows are what they say, tuning sees validation alone."""

from functools import cache

import jax
import numpy as np
import pytest

from agents import networks
from agents.bar_episodes import fits, held_out_bars, play_strategy
from agents.bar_evaluation import bar_table_rows, evaluate_bars, tune_bars
from agents.evaluation import table_rows
from market_models.prices import geometric_walk
from sim.bars.make import make_pairs, make_portfolio, make_trading
from tests.oracles.bar_ledger import Ledger
from tests.support.bar_worlds import drifting_logs, one_asset

KEYS_OF_ALL_MARKETS = {"name", "kind", "market", "episodes", "mean_pnl", "ci", "sharpe", "max_drawdown", "win_rate"}
LEVELS = (-1.0, 0.0, 1.0)
SETS = [("do_nothing", {}), ("buy_and_hold", {}), ("momentum", {"gain": 4.0})]


@cache
def trending(split):
    seed = {"validation": 5, "test": 6}[split]
    return one_asset(drifting_logs(48, 60, seed), split, levels=LEVELS)


@cache
def population():
    env = trending("test").env
    return networks.init_population(jax.random.split(jax.random.key(0), 3), env.obs_dim, env.num_actions, (8,))


@cache
def evaluated():
    return evaluate_bars(trending("test"), SETS, population())


def test_an_episode_of_buy_and_hold_is_that_of_a_ledger():
    results, env = play_strategy(trending("test"), "buy_and_hold", [{}]), trending("test").env
    for path in (0, 17):
        prices = np.asarray(env.paths.price[path], np.float64).repeat(2, axis=1)  # the ledger keeps two assets
        ledger = Ledger(1e6, 1.0, 0.0, depth=np.inf, permanent=0.0, resilience=0.0, bar_s=60.0, borrow_bps=0.0)
        for bar in range(env.paths.num_bars):
            ledger.trade_to([1.0, 0.0], prices[bar])
            ledger.pass_bar()
        assert results.pnl_frac[0, path] == pytest.approx(ledger.equity(prices[-1]) / 1e6 - 1, abs=2e-5)


def test_the_table_has_the_rows_of_the_market_makings_and_says_what_the_episodes_say():
    rows = bar_table_rows(evaluated())
    assert [row["kind"] for row in rows] == ["baseline"] * 3 + ["agent"] * 3
    assert set(KEYS_OF_ALL_MARKETS) | {"fills", "turnover"} <= set(rows[0])
    by_name = {row["name"]: row for row in rows}
    pnl = evaluated().pnl("momentum")
    row = by_name["momentum"]
    assert row["mean_pnl"] == pytest.approx(pnl.mean()) and row["win_rate"] == pytest.approx((pnl > 0).mean())
    assert row["sharpe"] == pytest.approx(pnl.mean() / pnl.std(ddof=1)) and row["episodes"] == 48
    assert row["ci"][0] < row["mean_pnl"] < row["ci"][1] and 0 < row["max_drawdown"] < 1
    assert by_name["buy_and_hold"]["fills"] < 61 and by_name["do_nothing"]["turnover"] == 0.0
    assert table_rows.__doc__ and rows[0]["mean_pnl"] == max(r["mean_pnl"] for r in rows[:3])


def test_an_agent_plays_the_level_that_its_network_prefers():
    agents = population()
    # An agent whose last layer prefers one level whatever it sees holds that level at every bar.
    last = sorted(agents["actor"])[-1]
    biased = jax.tree.map(lambda leaf: leaf * 0, agents["actor"])
    biased[last]["bias"] = biased[last]["bias"] + np.array([0.0, 0.0, 1.0], np.float32)
    found = evaluate_bars(trending("test"), [("buy_and_hold", {})], {"actor": biased})
    for row in range(1, 4):
        np.testing.assert_allclose(found.results.pnl_frac[row], found.results.pnl_frac[0], atol=1e-6)


def test_tuning_finds_what_trends_and_keeps_it_on_paths_it_has_not_seen():
    names = ("momentum", "mean_reversion", "do_nothing")
    tuned, shown = tune_bars(trending("validation"), 6, names)
    assert [entry.name for entry in tuned] == list(names) and [entry.sets_tried for entry in tuned] == [6, 6, 1]
    momentum = tuned[0]
    assert shown.pnl("momentum").mean() == pytest.approx(momentum.validation_mean_pnl)
    default = play_strategy(trending("validation"), "momentum", [{}]).pnl_frac.mean()
    assert momentum.validation_mean_pnl >= default
    assert play_strategy(trending("test"), "momentum", [momentum.parameters]).pnl_frac.mean() > 0.01
    with pytest.raises(ValueError, match="tuned on validation paths, not on test"):
        tune_bars(trending("test"), 2, names)


def test_held_out_pools_share_no_path():
    pools = [
        held_out_bars(make_trading, split, process_params=geometric_walk.EXAMPLE, num_bars=4, path_count=8)
        for split in ("train", "validation", "test")
    ]
    first = [pool.env.paths.change[:, 0, 0] for pool in pools]
    assert len(np.unique(np.concatenate(first))) == 24


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "holdout"}, "split 'holdout' is not one of train, validation, test"),
        ({"split": "test", "prices": np.ones((300, 1))}, "make the environment of a split yourself"),
        ({"split": "test", "pool_seed": 3}, "make the environment of a split yourself"),
    ],
)
def test_what_would_mix_pools_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        held_out_bars(make_trading, **options)


def test_a_strategy_of_assets_does_not_play_spreads_between_them():
    vectors = np.array([[1.0, 1.0], [-1.0, 1.0]])
    spreads = held_out_bars(make_pairs, "validation", vectors=vectors, num_bars=4, path_count=2)
    assets = held_out_bars(make_portfolio, "validation", num_bars=4, path_count=2)
    assert fits("kalman_pair", assets.env) and not fits("kalman_pair", spreads.env)
    assert fits("stat_arb", spreads.env) and not fits("kalman_pair", trending("test").env)
    with pytest.raises(ValueError, match="trades 2 assets as they are; pairs has other signals"):
        play_strategy(spreads, "kalman_pair", [{}])


def test_agents_of_another_environment_are_refused():
    other = networks.init_population(jax.random.split(jax.random.key(0), 2), 7, 3, (8,))
    with pytest.raises(ValueError, match="do not take 16 observations to 3 actions"):
        evaluate_bars(trending("test"), SETS, other)
    with pytest.raises(ValueError, match="continuous; give it levels"):
        evaluate_bars(one_asset(drifting_logs(2, 4, 0)), [("do_nothing", {})], population())
    with pytest.raises(ValueError, match="two strategies have the same name"):
        evaluate_bars(trending("test"), [("momentum", {}), ("momentum", {"gain": 2.0})])
