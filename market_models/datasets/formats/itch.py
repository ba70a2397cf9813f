"""NASDAQ TotalView-ITCH 5.0: binary messages, each behind a two-byte big-endian length.

Some files hold zeros in place of the length; the length then follows from the type. Order messages become L3 events
(a replace is a deletion and an addition), executions and crosses trades as well. Times are nanoseconds after midnight
in New York, with the date in the file's name. Source: Nasdaq TotalView-ITCH 5.0 specification.
"""

import re
import struct
from datetime import date
from typing import BinaryIO

from market_models.datasets import recording as rec
from market_models.datasets.errors import DataError
from market_models.datasets.formats.blocks import NO_SIDE, NULL, PRICE_UNIT, SIZE_UNIT
from market_models.datasets.formats.fixed import RowError
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.records import take
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source
from market_models.datasets.formats.times import NEW_YORK, find_date, midnight_ns

LENGTHS = {
    **{"S": 12, "R": 39, "H": 25, "Y": 20, "L": 26, "V": 35, "W": 12, "K": 28, "J": 35, "h": 21, "A": 36, "F": 40},
    **{"E": 31, "C": 36, "X": 23, "D": 19, "U": 35, "P": 44, "Q": 40, "B": 19, "I": 50, "N": 20, "O": 48},
}
_E4 = PRICE_UNIT // 10_000
_MAX_ORDERS = 8_000_000


def recognise(source: Source) -> bool:
    """Beginning with up to eight messages whose types and lengths are ITCH's."""
    at, found = 0, 0
    while found < 8 and at + 3 <= len(source.head):
        known = LENGTHS.get(chr(source.head[at + 2]))
        if known is None or int.from_bytes(source.head[at : at + 2], "big") not in (0, known):
            return False
        at, found = at + 2 + known, found + 1
    return found > 0 and (at <= len(source.head) or found > 1)


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read message by message; framing that is lost ends the import with a DataError."""
    day = _date_of(source.name)
    feed = _Feed(sink, midnight_ns(day, NEW_YORK))
    if day is None:
        sink.report.notes.append("no date: times are since midnight")
    with source.opened() as stream:
        while (message := _next(source, sink, stream)) is not None:
            sink.report.rows += 1
            take(sink, lambda message=message: feed.message(message))


def _date_of(name: str) -> date | None:
    """Return the date in the name; Nasdaq's own files have it as mmddyyyy."""
    us = re.match(r"(\d{2})(\d{2})(\d{4})\.NASDAQ", name)
    if us:
        return find_date(f"{us[3]}-{us[1]}-{us[2]}")
    joined = re.search(r"(\d{8})", name)
    return find_date(joined[1]) if joined else find_date(name)


def _next(source: Source, sink: Sink, stream: BinaryIO) -> bytes | None:
    prefix = stream.read(2)
    if not prefix:
        return None
    kind = stream.read(1)
    if len(prefix) < 2 or not kind:
        raise DataError(source.path, sink.report.rows + 1, "ends in the middle of a message")
    named, known = int.from_bytes(prefix, "big"), LENGTHS.get(kind.decode("latin-1"))
    length = named or known
    if not length or (known is not None and length != known):
        reason = f"message type {kind!r} with length {named}: this is not ITCH 5.0, or it is damaged"
        raise DataError(source.path, sink.report.rows + 1, reason)
    rest = stream.read(length - 1)
    if len(rest) < length - 1:
        raise DataError(source.path, sink.report.rows + 1, "ends in the middle of a message")
    return kind + rest


