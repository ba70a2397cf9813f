"""Recorded sessions of OKX v5: books, trades, tickers."""

from typing import Any

from market_models.datasets.formats.feed import BookFeed, text_of
from market_models.datasets.formats.fixed import RowError, to_int, to_time
from market_models.datasets.formats.ids import trade_number
from market_models.datasets.formats.sessions.base import NoAnswers
from market_models.datasets.formats.sink import Sink
from market_models.datasets.venue_books import OkxBook

_MS = 1_000_000


class Session(NoAnswers):
    """Messages {arg: {channel, instId}, action, data}."""

    def __init__(self, sink: Sink) -> None:
        self.sink, self.feed = sink, BookFeed(sink, OkxBook)

    def frame(self, conn: str, body: Any, local_ns: int) -> None:
        """Take one message."""
        if "event" in body:
            self.sink.skip(f"{text_of(body['event'])} event")
            return
        channel, symbol, data = text_of(body["arg"]["channel"]), text_of(body["arg"]["instId"]), body["data"]
        if channel == "books":
            self._book(symbol, body["action"], data, local_ns)
        elif channel == "trades":
            for trade in data:
                side = {"buy": 0, "sell": 1}[trade["side"]]
                number, time_ns = trade_number(trade["tradeId"]), to_time(trade["ts"], _MS)
                self.feed.add_trade(symbol, time_ns, local_ns, number, side, trade["px"], trade["sz"])
            self.sink.commit(local_ns, conn)
        elif channel == "tickers":
            for quote in data:
                cells = [quote[key] for key in ("bidPx", "bidSz", "askPx", "askSz")]
                self.feed.add_quote(symbol, to_time(quote["ts"], _MS), local_ns, cells)
            self.sink.commit(local_ns, conn)
        elif channel.startswith(("candle", "index", "funding", "mark", "open-interest")):
            self.sink.skip(f"{channel} message")
        else:
            raise RowError("unknown channel")

    def _book(self, symbol: str, action: object, data: list[dict[str, Any]], local_ns: int) -> None:
        if action not in ("snapshot", "update") or len(data) != 1:
            raise RowError("neither one snapshot nor one update")
        (change,) = data
        bids, asks = self.feed.text_levels(change["bids"]), self.feed.text_levels(change["asks"])
        time_ns = to_time(change["ts"], _MS)
        checksum, seq, previous = (_optional(change, key) for key in ("checksum", "seqId", "prevSeqId"))
        book = self.feed.book(symbol)
        if action == "snapshot":
            outcome = book.on_snapshot(bids, asks, seq, checksum)
        else:
            outcome = book.on_update(bids, asks, seq, previous, checksum)
        event_id = time_ns if seq is None else seq
        self.feed.write_levels(symbol, time_ns, local_ns, event_id, action == "snapshot", bids, asks)
        self.feed.finish(book, outcome, local_ns, f"{symbol} book")


def _optional(data: dict[str, Any], key: str) -> int | None:
    return to_int(data[key], key) if key in data else None
