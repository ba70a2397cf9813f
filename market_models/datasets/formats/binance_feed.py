"""Binance's depth, bookTicker, trade and kline events, and depth snapshots, however they were recorded."""

from typing import Any

from market_models.datasets.formats.blocks import NULL
from market_models.datasets.formats.feed import add_levels, read_levels
from market_models.datasets.formats.fixed import RowError, to_int, to_time
from market_models.datasets.formats.sink import Sink
from market_models.datasets.venue_books import BinanceBook, Levels, Outcome
from market_models.datasets.venue_books.binance import Diff

MS, US = 1_000_000, 1_000


class BinanceFeed:
    """Writes the events of any number of symbols; keeps a book of each and counts gaps and crossed states."""

    def __init__(self, sink: Sink) -> None:
        self._sink, self._report = sink, sink.report
        self._report.sequenced = True
        self._books: dict[str, BinanceBook] = {}
        self._last_trade: dict[str, int] = {}

    def event(self, data: dict[str, Any], local_ns: int = NULL) -> None:
        """Take one event: commits, skips, or raises RowError."""
        kind = data.get("e", "bookTicker" if {"b", "B", "a", "A", "u"} <= data.keys() else None)
        if kind == "depthUpdate":
            self._depth(data, local_ns)
        elif kind == "bookTicker":
            self._quote(data, local_ns)
        elif kind in ("trade", "aggTrade"):
            self._trade(data, local_ns, kind)
        elif kind == "kline":
            self._bar(data, local_ns)
        elif type(kind) is str and kind.isidentifier():
            self._sink.skip(f"{kind} event")
        else:
            raise RowError("no event type")

    def snapshot(self, symbol: str, data: dict[str, Any], local_ns: int = NULL) -> None:
        """Take a depth snapshot of a symbol."""
        last_id = to_int(data["lastUpdateId"], "lastUpdateId")
        bids, asks = self._levels(data["bids"]), self._levels(data["asks"])
        time_ns = to_time(data["T"], MS) if "T" in data else to_time(data["E"], MS) if "E" in data else NULL
        book = self._book(symbol)
        outcome = book.on_snapshot(last_id, bids, asks)
        if outcome is Outcome.STALE:
            self._sink.skip("snapshot older than the book")
            return
        instrument = self._sink.instrument(symbol)
        self._write(instrument, time_ns, local_ns, last_id, 1, bids, asks)
        for diff in book.replayed:
            self._write(instrument, diff.time_ns, local_ns, diff.last, 0, diff.bids, diff.asks)
        self._report.gaps += outcome.broke
        self._sink.commit()
        self._report.judge(*book.book.touch)

    def _depth(self, data: dict[str, Any], local_ns: int) -> None:
        symbol = _symbol(data)
        time_ns = to_time(data["T"] if "T" in data else data["E"], MS)
        diff = Diff(
            to_int(data["U"], "U"),
            to_int(data["u"], "u"),
            to_int(data["pu"], "pu") if "pu" in data else None,
            self._levels(data["b"]),
            self._levels(data["a"]),
            time_ns,
        )
        book = self._book(symbol)
        outcome = book.on_diff(diff)
        self._report.gaps += outcome.broke
        if outcome is Outcome.STALE:
            self._sink.skip("depth event older than the snapshot")
            return
        # A diff that neither sets nor removes a level is used as well: its ids are part of the chain.
        self._write(self._sink.instrument(symbol), time_ns, local_ns, diff.last, 0, diff.bids, diff.asks)
        self._sink.commit(local_ns if local_ns != NULL else time_ns, "" if local_ns != NULL else symbol)
        self._report.judge(*book.book.touch)

    def _quote(self, data: dict[str, Any], local_ns: int) -> None:
        report, symbol = self._report, _symbol(data)
        time_ns = to_time(data["T"], MS) if "T" in data else NULL
        row = (report.price(data["b"]), report.size(data["B"]), report.price(data["a"]), report.size(data["A"]))
        to_int(data["u"], "u")
        _require_sizes(row[1], row[3])
        self._sink.add("quotes", time_ns, local_ns, self._sink.instrument(symbol), *row)
        self._sink.commit(local_ns if local_ns != NULL else None)

    def _trade(self, data: dict[str, Any], local_ns: int, kind: str) -> None:
        report, symbol = self._report, _symbol(data)
        trade_id = to_int(data["t" if kind == "trade" else "a"], "trade id")
        side = _taker(data["m"])
        time_ns = to_time(data["T"], MS)
        price, size = report.price(data["p"]), report.size(data["q"])
        _require_sizes(size)
        self._sink.add("trades", time_ns, local_ns, self._sink.instrument(symbol), trade_id, side, price, size)
        self._sink.commit(local_ns if local_ns != NULL else time_ns, "" if local_ns != NULL else f"{symbol} trades")
        key = f"{symbol} {kind}"
        if trade_id != self._last_trade.get(key, trade_id - 1) + 1:
            report.gaps += 1
        self._last_trade[key] = trade_id

    def _bar(self, data: dict[str, Any], local_ns: int) -> None:
        report, bar = self._report, data["k"]
        if bar["x"] is not True:
            self._sink.skip("kline that is not closed")
            return
        prices = [report.price(bar[key]) for key in "ohlc"]
        size = report.size(bar["v"])
        _require_sizes(size)
        instrument = self._sink.instrument(_symbol(data))
        self._sink.add("bars", to_time(bar["t"], MS), local_ns, instrument, *prices, size)
        self._sink.commit()

    def _write(self, instrument: int, time_ns: int, local_ns: int, event_id: int, flag: int, *sides: Levels) -> None:
        add_levels(self._sink, (time_ns, local_ns, instrument, event_id, flag), *sides)

    def _levels(self, pairs: Any) -> Levels:
        return read_levels(self._report, pairs)

    def _book(self, symbol: str) -> BinanceBook:
        if symbol not in self._books:
            self._books[symbol] = BinanceBook()
        return self._books[symbol]


def _symbol(data: dict[str, Any]) -> str:
    symbol = data["s"]
    if type(symbol) is not str or not 0 < len(symbol) <= 64:
        raise RowError("symbol is no text")
    return symbol


def _taker(buyer_is_maker: object) -> int:
    if type(buyer_is_maker) is not bool:
        raise RowError("m is neither true nor false")
    return int(buyer_is_maker)


def _require_sizes(*sizes: int) -> None:
    if any(size < 0 for size in sizes):
        raise RowError("size is negative")
