"""What must hold of every order book, whatever the messages: on every backend."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kernels.lob import spec
from kernels.lob.host import HostBook
from kernels.lob.spec import Book, LobConfig, LobOutput
from sim.engine import xla
from tests.support.engine_streams import assert_same, filling_messages, random_messages
from tests.support.ledger import Ledger

CONFIG = LobConfig(capacity=64, max_fills=192, depth_levels=3)
BACKENDS = ("oracle", "cpu", "xla")
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
KINDS = [k for k in range(spec.EXECUTE + 1) if k != spec.LEVEL_SET]
NAMING = (spec.REDUCE, spec.DELETE, spec.REPLACE, spec.EXECUTE)

# Lots of the largest size are rare enough to be shrunk away and common enough to be met.
LOTS = st.one_of(st.integers(1, 30), st.sampled_from([1, spec.MAX_LOTS - 1, spec.MAX_LOTS, 0, -3]))
ROW = st.tuples(
    st.sampled_from(KINDS), st.integers(0, 1), LOTS, st.integers(-8, 8), st.integers(1, 40), st.integers(0, 2)
)
ROWS = st.lists(ROW, min_size=1, max_size=40)


@cache
def compiled():
    return jax.jit(xla.make_process(CONFIG))


class XlaBook:
    """The XLA engine with HostBook's `apply`."""

    def __init__(self):
        self.book = spec.empty_book(CONFIG)

    def apply(self, rows):
        """One message a call, as `HostBook.apply`, so that one compilation is enough."""
        book, out = compiled()(self.book, np.asarray(rows, np.int32), np.int32(0))
        self.book = Book._make(np.asarray(field) for field in book)
        return LobOutput._make(np.asarray(field) for field in out)


def open_book(backend):
    return XlaBook() if backend == "xla" else HostBook(CONFIG, backend)


def number(rows, prefill=0):
    """Return message rows in which entering orders have new ids and the others name one of the recent orders."""
    out = [[spec.LIMIT, i % 2, 5, 20 * (2 * (i % 2) - 1) + i % 7, i + 1, i % 3 % 2, 0, 0] for i in range(prefill)]
    next_id = prefill + 1
    for kind, side, lots, price, back, owner in rows:
        order_id = max(next_id - back, 1) if kind in NAMING else next_id
        next_id += kind not in (*NAMING, spec.NOP)
        out.append([kind, side, lots, price, order_id, owner, 0, 0])
    return out


@pytest.mark.parametrize("backend", BACKENDS)
@FEW
@given(rows=ROWS, prefill=st.sampled_from([0, 0, 126, 128]))
@example(rows=[(spec.LIMIT, 0, 5, 3, 1, 0), (spec.REPLACE, 0, 9, 3, 1, 0), (spec.MARKET, 1, 20, 0, 1, 2)], prefill=0)
@example(rows=[(spec.LIMIT, 0, 7, 8, 1, 0), (spec.POST_ONLY, 1, 7, 9, 1, 1)], prefill=128)
def test_every_lot_is_accounted_for_and_fills_follow_price_then_time(backend, rows, prefill):
    market, ledger = open_book(backend), Ledger()
    for row in number(rows, prefill):
        out = market.apply([row])
        ledger.post(row, out)
        ledger.compare(market.book)
        (has_bid, bid), (has_ask, ask) = (
            (out.summary[spec.SUM_HAS_BID], out.summary[spec.SUM_BEST_BID_TICK]),
            (out.summary[spec.SUM_HAS_ASK], out.summary[spec.SUM_BEST_ASK_TICK]),
        )
        assert not (has_bid and has_ask and bid >= ask), "the book is crossed"


@pytest.mark.parametrize("backend", ["cpu", "oracle"])
@FEW
@given(rows=ROWS, data=st.data())
def test_a_book_that_is_saved_and_loaded_goes_on_as_if_nothing_had_happened(backend, rows, data):
    messages = number(rows)
    cut = data.draw(st.integers(0, len(messages)))
    whole, first, second = (HostBook(CONFIG, backend) for _ in range(3))
    out = whole.apply(np.array(messages, np.int32))
    early = first.apply(np.array(messages[:cut], np.int32).reshape(-1, 8))
    second.book = first.book
    late = second.apply(np.array(messages[cut:], np.int32).reshape(-1, 8))
    assert_same(whole.book, second.book, "book")
    assert out.reason.tolist() == early.reason.tolist() + late.reason.tolist()
    assert out.filled_lots.tolist() == early.filled_lots.tolist() + late.filled_lots.tolist()
    ofi = early.summary[spec.SUM_OFI_LOTS].astype(np.int64) + late.summary[spec.SUM_OFI_LOTS]
    assert out.summary[spec.SUM_OFI_LOTS] == ofi.astype(np.int32)


def lanes():
    """Three unequal markets of 30 messages: random, filling, idle."""
    messages = np.zeros((3, 30, spec.NUM_MESSAGE_COLUMNS), np.int32)
    messages[0] = random_messages(np.random.default_rng(1), 30)
    messages[1, :20] = filling_messages(np.random.default_rng(2), 20, 64)
    return messages


def test_unequal_markets_in_one_batch_give_what_each_gives_alone():
    books = jax.tree.map(jnp.asarray, spec.empty_book(CONFIG, (3,)))
    together = jax.jit(jax.vmap(xla.make_process(CONFIG)))(books, lanes(), np.zeros(3, np.int32))
    for market, messages in enumerate(lanes()):
        alone = compiled()(spec.empty_book(CONFIG), messages, np.int32(0))
        for name, mine, theirs in zip(("book", "output"), alone, together, strict=True):
            assert_same(mine, jax.tree.map(lambda leaf, m=market: leaf[m], theirs), name)


def test_compiled_and_eager_execution_agree():
    process = xla.make_process(LobConfig(capacity=64, max_fills=4, depth_levels=1))
    book, messages = spec.empty_book(CONFIG), lanes()[0]
    eager, fast = (run(book, messages, np.int32(3)) for run in (process, jax.jit(process)))
    assert_same(fast[0], eager[0], "book")
    assert_same(fast[1], eager[1], "output")
