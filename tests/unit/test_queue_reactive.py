"""The queue-reactive flow: its rates by state and its packing."""

import numpy as np
import pytest
from numba import njit

from kernels.lob import spec
from market_models import queue_reactive as qr
from market_models import queue_reactive_numba as qn

CAPACITY = 16
SIZES = np.repeat(np.arange(1, 5), 32)


def hand_rates(**changes) -> qr.Rates:
    """Two bands (distances 1-2 and 3-5), two spread buckets (to 3 ticks, above), buckets 0, 1, 2 of 10 lots."""
    cancel = np.array([[[0, 0.2, 0.3], [0, 0.4, 0.5]], [[0, 0.6, 0.7], [0, 0.8, 0.9]]])
    rates = {
        "band_edge_tick": np.array([2, 5]),
        "spread_edge_tick": np.array([3]),
        "event_lots": 10,
        "limit_rate": np.arange(1, 13).reshape(2, 2, 3) * 0.1,
        "cancel_rate": cancel,
        "market_rate": np.array([[0, 0.15, 0.25], [0, 0.35, 0.45]]),
        "far_limit_rate": np.array([0.5, 0.0, 0.25]),
        "far_cancel_rate": 0.05,
        "limit_lots": SIZES,
        "market_lots": SIZES * 10,
    }
    return qr.Rates(**{**rates, **changes})


@njit
def draws(params, price, lots, order_id, owner, count, meta, seed, total):
    """Return status, dt_us and message of `total` draws on one unchanging book."""
    nothing = np.zeros((0, 8), np.int32)
    status, dt_us, messages = np.zeros(total, np.int64), np.zeros(total, np.int64), np.zeros((total, 8), np.int32)
    for i in range(total):
        meta[3] += 1
        status[i], dt_us[i] = qn.sample(params, nothing, price, lots, order_id, owner, count, meta, seed, messages[i])
    return status, dt_us, messages


def run(bids, asks, total=200_000, reference=0):
    """Draw on a book of orders (price, lots, id, owner), the best last."""
    fields = [np.zeros((2, CAPACITY), np.int32) for _ in range(4)]
    for side, orders in enumerate((bids, asks)):
        for slot, order in enumerate(orders):
            for field, value in zip(fields, order, strict=True):
                field[side, slot] = value
    meta = np.zeros(spec.NUM_META, np.int32)
    meta[spec.META_REFERENCE_TICK] = reference
    count = np.array([len(bids), len(asks)], np.int32)
    return draws(qr.pack(hand_rates()), *fields, count, meta, np.array([12, 34], np.uint32), total)


def close(count, probability, total):
    """Assert a binomial count within four and a half standard deviations."""
    spread = (total * probability * (1 - probability)) ** 0.5
    assert abs(count - total * probability) <= 4.5 * spread + 1e-9, (count, total * probability, spread)


# Best background bid 100 and ask 102: a spread of 2, bucket 0. The agent's order 9 at 101 moves no reference.
# Bids from 102: 101 and 100 in band 0 with 3 + 10 lots (bucket 2), 98 in band 1 with 4 (bucket 1), 90 beyond.
# Asks from 100: 102 in band 0 with 5 lots (bucket 1), band 1 empty, 106 and 107 beyond.
BIDS = [(90, 7, 1, 0), (98, 4, 2, 0), (100, 10, 3, 0), (101, 3, 9, 1)]
ASKS = [(107, 8, 4, 0), (106, 9, 5, 0), (102, 5, 6, 0)]


def test_every_kind_of_event_has_the_rate_of_its_queues_bucket():
    status, dt_us, messages = run(BIDS, ASKS)
    total, happened = len(status), messages[status == spec.FLOW_EVENT]
    limits = {(0, 0): 0.3, (0, 1): 0.5, (1, 0): 0.2, (1, 1): 0.4}  # (side, band)
    cancels = {3: 0.3 / 2, 2: 0.4, 1: 0.05, 6: 0.2, 5: 0.05, 4: 0.05}  # by id; half of band 0's falls on the agent's
    markets = {spec.SELL: 0.25, spec.BUY: 0.15}  # 13 lots at or before the best background bid, 5 on the other side
    rate = sum(limits.values()) + 2 * 0.75 + sum(cancels.values()) + 0.3 / 2 + sum(markets.values())
    np.testing.assert_allclose(dt_us.mean() * 1e-6 * rate, 1.0, atol=4.5 / total**0.5)
    lower, width = (0, 2), (2, 3)
    for (side, band), expected in limits.items():
        mine = happened[(happened[:, 0] == spec.LIMIT) & (happened[:, 1] == side)]
        away = 102 - mine[:, 3] if side == 0 else mine[:, 3] - 100
        for distance in range(lower[band] + 1, lower[band] + width[band] + 1):
            close((away == distance).sum(), expected / width[band] / rate, total)
        for distance, far in ((6, 0.5), (7, 0.0), (8, 0.25)):
            close((away == distance).sum(), far / rate, total)
        assert set(away) == {1, 2, 3, 4, 5, 6, 8}
    taken = happened[happened[:, 0] == spec.DELETE]
    for order_id, expected in {**cancels, 9: 0.0}.items():
        close((taken[:, 4] == order_id).sum(), expected / rate, total)
    for side, expected in markets.items():
        close(((happened[:, 0] == spec.MARKET) & (happened[:, 1] == side)).sum(), expected / rate, total)
    close((status == spec.FLOW_NULL).sum(), 0.15 / rate, total)


