"""Feature columns against values worked by hand."""

import numpy as np
import pytest

from kernels.features.columns import AccountView, columns
from kernels.features.market import (
    AVERAGE_ONE,
    LIMIT,
    History,
    advance_history,
    elapsed_us,
    start_history,
    strip_own,
)
from kernels.features.normalise import (
    check_normaliser,
    default_normaliser,
    fit_normaliser,
    normalise,
)
from kernels.features.table import FEATURE_NAMES, FEATURES, LOG, NUM_FEATURES, schema_digest
from kernels.lob import spec

BIDS = [(100, 30), (98, 10), (95, 5), (94, 2), (90, 1), (80, 7)]
ASKS = [(107, 10), (110, 20), (111, 4), (112, 3), (120, 2), (130, 1)]


def book(bids=BIDS, asks=ASKS, levels=6):
    depth = np.zeros((2, levels, 2), np.int32)
    for side, rows in enumerate((bids, asks)):
        depth[side, : len(rows)] = np.array(rows, np.int32).reshape(-1, 2)
    return depth


def own_order(side, price, lots, ahead=0):
    own = np.zeros((2, spec.NUM_OWN_COLUMNS), np.int32)
    own[side] = (1, price, lots, 2**30, ahead, 1)
    return own


def words(**values):
    summary = np.zeros(spec.NUM_SUMMARY, np.int32)
    for name, value in values.items():
        summary[getattr(spec, f"SUM_{name.upper()}")] = value
    return summary


def account(inventory=0, cap=500, steps_left=40, pending=(0, 0)):
    return AccountView(np.int32(inventory), np.int32(cap), np.int32(steps_left), np.array(pending, np.int32))


def named(depth, summary, history, own, view):
    row = columns(np, depth, summary, history, own, view)
    assert row.shape == (NUM_FEATURES,) and row.dtype == np.int32
    return dict(zip(FEATURE_NAMES, row.tolist(), strict=True))


NO_ORDERS = np.zeros((2, spec.NUM_OWN_COLUMNS), np.int32)


def test_columns_of_a_small_book_are_the_values_worked_by_hand():
    history = advance_history(np, start_history(np, book()), book(), words(), np.int32(1500))
    row = named(book(), words(), history, NO_ORDERS, account(inventory=-125))
    assert row["spread"] == 7
    assert [row[f"bid_gap_{i}"] for i in range(1, 5)] == [2, 5, 6, 10]
    assert [row[f"ask_gap_{i}"] for i in range(1, 5)] == [3, 4, 5, 13]
    assert [row[f"bid_lots_{i}"] for i in range(5)] == [30, 10, 5, 2, 1]
    assert [row[f"ask_lots_{i}"] for i in range(5)] == [10, 20, 4, 3, 2]
    assert row["imbalance_touch"] == 512  # (30 - 10) / 40
    assert row["imbalance_depth"] == 105  # floor(1024 * (48 - 39) / 87)
    assert row["microprice"] == 7 * 512
    assert row["elapsed"] == 1500
    assert (row["inventory"], row["inventory_frac"], row["steps_left"]) == (-125, -256, 40)


def test_an_interval_is_read_from_the_summary():
    start = start_history(np, book())
    moved = book(bids=[(101, 5)], asks=[(105, 5)])
    summary = words(
        traded_buy_lots=40, traded_sell_lots=15, ofi_lots=-9, last_price_tick=103, has_last=1, num_trades=3, events=20
    )
    history = advance_history(np, start, moved, summary, np.int32(2_000_000))
    row = named(moved, summary, history, NO_ORDERS, account())
    assert row["mid_change"] == 206 - 207
    assert (row["bought"], row["sold"], row["ofi"], row["trades"], row["events"]) == (40, 15, -9, 3, 20)
    assert row["last_trade"] == 2 * 103 - 206
    assert row["trend"] == -AVERAGE_ONE // 16 and row["volatility"] == AVERAGE_ONE // 16
    assert row["ofi_average"] == -9 * AVERAGE_ONE // 16 and row["trade_flow"] == 25 * AVERAGE_ONE // 16
    assert row["bid_gap_1"] == 0 and row["bid_lots_1"] == 0


def test_no_trade_reads_as_zero_and_missing_levels_repeat_the_last_gap():
    depth = book(bids=BIDS[:2])
    row = named(depth, words(last_price_tick=103), start_history(np, depth), NO_ORDERS, account())
    assert row["last_trade"] == 0
    assert [row[f"bid_gap_{i}"] for i in range(1, 5)] == [2, 2, 2, 2]
    assert [row[f"bid_lots_{i}"] for i in range(1, 5)] == [10, 0, 0, 0]


