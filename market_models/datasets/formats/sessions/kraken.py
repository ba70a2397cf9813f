"""Recorded sessions of Kraken: spot (WebSocket v1) and futures."""

import re
from typing import Any

from market_models.datasets.formats.blocks import NULL
from market_models.datasets.formats.feed import BookFeed, text_of
from market_models.datasets.formats.fixed import RowError, to_fixed, to_int, to_time
from market_models.datasets.formats.ids import trade_number
from market_models.datasets.formats.sessions.base import NoAnswers, dispatch, pick
from market_models.datasets.formats.sink import Sink
from market_models.datasets.venue_books import KrakenBook, KrakenFuturesBook

_MS = 1_000_000
_DEFAULT_DEPTH = 10


class Session(NoAnswers):
    """Frames [channel id, data..., channel name, pair]; a book update may come in two parts, asks and bids."""

    def __init__(self, sink: Sink) -> None:
        self.sink, self.depth = sink, _DEFAULT_DEPTH
        self.feed = BookFeed(sink, lambda: KrakenBook(self.depth))

    def frame(self, conn: str, body: Any, local_ns: int) -> None:
        """Take one frame."""
        if type(body) is dict:
            self.sink.skip(f"{text_of(body['event'])} event")
            return
        to_int(body[0], "channel id")
        channel, pair, parts = text_of(body[-2]), text_of(body[-1]), body[1:-2]
        if channel.startswith("book-"):
            self._book(channel, pair, parts, local_ns, conn)
        elif channel == "trade":
            self._trades(pair, parts[0], local_ns, conn)
        elif channel == "ticker":
            cells = [parts[0]["b"][0], parts[0]["b"][2], parts[0]["a"][0], parts[0]["a"][2]]
            self.feed.add_quote(pair, NULL, local_ns, cells)
            self.sink.commit(local_ns, conn)
        elif re.match(r"(ohlc|spread)\b", channel):
            self.sink.skip(f"{channel} message")
        else:
            raise RowError("unknown channel")

    def _book(self, channel: str, pair: str, parts: list[dict[str, Any]], local_ns: int, conn: str) -> None:
        merged = {key: value for part in parts for key, value in part.items()}
        self.depth = to_int(channel.partition("-")[2], "depth")
        snapshot = "as" in merged or "bs" in merged
        names = ("bs", "as") if snapshot else ("b", "a")
        if not snapshot and not {"a", "b"} & merged.keys():
            raise RowError("neither snapshot nor update")
        pairs = [merged.get(name, []) for name in names]
        bids, asks = (self.feed.text_levels(side) for side in pairs)
        checksum = to_int(merged["c"], "c") if "c" in merged else None
        time_ns = max((_seconds(level[2]) for side in pairs for level in side), default=NULL)
        book = self.feed.book(pair)
        outcome = book.on_snapshot(bids, asks) if snapshot else book.on_update(bids, asks, checksum)
        self.feed.write_levels(pair, time_ns, local_ns, local_ns, snapshot, bids, asks)
        self.feed.finish(book, outcome, local_ns, conn)

    def _trades(self, pair: str, trades: list[list[Any]], local_ns: int, conn: str) -> None:
        for price, size, time, side, *_ in trades:
            self.feed.add_trade(pair, _seconds(time), local_ns, 0, {"b": 0, "s": 1}[side], price, size)
        self.sink.commit(local_ns, conn)


class FuturesSession(NoAnswers):
    """Messages {feed, product_id, ...}."""

    def __init__(self, sink: Sink) -> None:
        self.sink, self.feed = sink, BookFeed(sink, KrakenFuturesBook)
        self._handlers = {
            "book_snapshot": self._snapshot,
            "book": self._change,
            "trade": self._trade,
            "trade_snapshot": self._trade_snapshot,
            "ticker_lite": self._ticker,
            "ticker": self._ticker,
            "heartbeat": self._ticker,
        }

    def frame(self, conn: str, body: Any, local_ns: int) -> None:
        """Take one message."""
        if "event" in body:
            self.sink.skip(f"{text_of(body['event'])} event")
            return
        dispatch(self._handlers, body["feed"])(body, local_ns, conn)

    def _snapshot(self, body: dict[str, Any], local_ns: int, conn: str) -> None:
        bids, asks = (self.feed.levels(pick(body[side], "price", "qty")) for side in ("bids", "asks"))
        symbol, seq, time_ns = text_of(body["product_id"]), to_int(body["seq"], "seq"), to_time(body["timestamp"], _MS)
        book = self.feed.book(symbol)
        outcome = book.on_snapshot(seq, bids, asks)
        self.feed.write_levels(symbol, time_ns, local_ns, seq, True, bids, asks)
        self.feed.finish(book, outcome, local_ns, conn)

    def _change(self, body: dict[str, Any], local_ns: int, conn: str) -> None:
        side, level = {"buy": 0, "sell": 1}[body["side"]], self.feed.levels([[body["price"], body["qty"]]])
        symbol, seq, time_ns = text_of(body["product_id"]), to_int(body["seq"], "seq"), to_time(body["timestamp"], _MS)
        bids, asks = (level, []) if side == 0 else ([], level)
        book = self.feed.book(symbol)
        outcome = book.on_change(seq, bids, asks)
        self.feed.write_levels(symbol, time_ns, local_ns, seq, False, bids, asks)
        self.feed.finish(book, outcome, local_ns, conn)

    def _trade(self, body: dict[str, Any], local_ns: int, conn: str) -> None:
        symbol, number = text_of(body["product_id"]), trade_number(body["uid"])
        side = {"buy": 0, "sell": 1}[body["side"]]
        time_ns = to_time(body["time"], _MS)
        self.feed.add_trade(symbol, time_ns, local_ns, number, side, body["price"], body["qty"])
        self.sink.commit(local_ns, conn)

    def _trade_snapshot(self, body: dict[str, Any], local_ns: int, conn: str) -> None:
        self.sink.skip(f"{(len(body['trades']) and 'trades of before the session') or 'no trades'}")

    def _ticker(self, body: dict[str, Any], local_ns: int, conn: str) -> None:
        self.sink.skip(f"{body['feed']} message")


def _seconds(value: object) -> int:
    return to_fixed(value, 9, "time")[0]
