"""The agent-based flow: beliefs, makers and fundamental value against closed forms, and its packing."""

import numpy as np
import pytest
from numba import njit

from kernels.lob import spec
from market_models import agent_based as ab
from market_models import agent_based_numba as an
from tests.support.agent_based import agents

CAPACITY = 16
ANCHOR = 101
ONLY = {"noise": np.array([1.0, 0, 0]), "fundamentalist": np.array([1 / 64, 1e3, 0]), "chartist": [1 / 64, 0, 1e3]}


@njit
def draws(params, price, lots, order_id, owner, count, meta, seed, total):
    """Return status, dt_us and message of `total` draws on one unchanging book, the words as before each of them."""
    nothing = np.zeros((0, 8), np.int32)
    status, dt_us, messages = np.zeros(total, np.int64), np.zeros(total, np.int64), np.zeros((total, 8), np.int32)
    words = meta[8:].copy()
    for i in range(total):
        meta[3] += 1
        meta[8:] = words
        status[i], dt_us[i] = an.sample(params, nothing, price, lots, order_id, owner, count, meta, seed, messages[i])
    return status, dt_us, messages


BIDS = [(97, 5, 1, 0), (100, 5, 2, 0)]
ASKS = [(105, 5, 3, 0), (102, 5, 4, 0)]


def run(params, bids=BIDS, asks=ASKS, total=60_000, **words):
    """Draw on a book of orders (price, lots, id, owner), the best last, with words by name in ticks from ANCHOR."""
    fields = [np.zeros((2, CAPACITY), np.int32) for _ in range(4)]
    for side, orders in enumerate((bids, asks)):
        for slot, order in enumerate(orders):
            for field, value in zip(fields, order, strict=True):
                field[side, slot] = value
    meta = np.zeros(spec.NUM_META, np.int32)
    meta[spec.META_NEXT_ORDER_ID] = 77
    flow = meta[spec.META_FLOW :]
    flow[[ab.STARTED, ab.ANCHOR]] = 1, ANCHOR
    flow[ab.FUNDAMENTAL] = 256 * words.get("fundamental", 0)
    flow[ab.SMOOTHED : ab.QUOTES] = 256 * words.get("smoothed", 0)
    flow[ab.QUOTES] = words.get("quote", 0)
    count = np.array([len(bids), len(asks)], np.int32)
    return draws(ab.pack(params), *fields, count, meta, np.array([12, 34], np.uint32), total)


def close(count, probability, total):
    """Assert a binomial count within four and a half standard deviations."""
    spread = (total * probability * (1 - probability)) ** 0.5
    assert abs(count - total * probability) <= 4.5 * spread + 1e-9, (count, total * probability, spread)


def quiet(**changes):
    """Return a market without cancels and news."""
    return agents(**{"cancel_rate": np.zeros(20), "news_rate": 0.0, **changes})


def test_events_come_at_the_rates_of_their_populations():
    params = agents(
        arrival_rate=np.array([2.0, 1.0, 0.5]),
        edge_tick=np.zeros(3),
        cancel_rate=np.full(20, 0.25),
        makers=2,
        maker_rate=0.4,
        maker_lots=7,
    )
    status, dt_us, messages = run(params)
    rate, total = 2 + 1 + 0.5 + 4 * 0.25 + 2 * 0.4 + 1.0, len(status)
    np.testing.assert_allclose(dt_us.mean() * 1e-6 * rate, 1.0, atol=4.5 / total**0.5)
    close((status == spec.FLOW_NULL).sum(), 1.0 / rate, total)  # news
    close((messages[:, 0] == spec.DELETE).sum(), 4 * 0.25 / rate, total)
    close((messages[:, 2] == 7).sum(), 0.8 / rate, total)
    assert set(messages[messages[:, 2] == 7][:, 3]) == {100, 102}
    close(np.isin(messages[:, 0], [spec.LIMIT, spec.MARKET, spec.IOC]).sum(), (3.5 + 0.8) / rate, total)


def test_noise_traders_toss_a_coin_and_place_by_the_table():
    status, _, messages = run(quiet(placement=np.array([3.0, 0, 1.0]), cancel_rate=np.zeros(3)))
    total = len(status)
    close((messages[:, 1] == spec.SELL).sum(), 0.5, total)
    close((messages[:, 0] == spec.MARKET).sum(), 0.1, total)
    for price, share in ((101, 0.75), (99, 0.25)):
        close(((messages[:, 1] == spec.BUY) & (messages[:, 3] == price)).sum(), 0.9 * 0.5 * share, total)
    for price, share in ((101, 0.75), (103, 0.25)):
        close(((messages[:, 1] == spec.SELL) & (messages[:, 3] == price)).sum(), 0.9 * 0.5 * share, total)