def test_our_order_is_taken_out_of_the_book_and_alone_at_its_level_shifts_it():
    depth = book(bids=[(103, 4), *BIDS[:5]])
    own = own_order(spec.BUY, 103, 4)
    net = strip_own(np, depth, own)
    assert net[spec.BUY, :5].tolist() == [list(level) for level in BIDS[:5]]
    assert net[spec.BUY, 5].tolist() == [0, 0]
    assert np.array_equal(net[spec.SELL], depth[spec.SELL])
    row = named(depth, words(), start_history(np, net), own, account(pending=(0, 1)))
    assert row["spread"] == 7 and row["own_bid_present"] == 1
    assert row["own_bid_behind"] == -3 and row["own_bid_lots"] == 4 and row["own_bid_lots_ahead"] == 0
    assert row["own_ask_present"] == 0 and row["own_ask_pending"] == 1 and row["own_bid_pending"] == 0


def test_our_order_in_a_queue_leaves_the_lots_of_others():
    own = own_order(spec.SELL, 110, 6, ahead=9)
    depth = book()
    net = strip_own(np, depth, own)
    assert net[spec.SELL, 1].tolist() == [110, 14]
    row = named(depth, words(), start_history(np, net), own, account())
    assert row["own_ask_behind"] == 3 and row["own_ask_lots_ahead"] == 9


def test_an_empty_side_keeps_the_mid_and_gives_no_spread():
    start = start_history(np, book())
    history = advance_history(np, start, book(asks=[]), words(), np.int32(1))
    assert int(history.mid_half_tick) == 207 and int(history.mid_change_half_tick) == 0
    row = named(book(asks=[]), words(), history, NO_ORDERS, account())
    assert row["spread"] == 0 and row["microprice"] == 0 and row["imbalance_touch"] == 1024


def test_extreme_values_saturate_instead_of_wrapping():
    top = 2**31 - 1
    depth = book(bids=[(-(2**30), top), (-(2**30), top)], asks=[(2**30, top), (2**30, 1)])
    summary = words(traded_buy_lots=-5, ofi_lots=-(2**31), has_last=1, last_price_tick=2**30, num_trades=top)
    start = History(*(np.int32(value) for value in (-(2**30) + 2, 0, 0, 0, 0, 0, 0)))
    history = advance_history(np, start, depth, summary, np.int32(top))
    row = named(depth, summary, history, NO_ORDERS, account(inventory=2**30, cap=2**30))
    assert row["spread"] == LIMIT and row["bid_lots_0"] == LIMIT and row["bought"] == LIMIT
    assert row["ofi"] == -LIMIT and row["mid_change"] == LIMIT and row["last_trade"] == LIMIT
    assert row["inventory_frac"] == 1024 and row["trades"] == LIMIT and row["elapsed"] == LIMIT


def test_elapsed_time_crosses_seconds_and_saturates():
    assert int(elapsed_us(np, (np.int32(10), np.int32(999_999_000)), (np.int32(11), np.int32(1_000)))) == 2
    assert int(elapsed_us(np, (np.int32(0), np.int32(0)), (np.int32(2**30), np.int32(0)))) == LIMIT


def test_too_few_levels_are_refused():
    depth = book(levels=6)[:, :4]
    with pytest.raises(ValueError, match="4 levels a side, features need at least 5"):
        columns(np, depth, words(), start_history(np, depth), NO_ORDERS, account())


def test_normalising_is_the_written_formula():
    normaliser = default_normaliser()
    raw = np.zeros(NUM_FEATURES, np.int32)
    log, linear = FEATURE_NAMES.index("ofi"), FEATURE_NAMES.index("imbalance_touch")
    raw[log], raw[linear] = -20, 256
    out = normalise(np, raw, normaliser)
    assert out.dtype == np.float32
    assert out[log] == pytest.approx(-np.log(21.0) / FEATURES[log].typical, rel=1e-6)
    assert out[linear] == pytest.approx(0.5) and FEATURES[log].kind == LOG
    raw[linear] = 10**6
    assert normalise(np, raw, normaliser)[linear] == 5.0


def test_a_fitted_normaliser_gives_mean_0_and_deviation_1_and_keeps_constant_columns():
    rng = np.random.default_rng(0)
    data = rng.integers(-300, 300, (4000, NUM_FEATURES)).astype(np.int32)
    data[:, 3] = 7
    normaliser = check_normaliser(fit_normaliser(data))
    out = normalise(np, data, normaliser)
    moving = np.arange(NUM_FEATURES) != 3
    assert np.abs(out[:, moving].mean(axis=0)).max() < 1e-3
    assert np.abs(out[:, moving].std(axis=0) - 1).max() < 0.05  # the clip takes a little
    assert np.all(out[:, 3] == 0) and normaliser.scale[3] == default_normaliser().scale[3]


def test_a_bad_normaliser_is_refused_by_field():
    good = default_normaliser()
    with pytest.raises(ValueError, match="scale has a value that is not finite"):
        check_normaliser(good._replace(scale=good.scale * np.float32(np.nan)))
    with pytest.raises(ValueError, match="shift has shape"):
        check_normaliser(good._replace(shift=good.shift[1:]))
    with pytest.raises(ValueError, match="clip has a value"):
        check_normaliser(good._replace(clip=0 * good.clip))


def test_names_are_unique_and_the_digest_is_hexadecimal():
    assert len(set(FEATURE_NAMES)) == NUM_FEATURES
    assert len(schema_digest()) == 64 and int(schema_digest(), 16) >= 0
