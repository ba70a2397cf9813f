"""Venues whose messages carry a checksum of the best levels: Kraken, OKX, Bitfinex.

A checksum is made of the venue's own text of prices and sizes, so these books keep that text beside the integers.
"""

import zlib
from typing import NamedTuple

from market_models.datasets.venue_books.base import ASK, BID, Levels, Outcome, VenueBook


class TextLevel(NamedTuple):
    """A level as integers and as the venue wrote it."""

    price: int
    size: int  # 0 removes
    price_text: str
    size_text: str


class _TextBook(VenueBook):
    def __init__(self) -> None:
        super().__init__()
        self._texts: tuple[dict[int, tuple[str, str]], dict[int, tuple[str, str]]] = ({}, {})

    def lose(self, outcome: Outcome = Outcome.GAP) -> Outcome:
        for texts in self._texts:
            texts.clear()
        return super().lose(outcome)

    def _start(self, bids: list[TextLevel], asks: list[TextLevel]) -> Outcome:
        for texts in self._texts:
            texts.clear()
        self._remember(bids, asks)
        return self.start(_plain(bids), _plain(asks))

    def _change(self, bids: list[TextLevel], asks: list[TextLevel]) -> Outcome:
        self._remember(bids, asks)
        return self.change(_plain(bids), _plain(asks))

    def _remember(self, bids: list[TextLevel], asks: list[TextLevel]) -> None:
        for side, levels in ((BID, bids), (ASK, asks)):
            for level in levels:
                if level.size:
                    self._texts[side][level.price] = (level.price_text, level.size_text)
                else:
                    self._texts[side].pop(level.price, None)

    def _top_texts(self, side: int, count: int) -> list[tuple[str, str]]:
        return [self._texts[side][price] for price in self.book.top(side, count)]


class KrakenBook(_TextBook):
    """Kraken WebSocket v1 book: CRC32 of the ten best asks, then bids, after each update; levels beyond `depth` go.

    Each price and size enters without its decimal point and without leading zeros. Source: Kraken, "Book checksum".
    """

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.depth = depth

    def on_snapshot(self, bids: list[TextLevel], asks: list[TextLevel]) -> Outcome:
        """Begin anew."""
        return self._start(bids, asks)

    def on_update(self, bids: list[TextLevel], asks: list[TextLevel], checksum: int | None) -> Outcome:
        """Apply an update and compare the checksum."""
        if not self.synced:
            return self.lose() if self.missed_start() else Outcome.WAITING
        self._change(bids, asks)
        for side in (BID, ASK):
            gone = [(price, 0) for price in self.book.beyond(side, self.depth)]
            self.book.apply(*((gone, []) if side == BID else ([], gone)))
            for price, _ in gone:
                self._texts[side].pop(price, None)
        if checksum is not None and checksum != self.checksum():
            return self.lose(Outcome.CHECKSUM)
        return Outcome.APPLIED

    def checksum(self) -> int:
        """Return the CRC32 of the ten best levels of each side."""
        text = "".join(
            part.replace(".", "").lstrip("0")
            for side in (ASK, BID)
            for pair in self._top_texts(side, 10)
            for part in pair
        )
        return zlib.crc32(text.encode())


class OkxBook(_TextBook):
    """OKX `books` channel: prevSeqId is the seqId before, and/or a signed CRC32 of 25 levels "bid:size:ask:size:...".

    Source: OKX API v5, "Order book channel", "Checksum". Recordings of before 2023 have no seqId.
    """

    def __init__(self) -> None:
        super().__init__()
        self.last_seq: int | None = None

    def on_snapshot(
        self, bids: list[TextLevel], asks: list[TextLevel], seq: int | None, checksum: int | None
    ) -> Outcome:
        """Begin anew and compare the checksum."""
        self.last_seq = seq
        self._start(bids, asks)
        return self._judge(checksum)

    def on_update(
        self, bids: list[TextLevel], asks: list[TextLevel], seq: int | None, previous: int | None, checksum: int | None
    ) -> Outcome:
        """Apply an update and compare sequence and checksum."""
        if not self.synced:
            self.last_seq = seq
            return self.lose() if self.missed_start() else Outcome.WAITING
        follows = previous is None or self.last_seq is None or previous == self.last_seq
        self.last_seq = seq
        if not follows:
            return self.lose()
        self._change(bids, asks)
        return self._judge(checksum)

    def _judge(self, checksum: int | None) -> Outcome:
        if checksum is not None and checksum != self.checksum():
            return self.lose(Outcome.CHECKSUM)
        return Outcome.APPLIED

    def checksum(self) -> int:
        """Return the signed CRC32 of the 25 best levels, bids and asks by turns."""
        return _signed(zlib.crc32(":".join(_by_turns(self._top_texts(BID, 25), self._top_texts(ASK, 25))).encode()))


class BitfinexBook(_TextBook):
    """Bitfinex P0 book; a `cs` message holds the signed CRC32 of 25 levels by turns, sizes of asks negative.

    Source: Bitfinex WebSocket v2, "Checksum". The sequence (flag SEQ_ALL) is the connection's: see `SequenceChain`.
    """

    def on_snapshot(self, bids: list[TextLevel], asks: list[TextLevel]) -> Outcome:
        """Begin anew."""
        return self._start(bids, asks)

    def on_update(self, bids: list[TextLevel], asks: list[TextLevel]) -> Outcome:
        """Apply an update."""
        return self.lose() if self.missed_start() else self._change(bids, asks)

    def on_checksum(self, checksum: int) -> Outcome:
        """Compare the venue's checksum with ours."""
        if not self.synced:
            return Outcome.STALE
        ours = _signed(zlib.crc32(":".join(_by_turns(self._top_texts(BID, 25), self._top_texts(ASK, 25))).encode()))
        return Outcome.APPLIED if checksum == ours else self.lose(Outcome.CHECKSUM)


def _plain(levels: list[TextLevel]) -> Levels:
    return [(level.price, level.size) for level in levels]


def _by_turns(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> list[str]:
    out: list[str] = []
    for index in range(max(len(bids), len(asks))):
        for levels in (bids, asks):
            if index < len(levels):
                out.extend(levels[index])
    return out


def _signed(crc: int) -> int:
    return crc - (1 << 32) if crc >= 1 << 31 else crc
