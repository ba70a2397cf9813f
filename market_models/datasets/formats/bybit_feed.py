"""Bybit v5 public messages: orderbook, publicTrade, kline, tickers."""

from typing import Any

from market_models.datasets.formats.blocks import NULL
from market_models.datasets.formats.feed import BookFeed, text_of
from market_models.datasets.formats.fixed import RowError, to_int, to_time
from market_models.datasets.formats.ids import trade_number
from market_models.datasets.formats.sink import Sink
from market_models.datasets.venue_books import BybitBook

_MS = 1_000_000


class BybitFeed(BookFeed[BybitBook]):
    """Writes Bybit's messages. `prefix` tells apart markets (spot, linear) that share symbols."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink, BybitBook)

    def message(self, message: dict[str, Any], local_ns: int = NULL, prefix: str = "") -> None:
        """Take one message: commits, skips, or raises RowError."""
        topic = message.get("topic")
        if topic is None:
            self.sink.skip(f"{text_of(message['op'])} reply")
            return
        kind, _, rest = text_of(topic).partition(".")
        if kind == "orderbook":
            self._book(message, prefix + rest.partition(".")[2], local_ns)
        elif kind == "publicTrade":
            self._trades(message["data"], prefix, local_ns)
        elif kind == "kline":
            self._bars(message["data"], prefix + rest.partition(".")[2], local_ns)
        elif kind == "tickers":
            self.sink.skip("tickers message")
        else:
            raise RowError("unknown topic")

    def _book(self, message: dict[str, Any], symbol: str, local_ns: int) -> None:
        data = message["data"]
        bids, asks, update_id = self.levels(data["b"]), self.levels(data["a"]), to_int(data["u"], "u")
        time_ns = to_time(message["cts"] if "cts" in message else message["ts"], _MS)
        kind = message["type"]
        if kind not in ("snapshot", "delta") or not symbol:
            raise RowError("neither snapshot nor delta")
        book = self.book(symbol)
        anew = kind == "snapshot" or update_id == 1
        outcome = book.on_snapshot(update_id, bids, asks) if anew else book.on_delta(update_id, bids, asks)
        self.write_levels(symbol, time_ns, local_ns, update_id, anew, bids, asks)
        self.finish(book, outcome, local_ns if local_ns != NULL else time_ns, symbol)

    def _trades(self, trades: list[dict[str, Any]], prefix: str, local_ns: int) -> None:
        for trade in trades:
            side = {"Buy": 0, "Sell": 1}[trade["S"]]
            self.add_trade(
                prefix + text_of(trade["s"]),
                to_time(trade["T"], _MS),
                local_ns,
                trade_number(trade["i"]),
                side,
                trade["p"],
                trade["v"],
            )
        self.sink.commit(local_ns, f"{prefix}trades")

    def _bars(self, bars: list[dict[str, Any]], symbol: str, local_ns: int) -> None:
        closed = [bar for bar in bars if bar["confirm"] is True]
        if not closed:
            self.sink.skip("kline that is not closed")
            return
        for bar in closed:
            prices = [bar[key] for key in ("open", "high", "low", "close")]
            self.add_bar(symbol, to_time(bar["start"], _MS), local_ns, prices, bar["volume"])
        self.sink.commit(local_ns, f"{symbol} bars")