@pytest.mark.parametrize("sign", [1, -1])
def test_fundamentalists_trade_towards_the_value_and_take_at_the_price_that_they_expect(sign):
    """Weights uniform in 0..2 and a gap of 4 ticks: Delta is uniform in 0..8 ticks, the half spread is 1 tick."""
    params = quiet(arrival_rate=ONLY["fundamentalist"], noise_tick=np.zeros(3), edge_tick=np.array([0, 0.5, 0]))
    status, _, messages = run(params, fundamental=4 * sign)
    total, side = len(status), spec.BUY if sign > 0 else spec.SELL
    close((status == spec.FLOW_NULL).sum(), 0.5 / 8, total)
    comes = messages[status == spec.FLOW_EVENT]
    assert (comes[:, 1] == side).mean() > 0.9999
    takes = comes[comes[:, 0] == spec.IOC]
    close(len(takes), 7 / 8, total)
    for walk in range(7):
        close((takes[:, 3] == 101 + sign * (1 + walk)).sum(), 1 / 8, total)
    close((comes[:, 0] == spec.LIMIT).sum(), 0.5 / 8, total)


@pytest.mark.parametrize("sign", [1, -1])
def test_chartists_follow_the_trend_and_its_noise_is_laplace(sign):
    params = quiet(arrival_rate=ONLY["chartist"], noise_tick=np.array([0, 0, 2.0]), edge_tick=np.zeros(3))
    followed = run(params._replace(noise_tick=np.zeros(3)), smoothed=-3 * sign)[2]
    assert (followed[:, 1] == (spec.BUY if sign > 0 else spec.SELL)).mean() > 0.999
    _, _, messages = run(params._replace(trend_weight=np.zeros(3)), smoothed=-3 * sign)
    close((messages[:, 1] == spec.BUY).sum(), 0.5, len(messages))
    close((messages[:, 0] == spec.IOC).sum(), np.exp(-1 / 2), len(messages))  # an exponential of mean 2 beyond 1
    capped = run(params._replace(trend_weight=np.zeros(3), max_walk_tick=2))[2]
    assert set(capped[(capped[:, 0] == spec.IOC) & (capped[:, 1] == spec.BUY)][:, 3]) == {102, 103, 104}


def test_makers_post_at_the_target_keep_a_fresh_quote_and_cancel_a_stale_one():
    params = quiet(arrival_rate=[1 / 64, 0, 0], makers=1, maker_rate=1e3, maker_spread_tick=3.0, maker_lots=9)
    status, _, posted = run(params, quote=0)
    for side, price in ((spec.BUY, 99), (spec.SELL, 103)):
        mine = (posted[:, 0] == spec.LIMIT) & (posted[:, 1] == side) & (posted[:, 2] == 9) & (posted[:, 3] == price)
        close(mine.sum(), 0.5, len(status))
    status, _, _ = run(params, quote=2)  # its bid at 100: one tick from the target
    close((status == spec.FLOW_NULL).sum(), 0.5, len(status))
    status, _, stale = run(params, quote=1)  # its bid at 97
    close(((stale[:, 0] == spec.DELETE) & (stale[:, 4] == 1)).sum(), 0.5, len(status))
    status, _, gone = run(params, quote=50)
    assert not (gone[:, 0] == spec.DELETE).any() and (status == spec.FLOW_EVENT).all()


def test_agents_orders_move_no_reference_and_are_never_cancelled():
    bids = [*BIDS, (101, 5, 9, 1)]
    params = agents(cancel_rate=np.full(20, 5.0), news_rate=0.0)
    status, _, messages = run(params, bids=bids)
    assert set(messages[messages[:, 0] == spec.DELETE][:, 4]) == {1, 2, 3, 4}
    close((status == spec.FLOW_NULL).sum(), 5 / (6 + 25), len(status))
    sold = messages[(messages[:, 0] == spec.LIMIT) & (messages[:, 1] == spec.SELL)]
    assert sold[:, 3].min() == 101


def test_nobody_takes_from_an_empty_side():
    status, _, messages = run(quiet(impatience_frac=np.array([1.0, 0, 0])), asks=[], total=4000)
    close((status == spec.FLOW_NULL).sum(), 0.5, len(status))
    assert set(messages[status == spec.FLOW_EVENT][:, 1]) == {spec.SELL}


@njit
def value_path(params, book, count, meta, seed, total):
    nothing, out, msg = np.zeros((0, 8), np.int32), np.zeros((total, 3), np.int64), np.zeros(8, np.int32)
    for i in range(total):
        meta[3] += 1
        msg[:] = 0
        an.sample(params, nothing, book[0], book[1], book[2], book[3], count, meta, seed, msg)
        out[i, 0], out[i, 1], out[i, 2] = meta[10], meta[11], meta[9]
    return out


