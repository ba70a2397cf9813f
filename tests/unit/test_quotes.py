"""Quotes, plans and messages against cases worked by hand."""

import numpy as np
import pytest

from kernels.execution import quotes
from kernels.execution.quotes import CancelIntent, NewIntent, QuoteLimits, Quotes
from kernels.lob import spec

LIMITS = QuoteLimits(np.int32(10), np.int32(25))
IDLE = np.zeros(2, np.int32)


def book(bid=100, ask=113, bid_lots=5, ask_lots=5):
    depth = np.zeros((2, 6, 2), np.int32)
    depth[:, 0] = (bid, bid_lots), (ask, ask_lots)
    return depth


def action(bid, ask):
    return np.int32(quotes.CODE_NAMES.index(bid) * quotes.NUM_CODES + quotes.CODE_NAMES.index(ask))


def resting(bid=None, ask=None):
    own = np.zeros((2, spec.NUM_OWN_COLUMNS), np.int32)
    for side, order in enumerate((bid, ask)):
        if order:
            own[side] = (1, order[0], order[1], 2**30 + 100 + side, 0, 1)
    return own


def target(bid, ask, depth=None, inventory=0, limits=LIMITS):
    return quotes.target_quotes(np, action(bid, ask), book() if depth is None else depth, np.int32(inventory), limits)


@pytest.mark.parametrize(
    ("code", "bid", "ask"),
    [("far", 94, 119), ("behind", 97, 116), ("join", 100, 113), ("improve", 101, 112), ("middle", 106, 107)],
)
def test_each_code_quotes_where_the_table_says(code, bid, ask):
    out = target(code, code)
    assert out.present.tolist() == [True, True] and out.price_tick.tolist() == [bid, ask]
    assert out.lots.tolist() == [10, 10]


def test_action_0_quotes_nothing_and_every_action_decodes_to_its_row():
    assert action("none", "none") == quotes.DO_NOTHING
    assert not target("none", "none").present.any()
    table = quotes.decode(np, np.arange(quotes.NUM_ACTIONS, dtype=np.int32))
    assert [tuple(row) for row in table.tolist()] == list(quotes.ACTION_TABLE)
    assert len(quotes.ACTION_NAMES) == quotes.NUM_ACTIONS == 36


def test_a_quote_stays_one_tick_inside_the_opposite_best():
    wanted = Quotes(np.array([True, True]), np.array([500, -500], np.int32))
    one_sided = Quotes(np.array([True, False]), wanted.price_tick)
    out = quotes.limit_quotes(np, one_sided, book(), np.int32(0), LIMITS)
    assert out.price_tick.tolist() == [112, 0]
    both = quotes.limit_quotes(np, wanted, book(), np.int32(0), LIMITS)
    assert both.price_tick.tolist() == [112, 113]


def test_two_quotes_never_meet_and_the_side_that_reduces_inventory_keeps_its_price():
    narrow = book(100, 102)
    assert target("improve", "improve", narrow, 0).price_tick.tolist() == [101, 102]
    assert target("improve", "improve", narrow, -5).price_tick.tolist() == [101, 102]
    assert target("improve", "improve", narrow, 5).price_tick.tolist() == [100, 101]
    assert target("improve", "improve", book(100, 101), 0).price_tick.tolist() == [100, 101]


def test_the_cap_limits_lots_and_removes_the_side_that_would_break_it():
    out = target("join", "join", inventory=18)
    assert out.lots.tolist() == [7, 10] and out.room_lots.tolist() == [7, 43]
    full = target("join", "join", inventory=-25)
    assert full.present.tolist() == [True, False] and full.lots.tolist() == [10, 0]


def test_without_a_two_sided_book_nothing_is_quoted():
    assert not target("join", "join", book(ask_lots=0)).present.any()
    assert not target("join", "join", book(bid_lots=0)).present.any()


def test_an_order_at_the_target_price_keeps_its_place():
    plan = quotes.plan_quotes(np, target("join", "join"), resting((100, 10), (113, 5)), IDLE)
    assert not plan.cancel.any() and not plan.place.any()


def test_an_order_with_less_than_half_its_lots_is_renewed():
    plan = quotes.plan_quotes(np, target("join", "join"), resting((100, 4), (113, 5)), IDLE)
    assert plan.cancel.tolist() == [True, False] and plan.lots.tolist() == [10, 0]


def test_a_moved_quote_is_replaced_and_the_old_order_counts_against_the_cap():
    plan = quotes.plan_quotes(np, target("improve", "none", inventory=10), resting((100, 9)), IDLE)
    assert plan.cancel.tolist() == [True, False] and plan.cancel_order_id.tolist() == [2**30 + 100, 0]
    assert plan.price_tick.tolist() == [101, 0] and plan.lots.tolist() == [6, 0]
    tight = quotes.plan_quotes(np, target("improve", "none", inventory=15), resting((100, 10)), IDLE)
    assert tight.cancel.tolist() == [True, False] and not tight.place.any()


def test_a_side_with_a_message_under_way_is_left_alone():
    plan = quotes.plan_quotes(np, target("improve", "improve"), resting((100, 10)), np.array([1, 0], np.int32))
    assert plan.cancel.tolist() == [False, False] and plan.place.tolist() == [False, True]


def test_a_quote_that_is_no_longer_wanted_is_cancelled():
    plan = quotes.plan_quotes(np, target("none", "join"), resting((100, 10), (113, 10)), IDLE)
    assert plan.cancel.tolist() == [True, False] and not plan.place.any()


def test_messages_are_two_cancels_then_two_post_only_orders():
    plan = quotes.plan_quotes(np, target("improve", "join"), resting((100, 9), None), IDLE)
    rows = quotes.quote_messages(np, plan, np.int32(2**30 + 6), (np.int32(7), np.int32(8)), 3)
    assert rows.dtype == np.int32
    assert rows.tolist() == [
        [spec.DELETE, spec.BUY, 1, 0, 2**30 + 100, 3, 7, 8],
        [0] * 8,
        [spec.POST_ONLY, spec.BUY, 10, 101, 2**30 + 6, 3, 7, 8],
        [spec.POST_ONLY, spec.SELL, 10, 113, 2**30 + 7, 3, 7, 8],
    ]


def test_intents_are_the_same_plan_without_arrays():
    plan = quotes.plan_quotes(np, target("improve", "join"), resting((100, 9), None), IDLE)
    cancels, orders = quotes.quote_intents(plan)
    assert cancels == [CancelIntent(spec.BUY, 2**30 + 100)]
    assert orders == [NewIntent(spec.BUY, 101, 10), NewIntent(spec.SELL, 113, 10)]
