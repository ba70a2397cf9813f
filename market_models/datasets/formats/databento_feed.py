"""Databento's records, however they were written: market by order, market by price, trades, bars.

Actions: A add, C cancel, M modify, T trade, F fill of a resting order (the book changes by the cancel that follows), R
clear. Flag 128 marks the last record of an event: there the book is judged. Prices are 1e-9 integers, as canonical
ones. Source: Databento, "Market by order", "Schemas and conventions".
"""

from collections.abc import Sequence

from market_models.datasets import recording as rec
from market_models.datasets.formats.blocks import MAX_INT64, NO_SIDE, NULL, SIZE_UNIT
from market_models.datasets.formats.fixed import RowError
from market_models.datasets.formats.sink import Sink
from market_models.datasets.venue_books.base import LevelBook

UNDEFINED = MAX_INT64
LAST = 128
_SIDES = {"B": 0, "A": 1}
_MAX_SIZE = 2**32


class DatabentoFeed:
    """Writes records of any number of instruments."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self._orders: dict[tuple[int, int], tuple[int, int, int]] = {}  # instrument, order id -> side, price, size
        self._books: dict[int, LevelBook] = {}
        self._filled: dict[tuple[int, int], int] = {}

    def order(
        self,
        times: tuple[int, int],
        instrument: int,
        action: str,
        side: str,
        order_id: int,
        price: int,
        size: int,
        flags: int,
    ) -> None:
        """Take a market-by-order record; `times` are (ts_event, ts_recv)."""
        _check(action, side, size, "ACMTFR")
        key = (instrument, order_id)
        if action == "A":
            self._add(times, key, _side(side), price, size)
        elif action == "C":
            self._cancel(times, key, size)
        elif action == "M":
            self._modify(times, key, _side(side), price, size)
        elif action == "T":
            self._trade(times, instrument, side, price, size)
        elif action == "F":
            self._known(key)
            self._filled[key] = self._filled.get(key, 0) + size
        else:
            self._clear(times, instrument)
        self.sink.commit(times[1])
        if flags & LAST:
            self.sink.report.judge(*self._book(instrument).touch)

    def prices(
        self,
        times: tuple[int, int],
        instrument: int,
        action: str,
        side: str,
        price: int,
        size: int,
        levels: Sequence[tuple[int, int, int, int]],
        sequence: int,
        flags: int,
    ) -> None:
        """Take a market-by-price record; `levels` are (bid price, bid size, ask price, ask size), best first."""
        _check(action, side, size, "ACMTFRN")
        for bid, bid_size, ask, ask_size in levels:
            if not (0 <= bid_size < _MAX_SIZE and 0 <= ask_size < _MAX_SIZE) or min(bid, ask) == NULL:
                raise RowError("a level is out of range")
        if action == "T":
            self._trade(times, instrument, side, price, size)
        if len(levels) == 1:
            bid, bid_size, ask, ask_size = levels[0]
            self.sink.add("quotes", *times, instrument, *_quote(bid, bid_size), *_quote(ask, ask_size))
        else:
            self._levels(times, instrument, sequence, levels)
        self.sink.commit(times[1])
        if levels and UNDEFINED not in (levels[0][0], levels[0][2]):
            self.sink.report.judge(levels[0][0], levels[0][2])

    def trade(self, times: tuple[int, int], instrument: int, side: str, price: int, size: int) -> None:
        """Take a record of the trades schema."""
        _check("T", side, size, "T")
        self._trade(times, instrument, side, price, size)
        self.sink.commit(times[1])

    def bar(self, time_ns: int, instrument: int, prices: tuple[int, int, int, int], volume: int) -> None:
        """Take a record of an ohlcv schema."""
        opened, high, low, close = prices
        if UNDEFINED in prices or high < max(opened, close) or low > min(opened, close):
            raise RowError("high and low do not enclose open and close")
        if not 0 <= volume < MAX_INT64 // SIZE_UNIT:
            raise RowError("volume is out of range")
        self.sink.add("bars", time_ns, NULL, instrument, *prices, volume * SIZE_UNIT)
        self.sink.commit(time_ns)

    def _levels(
        self, times: tuple[int, int], instrument: int, sequence: int, levels: Sequence[tuple[int, int, int, int]]
    ) -> None:
        for bid, bid_size, ask, ask_size in levels:
            for side, price, size in ((0, bid, bid_size), (1, ask, ask_size)):
                if price != UNDEFINED:
                    self.sink.add("levels", *times, instrument, sequence, 1, side, price, size * SIZE_UNIT)

    def _trade(self, times: tuple[int, int], instrument: int, side: str, price: int, size: int) -> None:
        if price == UNDEFINED:
            raise RowError("a trade without a price")
        self.sink.add("trades", *times, instrument, 0, _SIDES.get(side, NO_SIDE), price, size * SIZE_UNIT)

    def _add(self, times: tuple[int, int], key: tuple[int, int], side: int, price: int, size: int) -> None:
        if key in self._orders:
            raise RowError("order id is already in the book")
        if price == UNDEFINED or size < 1:
            raise RowError("an order without price or size")
        self._orders[key] = (side, price, size)
        self._level(key[0], side, price, size)
        self._row(times, key, rec.NEW, side, price, size)

    def _cancel(self, times: tuple[int, int], key: tuple[int, int], size: int) -> None:
        side, price, left = self._known(key)
        if size > left:
            raise RowError("more is cancelled than the order has")
        filled = min(self._filled.pop(key, 0), size)
        self._level(key[0], side, price, -size)
        if filled:
            self._row(times, key, rec.VISIBLE_EXECUTION, side, price, filled)
        if size > filled or not size:
            event = rec.FULL_CANCEL if size == left else rec.PARTIAL_CANCEL
            self._row(times, key, event, side, price, size - filled)
        if size == left:
            del self._orders[key]
        else:
            self._orders[key] = (side, price, left - size)

    def _modify(self, times: tuple[int, int], key: tuple[int, int], side: int, price: int, size: int) -> None:
        """A smaller size at the same price keeps its place; anything else is a new order at the back."""
        old_side, old_price, left = self._known(key)
        if price == UNDEFINED or size < 1:
            raise RowError("an order without price or size")
        self._level(key[0], old_side, old_price, -left)
        self._level(key[0], side, price, size)
        self._orders[key] = (side, price, size)
        if (side, price) == (old_side, old_price) and size <= left:
            self._row(times, key, rec.PARTIAL_CANCEL, side, price, left - size)
            return
        self._row(times, key, rec.FULL_CANCEL, old_side, old_price, left)
        self._row(times, key, rec.NEW, side, price, size)

    def _clear(self, times: tuple[int, int], instrument: int) -> None:
        for key in [key for key in self._orders if key[0] == instrument]:
            self._row(times, key, rec.FULL_CANCEL, *self._orders.pop(key))
        self._book(instrument).clear()

    def _row(self, times: tuple[int, int], key: tuple[int, int], event: int, side: int, price: int, size: int) -> None:
        order_id = key[1] if key[1] <= MAX_INT64 else key[1] - 2**64
        self.sink.add("orders", *times, key[0], event, side, order_id, price, size * SIZE_UNIT)

    def _known(self, key: tuple[int, int]) -> tuple[int, int, int]:
        known = self._orders.get(key)
        if known is None:
            raise RowError("order id is not in the book")
        return known

    def _level(self, instrument: int, side: int, price: int, change: int) -> None:
        book = self._book(instrument)
        level = [(price, book.sides[side].get(price, 0) + change)]
        book.apply(level if side == 0 else [], level if side == 1 else [])

    def _book(self, instrument: int) -> LevelBook:
        return self._books.setdefault(instrument, LevelBook())


def _check(action: str, side: str, size: int, actions: str) -> None:
    if len(action) != 1 or action not in actions:
        raise RowError("unknown action")
    if side not in ("B", "A", "N"):
        raise RowError("side is none of B, A, N")
    if not 0 <= size < _MAX_SIZE:
        raise RowError("size is out of range")


def _side(side: str) -> int:
    if side == "N":
        raise RowError("an order without a side")
    return _SIDES[side]


def _quote(price: int, size: int) -> tuple[int, int]:
    return (NULL, NULL) if price == UNDEFINED else (price, size * SIZE_UNIT)