def words_of(mid_tick, reversion, total=200_000, smoothing=0.25, news_tick=1.0, start=None):
    """Return the fundamental value and the smoothed mid of each news in 1/256 tick, the mid held at a price."""
    params = quiet(
        arrival_rate=[1 / 64, 0, 0],
        news_rate=1e4,
        reversion_frac=reversion,
        news_tick=news_tick,
        smoothing_frac=np.array([smoothing]),
    )
    book, meta = np.zeros((4, 2, CAPACITY), np.int32), np.zeros(spec.NUM_META, np.int32)
    book[0, :, 0], book[1, :, 0], book[2, :, 0] = (mid_tick - 1, mid_tick + 1), 5, (1, 2)
    if start is not None:
        meta[spec.META_FLOW : spec.META_FLOW + ab.QUOTES] = start
    return value_path(ab.pack(params), book, np.ones(2, np.int32), meta, np.array([5, 6], np.uint32), total)


def test_the_fundamental_value_is_a_laplace_walk_or_an_ornstein_uhlenbeck_process():
    walk = words_of(1000, 0.0, 20_000)
    jumps = np.diff(walk[:, 0]) / 256
    assert abs(jumps.mean()) < 4.5 * (2 / len(jumps)) ** 0.5
    np.testing.assert_allclose([np.abs(jumps).mean(), (jumps**2).mean()], [1.0, 2.0], rtol=0.05)
    assert (walk[:, 2] == 1000).all()
    process = words_of(1000, 0.05)[1000:, 0] / 256
    # V' = (1 - a) V + J: variance 2 / (1 - (1 - a)^2), correlation 1 - a.
    np.testing.assert_allclose(process.var(), 2 / (1 - 0.95**2), rtol=0.1)
    np.testing.assert_allclose(np.corrcoef(process[1:], process[:-1])[0, 1], 0.95, atol=0.005)


def test_the_smoothed_mid_forgets_geometrically_and_no_small_step_is_lost():
    begun = np.array([1, 1000, 0, 0, 0, 0])
    path = words_of(1100, 0.0, 30, start=begun)[:, 1] / (256 * 100)
    np.testing.assert_allclose(path, 1 - 0.75 ** np.arange(1, 31), atol=2e-4)
    slow = words_of(1001, 0.0, 20_000, smoothing=1e-4, start=begun)[:, 1]  # a hundredth of a unit a step
    np.testing.assert_allclose(slow[-1] / 256, 1 - (1 - 1e-4) ** 20_000, atol=0.1)


def test_values_stop_at_their_bounds():
    far = np.array([1, 1000, 2**26, -(2**26), 0, 0])
    assert words_of(1000 + 2**25, 0.0, 500, news_tick=4096.0, start=far)[:, 0].max() == 2**26
    assert np.abs(words_of(1000 - 2**25, 0.0, 500, smoothing=1.0, start=far)[:, 1]).max() == 2**26


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("arrival_rate", np.array([0.01, 0, 0])),
        ("arrival_rate", np.ones(2)),
        ("arrival_rate", np.array([1, -1, 0])),
        ("fundamental_weight", np.array([0, 4.0, 0])),
        ("trend_weight", np.array([0, 0, np.nan])),
        ("noise_tick", np.array([0, 0, 4097.0])),
        ("edge_tick", np.array([0, 0, np.inf])),
        ("impatience_frac", np.array([1.1, 0, 0])),
        ("placement", np.zeros(20)),
        ("placement", np.ones(129)),
        ("placement", np.array([])),
        ("cancel_rate", np.ones(19)),
        ("cancel_rate", np.full(20, -1.0)),
        ("limit_lots", np.ones(127)),
        ("market_lots", np.zeros(128)),
        ("market_lots", np.full(128, 1.5)),
        ("news_rate", float("inf")),
        ("news_tick", -1.0),
        ("smoothing_frac", np.ones(4)),
        ("smoothing_frac", np.array([1.5])),
        ("reversion_frac", 2.0),
        ("max_walk_tick", 2**17),
        ("makers", 9),
        ("makers", 1.5),
        ("maker_rate", float("nan")),
        ("maker_spread_tick", 5000.0),
        ("maker_tolerance_tick", -1),
        ("maker_lots", 0),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field):
        ab.pack(agents(**{field: value}))


def test_a_flow_too_busy_for_the_sampler_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        ab.pack(agents(cancel_rate=np.full(20, 1e6)))
