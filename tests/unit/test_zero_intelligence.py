"""The zero-intelligence sampler draws what its rates say; its packing keeps them; bad rates are named."""

import numpy as np
import pytest
from numba import njit

from kernels.lob import spec
from market_models import zero_intelligence as zi
from market_models import zero_intelligence_numba as zn

CAPACITY = 16
NOTHING = np.zeros((1, spec.NUM_MESSAGE_COLUMNS), np.int32)
SIZES = np.repeat(np.arange(1, 5), 32)
LIMIT_RATES = np.array([0.5, 0.1, 0.0, 0.3, 0.05])
CANCEL_RATES = np.array([0.4, 0.05, 0.2, 0.0, 0.1])
MARKET_RATE = 0.25


@njit
def draws(params, price, lots, order_id, owner, count, meta, seed, total):
    """Return status, dt_us and message of `total` draws on one unchanging book."""
    nothing = np.zeros((1, 8), np.int32)
    status, dt_us, messages = np.zeros(total, np.int64), np.zeros(total, np.int64), np.zeros((total, 8), np.int32)
    for i in range(total):
        meta[3] += 1
        status[i], dt_us[i] = zn.sample(params, nothing, price, lots, order_id, owner, count, meta, seed, messages[i])
    return status, dt_us, messages


def book(bids, asks):
    """Orders as (price, id, owner), the best last."""
    fields = [np.zeros((2, CAPACITY), np.int32) for _ in range(4)]
    for side, orders in enumerate((bids, asks)):
        for slot, (price, order_id, owner) in enumerate(orders):
            for field, value in zip(fields, (price, 10, order_id, owner), strict=True):
                field[side, slot] = value
    return [*fields, np.array([len(bids), len(asks)], np.int32)]


def run(bids, asks, total=400_000, reference=0, market=MARKET_RATE):
    params = zi.pack(LIMIT_RATES, market, CANCEL_RATES, SIZES, SIZES * 10)
    meta = np.zeros(8, np.int32)
    meta[spec.META_REFERENCE_TICK] = reference
    return draws(params, *book(bids, asks), meta, np.array([12, 34], np.uint32), total)


def close(count, probability, total):
    """Assert a binomial count within four and a half standard deviations."""
    spread = (total * probability * (1 - probability)) ** 0.5
    assert abs(count - total * probability) <= 4.5 * spread + 1e-9, (count, total * probability, spread)


# Distances from the opposite best: bids 3, 2, 2; asks 7 (beyond D), 4, 2.
BIDS = [(104, 1, 0), (105, 2, 0), (105, 3, 7)]
ASKS = [(112, 4, 0), (109, 5, 0), (107, 6, 0)]


def test_every_kind_of_event_has_its_rate():
    status, dt_us, messages = run(BIDS, ASKS)
    total = len(status)
    theta_max = CANCEL_RATES.max()
    rate = 2 * LIMIT_RATES.sum() + 2 * MARKET_RATE + 6 * theta_max
    np.testing.assert_allclose(dt_us.mean() * 1e-6 * rate, 1.0, atol=4.5 / total**0.5)
    np.testing.assert_allclose((dt_us * 1e-6 * rate).var(), 1.0, atol=4.5 * 8**0.5 / total**0.5)
    happened = messages[status == spec.FLOW_EVENT]
    for side, reference, sign in ((0, 107, -1), (1, 105, 1)):
        limits = happened[(happened[:, 0] == spec.LIMIT) & (happened[:, 1] == side)]
        for i, lam in enumerate(LIMIT_RATES, start=1):
            close((limits[:, 3] == reference + sign * i).sum(), lam / rate, total)
        assert (limits[:, 4:] == 0).all()
        close(((happened[:, 0] == spec.MARKET) & (happened[:, 1] == side)).sum(), MARKET_RATE / rate, total)
    cancelled = happened[happened[:, 0] == spec.DELETE]
    # id -> theta at its distance; 3 is an agent's, 4 lies beyond D, 5 has rate zero.
    for order_id, theta in {1: 0.2, 2: 0.05, 3: 0.0, 4: 0.1, 5: 0.0, 6: 0.05}.items():
        close((cancelled[:, 4] == order_id).sum(), theta / rate, total)
    np.testing.assert_array_equal(cancelled[:, 1], np.where(cancelled[:, 4] <= 3, 0, 1))
    close((status == spec.FLOW_NULL).sum(), 1 - (2 * LIMIT_RATES.sum() + 2 * MARKET_RATE + 0.4) / rate, total)


def test_sizes_come_from_their_tables_and_do_not_depend_on_the_distance():
    status, _, messages = run(BIDS, ASKS)
    happened = messages[status == spec.FLOW_EVENT]
    limits = happened[happened[:, 0] == spec.LIMIT]
    takers = happened[happened[:, 0] == spec.MARKET]
    for size in (1, 2, 3, 4):
        close((limits[:, 2] == size).sum(), 0.25, len(limits))
        close((takers[:, 2] == 10 * size).sum(), 0.25, len(takers))
        near = limits[np.abs(limits[:, 3] - 106) == 0]
        close((near[:, 2] == size).sum(), 0.25, len(near))


