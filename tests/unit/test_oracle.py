"""The oracle does what docs/engine.md says: cases worked out by hand, one rule each.

Every case runs on the numba kernel too, so that hand-made expectations judge it and not the oracle alone.
"""

import numpy as np
import pytest

from kernels.lob import spec
from kernels.lob.host import HostBook
from kernels.lob.spec import (
    BUY,
    DELETE,
    EXECUTE,
    FOK,
    IOC,
    LEVEL_SET,
    LIMIT,
    MARKET,
    NOP,
    POST_ONLY,
    REDUCE,
    REPLACE,
    SELL,
    LobConfig,
)

CONFIG = LobConfig(capacity=64, max_fills=16, depth_levels=3)


def msg(kind, side=BUY, lots=0, price=0, order_id=0, owner=0):
    return [kind, side, lots, price, order_id, owner, 0, 0]


@pytest.fixture(params=["oracle", "cpu"])
def make(request):
    def make_book(*messages, config=CONFIG, reference_tick=0):
        book = HostBook(config, request.param, reference_tick)
        if messages:
            out = book.apply(np.array(messages, np.int32))
            assert not out.reason.any()
        return book

    return make_book


def apply(book, *messages):
    return book.apply(np.array(messages, np.int32))


def resting(book, side):
    """Return the orders of a side as (price, lots, id, owner), best first."""
    count = int(book.book.num_orders[side])
    fields = (book.book.price_tick, book.book.lots, book.book.order_id, book.book.owner)
    return list(zip(*(field[side, :count][::-1].tolist() for field in fields), strict=True))


def counted(book):
    """Return the counters that are not 0."""
    return {word: int(value) for word, value in enumerate(book.book.counters) if value}


def fills(out):
    """Return the fills as (message, price, lots, maker id, taker id, maker owner, taker owner, taker side)."""
    return [tuple(row) for row in out.fills[: int(out.num_fills)].tolist()]


# Kinds.


def test_a_limit_order_rests_behind_orders_of_its_price_and_in_front_of_worse_ones(make):
    book = make(
        msg(LIMIT, BUY, 5, 10, 1),
        msg(LIMIT, BUY, 6, 11, 2),
        msg(LIMIT, BUY, 7, 10, 3),
        msg(LIMIT, SELL, 5, 20, 4),
        msg(LIMIT, SELL, 6, 19, 5),
        msg(LIMIT, SELL, 7, 20, 6),
    )
    assert resting(book, BUY) == [(11, 6, 2, 0), (10, 5, 1, 0), (10, 7, 3, 0)]
    assert resting(book, SELL) == [(19, 6, 5, 0), (20, 5, 4, 0), (20, 7, 6, 0)]


def test_a_marketable_limit_order_sweeps_in_priority_order_at_the_makers_prices_and_rests_its_remainder(make):
    book = make(msg(LIMIT, SELL, 5, 10, 1), msg(LIMIT, SELL, 5, 10, 2), msg(LIMIT, SELL, 5, 12, 3, 4))
    out = apply(book, msg(LIMIT, BUY, 13, 11, 9, 7))
    assert fills(out) == [(0, 10, 5, 1, 9, 0, 7, BUY), (0, 10, 5, 2, 9, 0, 7, BUY)]
    assert out.filled_lots.tolist() == [10]
    assert resting(book, BUY) == [(11, 3, 9, 7)]
    assert resting(book, SELL) == [(12, 5, 3, 4)]


def test_a_partly_filled_maker_keeps_its_place(make):
    book = make(msg(LIMIT, BUY, 5, 10, 1), msg(LIMIT, BUY, 5, 10, 2))
    apply(book, msg(LIMIT, SELL, 3, 10, 9))
    assert resting(book, BUY) == [(10, 2, 1, 0), (10, 5, 2, 0)]


def test_a_market_order_takes_any_price_and_drops_what_is_left(make):
    book = make(msg(LIMIT, BUY, 5, -(2**30), 1))
    out = apply(book, msg(MARKET, SELL, 9, 5, 9))
    assert fills(out) == [(0, -(2**30), 5, 1, 9, 0, 0, SELL)]
    assert out.reason.tolist() == [spec.OK] and out.filled_lots.tolist() == [5]
    assert resting(book, BUY) == [] and resting(book, SELL) == []


def test_an_ioc_order_stops_at_its_price_and_drops_the_rest(make):
    book = make(msg(LIMIT, SELL, 5, 10, 1), msg(LIMIT, SELL, 5, 11, 2))
    out = apply(book, msg(IOC, BUY, 9, 10, 9))
    assert out.filled_lots.tolist() == [5] and out.reason.tolist() == [spec.OK]
    assert resting(book, SELL) == [(11, 5, 2, 0)] and resting(book, BUY) == []


