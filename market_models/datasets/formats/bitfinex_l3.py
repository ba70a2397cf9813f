"""Bitfinex raw books (R0), order by order: one JSON array of websocket messages [channel, [order id, price,
+-amount]].

A price of 0 removes the order; a negative amount is an ask. The recording has no times. The book holds a fixed number
of orders a side, so an order that leaves it may come back.
"""

import re
from functools import partial
from typing import Any

from market_models.datasets import recording as rec
from market_models.datasets.formats.blocks import NULL
from market_models.datasets.formats.fixed import RowError, to_int
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.records import array_elements, take
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source
from market_models.datasets.venue_books.base import LevelBook


def recognise(source: Source) -> bool:
    """An array that begins with Bitfinex's greeting."""
    head = source.head[:4096]
    return bool(re.match(rb"\s*\[\s*\{", head)) and b'"serverId"' in head and b'"R0"' in head


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read message by message."""
    feed = _Feed(sink, options)
    sink.report.notes.append("no times")
    with source.opened() as stream:
        for element in array_elements(source.path, stream):
            sink.report.rows += 1
            take(sink, partial(feed.message, element))


class _Feed:
    def __init__(self, sink: Sink, options: ImportOptions) -> None:
        self.sink, self.options = sink, options
        self.orders: dict[int, dict[int, tuple[int, int, int]]] = {}  # channel -> order id -> side, price, size
        self.books: dict[int, LevelBook] = {}
        self.instrument: dict[int, int] = {}

    def message(self, element: Any) -> None:
        if type(element) is dict:
            self._event(element)
            return
        channel, body = to_int(element[0], "channel"), element[1]
        if channel not in self.instrument:
            raise RowError("channel was not subscribed")
        if type(body) is not list:
            self.sink.skip("heartbeat or checksum")
            return
        entries = body if body and type(body[0]) is list else [body]
        parsed = [self._entry(entry) for entry in entries]
        if len(entries) > 1:
            self.orders[channel].clear()
            self.books[channel].clear()
        for order_id, price, size, side in parsed:
            self._apply(channel, order_id, price, size, side)
        self.sink.commit()
        self.sink.report.judge(*self.books[channel].touch)

    def _event(self, element: dict[str, Any]) -> None:
        kind = element["event"]
        if kind == "subscribed" and element["channel"] == "book":
            channel, symbol = to_int(element["chanId"], "chanId"), element["symbol"]
            if type(symbol) is not str or not symbol:
                raise RowError("no symbol")
            self.instrument[channel] = self.sink.instrument(self.options.name_or(symbol.removeprefix("t")))
            self.orders[channel], self.books[channel] = {}, LevelBook()
        elif type(kind) is not str:
            raise RowError("no event type")
        self.sink.skip(f"{kind[:32]} event")

    def _entry(self, entry: Any) -> tuple[int, int, int, int]:
        order_id, price = to_int(entry[0], "order id"), self.sink.report.price(entry[1])
        amount = self.sink.report.size(entry[2], "amount")
        if price < 0 or order_id < 1 or (not amount and price):
            raise RowError("an order without id, price or amount")
        return order_id, price, abs(amount), int(amount < 0)

    def _apply(self, channel: int, order_id: int, price: int, size: int, side: int) -> None:
        known = self.orders[channel].get(order_id)
        if price == 0 and known is None:
            raise RowError("an unknown order is removed")
        if known is not None:
            old_side, old_price, old_size = known
            self._level(channel, old_side, old_price, -old_size)
            self._add(channel, rec.FULL_CANCEL, old_side, order_id, old_price, old_size)
            del self.orders[channel][order_id]
        if price:
            self.orders[channel][order_id] = (side, price, size)
            self._level(channel, side, price, size)
            self._add(channel, rec.NEW, side, order_id, price, size)

    def _add(self, channel: int, event: int, side: int, order_id: int, price: int, size: int) -> None:
        self.sink.add("orders", NULL, NULL, self.instrument[channel], event, side, order_id, price, size)

    def _level(self, channel: int, side: int, price: int, change: int) -> None:
        book = self.books[channel]
        level = [(price, book.sides[side].get(price, 0) + change)]
        book.apply(level if side == 0 else [], level if side == 1 else [])


FORMAT = Format("bitfinex_l3", recognise, read)
