"""Recorded sessions of Deribit: raw books, trades, tickers."""

from typing import Any

from market_models.datasets.formats.feed import BookFeed, text_of
from market_models.datasets.formats.fixed import RowError, to_int, to_time
from market_models.datasets.formats.ids import trade_number
from market_models.datasets.formats.sessions.base import NoAnswers
from market_models.datasets.formats.sink import Sink
from market_models.datasets.venue_books import DeribitBook

_MS = 1_000_000


class Session(NoAnswers):
    """JSON-RPC notifications {params: {channel, data}}."""

    def __init__(self, sink: Sink) -> None:
        self.sink, self.feed = sink, BookFeed(sink, DeribitBook)

    def frame(self, conn: str, body: Any, local_ns: int) -> None:
        """Take one message."""
        if "method" not in body:
            if "result" not in body and "error" not in body:
                raise RowError("neither a notification nor a reply")
            self.sink.skip("reply to a request")
            return
        if body["method"] != "subscription":
            self.sink.skip(f"{text_of(body['method'])} message")
            return
        channel, data = text_of(body["params"]["channel"]), body["params"]["data"]
        kind = channel.partition(".")[0]
        if kind == "book":
            self._book(data, local_ns, conn)
        elif kind == "trades":
            for trade in data:
                side = {"buy": 0, "sell": 1}[trade["direction"]]
                symbol, number = text_of(trade["instrument_name"]), trade_number(trade["trade_id"])
                time_ns = to_time(trade["timestamp"], _MS)
                self.feed.add_trade(symbol, time_ns, local_ns, number, side, trade["price"], trade["amount"])
            self.sink.commit(local_ns, conn)
        elif kind in ("ticker", "quote"):
            keys = ("best_bid_price", "best_bid_amount", "best_ask_price", "best_ask_amount")
            symbol, time_ns = text_of(data["instrument_name"]), to_time(data["timestamp"], _MS)
            self.feed.add_quote(symbol, time_ns, local_ns, [data[key] for key in keys])
            self.sink.commit(local_ns, conn)
        else:
            raise RowError("unknown channel")

    def _book(self, data: dict[str, Any], local_ns: int, conn: str) -> None:
        bids, asks = (self.feed.levels([self._level(entry) for entry in data[side]]) for side in ("bids", "asks"))
        symbol, time_ns = text_of(data["instrument_name"]), to_time(data["timestamp"], _MS)
        change_id, book = to_int(data["change_id"], "change_id"), self.feed.book(symbol)
        # Recordings of before 2021 have no type: there a snapshot is what has no predecessor.
        snapshot = data.get("type", "change" if "prev_change_id" in data else "snapshot") == "snapshot"
        if snapshot:
            outcome = book.on_snapshot(change_id, bids, asks)
        else:
            outcome = book.on_change(change_id, to_int(data["prev_change_id"], "prev_change_id"), bids, asks)
        self.feed.write_levels(symbol, time_ns, local_ns, change_id, snapshot, bids, asks)
        self.feed.finish(book, outcome, local_ns, conn)

    def _level(self, entry: list[Any]) -> list[Any]:
        action, price, size = entry
        if action not in ("new", "change", "delete"):
            raise RowError("unknown action on a level")
        return [price, 0 if action == "delete" else size]