def test_a_wider_spread_has_the_rates_of_its_own_bucket():
    status, _, messages = run([(100, 10, 1, 0)], [(104, 5, 2, 0)])
    # Distance 4 for both bests: band 1 in bucket 1, band 0 empty.
    happened, total = messages[status == spec.FLOW_EVENT], len(status)
    rate = 2 * (0.7 + 1.1 + 0.75 + 0.8 + 0.35)
    near = (happened[:, 0] == spec.LIMIT) & (happened[:, 1] == 0) & (happened[:, 3] >= 102)
    close(near.sum(), 0.7 / rate, total)
    close((happened[:, 0] == spec.DELETE).sum(), 1.6 / rate, total)
    close((happened[:, 0] == spec.MARKET).sum(), 0.7 / rate, total)


def test_without_background_on_a_side_the_spread_is_the_widest_and_nothing_is_taken_from_nobody():
    status, _, messages = run([], [], total=40_000, reference=500)
    assert (status == spec.FLOW_EVENT).all() and set(messages[:, 0]) == {spec.LIMIT}
    rate = 2 * (0.7 + 1.0 + 0.75)
    close((messages[:, 3] == 499).sum(), 0.35 / rate, len(status))
    assert set(messages[messages[:, 1] == 1][:, 3]) == {501, 502, 503, 504, 505, 506, 508}


def test_sizes_come_from_their_tables():
    status, _, messages = run(BIDS, ASKS)
    happened = messages[status == spec.FLOW_EVENT]
    for kind, unit in ((spec.LIMIT, 1), (spec.MARKET, 10)):
        sizes = happened[happened[:, 0] == kind][:, 2]
        for size in (1, 2, 3, 4):
            close((sizes == size * unit).sum(), 0.25, len(sizes))


def test_packing_keeps_rates_to_the_stated_resolution():
    rates = hand_rates()
    params = qr.pack(rates)
    unit = 2.0 ** -(8 + params[qr.RATE_SHIFT])
    cells = params[qr.LIMIT_RATES : qr.CANCEL_RATES].reshape(qr.MAX_SPREADS, qr.MAX_BANDS, qr.MAX_BUCKETS)
    np.testing.assert_allclose(cells[:2, :2, :3] * unit, rates.limit_rate, atol=unit / 2)
    assert (cells[2:] == 0).all() and (cells[:, 2:] == 0).all() and (cells[..., 3:] == 0).all()
    assert unit < 2e-5


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("band_edge_tick", np.array([2, 2])),
        ("band_edge_tick", np.array([0, 4])),
        ("band_edge_tick", np.array([])),
        ("band_edge_tick", np.array([1.5, np.nan])),
        ("band_edge_tick", np.arange(1, 10)),
        ("spread_edge_tick", np.array([1, 2, 3, 4])),
        ("spread_edge_tick", np.array([2**21])),
        ("event_lots", 0),
        ("event_lots", 2**21),
        ("event_lots", float("nan")),
        ("limit_rate", np.ones((2, 2, 17))),
        ("limit_rate", np.ones((1, 2, 3))),
        ("limit_rate", np.full((2, 2, 3), -0.1)),
        ("limit_rate", np.full((2, 2, 3), np.nan)),
        ("cancel_rate", np.ones((2, 2, 3))),
        ("cancel_rate", np.zeros((2, 2, 4))),
        ("market_rate", np.array([[0.1, 0, 0], [0, 0, 0]])),
        ("market_rate", np.array([[0, np.inf, 0], [0, 0, 0]])),
        ("far_limit_rate", np.ones(129)),
        ("far_limit_rate", np.array([-1.0])),
        ("far_cancel_rate", float("nan")),
        ("limit_lots", SIZES[:-1]),
        ("market_lots", SIZES * 0),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field):
        qr.pack(hand_rates(**{field: value}))


def test_a_state_without_limit_orders_and_a_flow_too_busy_for_the_sampler_are_refused():
    silent = hand_rates().limit_rate.copy()
    silent[1, :, 2] = 0
    with pytest.raises(ValueError, match="1/64 per second"):
        qr.pack(hand_rates(limit_rate=silent, far_limit_rate=np.zeros(3)))
    with pytest.raises(ValueError, match="does not fit"):
        qr.pack(hand_rates(far_cancel_rate=1e7))
