"""A small Binance recording written by hand, line by line, with a book of its own behind the bookTickers."""

import gzip
import json
from decimal import Decimal

START_MS = 1_700_000_000_000


class Feed:
    """Collects lines. Prices and sizes are given as text; `at` is milliseconds after the start."""

    def __init__(self, futures: bool = True, symbol: str = "TESTUSDT"):
        self.futures, self.symbol = futures, symbol
        self.lines: list[str] = []
        self.u = 100
        self.at = 0
        self.trade_id = 0
        self.book: tuple[dict, dict] = ({}, {})

    def _line(self, body: dict):
        self.lines.append(f"{(START_MS + self.at) * 1_000_000} {json.dumps(body)}")

    def _stream(self, name: str, data: dict):
        self._line({"stream": f"{self.symbol.lower()}@{name}", "data": {"s": self.symbol, **data}})

    def _set(self, side: int, levels):
        for price, size in levels:
            self.book[side].pop(Decimal(price), None)
            if Decimal(size):
                self.book[side][Decimal(price)] = size

    def snapshot(self, bids, asks, at: int = 0):
        self.at = at
        self._set(0, bids)
        self._set(1, asks)
        body = {"lastUpdateId": self.u, "bids": bids, "asks": asks}
        self._line(body | {"E": START_MS + at, "T": START_MS + at} if self.futures else body)
        return self

    def depth(self, bids=(), asks=(), at: int | None = None, ids: int = 3):
        """Write an event of `ids` updates."""
        self.at = self.at + 1 if at is None else at
        before, self.u = self.u, self.u + ids
        self._set(0, bids)
        self._set(1, asks)
        data = {"e": "depthUpdate", "E": START_MS + self.at, "U": before + 1, "u": self.u, "b": bids, "a": asks}
        if self.futures:
            # The futures' first event after a snapshot has to span it.
            data |= {"T": START_MS + self.at, "pu": before, "U": before if self.first_event else before + 1}
        self._stream("depth@0ms", data)
        return self

    @property
    def first_event(self):
        return not any("depthUpdate" in line for line in self.lines)

    def ticker(self):
        bid = max(self.book[0], default=Decimal(0))
        ask = min(self.book[1], default=Decimal(0))
        sizes = {"B": self.book[0].get(bid, "0"), "A": self.book[1].get(ask, "0")}
        self._stream("bookTicker", {"u": self.u, "b": str(bid), "a": str(ask), **sizes})
        return self

    def trade(self, taker: str, price: str, size: str, at: int | None = None, kind: str = "MARKET"):
        self.at = self.at + 1 if at is None else at
        self.trade_id += 1
        extra = {"X": kind} if self.futures else {}
        data = {"e": "trade", "T": START_MS + self.at, "t": self.trade_id, "p": price, "q": size, "m": taker == "SELL"}
        self._stream("trade", data | extra)
        return self

    def write(self, folder, name: str = "testusdt.gz", lines=None):
        text = "".join(f"{line}\n" for line in (self.lines if lines is None else lines)).encode()
        path = folder / name
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        return path


def small_feed(futures: bool = True) -> Feed:
    """Return a session of a snapshot, six events with bookTickers, and two trades."""
    feed = Feed(futures)
    feed.snapshot([["99.9", "5.0"], ["99.8", "7.5"], ["99.5", "1.0"]], [["100.0", "4.0"], ["100.2", "6.0"]])
    feed.depth([["99.9", "6.5"]], [["100.0", "0.0"], ["100.1", "2.0"]]).ticker()
    feed.trade("BUY", "100.1", "0.5").depth([], [["100.1", "1.5"]]).ticker()
    feed.depth([["99.9", "0"], ["99.7", "3"]]).ticker()
    feed.depth([["100.0", "2.5"]]).ticker()
    feed.trade("SELL", "100.0", "1.0").depth([["100.0", "1.5"]], [["100.1", "9.0"]]).ticker()
    feed.depth([["98.0", "1.0"]], [["102.0", "3.5"]]).ticker()
    return feed
