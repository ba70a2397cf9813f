"""What emerges from the agents, run by the engine: stylised facts, each against a control without its cause."""

import numpy as np

from kernels.lob import spec
from market_models import agent_based as ab
from tests.support.agent_based import Grid, advance, agents, fresh

MARKETS, BINS, BURN_IN = 16, 2000, 300
CROWD = np.array([6.0, 0.5, 1.0])
CHARTISTS = {"arrival_rate": CROWD, "trend_weight": np.array([0, 0, 2.0]), "edge_tick": np.array([0, 1.0, 4.0])}
BLIND = {**CHARTISTS, "trend_weight": np.zeros(3)}  # the same arrivals, but nobody looks at trends


def market(seed: int = 1, bins: int = BINS, **changes) -> Grid:
    config, markets = fresh(MARKETS, seed)
    params = ab.pack(agents(**changes))
    advance(config, markets, params, BURN_IN)
    return advance(config, markets, params, bins)


def autocorrelation(x: np.ndarray, lags: range) -> float:
    """Return the mean autocorrelation over lags, markets pooled."""
    x = x - x.mean()
    return float(np.mean([(x[lag:] * x[:-lag]).mean() for lag in lags]) / (x * x).mean())


def test_chartists_cluster_volatility_and_without_them_it_does_not_last():
    """Half a minute to a minute later; the standard error of the mean of 30 lags over 32,000 bins is about 0.003."""
    with_trends, without = (np.abs(np.diff(market(**c).mid, axis=0)) for c in (CHARTISTS, BLIND))
    lags = range(30, 60)
    assert autocorrelation(with_trends, lags) > 0.02
    assert abs(autocorrelation(without, lags)) < 0.01


def test_returns_have_fat_tails_and_no_linear_memory_beyond_a_few_lags():
    returns = np.diff(market(**CHARTISTS).mid, axis=0)
    centred = returns - returns.mean()
    kurtosis = (centred**4).mean() / (centred**2).mean() ** 2 - 3
    assert kurtosis > 2
    scattered = np.random.default_rng(3).normal(size=returns.shape)  # the control: normal returns
    assert abs((scattered**4).mean() / (scattered**2).mean() ** 2 - 3) < 0.2
    beyond = [abs(autocorrelation(returns, range(lag, lag + 1))) for lag in range(8, 30)]
    assert max(beyond) < 0.04 and np.mean(beyond) < 0.015
    assert autocorrelation(returns, range(1, 2)) < -0.05  # the bounce between bid and ask, as in recordings


def test_the_sign_of_the_flow_has_memory_only_where_beliefs_persist():
    lags = range(5, 20)
    assert autocorrelation(np.sign(market(**CHARTISTS).flow_lots), lags) > 0.08
    noise = np.sign(market().flow_lots)
    assert abs(autocorrelation(noise, lags)) < 0.01


def test_the_spread_is_finite_and_makers_narrow_it_to_their_target():
    thin = {"arrival_rate": np.array([2.0, 0.3, 0]), "cancel_rate": np.full(20, 0.12), "news_tick": 0.2}
    makers = {"makers": 4, "maker_rate": 2.0, "maker_spread_tick": 2.0, "maker_tolerance_tick": 0, "maker_lots": 20}
    wide, narrow = (market(bins=600, **thin, **extra) for extra in ({}, makers))
    spread = {name: grid.ask - grid.bid for name, grid in (("wide", wide), ("narrow", narrow))}
    assert np.isfinite(spread["narrow"]).all() and np.isfinite(spread["wide"]).mean() > 0.95
    assert spread["narrow"].max() < 12
    assert spread["narrow"].mean() < 2.2 and np.nanmean(spread["wide"]) > 3.0


def test_fundamentalists_tie_the_price_to_the_value_and_without_them_it_leaves():
    gaps = []
    for arrival in (np.array([6.0, 1.0, 0]), np.array([6.0, 0, 0])):
        config, markets = fresh(MARKETS)
        grid = advance(config, markets, ab.pack(agents(arrival_rate=arrival)), 2000)
        words = markets.meta[:, spec.META_FLOW :]
        gaps.append(np.abs(words[:, ab.ANCHOR] + words[:, ab.FUNDAMENTAL] / 256 - grid.mid[-1]).mean())
    assert gaps[0] < 4 and gaps[1] > 8


def reaction(bins: int = 40, lots: int = 400, **changes) -> tuple[np.ndarray, np.ndarray]:
    """Return (mid, flow) in pairs of markets, bought into by an agent less left alone; the agent's own lots taken off.

    The pairs have the same seeds and the same book before the order.
    """
    found = []
    for bought in (lots, 0):
        config, markets = fresh(200, seed=3)
        params = ab.pack(agents(**changes))
        advance(config, markets, params, 150)
        order = np.zeros((200, 1, spec.NUM_MESSAGE_COLUMNS), np.int32)
        if bought:
            order[:, 0] = [spec.MARKET, spec.BUY, bought, 0, spec.FIRST_AGENT_ORDER_ID, 1, 0, 0]
        grid = advance(config, markets, params, bins, messages=order)
        found.append((grid.mid, np.sign(grid.flow_lots)))
    return found[0][0] - found[1][0], found[0][1] - found[1][1]


def test_chartists_follow_an_agents_purchase_and_fundamentalists_pull_the_price_back():
    """Means over 200 pairs and the bins after the order; 4.5 standard errors of the pairs."""
    crowds = {
        "chartists": {**CHARTISTS, "arrival_rate": np.array([6.0, 0, 0.5])},
        "nobody": {},
        "fundamentalists": {"arrival_rate": np.array([6.0, 1.0, 0])},
    }
    flow, late = {}, {}
    for name, changes in crowds.items():
        mid, sign = reaction(news_tick=0.0, **changes)
        after = sign[1:].mean(axis=0)
        flow[name] = after.mean() / (after.std() / after.size**0.5)
        late[name] = mid[-10:].mean()
        assert mid[0].mean() > 1.5, name
    assert flow["chartists"] > 4.5 and flow["fundamentalists"] < -4.5 and abs(flow["nobody"]) < 4.5
    assert late["fundamentalists"] < 0.3 * late["chartists"]


def test_words_of_the_flow_survive_a_snapshot():
    """A market restored from its arrays, and one cut into short steps, go on as if nothing had happened."""
    params = ab.pack(agents(arrival_rate=CROWD, makers=3, maker_rate=1.0, maker_lots=5))
    config, markets = fresh(4)
    advance(config, markets, params, 50)
    saved = type(markets)(type(markets.book)(*(f.copy() for f in markets.book)), *(f.copy() for f in markets[1:]))
    whole = advance(config, markets, params, 40)
    again = advance(config, saved, params, 40)
    assert whole.events == again.events
    np.testing.assert_array_equal(whole.mid, again.mid)
    np.testing.assert_array_equal(markets.meta, saved.meta)
    lost = type(markets)(type(markets.book)(*(f.copy() for f in saved.book)), *(f.copy() for f in saved[1:]))
    lost.meta[:, spec.META_FLOW :] = 0  # the control: without the words the market is another one
    assert (advance(config, saved, params, 40).mid != advance(config, lost, params, 40).mid).any()
