"""BATS (Cboe) PITCH 1 in ASCII: add, execute, cancel, trade; one message a line, a leading S per message.

After the S: 8 digits of milliseconds after midnight, the type, then the type's fields: A (order id 12, side 1, shares
6, symbol 6, price 10 of which 4 decimals, display 1), E (order id, shares, execution id 12), X (order id, shares), P
(order id, side, shares, symbol, price, execution id). Trade breaks, trading status and auction messages are not
stored. Source: BATS PITCH specification 1. The recording has no date: times are since midnight.
"""

import re
from collections import OrderedDict
from functools import partial

from market_models.datasets import recording as rec
from market_models.datasets.formats.blocks import MAX_INT64, NO_SIDE, NULL, PRICE_UNIT, SIZE_UNIT
from market_models.datasets.formats.fixed import RowError
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.records import take
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source, lines
from market_models.datasets.formats.times import find_date, midnight_ns

_MESSAGE = re.compile(
    r"S?(?P<time>\d{8})(?:"
    r"(?P<add>A)(?P<add_id>[0-9A-Z]{12})(?P<side>[BS])(?P<shares>\d{6})(?P<symbol>[!-~ ]{6})(?P<price>\d{10})[YN]?"
    r"|E(?P<exec_id>[0-9A-Z]{12})(?P<exec_shares>\d{6})(?P<execution>[0-9A-Z]{12})"
    r"|X(?P<cancel_id>[0-9A-Z]{12})(?P<cancel_shares>\d{6})"
    r"|P(?P<trade_id>[0-9A-Z]{12})(?P<trade_side>[BS])(?P<trade_shares>\d{6})(?P<trade_symbol>[!-~ ]{6})"
    r"(?P<trade_price>\d{10})(?P<trade_execution>[0-9A-Z]{12})"
    r")",
    re.ASCII,
)
_UNUSED = {"B": "trade break", "H": "trading status", "I": "auction update", "J": "auction summary", "R": "retail"}
_MAX_ORDERS = 4_000_000  # resting orders that are remembered; older ones are forgotten and counted as unknown
_PRICE_E4 = PRICE_UNIT // 10_000


def recognise(source: Source) -> bool:
    """Lines of S, eight digits and a PITCH type."""
    first = source.head.split(b"\n", 1)[0].strip()
    return bool(re.match(rb"S\d{8}[AEXPBHIJR][0-9A-Z]", first)) and b"," not in first


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read line by line, remembering the side and price of the orders that rest."""
    feed = _Feed(sink, midnight_ns(find_date(source.name)))
    if not feed.base_ns:
        sink.report.notes.append("no date: times are since midnight")
    with source.opened() as stream:
        for line in lines(source.path, stream):
            sink.report.rows += 1
            take(sink, partial(feed.message, line))


class _Feed:
    def __init__(self, sink: Sink, base_ns: int) -> None:
        self.sink, self.base_ns = sink, base_ns
        self.orders: OrderedDict[int, tuple[int, int, int, int]] = (
            OrderedDict()
        )  # id -> instrument, side, price, shares

    def message(self, line: bytes) -> None:
        text = line.decode("ascii", "replace")
        kind = text[9:10]
        if kind in _UNUSED and re.match(r"S\d{8}", text):
            self.sink.skip(_UNUSED[kind])
            return
        match = _MESSAGE.fullmatch(text)
        if match is None:
            raise RowError("not a PITCH message")
        time_ns = int(match["time"]) * 1_000_000 + self.base_ns
        if match["add"]:
            self._add(match, time_ns)
        elif match["exec_id"]:
            self._take(match["exec_id"], int(match["exec_shares"]), time_ns, match["execution"])
        elif match["cancel_id"]:
            self._take(match["cancel_id"], int(match["cancel_shares"]), time_ns, None)
        else:
            self._hidden(match, time_ns)
        self.sink.commit(time_ns)

    def _add(self, match: "re.Match[str]", time_ns: int) -> None:
        order_id, side, shares = _base36(match["add_id"]), "BS".index(match["side"]), int(match["shares"])
        price, instrument = int(match["price"]) * _PRICE_E4, self.sink.instrument(_symbol(match["symbol"]))
        if order_id in self.orders:
            raise RowError("order id is already in the book")
        if shares < 1:
            raise RowError("no shares")
        self.orders[order_id] = (instrument, side, price, shares)
        if len(self.orders) > _MAX_ORDERS:
            self.orders.popitem(last=False)
        self.sink.add("orders", time_ns, NULL, instrument, rec.NEW, side, order_id, price, shares * SIZE_UNIT)

    def _take(self, text: str, shares: int, time_ns: int, execution: str | None) -> None:
        order_id = _base36(text)
        known = self.orders.get(order_id)
        if known is None:
            raise RowError("order id is not in the book")
        instrument, side, price, left = known
        if not 1 <= shares <= left:
            raise RowError("more shares than the order has" if shares > left else "no shares")
        if shares == left:
            del self.orders[order_id]
        else:
            self.orders[order_id] = (instrument, side, price, left - shares)
        gone = rec.FULL_CANCEL if shares == left else rec.PARTIAL_CANCEL
        event = rec.VISIBLE_EXECUTION if execution else gone
        self.sink.add("orders", time_ns, NULL, instrument, event, side, order_id, price, shares * SIZE_UNIT)
        if execution:
            size = shares * SIZE_UNIT
            self.sink.add("trades", time_ns, NULL, instrument, _base36(execution), 1 - side, price, size)

    def _hidden(self, match: "re.Match[str]", time_ns: int) -> None:
        """A trade against an order that was never shown; the side in the message is not to be relied on."""
        instrument, shares = self.sink.instrument(_symbol(match["trade_symbol"])), int(match["trade_shares"])
        price, number = int(match["trade_price"]) * _PRICE_E4, _base36(match["trade_execution"])
        side = "BS".index(match["trade_side"])
        size = shares * SIZE_UNIT
        self.sink.add("orders", time_ns, NULL, instrument, rec.HIDDEN_EXECUTION, side, 0, price, size)
        self.sink.add("trades", time_ns, NULL, instrument, number, NO_SIDE, price, size)


def _symbol(text: str) -> str:
    symbol = text.strip()
    if not symbol:
        raise RowError("no symbol")
    return symbol


def _base36(text: str) -> int:
    number = int(text, 36)
    if number > MAX_INT64:
        raise RowError("id does not fit in 64 bits")
    return number


FORMAT = Format("bats_pitch", recognise, read)
