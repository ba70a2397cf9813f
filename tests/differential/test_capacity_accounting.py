"""Below the capacity that a stream needs, every backend loses the same orders and says how many, to the lot."""

from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

from kernels.lob import spec
from kernels.lob.host import process_batch
from kernels.lob.spec import LobConfig
from sim.engine import api
from sim.replay_stream import read_stream
from tests.support.engine_streams import assert_same

BOOKS, CALL = 4, 100
STREAMS = ("stream_64x2000.npz", "stream_32x2000_deep.npz", "stream_32x2000_ties.npz")


def background_stream(num_messages: int) -> np.ndarray:
    """Return int32[BOOKS, M, 8] of background limit orders that drift apart and cancels: both sides overflow."""
    rng = np.random.default_rng(5)
    rows = np.zeros((BOOKS, num_messages, spec.NUM_MESSAGE_COLUMNS), np.int32)
    rows[..., spec.KIND] = rng.choice([spec.LIMIT] * 6 + [spec.REDUCE, spec.DELETE], rows.shape[:2])
    side = rng.integers(0, 2, rows.shape[:2])
    rows[..., spec.SIDE] = side
    rows[..., spec.LOTS] = rng.integers(1, 90, rows.shape[:2])
    rows[..., spec.PRICE_TICK] = np.where(side == spec.BUY, -1, 1) * rng.integers(-2, 60, rows.shape[:2])
    rows[..., spec.ORDER_ID] = np.arange(1, num_messages + 1)
    naming = rows[..., spec.KIND] != spec.LIMIT
    back = rng.integers(1, 150, naming.sum())
    rows[naming, spec.ORDER_ID] = np.maximum(rows[naming, spec.ORDER_ID] - back, 1)
    return rows


def shared_stream(path: Path) -> np.ndarray:
    stream = read_stream(path)
    return np.concatenate([stream.opening[:BOOKS], stream.messages[:BOOKS]], axis=1)


def calls(messages: np.ndarray) -> Iterator[np.ndarray]:
    length = -(-messages.shape[1] // CALL) * CALL
    padded = np.zeros((len(messages), length, spec.NUM_MESSAGE_COLUMNS), np.int32)
    padded[:, : messages.shape[1]] = messages
    yield from np.split(padded, length // CALL, axis=1)


class Account:
    """Where every lot of one book went, from messages, answers and fills alone."""

    def __init__(self) -> None:
        self.left: dict[tuple[int, int], int] = {}  # (side, id) -> lots that should rest
        self.rejected_lots = self.num_rejected = self.unknown = 0

    def post(self, row: list[int], reason: int, filled: int, fills: list[list[int]]) -> None:
        """Book one message with its fills."""
        kind, side, lots, _, order_id = row[:5]
        self.unknown += reason == spec.UNKNOWN_ORDER
        for fill in fills:
            self._take(1 - side, fill[spec.FILL_MAKER_ID], fill[spec.FILL_LOTS])
        if kind == spec.LIMIT and lots > filled:
            if reason == spec.SIDE_FULL:
                self.num_rejected, self.rejected_lots = self.num_rejected + 1, self.rejected_lots + lots - filled
            else:
                self.left[side, order_id] = lots - filled
        elif kind in (spec.REDUCE, spec.DELETE) and reason == spec.OK:
            whole = self.left[side, order_id]
            self._take(side, order_id, whole if kind == spec.DELETE else min(lots, whole))

    def _take(self, side: int, order_id: int, lots: int) -> None:
        self.left[side, order_id] -= lots
        assert self.left[side, order_id] >= 0, "an order lost more than it had"
        if self.left[side, order_id] == 0:
            del self.left[side, order_id]

    def check(self, book: spec.Book) -> None:
        """Whatever should rest and does not was evicted: the counters say how many orders and lots."""
        for side in (0, 1):
            for slot in range(int(book.num_orders[side])):
                name = side, int(book.order_id[side, slot])
                assert self.left.pop(name) == int(book.lots[side, slot])
        counters = book.counters.tolist()
        assert counters[spec.NUM_EVICTED] == len(self.left)
        assert counters[spec.LOTS_EVICTED] == sum(self.left.values())
        assert counters[spec.NUM_REJECTED_FULL] == self.num_rejected
        assert counters[spec.LOTS_REJECTED_FULL] == self.rejected_lots
        assert counters[spec.NUM_UNKNOWN_CANCEL] == self.unknown


@pytest.mark.parametrize("owned", [False, True])
@pytest.mark.parametrize("name", ["background", *STREAMS])
def test_every_lost_order_and_lot_is_counted_and_lost_alike_on_every_backend(name, owned, request):
    """Owned orders are never evicted, so that a full side rejects them; the background's worst ones leave."""
    if name == "background":
        messages = background_stream(1500)
    else:
        messages = shared_stream(request.getfixturevalue("data_dir") / "streams" / name)
    messages[..., spec.OWNER] = 1 + messages[..., spec.ORDER_ID] % 5 if owned else 0
    config = LobConfig(capacity=64, max_fills=400, depth_levels=3)
    xla_process = jax.jit(jax.vmap(api.make_process(config, "xla"), (0, 0, None)))
    books = [spec.empty_book(config, (BOOKS,)) for _ in range(3)]
    accounts = [Account() for _ in range(BOOKS)]
    for part in calls(messages):
        books[0], expected = process_batch(books[0], part, config, "oracle")
        books[1], numba = process_batch(books[1], part, config, "cpu")
        xla_book, xla = xla_process(books[2], part, 0)
        books[2] = spec.Book._make(np.asarray(field) for field in xla_book)
        for backend, out in (("cpu", numba), ("xla", xla)):
            assert_same(expected, out, backend)
        for b, account in enumerate(accounts):
            fills = expected.fills[b, : int(expected.num_fills[b])]
            for m, row in enumerate(part[b].tolist()):
                mine = fills[fills[:, spec.FILL_MESSAGE] == m].tolist()
                account.post(row, int(expected.reason[b, m]), int(expected.filled_lots[b, m]), mine)
    for backend, book in zip(("cpu", "xla"), books[1:], strict=True):
        assert_same(books[0], book, f"{backend} book")
    for b, account in enumerate(accounts):
        account.check(spec.Book._make(np.array(field[b]) for field in books[0]))
    lost, kept = (spec.NUM_REJECTED_FULL, spec.NUM_EVICTED) if owned else (spec.NUM_EVICTED, -1)
    assert books[0].counters[:, lost].sum() > 0, "the stream does not overflow at this capacity"
    assert kept == -1 or books[0].counters[:, kept].sum() == 0
