"""Recorded sessions of Coinbase Advanced Trade: l2_data, market_trades, ticker, candles."""

from typing import Any

from market_models.datasets.formats.feed import BookFeed, text_of
from market_models.datasets.formats.fixed import RowError, to_int
from market_models.datasets.formats.ids import trade_number
from market_models.datasets.formats.sessions.base import Chains, NoAnswers
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.times import parse_iso
from market_models.datasets.venue_books import CoinbaseBook

_SIDES = {"bid": 0, "offer": 1, "ask": 1}


class Session(NoAnswers):
    """Messages {channel, timestamp, sequence_num, events}; the sequence is the connection's, over all channels."""

    def __init__(self, sink: Sink) -> None:
        self.sink, self.feed = sink, BookFeed(sink, CoinbaseBook)
        self.chains = Chains(self.feed)

    def connected(self, conn: str, addr: str) -> None:
        """A connection's sequence begins anew."""
        self.chains.opened(conn)

    def frame(self, conn: str, body: Any, local_ns: int) -> None:
        """Take one message."""
        channel, events, number = text_of(body["channel"]), body["events"], to_int(body["sequence_num"], "sequence_num")
        time_ns = parse_iso(body["timestamp"])
        if type(events) is not list:
            raise RowError("no events")
        books = [book for book in self.feed.books() if book.synced]
        if channel == "l2_data":
            changes = [self._parse(event) for event in events]
            self.chains.follow(conn, number, list(books))
            for symbol, kind, sides in changes:
                self._book(symbol, kind, sides, time_ns, local_ns, number, conn)
            self.sink.commit(local_ns, conn)
            return
        self.chains.follow(conn, number, list(books))
        if channel == "market_trades":
            self._trades(events, local_ns, conn)
        elif channel == "ticker":
            self._tickers(events, time_ns, local_ns, conn)
        elif channel in ("heartbeats", "subscriptions", "candles", "status", "ticker_batch"):
            self.sink.skip(f"{channel} message")
        else:
            raise RowError("unknown channel")

    def _parse(self, event: dict[str, Any]) -> tuple[str, str, list[list[tuple[int, int]]]]:
        kind, symbol, sides = event["type"], text_of(event["product_id"]), ([], [])
        if kind not in ("snapshot", "update"):
            raise RowError("neither snapshot nor update")
        for update in event["updates"]:
            sides[_SIDES[update["side"]]].append([update["price_level"], update["new_quantity"]])
        return symbol, kind, [self.feed.levels(side) for side in sides]

    def _book(
        self, symbol: str, kind: str, sides: list[Any], time_ns: int, local_ns: int, number: int, conn: str
    ) -> None:
        bids, asks = sides
        book = self.feed.book(symbol)
        outcome = book.on_snapshot(bids, asks) if kind == "snapshot" else book.on_change(bids, asks)
        self.feed.report.gaps += outcome.broke
        self.feed.write_levels(symbol, time_ns, local_ns, number, kind == "snapshot", bids, asks)
        if book.synced:
            self.feed.report.judge(*book.book.touch)

    def _trades(self, events: list[dict[str, Any]], local_ns: int, conn: str) -> None:
        if any(event["type"] == "snapshot" for event in events):
            self.sink.skip("trades of before the session")
            return
        for trade in (trade for event in events for trade in event["trades"]):
            # Coinbase gives the maker's side.
            side = {"BUY": 1, "SELL": 0}[trade["side"]]
            number, time_ns = trade_number(trade["trade_id"]), parse_iso(trade["time"])
            symbol = text_of(trade["product_id"])
            self.feed.add_trade(symbol, time_ns, local_ns, number, side, trade["price"], trade["size"])
        self.sink.commit(local_ns, conn)

    def _tickers(self, events: list[dict[str, Any]], time_ns: int, local_ns: int, conn: str) -> None:
        for quote in (quote for event in events for quote in event["tickers"]):
            keys = ("best_bid", "best_bid_quantity", "best_ask", "best_ask_quantity")
            self.feed.add_quote(text_of(quote["product_id"]), time_ns, local_ns, [quote.get(key) for key in keys])
        self.sink.commit(local_ns, conn)
