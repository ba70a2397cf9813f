"""Children of a parent order, their plans and messages, against cases worked by hand."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.execution import child
from kernels.execution.child import ParentView
from kernels.lob import spec
from kernels.lob.host import HostBook

IDLE = np.zeros(2, np.int32)


def book(bid=100, ask=113):
    depth = np.zeros((2, 6, 2), np.int32)
    depth[:, 0] = (bid, 5), (ask, 5)
    return depth


def parent(side=spec.BUY, left=100, steps=4, cross=3):
    return ParentView(*(np.int32(value) for value in (side, left, steps, cross)))


def resting(side, price_tick, lots):
    own = np.zeros((2, spec.NUM_OWN_COLUMNS), np.int32)
    own[side] = (1, price_tick, lots, 2**30 + 7, 0, 1)
    return own


def wanted(size, way, **known):
    return child.table_child(np, np.int32(child.encode(size, way)), book(), parent(**known))


@pytest.mark.parametrize(
    ("way", "buy", "sell"),
    [(child.BEHIND, 97, 116), (child.JOIN, 100, 113), (child.IMPROVE, 101, 112), (child.CROSS, 116, 97)],
)
def test_each_aggressiveness_is_where_the_table_says(way, buy, sell):
    for side, price_tick in ((spec.BUY, buy), (spec.SELL, sell)):
        order = wanted(child.TWAP, way, side=side)
        assert int(order.price_tick) == price_tick and bool(order.crosses) == (way == child.CROSS)


@pytest.mark.parametrize(
    ("size", "left", "steps", "lots"),
    [
        (child.HALF, 100, 4, 13),
        (child.TWAP, 100, 4, 25),
        (child.TWAP, 10, 4, 3),
        (child.DOUBLE, 100, 4, 50),
        (child.DOUBLE, 100, 1, 100),
        (child.REST, 100, 4, 100),
        (child.HALF, 1, 50, 1),
        (child.DOUBLE, 2**20, 1, 2**20),
        (child.REST, 0, 4, 0),
    ],
)
def test_each_size_is_its_share_rounded_up_and_never_more_than_what_is_left(size, left, steps, lots):
    order = wanted(size, child.JOIN, left=left, steps=steps)
    assert int(order.lots) == lots and bool(order.wanted) == (lots > 0)


def test_a_twap_taker_of_every_size_is_done_exactly_at_the_end():
    for lots, steps in ((1, 7), (12, 5), (1000, 7), (2**20, 64)):
        left = lots
        for done in range(steps):
            left -= int(wanted(child.TWAP, child.CROSS, left=left, steps=steps - done).lots)
        assert left == 0


def test_without_a_two_sided_book_nothing_is_wanted():
    empty = book()
    empty[spec.SELL] = 0
    order = child.table_child(np, np.int32(child.encode(child.REST, child.CROSS)), empty, parent())
    assert not order.wanted and int(order.lots) == 0


def test_a_tight_spread_keeps_an_improving_child_from_crossing():
    order = child.table_child(np, np.int32(child.encode(child.TWAP, child.IMPROVE)), book(100, 101), parent())
    assert int(order.price_tick) == 100


@pytest.mark.parametrize(
    ("size", "way", "lots", "price_tick", "crosses"),
    [
        (-1.0, 0.0, 0, 103, False),
        (0.0, 1.0, 25, 116, True),
        (1.0, 0.5, 100, 112, False),
        (0.0, -1.0, 25, 94, False),
        (-3.0, -7.0, 0, 94, False),
    ],
)
def test_the_corners_of_the_continuous_action(size, way, lots, price_tick, crosses):
    order = child.shaped_child(np, np.array([size, way], np.float32), book(), parent())
    assert (int(order.lots), bool(order.crosses)) == (lots, crosses)
    if lots:
        assert int(order.price_tick) == price_tick


def test_the_continuous_pace_is_twap_in_the_middle_and_grows_with_the_action():
    sizes = np.linspace(-1, 1, 41, dtype=np.float32)
    many = ParentView(*(np.full(41, value, np.int32) for value in (spec.BUY, 1600, 100, 0)))
    depth = np.broadcast_to(book(), (41, 2, 6, 2))
    lots = child.shaped_child(np, np.stack([sizes, 0 * sizes], -1), depth, many).lots
    assert lots[0] == 0 and lots[20] == 16 and lots[-1] == 128 and (np.diff(lots) >= 0).all()


def test_a_child_at_its_price_keeps_its_place_and_a_large_one_is_reduced():
    order = wanted(child.TWAP, child.JOIN)  # 25 lots at 100
    for own_lots, reduced in ((13, 0), (25, 0), (40, 15)):
        plan = child.plan_child(np, order, parent(), resting(spec.BUY, 100, own_lots), IDLE)
        assert not plan.cancel and not plan.place and int(plan.reduce_lots) == reduced
    small = child.plan_child(np, order, parent(), resting(spec.BUY, 100, 12), IDLE)
    assert small.cancel and int(small.lots) == 25


def test_what_is_being_cancelled_counts_as_filled():
    order = wanted(child.REST, child.CROSS)
    plan = child.plan_child(np, order, parent(), resting(spec.BUY, 100, 60), IDLE)
    assert plan.cancel and plan.place and int(plan.lots) == 40
    whole = child.plan_child(np, order, parent(), resting(spec.BUY, 100, 100), IDLE)
    assert whole.cancel and not whole.place


def test_a_side_with_a_message_under_way_is_left_alone_and_the_other_side_does_not_matter():
    order = wanted(child.REST, child.CROSS)
    plan = child.plan_child(np, order, parent(), resting(spec.BUY, 100, 60), np.array([1, 0]))
    assert not plan.cancel and not plan.place and int(plan.reduce_lots) == 0
    assert child.plan_child(np, order, parent(), resting(spec.BUY, 100, 60), np.array([0, 1])).cancel


def test_the_messages_do_in_the_engine_what_the_plan_says():
    host = HostBook(spec.LobConfig(capacity=64, fills_mode=spec.FILLS_OWNED))
    start = [[spec.LIMIT, spec.SELL, 5, 113, 1, 0, 0, 0], [spec.LIMIT, spec.BUY, 40, 100, 2**30 + 7, 1, 0, 0]]
    host.apply(np.array(start, np.int32))
    at = np.int32(0), np.int32(0)
    known = parent(left=60)
    less = child.plan_child(np, wanted(child.TWAP, child.JOIN, left=60), known, resting(spec.BUY, 100, 40), IDLE)
    host.apply(child.child_messages(np, less, known.side, np.int32(2**30 + 8), at, 1))
    assert host.book.lots[spec.BUY].sum() == 15
    take = child.plan_child(np, wanted(child.REST, child.CROSS, left=60), known, resting(spec.BUY, 100, 15), IDLE)
    out = host.apply(child.child_messages(np, take, known.side, np.int32(2**30 + 9), at, 1))
    assert host.book.num_orders.tolist() == [0, 0] and out.filled_lots.tolist() == [0, 5] and not out.reason.any()


@settings(deadline=None)
@given(
    action=st.integers(-3, child.NUM_ACTIONS + 3),
    side=st.integers(0, 1),
    left=st.integers(0, child.MAX_PARENT_LOTS),
    steps=st.integers(1, 2**24),
    share=st.floats(0, 1),
    at=st.integers(90, 120),
    spread=st.integers(1, 2**20),
    busy=st.integers(0, 1),
)
def test_all_that_may_still_fill_is_never_more_than_what_is_left(action, side, left, steps, share, at, spread, busy):
    depth = book(100, 100 + spread)
    own_lots = int(left * share)
    own = resting(side, at, own_lots) if own_lots else np.zeros((2, spec.NUM_OWN_COLUMNS), np.int32)
    known = parent(side=side, left=left, steps=steps)
    pending = np.full(2, busy, np.int32)
    order = child.table_child(np, np.int32(action), depth, known)
    plan = child.plan_child(np, order, known, own, pending)
    assert 0 <= int(plan.lots) <= left - own_lots if plan.cancel else 0 <= int(plan.lots) <= left
    assert not (plan.place and own_lots and not plan.cancel)
    assert 0 <= int(plan.reduce_lots) <= max(own_lots - 1, 0)
    if order.wanted and not order.crosses:
        assert (order.price_tick < depth[1, 0, 0]) if side == spec.BUY else (order.price_tick > depth[0, 0, 0])


def test_numpy_and_jax_give_the_same_children_and_plans():
    rng = np.random.default_rng(5)
    size = 400
    depth = np.broadcast_to(book(), (size, 2, 6, 2)).copy()
    depth[:, 1, 0, 0] += rng.integers(-12, 40, size)
    own = np.stack([resting(side, 100, 30) for side in rng.integers(0, 2, size)])
    known = ParentView(
        rng.integers(0, 2, size, np.int32),
        rng.integers(30, child.MAX_PARENT_LOTS, size, np.int32),
        rng.integers(1, 300, size, np.int32),
        rng.integers(0, 9, size, np.int32),
    )
    action = rng.integers(0, child.NUM_ACTIONS, size, np.int32)
    shape = rng.uniform(-1, 1, (size, 2)).astype(np.float32)
    pending = rng.integers(0, 2, (size, 2), np.int32)
    for decide, acted in ((child.table_child, action), (child.shaped_child, shape)):
        ours = decide(np, acted, depth, known)
        traced = decide(jnp, jnp.asarray(acted), jnp.asarray(depth), known)
        plans = [child.plan_child(xp, ours, known, own, pending) for xp in (np, jnp)]
        for left, right in zip((*ours, *plans[0]), (*traced, *plans[1]), strict=True):
            np.testing.assert_array_equal(left, right)
