"""No lot appears or vanishes: every message kind, self-trade policy and queue model, on every backend.

The identity of docs/engine.md, message by message, from the book before, the answer, the fills and the counters.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernels.lob import spec
from kernels.lob.spec import LobConfig
from tests.support.backend_books import BACKENDS, open_book
from tests.support.engine_streams import assert_same, random_messages

FEW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ENTERING = (spec.LIMIT, spec.MARKET, spec.IOC, spec.FOK, spec.POST_ONLY)
NAMING = (spec.REDUCE, spec.DELETE, spec.REPLACE, spec.EXECUTE)
CONFIGS = [
    LobConfig(64, 140, 2, spec.FILLS_ALL, spec.SELF_TRADE_NONE, spec.QUEUE_PROPORTIONAL),
    LobConfig(64, 140, 2, spec.FILLS_ALL, spec.SELF_TRADE_CANCEL_RESTING, spec.QUEUE_BACK_FIRST),
    LobConfig(64, 140, 2, spec.FILLS_ALL, spec.SELF_TRADE_CANCEL_TAKER, spec.QUEUE_FRONT_FIRST),
    LobConfig(64, 140, 2, spec.FILLS_ALL, spec.SELF_TRADE_DECREMENT, spec.QUEUE_PROPORTIONAL),
]
LOTS = st.one_of(st.integers(1, 30), st.sampled_from([0, 1, spec.MAX_LOTS]))
ROW = st.tuples(
    st.sampled_from([*range(spec.EXECUTE + 1), spec.LEVEL_SET, spec.LIMIT]),
    st.integers(0, 1),
    LOTS,
    st.integers(-4, 4),
    st.integers(1, 30),
    st.integers(0, 2),
)


class Before:
    """What the identity needs of the book before a message."""

    def __init__(self, book: spec.Book) -> None:
        self.total = int(np.sum(book.lots, dtype=np.int64))
        self.counters = [int(word) for word in book.counters]
        self._book = [np.array(field) for field in book]

    def named(self, side: int, order_id: int) -> int:
        """Return the lots of the best-priority order with the id."""
        slots = np.flatnonzero(self._book[2][side, : self._book[4][side]] == order_id)
        return int(self._book[1][side, slots[-1]])

    def price(self, side: int, order_id: int) -> int:
        """Return its price."""
        return int(self._book[0][side, np.flatnonzero(self._book[2][side, : self._book[4][side]] == order_id)[-1]])

    def anonymous(self, side: int, price: int) -> int:
        """Return the lots of owner-0 orders at a price."""
        rows = slice(0, int(self._book[4][side]))
        level = (self._book[0][side, rows] == price) & (self._book[3][side, rows] == 0)
        return int(self._book[1][side, rows][level].sum(dtype=np.int64))


def rested(row, reason, filled, lost, config, entered):
    """Return the lots that an entering order of `entered` lots left in the book."""
    kind = row[0]
    if reason != spec.OK or kind not in (spec.LIMIT, spec.POST_ONLY, spec.REPLACE):
        return 0
    return entered - filled - (lost if config.self_trade == spec.SELF_TRADE_DECREMENT else 0)


def change(row, reason, filled, before, config, lost):
    """Return by how much the resting lots should change, evictions and self-trade prevention left out."""
    kind, side, lots, price, order_id = row[:5]
    if reason not in (spec.OK, spec.SIDE_FULL, spec.SELF_TRADE):
        return 0
    if kind in ENTERING:
        return rested(row, reason, filled, lost, config, lots) - filled
    if kind == spec.LEVEL_SET:
        return 0 if reason == spec.SIDE_FULL else lots - before.anonymous(side, price)
    if kind == spec.NOP:
        return 0
    whole = before.named(side, order_id)
    if kind == spec.REPLACE and not (price == before.price(side, order_id) and lots <= whole):
        return rested(row, reason, filled, lost, config, lots) - whole - filled
    left = {spec.REDUCE: whole - min(lots, whole), spec.DELETE: 0, spec.REPLACE: lots}
    return -filled if kind == spec.EXECUTE else left[kind] - whole


def check(row, out, before, book, config):
    reason, filled = int(out.reason[0]), int(out.filled_lots[0])
    gone = [int(now) - then for now, then in zip(book.counters, before.counters, strict=True)]
    lost = gone[spec.LOTS_SELF_TRADE]
    from_book = 0 if config.self_trade == spec.SELF_TRADE_CANCEL_TAKER else lost
    expected = before.total + change(row, reason, filled, before, config, lost) - gone[spec.LOTS_EVICTED] - from_book
    assert int(np.sum(book.lots, dtype=np.int64)) == expected
    assert filled == int(out.fills[: int(out.num_fills), spec.FILL_LOTS].sum(dtype=np.int64))
    assert (gone[spec.NUM_REJECTED_FULL] == 1) == (reason == spec.SIDE_FULL)
    if reason == spec.SIDE_FULL:
        grown = row[2] - before.anonymous(row[1], row[3]) if row[0] == spec.LEVEL_SET else row[2] - filled
        decremented = lost if config.self_trade == spec.SELF_TRADE_DECREMENT else 0
        assert gone[spec.LOTS_REJECTED_FULL] == grown - decremented
    if reason == spec.SELF_TRADE:
        assert lost == row[2] - filled and config.self_trade == spec.SELF_TRADE_CANCEL_TAKER
    if reason not in (spec.OK, spec.SIDE_FULL, spec.SELF_TRADE):
        assert filled == 0 and gone[spec.LOTS_EVICTED] == gone[spec.LOTS_SELF_TRADE] == 0


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.self_trade}-{config.queue_model}")
@pytest.mark.parametrize("backend", BACKENDS)
@FEW
@given(rows=st.lists(ROW, min_size=1, max_size=30), prefill=st.sampled_from([0, 0, 100, 128]))
def test_every_lot_of_every_message_is_accounted_for(backend, config, rows, prefill):
    market = open_book(backend, config, call=128)
    opening = [[spec.LIMIT, i % 2, 5, 6 * (2 * (i % 2) - 1) + i % 3, i + 1, i % 3 % 2, 0, 0] for i in range(prefill)]
    market.apply(np.array(opening, np.int32).reshape(-1, 8))
    next_id = prefill + 1
    for kind, side, lots, price, back, owner in rows:
        order_id = max(next_id - back, 1) if kind in NAMING else next_id
        next_id += kind in ENTERING
        row = [kind, side, lots, price, order_id, owner, 0, 0]
        before = Before(market.book)
        check(row, market.apply(np.array([row], np.int32)), before, market.book, config)


@pytest.mark.parametrize(("first", "second"), [("oracle", "cpu"), ("cpu", "xla"), ("xla", "oracle")])
@FEW
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(0, 90))
def test_a_book_saved_on_one_backend_goes_on_bit_for_bit_on_another(first, second, seed, cut):
    config = CONFIGS[1]._replace(max_fills=500)
    messages = random_messages(np.random.default_rng(seed), 90, owners=2)
    whole, early, late = open_book("cpu", config, 128), open_book(first, config, 128), open_book(second, config, 128)
    expected = whole.apply(messages)
    told = early.apply(messages[:cut])
    late.book = spec.Book(*(np.array(field) for field in early.book))
    rest = late.apply(messages[cut:])
    assert_same(spec.Book(*whole.book), spec.Book(*late.book), "book")
    assert expected.reason.tolist() == told.reason.tolist() + rest.reason.tolist()
    assert expected.filled_lots.tolist() == told.filled_lots.tolist() + rest.filled_lots.tolist()
