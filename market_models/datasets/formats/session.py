"""Recorded sessions of exchanges: JSON lines of what was requested, sent and received, as cryptofeed's tests keep them.

Each line has t (header, http, connect, send, recv), conn, ts (local seconds), url or addr, and data, the raw body as a
text. The header names the exchange; its decoder is one line of the table below. Lines of one connection stand together,
so time is judged connection by connection.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from market_models.datasets.errors import DataError
from market_models.datasets.formats.fixed import RowError, to_fixed
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.records import MALFORMED, parse, take
from market_models.datasets.formats.sessions import binance, bitfinex, bybit, coinbase, deribit, kraken, okx
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source, lines


class Decoder(Protocol):
    """Turns the frames of one exchange into rows."""

    def connected(self, conn: str, addr: str) -> None:
        """Note that a connection was (re)opened."""

    def answer(self, url: str, body: Any, local_ns: int) -> None:
        """Take the parsed body of a REST answer: commits, skips, or raises RowError."""

    def frame(self, conn: str, body: Any, local_ns: int) -> None:
        """Take a parsed websocket frame: commits, skips, or raises RowError."""


DECODERS: dict[str, Callable[[Sink], Decoder]] = {
    "BINANCE": binance.Session,
    "BINANCE_US": binance.Session,
    "BINANCE_FUTURES": binance.Session,
    "BINANCE_DELIVERY": binance.Session,
    "BITFINEX": bitfinex.Session,
    "BYBIT": bybit.Session,
    "COINBASE": coinbase.Session,
    "DERIBIT": deribit.Session,
    "KRAKEN": kraken.Session,
    "KRAKEN_FUTURES": kraken.FuturesSession,
    "OKX": okx.Session,
}


def recognise(source: Source) -> bool:
    """A header line of an exchange that has a decoder."""
    found = re.match(rb'\{"t":\s*"header".{0,100}?"exchange":\s*"([^"]+)"', source.head)
    return found is not None and found[1].decode("utf-8", "replace") in DECODERS


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read line by line. DataError if the header is missing or names an exchange without a decoder."""
    with source.opened() as stream:
        numbered = lines(source.path, stream)
        header = next(numbered, b"")
        sink.report.rows += 1
        decoder = DECODERS[_exchange(source, header)](sink)
        sink.skip("header line")
        for line in numbered:
            sink.report.rows += 1
            take(sink, partial(_line, sink, decoder, line))


def _exchange(source: Source, header: bytes) -> str:
    try:
        record = parse(header)
        exchange = record["exchange"] if record["t"] == "header" else None
    except MALFORMED as error:
        raise DataError(source.path, 1, "the first line is no session header") from error
    if type(exchange) is not str or exchange not in DECODERS:
        known = ", ".join(DECODERS)
        raise DataError(source.path, 1, f"no decoder for exchange {str(exchange)[:40]!r}; there are {known}")
    return exchange


def _line(sink: Sink, decoder: Decoder, line: bytes) -> None:
    record = parse(line)
    kind = record["t"]
    if kind == "connect":
        decoder.connected(_name(record["conn"]), _name(record["addr"]))
        sink.skip("connection opened")
    elif kind == "send":
        sink.skip("frame sent")
    elif kind == "http":
        decoder.answer(_name(record["url"]), parse(_name(record["data"])), _local_ns(record["ts"]))
    elif kind == "recv":
        decoder.frame(_name(record["conn"]), parse(_name(record["data"])), _local_ns(record["ts"]))
    else:
        raise RowError("unknown kind of line")


def _local_ns(value: object) -> int:
    return to_fixed(value, 9, "ts")[0]


def _name(value: object) -> str:
    if type(value) is not str:
        raise RowError("a field is no text")
    return value


FORMAT = Format("session", recognise, read)
