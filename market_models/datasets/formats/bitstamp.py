"""Bitstamp order by order: the raw websocket log, or the same as csv.

Log lines: `<local ms> <event> <json>`, event order_created, order_changed, order_deleted (`amount` is what is left),
trade, order_book (the 20 best levels of both sides). Csv: id, timestamp (local ms), exchange.timestamp (ms), price,
volume (1e-8 BTC left), action, direction. An order that is changed lost what it has less. The exchange's time is the
one at which the order was made, to the second, not that of the event: it is not stored, the local time is.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from market_models.datasets import recording as rec
from market_models.datasets.formats.blocks import NO_SIDE, NULL
from market_models.datasets.formats.fixed import RowError, levels_to_fixed, to_int, to_time
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.records import parse, take
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source, lines
from market_models.datasets.formats.tables import Checked, batches, split_header

_MS = 1_000_000
_CSV = ["id", "timestamp", "exchange.timestamp", "price", "volume", "action", "direction"]
_ACTIONS = ("created", "changed", "deleted")
_MAX_KNOWN = 2_000_000


def recognise(source: Source) -> bool:
    """A first line of the log, or the csv's header."""
    first = source.head.split(b"\n", 1)[0]
    log = re.match(rb"\d{13} (order_created|order_changed|order_deleted|trade|order_book) \{", first)
    return bool(log) or split_header(first) == _CSV


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read the log or the csv."""
    orders = _Orders(sink, sink.instrument(options.name_or("BTCUSD")))
    with source.opened() as stream:
        if source.head.startswith(b"id,"):
            sink.report.unused_columns = ["exchange.timestamp"]
            for batch in batches(sink, source.path, stream):
                if list(batch.columns) == _CSV:
                    _batch(orders, Checked(sink, batch))
                else:
                    sink.quarantine("Bitstamp's columns are missing", batch.num_rows)
            return
        for line in lines(source.path, stream):
            sink.report.rows += 1
            take(sink, partial(_line, orders, line))


class _Orders:
    """Remembers what is left of each order, so that a change becomes an event of so many lots."""

    def __init__(self, sink: Sink, instrument: int) -> None:
        self.sink, self.instrument = sink, instrument
        self.left: dict[int, int] = {}

    def event(self, action: str, order_id: int, side: int, price: int, left: int, local_ns: int) -> None:
        """Add the row of one event. Of an order that was there before the recording a change tells no size."""
        known = self.left.get(order_id)
        if left < 0 or order_id < 1:
            raise RowError("size is negative" if left < 0 else "order id is below 1")
        if action == "created":
            if known is not None:
                raise RowError("order id is already in the book")
            kind, size = rec.NEW, left
            self._remember(order_id, left)
        elif action == "changed":
            if known is not None and left > known:
                raise RowError("an order grew")
            kind, size = rec.PARTIAL_CANCEL, 0 if known is None else known - left
            self._remember(order_id, left)
        else:
            kind, size = rec.FULL_CANCEL, left if known is None else known
            self.left.pop(order_id, None)
        self.sink.add("orders", NULL, local_ns, self.instrument, kind, side, order_id, price, size)
        self.sink.commit(local_ns)

    def _remember(self, order_id: int, left: int) -> None:
        if len(self.left) >= _MAX_KNOWN and order_id not in self.left:
            self.left.pop(next(iter(self.left)))
        self.left[order_id] = left


def _line(orders: _Orders, line: bytes) -> None:
    match = re.fullmatch(rb"(\d{13}) ([a-z_]+) (\{.*\})", line)
    if not match:
        raise RowError("not a line of the log")
    local_ns, kind, data = to_time(match[1].decode(), _MS), match[2].decode(), parse(match[3])
    if kind.startswith("order_") and kind[6:] in _ACTIONS:
        _order(orders, kind[6:], data, local_ns)
    elif kind == "trade":
        report = orders.sink.report
        price, size, number = report.price(data["price"]), report.size(data["amount"]), to_int(data["id"], "trade id")
        orders.sink.add("trades", NULL, local_ns, orders.instrument, number, NO_SIDE, price, size)
        orders.sink.commit(local_ns)
    elif kind == "order_book":
        _book(orders, data, local_ns)
    else:
        raise RowError("unknown event")


def _order(orders: _Orders, action: str, data: dict[str, Any], local_ns: int) -> None:
    report, side = orders.sink.report, to_int(data["order_type"], "order_type")
    if side not in (0, 1):
        raise RowError("order_type is neither 0 nor 1")
    price, left = report.price(data["price"]), report.size(data["amount"], "amount")
    orders.event(action, to_int(data["id"], "order id"), side, price, left, local_ns)


def _book(orders: _Orders, data: dict[str, Any], local_ns: int) -> None:
    """Store the recorded best levels as a snapshot and judge them."""
    report = orders.sink.report
    sides = [levels_to_fixed(data[name], report.price, report.size) for name in ("bids", "asks")]
    for side, levels in enumerate(sides):
        for price, size in levels:
            if size < 0:
                raise RowError("size is negative")
            orders.sink.add("levels", NULL, local_ns, orders.instrument, local_ns, 1, side, price, size)
    orders.sink.commit(local_ns)
    report.judge(max((p for p, _ in sides[0]), default=None), min((p for p, _ in sides[1]), default=None))


def _batch(orders: _Orders, check: Checked) -> None:
    """Read rows of the csv one by one: each acts on what the earlier ones left."""
    order_id, local_ns = check.integer("id"), check.time("timestamp", _MS)
    price, left = check.price("price"), check.integer("volume")
    action = check.code("action", {word.encode(): index for index, word in enumerate(_ACTIONS)})
    side = check.code("direction", {b"bid": 0, b"ask": 1})
    columns = (action, order_id, side, price, left, local_ns)
    for index in np.flatnonzero(check.good):
        number, *values = (int(column[index]) for column in columns)
        event: Callable[[], None] = partial(orders.event, _ACTIONS[number], *values)
        take(orders.sink, event)


FORMAT = Format("bitstamp", recognise, read)