def test_nothing_is_taken_from_an_empty_side_and_distances_count_from_beyond_the_own_best():
    status, _, messages = run(BIDS, [], total=50_000)
    happened = messages[status == spec.FLOW_EVENT]
    assert set(happened[happened[:, 0] == spec.MARKET][:, 1]) == {1}
    bids = happened[(happened[:, 0] == spec.LIMIT) & (happened[:, 1] == 0)]
    asks = happened[(happened[:, 0] == spec.LIMIT) & (happened[:, 1] == 1)]
    assert set(bids[:, 3]) == {105, 104, 102, 101}  # 106 - i
    assert set(asks[:, 3]) == {106, 107, 109, 110}  # 105 + i


def test_with_both_sides_empty_distances_count_from_the_reference_tick():
    status, _, messages = run([], [], total=50_000, reference=500)
    assert (status == spec.FLOW_EVENT).all()
    assert set(messages[:, 0]) == {spec.LIMIT}
    assert set(messages[messages[:, 1] == 0][:, 3]) == {499, 498, 496, 495}
    assert set(messages[messages[:, 1] == 1][:, 3]) == {501, 502, 504, 505}


def test_agents_orders_are_never_cancelled():
    status, _, messages = run([(104, 1, 2), (105, 2, 1)], [(107, 3, 1)], total=50_000)
    assert not (messages[status == spec.FLOW_EVENT][:, 0] == spec.DELETE).any()


@njit
def exponentials(words):
    out = np.empty(len(words), np.int64)
    for i in range(len(words)):
        out[i] = zn.exponential_q16(words[i])
    return out


def test_the_integer_logarithm_is_within_its_resolution_of_the_exact_one():
    words = np.append(np.random.default_rng(0).integers(1, 2**32, 500_000), [1, 2, 3, 2**31, 2**32 - 1]).astype(
        np.uint32
    )
    ours = exponentials(words)
    exact = -np.log(words.astype(np.float64) / 2**32) * 2**16
    assert np.abs(ours - exact).max() < 0.5 + 2**16 / 8 / 256**2 + 0.1  # rounding, chord of the table, table
    assert ours.min() >= 0
    assert exponentials(np.zeros(1, np.uint32))[0] == exponentials(np.ones(1, np.uint32))[0]


def test_the_integer_exponential_has_mean_and_variance_one():
    # One word in the middle of each of 2^20 equal cells: the means over them are the integrals to 1e-5.
    words = (np.arange(2**20, dtype=np.uint64) * 2**12 + 2**11).astype(np.uint32)
    drawn = exponentials(words) / 2**16
    np.testing.assert_allclose(drawn.mean(), 1.0, atol=2e-5)
    np.testing.assert_allclose(drawn.var(), 1.0, atol=3e-4)


@pytest.mark.parametrize("weight", [[1.0], [0.2, 0.8], [0, 0, 3, 0], list(range(128)), [1e-9, 1, 5]])
def test_the_alias_table_has_exactly_the_weights(weight):
    words = zi.alias_table(np.array(weight, float)).astype(np.int64)
    stay = (words >> 8) / 2**24
    probability = np.zeros(len(words))
    np.add.at(probability, np.arange(len(words)), stay / len(words))
    np.add.at(probability, words & 255, (1 - stay) / len(words))
    np.testing.assert_allclose(probability, np.array(weight) / np.sum(weight), atol=2**-23)


def test_packing_keeps_rates_to_the_stated_resolution():
    params = zi.pack(LIMIT_RATES, MARKET_RATE, CANCEL_RATES, SIZES, SIZES)
    unit = 2.0 ** -(8 + params[zi.RATE_SHIFT])
    assert params[zi.RATE_SHIFT] == zi.MAX_RATE_SHIFT
    np.testing.assert_allclose(params[zi.LIMIT_RATE] * unit, LIMIT_RATES.sum(), atol=unit)
    np.testing.assert_allclose(params[zi.MARKET_RATE] * unit, MARKET_RATE, atol=unit)
    np.testing.assert_allclose(params[zi.CANCEL_RATE] * unit, CANCEL_RATES.max(), atol=unit)
    accepted = params[zi.ACCEPT : zi.ACCEPT + 5] / 2**30
    np.testing.assert_allclose(accepted, CANCEL_RATES / CANCEL_RATES.max(), atol=2**-30)
    assert (params[zi.ACCEPT + 5 : zi.LIMIT_LOTS] == 0).all()


def test_a_busy_market_gets_a_coarser_unit_and_an_impossible_one_is_refused():
    busy = zi.pack(LIMIT_RATES * 1e4, MARKET_RATE, CANCEL_RATES * 1e4, SIZES, SIZES)
    assert 0 <= busy[zi.RATE_SHIFT] < zi.MAX_RATE_SHIFT
    with pytest.raises(ValueError, match="does not fit"):
        zi.pack(LIMIT_RATES * 1e8, MARKET_RATE, CANCEL_RATES, SIZES, SIZES)


def test_rates_and_sizes_out_of_range_are_refused_by_name():
    good = {
        "limit_rate": LIMIT_RATES,
        "market_rate": MARKET_RATE,
        "cancel_rate": CANCEL_RATES,
        "limit_lots": SIZES,
        "market_lots": SIZES,
    }
    for field, value in (
        ("limit_rate", -LIMIT_RATES),
        ("limit_rate", LIMIT_RATES * 0),
        ("limit_rate", np.append(LIMIT_RATES, 1.0)),
        ("limit_rate", np.ones(129)),
        ("market_rate", float("nan")),
        ("cancel_rate", CANCEL_RATES + np.inf),
        ("limit_lots", SIZES[:-1]),
        ("market_lots", SIZES * 0),
    ):
        with pytest.raises(ValueError, match=field):
            zi.pack(**{**good, field: value})