class _Feed:
    """Remembers the orders that rest, by reference number."""

    def __init__(self, sink: Sink, base_ns: int) -> None:
        self.sink, self.base_ns = sink, base_ns
        self.orders: dict[int, tuple[int, int, int, int]] = {}  # reference -> instrument, side, price, shares
        self.symbols: dict[int, str] = {}  # stock locate -> symbol

    def message(self, message: bytes) -> None:
        kind = chr(message[0])
        time_ns = int.from_bytes(message[5:11], "big") + self.base_ns
        if int.from_bytes(message[5:11], "big") >= 86_400_000_000_000:
            raise RowError("time is beyond the day")
        handler = _HANDLERS.get(kind)
        if handler is None:
            if kind not in LENGTHS:
                raise RowError("unknown message type")
            if kind == "R":
                self.symbols[int.from_bytes(message[1:3], "big")] = _symbol(message[11:19])
            self.sink.skip(f"message type {kind}")
            return
        handler(self, message, time_ns)
        self.sink.commit(time_ns)

    def add(self, message: bytes, time_ns: int) -> None:
        reference, side, shares, symbol, price = struct.unpack_from(">QcI8sI", message, 11)
        self._rest(reference, self.sink.instrument(_symbol(symbol)), _side(side), price * _E4, shares, time_ns)

    def execute(self, message: bytes, time_ns: int) -> None:
        reference, shares, match = struct.unpack_from(">QIQ", message, 11)
        instrument, side, price = self._take(reference, shares, rec.VISIBLE_EXECUTION, time_ns)
        self._trade(instrument, match, 1 - side, price, shares, time_ns)

    def execute_at(self, message: bytes, time_ns: int) -> None:
        reference, shares, match, _, price = struct.unpack_from(">QIQcI", message, 11)
        instrument, side, _ = self._take(reference, shares, rec.VISIBLE_EXECUTION, time_ns)
        self._trade(instrument, match, 1 - side, price * _E4, shares, time_ns)

    def cancel(self, message: bytes, time_ns: int) -> None:
        reference, shares = struct.unpack_from(">QI", message, 11)
        self._take(reference, shares, rec.PARTIAL_CANCEL, time_ns)

    def delete(self, message: bytes, time_ns: int) -> None:
        (reference,) = struct.unpack_from(">Q", message, 11)
        self._take(reference, self._known(reference)[3], rec.FULL_CANCEL, time_ns)

    def replace(self, message: bytes, time_ns: int) -> None:
        old, new, shares, price = struct.unpack_from(">QQII", message, 11)
        instrument, side, _, left = self._known(old)
        if new in self.orders:
            raise RowError("order reference is already in the book")
        if shares < 1:
            raise RowError("no shares")
        self._take(old, left, rec.FULL_CANCEL, time_ns)
        self._rest(new, instrument, side, price * _E4, shares, time_ns)

    def hidden(self, message: bytes, time_ns: int) -> None:
        _, side, shares, symbol, price, match = struct.unpack_from(">QcI8sIQ", message, 11)
        instrument, size = self.sink.instrument(_symbol(symbol)), shares * SIZE_UNIT
        row = (time_ns, NULL, instrument, rec.HIDDEN_EXECUTION, _side(side), 0, price * _E4, size)
        self.sink.add("orders", *row)
        self._trade(instrument, match, NO_SIDE, price * _E4, shares, time_ns)

    def cross(self, message: bytes, time_ns: int) -> None:
        shares, symbol, price, match = struct.unpack_from(">Q8sIQ", message, 11)
        instrument = self.sink.instrument(_symbol(symbol))
        if shares >= 2**36:
            raise RowError("shares are out of range")
        self.sink.add("orders", time_ns, NULL, instrument, rec.CROSS_TRADE, 0, 0, price * _E4, shares * SIZE_UNIT)
        self._trade(instrument, match, NO_SIDE, price * _E4, shares, time_ns)

    def _known(self, reference: int) -> tuple[int, int, int, int]:
        known = self.orders.get(reference)
        if known is None:
            raise RowError("order reference is not in the book")
        return known

    def _rest(self, reference: int, instrument: int, side: int, price: int, shares: int, time_ns: int) -> None:
        if reference in self.orders or not 0 < reference < 2**63:
            raise RowError("order reference is already in the book" if reference in self.orders else "no reference")
        if shares < 1:
            raise RowError("no shares")
        if len(self.orders) >= _MAX_ORDERS:
            self.orders.pop(next(iter(self.orders)))
        self.orders[reference] = (instrument, side, price, shares)
        self.sink.add("orders", time_ns, NULL, instrument, rec.NEW, side, reference, price, shares * SIZE_UNIT)

    def _take(self, reference: int, shares: int, event: int, time_ns: int) -> tuple[int, int, int]:
        instrument, side, price, left = self._known(reference)
        if not 1 <= shares <= left:
            raise RowError("more shares than the order has" if shares > left else "no shares")
        if shares == left:
            del self.orders[reference]
        else:
            self.orders[reference] = (instrument, side, price, left - shares)
        self.sink.add("orders", time_ns, NULL, instrument, event, side, reference, price, shares * SIZE_UNIT)
        return instrument, side, price

    def _trade(self, instrument: int, match: int, side: int, price: int, shares: int, time_ns: int) -> None:
        self.sink.add("trades", time_ns, NULL, instrument, match & (2**63 - 1), side, price, shares * SIZE_UNIT)


_HANDLERS = {
    **{"A": _Feed.add, "F": _Feed.add, "E": _Feed.execute, "C": _Feed.execute_at, "X": _Feed.cancel},
    **{"D": _Feed.delete, "U": _Feed.replace, "P": _Feed.hidden, "Q": _Feed.cross},
}


def _symbol(text: bytes) -> str:
    symbol = text.decode("ascii", "replace").strip()
    if not symbol or not symbol.isprintable() or "\ufffd" in symbol:
        raise RowError("no symbol")
    return symbol


def _side(text: bytes) -> int:
    if text not in (b"B", b"S"):
        raise RowError("side is neither B nor S")
    return int(text == b"S")


FORMAT = Format("itch", recognise, read)