def test_a_fok_order_fills_whole_or_not_at_all_within_its_price(make):
    book = make(msg(LIMIT, SELL, 5, 10, 1), msg(LIMIT, SELL, 5, 11, 2), msg(LIMIT, SELL, 5, 12, 3))
    out = apply(book, msg(FOK, BUY, 11, 11, 9), msg(FOK, BUY, 10, 11, 8))
    assert out.reason.tolist() == [spec.FOK_UNFILLED, spec.OK]
    assert out.filled_lots.tolist() == [0, 10]
    assert resting(book, SELL) == [(12, 5, 3, 0)]


def test_a_post_only_order_rests_or_says_that_it_would_cross(make):
    book = make(msg(LIMIT, SELL, 5, 10, 1))
    out = apply(book, msg(POST_ONLY, BUY, 3, 10, 8), msg(POST_ONLY, BUY, 3, 9, 9))
    assert out.reason.tolist() == [spec.WOULD_CROSS, spec.OK]
    assert resting(book, BUY) == [(9, 3, 9, 0)]


def test_reduce_takes_lots_off_in_place_and_an_order_at_zero_leaves(make):
    book = make(msg(LIMIT, BUY, 5, 10, 1), msg(LIMIT, BUY, 5, 10, 2))
    apply(book, msg(REDUCE, BUY, 2, 0, 1))
    assert resting(book, BUY) == [(10, 3, 1, 0), (10, 5, 2, 0)]
    apply(book, msg(REDUCE, BUY, 99, 0, 1))
    assert resting(book, BUY) == [(10, 5, 2, 0)]


def test_delete_ignores_lots_price_and_owner(make):
    book = make(msg(LIMIT, BUY, 5, 10, 1, 3))
    out = apply(book, msg(DELETE, BUY, -7, 2**31 - 1, 1, -5))
    assert out.reason.tolist() == [spec.OK] and resting(book, BUY) == []


def test_replace_keeps_priority_only_at_the_same_price_with_at_most_the_resting_lots(make):
    start = (msg(LIMIT, BUY, 5, 10, 1), msg(LIMIT, BUY, 5, 10, 2))
    for lots, expected in ((3, [1, 2]), (5, [1, 2]), (6, [2, 1])):
        book = make(*start)
        apply(book, msg(REPLACE, BUY, lots, 10, 1))
        assert [order[2] for order in resting(book, BUY)] == expected
        assert sorted(order[1] for order in resting(book, BUY)) == sorted((lots, 5))


def test_replace_at_a_crossing_price_matches_as_the_resting_orders_owner(make):
    book = make(msg(LIMIT, BUY, 5, 10, 1, 2), msg(LIMIT, SELL, 3, 12, 7, 4))
    out = apply(book, msg(REPLACE, BUY, 8, 12, 1, 6))
    assert fills(out) == [(0, 12, 3, 7, 1, 4, 2, BUY)]
    assert out.filled_lots.tolist() == [3]
    assert resting(book, BUY) == [(12, 5, 1, 2)] and resting(book, SELL) == []


def test_replace_on_a_full_side_reuses_the_orders_own_slot(make):
    book = make(*(msg(LIMIT, BUY, 1, i, i + 1) for i in range(64)))
    out = apply(book, msg(REPLACE, BUY, 9, -5, 1))
    assert out.reason.tolist() == [spec.OK] and resting(book, BUY)[-1] == (-5, 9, 1, 0)
    assert counted(book) == {}


def test_execute_fills_a_named_order_wherever_it_is_in_the_queue(make):
    book = make(msg(LIMIT, BUY, 5, 10, 1), msg(LIMIT, BUY, 5, 9, 2, 3))
    out = apply(book, msg(EXECUTE, BUY, 2, 777, 2, 6), msg(EXECUTE, BUY, 99, 0, 2))
    assert fills(out) == [(0, 9, 2, 2, 0, 3, 0, SELL), (1, 9, 3, 2, 0, 3, 0, SELL)]
    assert out.filled_lots.tolist() == [2, 3]
    assert resting(book, BUY) == [(10, 5, 1, 0)]
    assert out.summary[spec.SUM_TRADED_SELL_LOTS] == 5 and out.summary[spec.SUM_LAST_PRICE_TICK] == 9


def test_nop_does_nothing_whatever_its_other_words_say(make):
    book = make()
    out = apply(book, msg(NOP, 9, -1, 2**31 - 1, -1, -1))
    assert out.reason.tolist() == [spec.OK] and out.summary.tolist() == [0] * 16


