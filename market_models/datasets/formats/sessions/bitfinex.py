"""Recorded sessions of Bitfinex v2: books (P0), trades, tickers; with the sequence of flag 65536, or checksums."""

from typing import Any

from market_models.datasets.formats.blocks import NULL
from market_models.datasets.formats.feed import BookFeed, text_of
from market_models.datasets.formats.fixed import RowError, to_int, to_time
from market_models.datasets.formats.sessions.base import Chains, NoAnswers
from market_models.datasets.formats.sink import Sink
from market_models.datasets.venue_books import BitfinexBook
from market_models.datasets.venue_books.checksummed import TextLevel

_MS = 1_000_000
_SEQUENCE_FLAG = 65_536


class Session(NoAnswers):
    """Frames [channel id, payload, sequence?]; events tell what a channel is."""

    def __init__(self, sink: Sink) -> None:
        self.sink, self.feed = sink, BookFeed(sink, BitfinexBook)
        self.chains = Chains(self.feed)
        self.channels: dict[tuple[str, int], tuple[str, str]] = {}  # (connection, id) -> (channel, symbol)
        self.numbered: set[str] = set()

    def connected(self, conn: str, addr: str) -> None:
        """A connection's sequence begins anew."""
        self.chains.opened(conn)

    def frame(self, conn: str, body: Any, local_ns: int) -> None:
        """Take one frame."""
        if type(body) is dict:
            self._event(conn, body)
            return
        payload, number = self._numbered(conn, body)
        channel, symbol = self.channels.get((conn, to_int(body[0], "channel id")), ("", ""))
        handler = {"book": self._book, "trades": self._trades, "ticker": self._ticker}.get(channel)
        if payload == ["hb"]:
            self._follow(conn, number)
            self.sink.skip("heartbeat")
        elif handler is None:
            self._follow(conn, number)
            if not channel:
                raise RowError("channel was not subscribed")
            self.sink.skip(f"{channel} message")
        else:
            handler(conn, symbol, payload, number, local_ns)

    def _event(self, conn: str, body: dict[str, Any]) -> None:
        kind = text_of(body["event"])
        if kind == "subscribed":
            symbol = text_of(body.get("symbol", body.get("key")))
            self.channels[conn, to_int(body["chanId"], "chanId")] = (text_of(body["channel"]), symbol.removeprefix("t"))
        elif kind == "conf" and to_int(body.get("flags", 0), "flags") & _SEQUENCE_FLAG:
            self.numbered.add(conn)
        self.sink.skip(f"{kind} event")

    def _numbered(self, conn: str, body: list[Any]) -> tuple[list[Any], int | None]:
        if conn not in self.numbered:
            return body[1:], None
        if len(body) < 3:
            raise RowError("a frame without a sequence number")
        return body[1:-1], to_int(body[-1], "sequence number")

    def _follow(self, conn: str, number: int | None) -> None:
        if number is not None:
            symbols = {
                symbol for (owner, _), (kind, symbol) in self.channels.items() if owner == conn and kind == "book"
            }
            self.chains.follow(conn, number, [self.feed.book(symbol) for symbol in symbols])

    def _book(self, conn: str, symbol: str, payload: list[Any], number: int | None, local_ns: int) -> None:
        book = self.feed.book(symbol)
        if payload[0] == "cs":
            checksum = to_int(payload[1], "checksum")
            self._follow(conn, number)
            self.feed.report.gaps += book.on_checksum(checksum).broke
            self.sink.skip("checksum")
            return
        entries = payload[0]
        snapshot = (bool(entries) and type(entries[0]) is list) or not entries
        bids, asks = self._sides(entries if snapshot else [entries])
        self._follow(conn, number)
        outcome = book.on_snapshot(bids, asks) if snapshot else book.on_update(bids, asks)
        self.feed.write_levels(symbol, NULL, local_ns, number or local_ns, snapshot, bids, asks)
        self.feed.finish(book, outcome, local_ns, conn)

    def _sides(self, entries: list[list[Any]]) -> tuple[list[TextLevel], list[TextLevel]]:
        """Read [price, count, +-amount]: a count of 0 removes the level, a negative amount is an ask."""
        sides: tuple[list[TextLevel], list[TextLevel]] = ([], [])
        for price_text, count, amount_text in entries:
            price, amount = self.feed.report.price(price_text), self.feed.report.size(amount_text)
            if price <= 0 or not amount or to_int(count, "count") < 0:
                raise RowError("a level without price or amount")
            size = abs(amount) if count else 0
            sides[amount < 0].append(TextLevel(price, size, str(price_text), str(amount_text)))
        return sides

    def _trades(self, conn: str, symbol: str, payload: list[Any], number: int | None, local_ns: int) -> None:
        if payload[0] == "te":
            trade_id, time, amount, price = payload[1][:4]
            size = self.feed.report.size(amount)
            side, size_text = int(size < 0), str(amount).removeprefix("-")
            time_ns = to_time(time, _MS)
            trade = to_int(trade_id, "trade id")
            self.feed.add_trade(symbol, time_ns, local_ns, trade, side, price, size_text)
            self._follow(conn, number)
            self.sink.commit(local_ns, conn)
            return
        self._follow(conn, number)
        # "tu" repeats "te"; a list is what was traded before the session.
        self.sink.skip("trade confirmed again" if payload[0] == "tu" else "trades of before the session")

    def _ticker(self, conn: str, symbol: str, payload: list[Any], number: int | None, local_ns: int) -> None:
        self.feed.add_quote(symbol, NULL, local_ns, payload[0][:4])
        self._follow(conn, number)
        self.sink.commit(local_ns, conn)
