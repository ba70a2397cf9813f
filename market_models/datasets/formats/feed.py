"""What the feeds of venues share: books by symbol, and canonical rows from a message's text."""

from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

from market_models.datasets.formats.blocks import MAX_INT64, NULL
from market_models.datasets.formats.fixed import RowError, levels_to_fixed
from market_models.datasets.formats.report import ImportReport
from market_models.datasets.formats.sink import Sink
from market_models.datasets.venue_books.base import Levels, Outcome, VenueBook
from market_models.datasets.venue_books.checksummed import TextLevel

Book = TypeVar("Book", bound=VenueBook)


class BookFeed(Generic[Book]):
    """Writes the messages of one venue, whose book machine `new_book` makes."""

    def __init__(self, sink: Sink, new_book: Callable[[], Book]) -> None:
        self.sink, self.report, self._new_book = sink, sink.report, new_book
        self.report.sequenced = True
        self._books: dict[str, Book] = {}

    def book(self, symbol: str) -> Book:
        """Return the book of a symbol, new or known."""
        if symbol not in self._books:
            self._books[symbol] = self._new_book()
        return self._books[symbol]

    def books(self) -> list[Book]:
        """Return all books."""
        return list(self._books.values())

    def levels(self, pairs: Any) -> Levels:
        """Return [price, size, ...] lists as integers; RowError where they are none."""
        return read_levels(self.report, pairs)

    def text_levels(self, pairs: Any) -> list[TextLevel]:
        """Return [price, size, ...] lists of texts as integers and texts."""
        return [
            TextLevel(price, size, str(pair[0]), str(pair[1]))
            for (price, size), pair in zip(self.levels(pairs), pairs, strict=True)
        ]

    def write_levels(
        self, symbol: str, time_ns: int, local_ns: int, event_id: int, snapshot: bool, bids: Any, asks: Any
    ) -> None:
        """Add the rows of one book message."""
        head = (time_ns, local_ns, self.sink.instrument(symbol), event_id, int(snapshot))
        add_levels(self.sink, head, bids, asks)

    def finish(self, book: VenueBook, outcome: Outcome, time_ns: int | None, clock: str = "") -> None:
        """Commit a book message, count what broke, and judge the book."""
        self.sink.commit(time_ns, clock)
        self.report.gaps += outcome.broke
        if book.synced:
            self.report.judge(*book.book.touch)

    def add_trade(
        self, symbol: str, time_ns: int, local_ns: int, number: int, side: int, price: object, size: object
    ) -> None:
        """Add one trade; `side` is the aggressor's."""
        price_e9, size_e8 = self.report.price(price), self.report.size(size)
        if size_e8 < 0:
            raise RowError("size is negative")
        self.sink.add("trades", time_ns, local_ns, self.sink.instrument(symbol), number, side, price_e9, size_e8)

    def add_quote(self, symbol: str, time_ns: int, local_ns: int, cells: list[object]) -> None:
        """Add a quote of (bid price, bid size, ask price, ask size); an empty price says that the side is empty."""
        row: list[int] = []
        for index in (0, 2):
            if cells[index] in (None, "", 0, "0", "0.0"):
                row += [NULL, NULL]
                continue
            row += [
                self.report.price(cells[index]),
                NULL if cells[index + 1] is None else self.report.size(cells[index + 1]),
            ]
        self.sink.add("quotes", time_ns, local_ns, self.sink.instrument(symbol), *row)

    def add_bar(self, symbol: str, time_ns: int, local_ns: int, prices: list[object], volume: object) -> None:
        """Add one closed bar."""
        row = [self.report.price(value) for value in prices]
        size = self.report.size(volume, "volume")
        if size < 0 or row[1] < max(row[0], row[3]) or row[2] > min(row[0], row[3]):
            raise RowError("high and low do not enclose open and close")
        self.sink.add("bars", time_ns, local_ns, self.sink.instrument(symbol), *row, size)


def read_levels(report: ImportReport, pairs: Any) -> Levels:
    """Return [price, size, ...] lists as integers, also beyond 64 bits: the book has to know such a level."""
    levels = levels_to_fixed(pairs, partial(report.price, bounded=False), partial(report.size, bounded=False))
    if any(size < 0 for _, size in levels):
        raise RowError("size is negative")
    return levels


def add_levels(sink: Sink, head: tuple[int, ...], *sides: Any) -> None:
    """Add a row for each level that 64 bits hold, the first side bids; count the others as omitted."""
    for side, levels in enumerate(sides):
        for level in levels:
            price, size = level[0], level[1]
            if abs(price) > MAX_INT64 or size > MAX_INT64:
                sink.report.omitted["level beyond 64 bits"] += 1
            else:
                sink.add("levels", *head, side, price, size)


def text_of(value: object) -> str:
    """Return a short text; RowError if it is none."""
    if type(value) is not str or not 0 < len(value) <= 128:
        raise RowError("a name is missing")
    return value