# Reject reasons, in their order.


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (msg(LEVEL_SET, 2, -1, 1, 1), spec.BAD_SIDE),
        (msg(LEVEL_SET, BUY, -1, 2**30 + 1, 1), spec.BAD_LOTS),
        (msg(LEVEL_SET, SELL, 2**30 + 1, 1, 1), spec.BAD_LOTS),
        (msg(LEVEL_SET, BUY, 0, -(2**30) - 1, 0, -1), spec.BAD_PRICE),
        (msg(11, 7, -1, 1, 1), spec.BAD_KIND),
        (msg(-1, BUY, 1, 1, 1), spec.BAD_KIND),
        (msg(2**31 - 1, BUY, 1, 1, 1), spec.BAD_KIND),
        (msg(-(2**31), BUY, 1, 1, 1), spec.BAD_KIND),
        (msg(LIMIT, 2, 0, 1, 1), spec.BAD_SIDE),
        (msg(DELETE, -1, 0, 1, 1), spec.BAD_SIDE),
        (msg(LIMIT, BUY, 0, 2**31 - 1, 1), spec.BAD_LOTS),
        (msg(LIMIT, BUY, -5, 1, 1), spec.BAD_LOTS),
        (msg(LIMIT, BUY, 2**30 + 1, 1, 1), spec.BAD_LOTS),
        (msg(REDUCE, BUY, 0, 0, 1), spec.BAD_LOTS),
        (msg(EXECUTE, BUY, -1, 0, 1), spec.BAD_LOTS),
        (msg(LIMIT, BUY, 1, 2**30 + 1, 0), spec.BAD_PRICE),
        (msg(IOC, SELL, 1, -(2**30) - 1, 1), spec.BAD_PRICE),
        (msg(FOK, SELL, 1, -(2**31), 1), spec.BAD_PRICE),
        (msg(POST_ONLY, SELL, 1, 2**31 - 1, 1), spec.BAD_PRICE),
        (msg(REPLACE, SELL, 1, 2**30 + 1, 1), spec.BAD_PRICE),
        (msg(LIMIT, BUY, 1, 1, 0, -1), spec.BAD_ORDER_ID),
        (msg(MARKET, BUY, 1, 2**31 - 1, 0), spec.BAD_ORDER_ID),
        (msg(DELETE, BUY, 1, 1, -3), spec.BAD_ORDER_ID),
        (msg(LIMIT, BUY, 1, 1, 1, -1), spec.BAD_OWNER),
        (msg(MARKET, BUY, 1, 1, 1, -1), spec.BAD_OWNER),
        (msg(REDUCE, BUY, 1, 1, 1, -1), spec.UNKNOWN_ORDER),
        (msg(DELETE, SELL, 1, 1, 8), spec.UNKNOWN_ORDER),
        (msg(REPLACE, BUY, 1, 1, 1), spec.UNKNOWN_ORDER),
        (msg(EXECUTE, BUY, 1, 1, 1), spec.UNKNOWN_ORDER),
    ],
)
def test_a_bad_message_is_rejected_with_the_first_reason_that_applies_and_changes_nothing(make, message, reason):
    book = make(msg(LIMIT, BUY, 5, 10, 8, 2))
    before = [np.array(field) for field in book.book[:5]]
    out = apply(book, message)
    assert out.reason.tolist() == [reason] and out.filled_lots.tolist() == [0]
    assert all((old == new).all() for old, new in zip(before, book.book[:5], strict=True))
    assert counted(book) == ({spec.NUM_UNKNOWN_CANCEL: 1} if reason == spec.UNKNOWN_ORDER else {})
    assert out.summary[spec.SUM_EVENTS] == 1


def test_the_limits_of_lots_price_and_id_are_inclusive(make):
    book = make()
    out = apply(book, msg(LIMIT, BUY, 2**30, -(2**30), 2**31 - 1), msg(LIMIT, SELL, 1, 2**30, 1))
    assert out.reason.tolist() == [spec.OK, spec.OK]


def test_of_two_orders_with_one_id_the_best_is_meant(make):
    book = make(msg(LIMIT, BUY, 5, 10, 1), msg(LIMIT, BUY, 6, 11, 1))
    apply(book, msg(DELETE, BUY, 0, 0, 1))
    assert resting(book, BUY) == [(10, 5, 1, 0)]


