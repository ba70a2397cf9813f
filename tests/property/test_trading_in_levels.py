"""Agents who do anything in a replayed book of levels: never crossed, and anonymous lots are as the feed says."""

from functools import partial

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.lob import spec
from kernels.lob.oracle import Oracle
from market_models.datasets.binance_raw import DepthEvent, Print
from market_models.datasets.depth_replay import apply_batch
from market_models.datasets.depth_trading import THROUGH_ORDER_ID, write_stream
from market_models.instrument import Instrument

MS, WIDTH, WINDOW = 10**6, 4, 3
SIZES = st.lists(st.integers(0, 5), min_size=WIDTH, max_size=WIDTH)
STEPS = st.lists(
    st.tuples(
        st.integers(-1, 1),  # move of the mid
        SIZES,  # bids below it, asks above it
        SIZES,
        st.lists(st.tuples(st.integers(0, 1), st.integers(-2, 2), st.integers(1, 9)), max_size=2),  # prints after it
        # An order of an agent after it: kind, side, price from the mid, lots, owner.
        st.tuples(
            st.sampled_from((spec.NOP, spec.LIMIT, spec.LIMIT, spec.IOC, spec.MARKET, spec.POST_ONLY)),
            st.integers(0, 1),
            st.integers(-4, 4),
            st.integers(1, 12),
            st.integers(1, 2),
        ),
    ),
    min_size=1,
    max_size=14,
)


def recorded(steps):
    """Return (batches, prints, books): a feed of whole books around a moving mid, told as differences."""
    mid, known = 100, ({}, {})
    batches, prints, books = [], [], []
    for at, (move, bids, asks, trades, _) in enumerate(steps):
        mid += move
        book = (
            {mid - 1 - i: lots for i, lots in enumerate(bids) if lots},
            {mid + i: lots for i, lots in enumerate(asks) if lots},
        )
        changes = [
            [
                (price, book[side].get(price, 0))
                for price in sorted(known[side].keys() | book[side].keys())
                if book[side].get(price, 0) != known[side].get(price, 0)
            ]
            for side in (0, 1)
        ]
        known = book
        books.append((mid, book))
        event = DepthEvent(0, at, 10 * at * MS, at, at, None, *changes)
        batches.append((event.time_ns, partial(apply_batch, batch=event)))
        prints += [Print((10 * at + 5) * MS, side, mid + price, lots) for side, price, lots in trades]
    return batches, prints, books


@settings(max_examples=200, deadline=None)
@given(STEPS, st.integers(0, 2))
def test_agents_never_cross_the_book_and_every_level_told_is_as_told(steps, queue_model):
    batches, prints, books = recorded(steps)
    stream = write_stream(Instrument("X", "1"), batches, prints, WINDOW)
    oracle = Oracle(64, 256, 5, spec.FILLS_ALL, queue_model=queue_model)
    done = 0
    for at, ((*_, (kind, side, price, lots, owner)), end) in enumerate(zip(steps, stream.ends.tolist(), strict=True)):
        mid, book = books[at]
        rows = stream.messages[done:end]
        out = oracle.apply(rows)
        assert (out.reason == spec.OK).all() and out.num_fills < 256
        takers = out.fills[: int(out.num_fills)]
        through = takers[takers[:, spec.FILL_TAKER_ID] == THROUGH_ORDER_ID]
        assert (through[:, spec.FILL_MAKER_OWNER] > 0).all()  # nobody else is ever there
        bid, ask = oracle.level_one(spec.BUY), oracle.level_one(spec.SELL)
        assert bid is None or ask is None or bid[0] < ask[0]
        last = int(np.flatnonzero(rows[:, spec.KIND] == spec.NOP)[-1])
        for told in rows[last:][rows[last:, spec.KIND] == spec.LEVEL_SET].tolist():
            anonymous = sum(
                order.lots for order in oracle.sides[told[1]] if order.price == told[3] and order.owner == 0
            )
            assert anonymous == told[2] <= book[told[1]].get(told[3], 0)
        oracle.apply([(kind, side, lots, mid + price, spec.FIRST_AGENT_ORDER_ID + at, owner, 0, 0)])
        done = end


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_without_agents_every_batch_ends_as_recorded(steps):
    batches, prints, books = recorded(steps)
    stream = write_stream(Instrument("X", "1"), batches, prints, WINDOW)
    oracle, done = Oracle(64), 0
    for (_, book), end in zip(books, stream.ends.tolist(), strict=True):
        oracle.apply(stream.messages[done:end])
        for side in (spec.BUY, spec.SELL):
            assert oracle.levels(side) == sorted(book[side].items(), reverse=side == spec.BUY)[:WINDOW]
        done = end
