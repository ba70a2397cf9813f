"""Slow reference of generated recordings: the flow's own sampler, the oracle's book, Python's text.

It shares nothing with the generator's kernel and formatter but the sampler and the opening book.
"""

from collections.abc import Iterator

import numpy as np

from kernels.lob import spec
from kernels.lob.host import HostBook
from kernels.lob.spec import LobConfig
from market_models.calibration import Calibration, pack_params, start_messages
from market_models.registry import get_flow

NS_PER_S = 1_000_000_000
ABSENT_PRICE = 9_999_999_999
NEW, PARTIAL_CANCEL, FULL_CANCEL, EXECUTION = 1, 2, 3, 4

Row = tuple[int, int, int, int, int, int]  # time_ns, LOBSTER type, order id, lots, price_tick, direction


class GeneratedMarket:
    """One market without agents, advanced event by event through the oracle."""

    def __init__(self, calibration: Calibration, seed: int, levels: int, number: int = 0, capacity: int = 128) -> None:
        self.book = HostBook(LobConfig(capacity=capacity, depth_levels=levels), "oracle", calibration.reference_tick)
        self.capacity = capacity
        opening = start_messages(calibration, seed + (number << 32))
        self.book.apply(opening)
        self._sample = get_flow(calibration.model).numba_sampler
        self._params = pack_params(calibration)
        self._seed = np.array([seed, number], np.uint32)
        self._meta = np.zeros(spec.NUM_META, np.int32)
        self._meta[spec.META_REFERENCE_TICK] = calibration.reference_tick
        self._no_background = np.zeros((0, spec.NUM_MESSAGE_COLUMNS), np.int32)
        self._next_id = len(opening) + 1
        self.elapsed_us = 0

    def next_message(self) -> np.ndarray:
        """Draw the next event, int32[8]; thinned proposals only advance the clock."""
        book = self.book.book
        message = np.zeros(spec.NUM_MESSAGE_COLUMNS, np.int32)
        while True:
            self._meta[spec.META_DRAW] += 1
            message[:] = 0
            status, dt_us = self._sample(self._params, self._no_background, *book[:5], self._meta, self._seed, message)
            if status == spec.FLOW_EXHAUSTED:
                raise ValueError("the calibrated flow is exhausted: its limit rate is zero")
            self.elapsed_us += int(dt_us)
            if status == spec.FLOW_EVENT:
                break
        if message[spec.ORDER_ID] == 0:
            message[spec.ORDER_ID] = self._next_id
            self._next_id += 1
        return message

    def advance(self) -> Iterator[tuple[Row, np.ndarray]]:
        """Apply the next event; yield each LOBSTER row of it with the depth int32[2, L, 2] after the row."""
        message = self.next_message()
        kind, side = int(message[spec.KIND]), int(message[spec.SIDE])
        remaining = int(message[spec.LOTS])
        if kind in (spec.MARKET, spec.LIMIT):
            limit = None if kind == spec.MARKET else int(message[spec.PRICE_TICK])
            while remaining and (front := self._front(1 - side, limit)) is not None:
                order_id, price_tick, lots = front
                taken = min(lots, remaining)
                remaining -= taken
                yield self._apply(spec.EXECUTE, 1 - side, taken, price_tick, order_id, EXECUTION)
        if kind == spec.LIMIT and remaining:
            yield from self._evict(side, int(message[spec.PRICE_TICK]))
            order_id, price_tick = int(message[spec.ORDER_ID]), int(message[spec.PRICE_TICK])
            yield self._apply(spec.LIMIT, side, remaining, price_tick, order_id, NEW)
        if kind == spec.DELETE:
            order_id = int(message[spec.ORDER_ID])
            slot = int(np.flatnonzero(self.book.book.order_id[side] == order_id)[-1])
            price_tick, lots = (int(field[side, slot]) for field in self.book.book[:2])
            yield self._apply(spec.DELETE, side, lots, price_tick, order_id, FULL_CANCEL)

    def _evict(self, side: int, price_tick: int) -> Iterator[tuple[Row, np.ndarray]]:
        """Cancel the worst order of a full side that a better one is about to push out."""
        book, sign = self.book.book, 1 if side == spec.BUY else -1
        if int(book.num_orders[side]) == self.capacity and sign * price_tick > sign * int(book.price_tick[side, 0]):
            lots, worst_tick, order_id = (int(field[side, 0]) for field in (book.lots, book.price_tick, book.order_id))
            yield self._apply(spec.DELETE, side, lots, worst_tick, order_id, FULL_CANCEL)

    def _front(self, side: int, limit: int | None) -> tuple[int, int, int] | None:
        """Return (id, price, lots) of the first order of a side, if a taker with this limit reaches it."""
        book = self.book.book
        count = int(book.num_orders[side])
        if count == 0:
            return None
        price_tick = int(book.price_tick[side, count - 1])
        if limit is not None and (price_tick > limit if side == spec.SELL else price_tick < limit):
            return None
        return int(book.order_id[side, count - 1]), price_tick, int(book.lots[side, count - 1])

    def _apply(
        self, kind: int, side: int, lots: int, price_tick: int, order_id: int, code: int
    ) -> tuple[Row, np.ndarray]:
        out = self.book.apply(np.array([[kind, side, lots, price_tick, order_id, 0, 0, 0]], np.int32))
        direction = 1 if side == spec.BUY else -1
        return (self.elapsed_us * 1000, code, order_id, lots, price_tick, direction), np.array(out.depth)


def visible_rows(market: GeneratedMarket, messages: int, burn_in_events: int) -> tuple[list[Row], list[np.ndarray]]:
    """Return the first `messages` rows after the burn-in that change the visible levels, and the depth after each."""
    for _ in range(burn_in_events):
        for _row in market.advance():
            pass
    market.elapsed_us = 0
    rows: list[Row] = []
    books: list[np.ndarray] = []
    depth = None
    while len(rows) < messages:
        for row, after in market.advance():
            if depth is not None and not np.array_equal(depth, after):
                rows.append(row)
                books.append(after)
            depth = after
    return rows[:messages], books[:messages]


def message_line(row: Row, unit: int, start_s: int = 34_200) -> str:
    """Return the line of a message file."""
    time_ns, code, order_id, lots, price_tick, direction = row
    s, ns = divmod(start_s * NS_PER_S + time_ns, NS_PER_S)
    return f"{s}.{ns:09d},{code},{order_id},{lots},{price_tick * unit},{direction}\n"


def book_line(depth: np.ndarray, unit: int) -> str:
    """Return the line of an order-book file."""
    cells = []
    for level in range(depth.shape[1]):
        for side, absent in ((spec.SELL, ABSENT_PRICE), (spec.BUY, -ABSENT_PRICE)):
            price_tick, lots = depth[side, level].tolist()
            cells.append(f"{price_tick * unit},{lots}" if lots else f"{absent},0")
    return ",".join(cells) + "\n"