def test_an_id_is_looked_up_on_the_messages_side_only(make):
    book = make(msg(LIMIT, BUY, 5, 10, 1))
    out = apply(book, msg(DELETE, SELL, 0, 0, 1))
    assert out.reason.tolist() == [spec.UNKNOWN_ORDER] and len(resting(book, BUY)) == 1


# A full side.


def full_side(owner=0):
    return [msg(LIMIT, BUY, 1, i, i + 1, owner) for i in range(64)]


def test_a_better_order_evicts_the_worst_background_order_of_a_full_side_and_it_is_counted(make):
    book = make(*full_side())
    out = apply(book, msg(LIMIT, BUY, 3, 5, 99, 2))
    assert out.reason.tolist() == [spec.OK]
    assert resting(book, BUY)[-6:] == [(5, 1, 6, 0), (5, 3, 99, 2), *((i, 1, i + 1, 0) for i in (4, 3, 2, 1))]
    assert counted(book) == {spec.NUM_EVICTED: 1, spec.LOTS_EVICTED: 1}


def test_within_the_worst_price_the_youngest_background_order_is_evicted(make):
    book = make(*(msg(LIMIT, SELL, 1, 10, i + 1) for i in range(64)))
    apply(book, msg(LIMIT, SELL, 1, 9, 99))
    assert [order[2] for order in resting(book, SELL)] == [99, *range(1, 64)]


def test_an_order_that_is_not_better_than_the_worst_background_order_is_dropped_with_a_reason(make):
    book = make(*full_side())
    out = apply(book, msg(LIMIT, BUY, 3, 0, 98), msg(POST_ONLY, BUY, 3, -1, 99, 5))
    assert out.reason.tolist() == [spec.SIDE_FULL] * 2
    assert counted(book) == {spec.NUM_REJECTED_FULL: 2, spec.LOTS_REJECTED_FULL: 6}
    assert out.summary[spec.SUM_OWN_REJECTS] == 1


def test_agents_orders_are_never_evicted(make):
    book = make(*full_side(owner=1))
    out = apply(book, msg(LIMIT, BUY, 3, 99, 99))
    assert out.reason.tolist() == [spec.SIDE_FULL]
    assert len(resting(book, BUY)) == 64


def test_an_agents_order_below_the_evicted_one_stays(make):
    messages = full_side()
    messages[0][5] = 1  # the worst order is an agent's, the next worst is evicted
    book = make(*messages)
    apply(book, msg(LIMIT, BUY, 3, 50, 99))
    assert [order[2] for order in resting(book, BUY)][-2:] == [3, 1]


def test_what_a_dropped_remainder_matched_stays_matched_and_reported(make):
    book = make(*full_side(owner=1), msg(LIMIT, SELL, 2, 100, 77))
    out = apply(book, msg(LIMIT, BUY, 3, 100, 99))
    assert out.reason.tolist() == [spec.SIDE_FULL] and out.filled_lots.tolist() == [2]
    assert int(out.num_fills) == 1 and resting(book, SELL) == []


def test_a_deleted_order_makes_room_within_the_same_call(make):
    book = make(*full_side(owner=1))
    out = apply(book, msg(DELETE, BUY, 0, 0, 30), msg(LIMIT, BUY, 3, -5, 99), msg(LIMIT, BUY, 3, -4, 98))
    assert out.reason.tolist() == [spec.OK, spec.OK, spec.OK]
    assert resting(book, BUY)[-1] == (-4, 3, 98, 0)
    assert counted(book) == {spec.NUM_EVICTED: 1, spec.LOTS_EVICTED: 3}


def test_the_lots_lost_on_a_full_side_are_counted_without_what_had_matched(make):
    book = make(*full_side(owner=1), msg(LIMIT, SELL, 2, 100, 77))
    apply(book, msg(LIMIT, BUY, 30, 100, 99), msg(LEVEL_SET, BUY, 7, 200))
    assert counted(book) == {spec.NUM_REJECTED_FULL: 2, spec.LOTS_REJECTED_FULL: 28 + 7}


# Levels of anonymous liquidity.


def queued_level(make, model):
    """Ask level 10: anonymous 6, our 5, a background 3, our 2, anonymous 4; one better and one worse level."""
    config = CONFIG._replace(queue_model=model)
    return make(
        msg(LEVEL_SET, SELL, 6, 10),
        msg(LIMIT, SELL, 5, 10, 21, 1),
        msg(LIMIT, SELL, 3, 10, 22),
        msg(LIMIT, SELL, 2, 10, 23, 1),
        msg(LEVEL_SET, SELL, 13, 10),
        msg(LEVEL_SET, SELL, 1, 9, 5, 5),
        msg(LEVEL_SET, SELL, 1, 11),
        config=config,
    )


