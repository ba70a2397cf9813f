"""Classical strategies on bars earn where theory says so, after costs, and nowhere else."""

from functools import cache

import numpy as np

from agents.bar_episodes import held_out_bars, play_strategy
from agents.bar_strategies import pair_params
from market_models.pair_selection import fit_pair, select_pairs
from market_models.prices import cointegration, ornstein_uhlenbeck
from sim.bars.make import make_pairs, make_portfolio
from tests.support.bar_worlds import (
    APART,
    PULLED,
    drifting_logs,
    earned,
    interval,
    length,
    one_asset,
)


@cache
def pair_of(name):
    """A pair formed on its own window, and held-out paths that trade it."""
    process = {"pulled": PULLED, "apart": APART}[name]
    formation = cointegration.sample(process, 500, 1, 99)[0]
    pair = fit_pair(formation, 0, 1)
    options = {"vectors": pair.vector[:, None], "anchors": np.array([pair.constant]), "num_bars": 150}
    return formation, pair, held_out_bars(make_pairs, "test", process_params=process, path_count=192, **options)


def test_statistical_arbitrage_earns_on_cointegrated_prices_after_costs():
    formation, pair, markets = pair_of("pulled")
    assert [{one.first, one.second} for one in select_pairs(formation)] == [{0, 1}]
    low, _ = interval(earned(play_strategy(markets, "stat_arb", [pair_params(pair)])))
    assert low > 0.05


def test_statistical_arbitrage_earns_nothing_on_independent_walks_and_selection_refuses_them():
    formation, pair, markets = pair_of("apart")
    assert select_pairs(formation) == []
    low, high = interval(earned(play_strategy(markets, "stat_arb", [pair_params(pair)])))
    assert low < 0.0 and high < 0.05


def test_a_drifting_hedge_ratio_earns_where_prices_return_and_not_on_walks():
    options = {"num_bars": 150, "path_count": 192}
    pulled, apart = (held_out_bars(make_portfolio, "test", process_params=p, **options) for p in (PULLED, APART))
    assert interval(earned(play_strategy(pulled, "kalman_pair", [{}])))[0] > 0.05
    low, high = interval(earned(play_strategy(apart, "kalman_pair", [{}])))
    assert low < 0.0 and high < 0.05


def test_momentum_earns_where_drifts_persist_and_mean_reversion_where_prices_return():
    trending = one_asset(drifting_logs(192, 150, 5))
    returning = ornstein_uhlenbeck.Params(4.0, 4.0, 0.05, 0.02)
    returning = one_asset(ornstein_uhlenbeck.sample(returning, length(150) - 1, 192, 1))
    for name, home, away in (("momentum", trending, returning), ("mean_reversion", returning, trending)):
        assert interval(earned(play_strategy(home, name, [{}])))[0] > 0.03
        assert interval(earned(play_strategy(away, name, [{}])))[1] < 0.0