def test_a_level_that_grows_joins_behind_our_orders_and_grows_in_place_at_the_back(make):
    book = queued_level(make, spec.QUEUE_BACK_FIRST)
    level = [(10, 6, 0, 0), (10, 5, 21, 1), (10, 3, 22, 0), (10, 2, 23, 1), (10, 4, 0, 0)]
    assert resting(book, SELL) == [(9, 1, 0, 0), *level, (11, 1, 0, 0)]
    out = apply(book, msg(LEVEL_SET, SELL, 20, 10), msg(LEVEL_SET, SELL, 20, 10))
    assert resting(book, SELL)[5] == (10, 11, 0, 0) and out.reason.tolist() == [spec.OK] * 2
    assert out.filled_lots.tolist() == [0, 0] and out.depth[1, 1].tolist() == [10, 27]


@pytest.mark.parametrize(
    ("model", "lots", "kept"),
    [
        (spec.QUEUE_BACK_FIRST, 8, [6, 2, 0]),
        (spec.QUEUE_BACK_FIRST, 6, [6, 0, 0]),
        (spec.QUEUE_FRONT_FIRST, 8, [1, 3, 4]),
        (spec.QUEUE_FRONT_FIRST, 3, [0, 0, 3]),
        (spec.QUEUE_PROPORTIONAL, 8, [4, 2, 2]),  # marks ceil(6 x 8 / 13), ceil(9 x 8 / 13), 8
        (spec.QUEUE_PROPORTIONAL, 1, [1, 0, 0]),
        (spec.QUEUE_PROPORTIONAL, 12, [6, 3, 3]),
    ],
)
def test_a_level_that_shrinks_loses_lots_where_the_queue_model_says_and_our_orders_stay(make, model, lots, kept):
    book = queued_level(make, model)
    out = apply(book, msg(LEVEL_SET, SELL, lots, 10))
    names = [(0, 0), (22, 0), (0, 0)]
    anonymous = [(10, left, *name) for left, name in zip(kept, names, strict=True)]
    level = [anonymous[0], (10, 5, 21, 1), anonymous[1], (10, 2, 23, 1), anonymous[2]]
    assert resting(book, SELL) == [(9, 1, 0, 0), *(order for order in level if order[1]), (11, 1, 0, 0)]
    assert out.reason.tolist() == [spec.OK] and int(out.num_fills) == 0


@pytest.mark.parametrize("model", range(3))
def test_an_emptied_level_keeps_our_orders_and_an_absent_level_emptied_is_nothing(make, model):
    book = queued_level(make, model)
    apply(book, msg(LEVEL_SET, SELL, 0, 10), msg(LEVEL_SET, SELL, 0, 9), msg(LEVEL_SET, SELL, 0, 77))
    assert resting(book, SELL) == [(10, 5, 21, 1), (10, 2, 23, 1), (11, 1, 0, 0)]
    assert counted(book) == {}


def test_a_level_never_matches_and_no_message_finds_its_orders_by_id(make):
    book = make(msg(LIMIT, SELL, 5, 10, 1, 2), msg(LEVEL_SET, BUY, 4, 12))
    assert resting(book, SELL) == [(10, 5, 1, 2)] and resting(book, BUY) == [(12, 4, 0, 0)]
    out = apply(book, msg(DELETE, BUY, 0, 0, 0), msg(IOC, SELL, 3, 12, 9))
    assert out.reason.tolist() == [spec.BAD_ORDER_ID, spec.OK]
    assert fills(out) == [(1, 12, 3, 0, 9, 0, 0, SELL)]


def test_a_print_eats_the_queue_ahead_of_us_before_it_reaches_us(make):
    book = make(msg(LEVEL_SET, BUY, 6, 10), msg(POST_ONLY, BUY, 5, 10, 7, 1), msg(LEVEL_SET, BUY, 9, 10))
    out = apply(book, msg(LEVEL_SET, BUY, 4, 10), msg(IOC, SELL, 7, 10, 50))
    assert fills(out) == [(1, 10, 4, 0, 50, 0, 0, SELL), (1, 10, 3, 7, 50, 1, 0, SELL)]


# Self-trade prevention.


def own_queue(make, policy):
    """Asks 10: a stranger's 3, our 4, a stranger's 5; ask 11: our 6."""
    rows = [(3, 10, 1, 2), (4, 10, 2, 1), (5, 10, 3, 0), (6, 11, 4, 1)]
    config = CONFIG._replace(self_trade=policy)
    return make(*(msg(LIMIT, SELL, *row) for row in rows), config=config)


@pytest.mark.parametrize(
    ("policy", "reason", "filled", "asks", "bids", "counters"),
    [
        (spec.SELF_TRADE_NONE, spec.OK, 10, [(10, 2, 3, 0), (11, 6, 4, 1)], [], {}),
        (spec.SELF_TRADE_CANCEL_RESTING, spec.OK, 8, [(11, 6, 4, 1)], [(10, 2, 9, 1)], (1, 4)),
        (
            spec.SELF_TRADE_CANCEL_TAKER,
            spec.SELF_TRADE,
            3,
            [(10, 4, 2, 1), (10, 5, 3, 0), (11, 6, 4, 1)],
            [],
            (1, 7),
        ),
        (spec.SELF_TRADE_DECREMENT, spec.OK, 6, [(10, 2, 3, 0), (11, 6, 4, 1)], [], (1, 4)),
    ],
)
def test_a_taker_that_meets_its_own_order(make, policy, reason, filled, asks, bids, counters):
    book = own_queue(make, policy)
    out = apply(book, msg(LIMIT, BUY, 10, 10, 9, 1))
    assert out.reason.tolist() == [reason] and out.filled_lots.tolist() == [filled]
    assert resting(book, SELL) == asks and resting(book, BUY) == bids
    named = {spec.NUM_SELF_TRADES: counters[0], spec.LOTS_SELF_TRADE: counters[1]} if counters else {}
    assert counted(book) == named
    assert out.summary[spec.SUM_OWN_REJECTS] == (reason != spec.OK)


def test_decrement_leaves_the_rest_of_a_larger_resting_order_and_counts_once(make):
    book = own_queue(make, spec.SELF_TRADE_DECREMENT)
    out = apply(book, msg(IOC, BUY, 5, 10, 9, 1))
    assert out.filled_lots.tolist() == [3] and resting(book, SELL)[0] == (10, 2, 2, 1)
    assert counted(book) == {spec.NUM_SELF_TRADES: 1, spec.LOTS_SELF_TRADE: 2}


@pytest.mark.parametrize(
    ("policy", "most"),
    [
        (spec.SELF_TRADE_NONE, 18),
        (spec.SELF_TRADE_CANCEL_RESTING, 8),
        (spec.SELF_TRADE_CANCEL_TAKER, 3),
        (spec.SELF_TRADE_DECREMENT, 3),
    ],
)
def test_fill_or_kill_counts_only_what_the_policy_lets_it_have(make, policy, most):
    book = own_queue(make, policy)
    before = resting(book, SELL)
    out = apply(book, msg(FOK, BUY, most + 1, 11, 8, 1))
    assert out.reason.tolist() == [spec.FOK_UNFILLED] and resting(book, SELL) == before and counted(book) == {}
    out = apply(book, msg(FOK, BUY, most, 11, 9, 1))
    assert out.reason.tolist() == [spec.OK] and out.filled_lots.tolist() == [most]


@pytest.mark.parametrize("policy", range(4))
def test_background_orders_and_strangers_trade_whatever_the_policy(make, policy):
    book = make(msg(LIMIT, SELL, 3, 10, 1, 0), msg(LIMIT, SELL, 3, 10, 2, 2), config=CONFIG._replace(self_trade=policy))
    out = apply(book, msg(MARKET, BUY, 3, 0, 8, 0), msg(MARKET, BUY, 3, 0, 9, 1))
    assert out.filled_lots.tolist() == [3, 3] and counted(book) == {}


def test_a_replace_that_re_enters_obeys_the_policy_of_the_resting_orders_owner(make):
    book = own_queue(make, spec.SELF_TRADE_CANCEL_TAKER)
    apply(book, msg(LIMIT, BUY, 10, 5, 30, 1), msg(DELETE, SELL, 0, 0, 1))
    out = apply(book, msg(REPLACE, BUY, 10, 10, 30, 0))
    assert out.reason.tolist() == [spec.SELF_TRADE] and resting(book, BUY) == []
    assert counted(book) == {spec.NUM_SELF_TRADES: 1, spec.LOTS_SELF_TRADE: 10}


# Fills, depth, summary, own orders.


def test_fills_beyond_the_capacity_are_counted_not_lost_silently(make):
    book = make(*(msg(LIMIT, SELL, 1, 10, i + 1) for i in range(20)))
    out = apply(book, msg(MARKET, BUY, 20, 0, 99))
    assert out.filled_lots.tolist() == [20] and int(out.num_fills) == 16
    assert book.book.counters[spec.NUM_FILLS_DROPPED] == 4
    assert out.summary[spec.SUM_NUM_TRADES] == 20 and out.summary[spec.SUM_TRADED_BUY_LOTS] == 20


def test_owned_fills_leave_out_trades_of_the_background_with_itself(make):
    config = CONFIG._replace(fills_mode=spec.FILLS_OWNED)
    book = make(msg(LIMIT, SELL, 1, 10, 1), msg(LIMIT, SELL, 1, 10, 2, 5), config=config)
    out = apply(book, msg(MARKET, BUY, 2, 0, 9), msg(LIMIT, SELL, 1, 10, 3), msg(MARKET, BUY, 1, 0, 9, 4))
    assert [row[3] for row in fills(out)] == [2, 3]
    assert out.summary[spec.SUM_NUM_TRADES] == 3 and book.book.counters[spec.NUM_FILLS_DROPPED] == 0


def test_an_order_trades_with_its_owners_own_order(make):
    book = make(msg(LIMIT, SELL, 1, 10, 1, 3))
    assert fills(apply(book, msg(LIMIT, BUY, 1, 10, 2, 3))) == [(0, 10, 1, 1, 2, 3, 3, BUY)]


def test_depth_sums_levels_best_first_and_saturates(make):
    book = make(
        msg(LIMIT, BUY, 2**30, 10, 1),
        msg(LIMIT, BUY, 2**30, 10, 2),
        msg(LIMIT, BUY, 4, 8, 3),
        msg(LIMIT, SELL, 1, 12, 4),
        msg(LIMIT, SELL, 2, 13, 5),
        msg(LIMIT, SELL, 3, 13, 6),
        msg(LIMIT, SELL, 4, 14, 7),
        msg(LIMIT, SELL, 5, 15, 8),
    )
    out = apply(book, msg(NOP))
    assert out.depth.tolist() == [[[10, 2**31 - 1], [8, 4], [0, 0]], [[12, 1], [13, 5], [14, 4]]]
    assert book.best(BUY) == (10, 2**31 - 1) and book.best(SELL) == (12, 1)


def test_the_summary_adds_up_by_the_takers_side(make):
    book = make(msg(LIMIT, SELL, 5, 12, 1), msg(LIMIT, BUY, 5, 8, 2), reference_tick=10)
    out = apply(
        book,
        msg(MARKET, BUY, 3, 0, 9),
        msg(IOC, SELL, 2, 8, 9),
        msg(NOP),
        msg(DELETE, BUY, 0, 0, 404, 1),
    )
    assert out.summary[:6].tolist() == [3, 2, 3, 2, 3 * 2, 2 * -2]
    assert out.summary[spec.SUM_LAST_PRICE_TICK : spec.SUM_HAS_LAST + 1].tolist() == [8, 1]
    assert out.summary[spec.SUM_BEST_BID_TICK : spec.SUM_HAS_ASK + 1].tolist() == [8, 1, 12, 1]
    assert out.summary[spec.SUM_OWN_REJECTS] == 1 and out.summary[spec.SUM_NUM_TRADES] == 2


def test_notional_wraps_modulo_two_to_the_thirty_two(make):
    book = make(msg(LIMIT, SELL, 2**30, 2**30, 1), reference_tick=-5)
    out = apply(book, msg(MARKET, BUY, 2**30, 0, 9))
    wrapped = (2**30 * (2**30 + 5) + 2**31) % 2**32 - 2**31
    assert out.summary[spec.SUM_NOTIONAL_BUY] == wrapped


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (msg(LIMIT, BUY, 3, 10, 9), 3),  # same price: more lots
        (msg(LIMIT, BUY, 3, 11, 9), 3),  # better price: all of the new level
        (msg(LIMIT, BUY, 3, 9, 9), 0),  # behind the touch
        (msg(DELETE, BUY, 0, 0, 1), -5),  # the level is gone: all of the old one
        (msg(REDUCE, BUY, 2, 0, 1), -2),
        (msg(LIMIT, SELL, 3, 20, 9), -3),
        (msg(LIMIT, SELL, 3, 19, 9), -3),
        (msg(DELETE, SELL, 0, 0, 3), 7),
        (msg(MARKET, BUY, 7, 0, 9), 7),  # the best ask level is gone
        (msg(LIMIT, BUY, 10, 20, 9), 7 + 3),  # ... and the remainder is the new best bid
        (msg(MARKET, BUY, 16, 0, 9), 0),  # the ask side is empty afterwards: it contributes nothing
    ],
)
def test_order_flow_imbalance_follows_cont_kukanov_stoikov_at_the_touch(make, message, expected):
    book = make(
        msg(LIMIT, BUY, 5, 10, 1), msg(LIMIT, BUY, 6, 8, 2), msg(LIMIT, SELL, 7, 20, 3), msg(LIMIT, SELL, 9, 22, 4)
    )
    assert apply(book, message).summary[spec.SUM_OFI_LOTS] == expected


def test_order_flow_imbalance_is_summed_message_by_message(make):
    book = make(msg(LIMIT, BUY, 5, 10, 1), msg(LIMIT, SELL, 5, 20, 2))
    out = apply(book, msg(LIMIT, BUY, 4, 12, 3), msg(DELETE, BUY, 0, 0, 3), msg(LIMIT, SELL, 2, 20, 4))
    assert out.summary[spec.SUM_OFI_LOTS] == 4 - 4 - 2


def test_own_orders_report_the_best_order_its_queue_position_and_the_count(make):
    book = make(
        msg(LIMIT, BUY, 5, 10, 1),
        msg(LIMIT, BUY, 7, 10, 2, 1),
        msg(LIMIT, BUY, 8, 10, 3, 1),
        msg(LIMIT, BUY, 9, 11, 4, 2),
    )
    assert book.own(1).tolist() == [[1, 10, 7, 2, 5, 2], [0] * 6]
    assert book.own(2).tolist() == [[1, 11, 9, 4, 0, 1], [0] * 6]
    assert book.own(3).tolist() == [[0] * 6] * 2


# What the nearest relative, JaxMARL-HFT, gets wrong (anchors of the project); each is a promise here.


def test_a_full_side_never_loses_its_whole_worst_level(make):
    book = make(*(msg(LIMIT, BUY, 1, 0 if i < 10 else i, i + 1) for i in range(64)))
    apply(book, msg(LIMIT, BUY, 1, 99, 99))
    assert len(resting(book, BUY)) == 64
    assert sum(order[0] == 0 for order in resting(book, BUY)) == 9


def test_cancelling_an_unknown_id_on_a_full_side_takes_lots_from_nobody(make):
    book = make(*full_side())
    before = resting(book, BUY)
    out = apply(book, msg(REDUCE, BUY, 1, 0, 500), msg(DELETE, BUY, 0, 0, 501))
    assert out.reason.tolist() == [spec.UNKNOWN_ORDER] * 2
    assert resting(book, BUY) == before and book.book.counters[spec.NUM_UNKNOWN_CANCEL] == 2


def test_minus_one_is_an_ordinary_price(make):
    book = make(msg(LIMIT, BUY, 5, -1, 1, 1), msg(LIMIT, SELL, 5, 0, 2, 1))
    assert resting(book, BUY) == [(-1, 5, 1, 1)] and book.best(BUY) == (-1, 5)
    assert fills(apply(book, msg(IOC, SELL, 5, -1, 3))) == [(0, -1, 5, 1, 3, 1, 0, SELL)]


def test_more_than_a_hundred_fills_in_a_call_are_all_reported_where_there_is_room(make):
    config = CONFIG._replace(max_fills=200)
    book = make(config=config)
    rows = [message for i in range(150) for message in (msg(LIMIT, SELL, 1, 10, i + 1), msg(MARKET, BUY, 1, 0, 999))]
    out = apply(book, *rows)
    assert int(out.num_fills) == 150
    assert out.fills[:150, spec.FILL_MAKER_ID].tolist() == list(range(1, 151))


def test_every_kind_goes_to_the_side_that_it_names(make):
    book = make(msg(LIMIT, BUY, 9, 10, 1), msg(LIMIT, SELL, 9, 20, 2))
    apply(book, *(msg(kind, BUY, 1, 10, 50 + kind) for kind in (IOC, FOK, POST_ONLY, REDUCE, DELETE)))
    assert resting(book, SELL) == [(20, 9, 2, 0)]
    assert resting(book, BUY) == [(10, 9, 1, 0), (10, 1, 55, 0)]


def test_equal_timestamps_keep_the_order_of_arrival(make):
    book = make(*(msg(LIMIT, BUY, 1, 10, order_id) for order_id in (7, 3, 5)))
    assert [order[2] for order in resting(book, BUY)] == [7, 3, 5]


def test_zero_and_negative_prices_match_like_others(make):
    book = make(msg(LIMIT, SELL, 5, 0, 1), msg(LIMIT, SELL, 5, -3, 2))
    out = apply(book, msg(LIMIT, BUY, 8, 0, 9))
    assert [(row[1], row[2]) for row in fills(out)] == [(-3, 5), (0, 3)]
    assert out.summary[spec.SUM_NOTIONAL_BUY] == -15
