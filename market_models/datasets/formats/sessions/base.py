"""What session decoders share."""

from collections.abc import Callable
from typing import Any

from market_models.datasets.formats.feed import BookFeed, text_of
from market_models.datasets.formats.fixed import RowError
from market_models.datasets.formats.sink import Sink
from market_models.datasets.venue_books.base import SequenceChain, VenueBook


class NoAnswers:
    """A decoder for which REST answers only describe instruments."""

    sink: Sink

    def connected(self, conn: str, addr: str) -> None:
        """Nothing hangs on a connection."""

    def answer(self, url: str, body: Any, local_ns: int) -> None:
        """Count the answer; what instruments there are is not stored."""
        self.sink.skip("REST answer on instruments")


class Chains:
    """The sequence of each connection, and which books a break of it concerns."""

    def __init__(self, feed: BookFeed[Any]) -> None:
        self._feed = feed
        self._chains: dict[str, SequenceChain] = {}

    def opened(self, conn: str) -> None:
        """Take the next number of the connection as it comes."""
        self._chains[conn] = SequenceChain()

    def follow(self, conn: str, number: int, books: list[VenueBook]) -> None:
        """Count a gap where the number does not follow, and give up the connection's books."""
        if not self._chains.setdefault(conn, SequenceChain()).follow(number):
            self._feed.report.gaps += 1
            for book in books:
                book.lose()


def pick(levels: Any, first: str, second: str) -> list[list[Any]]:
    """Return [[price, size], ...] of a list of objects."""
    if type(levels) is not list:
        raise RowError("levels are not a list")
    return [[level[first], level[second]] for level in levels]


def dispatch(table: dict[str, Callable[..., None]], kind: object) -> Callable[..., None]:
    """Return the handler of a message type; RowError if there is none."""
    handler = table.get(text_of(kind))
    if handler is None:
        raise RowError("unknown message type")
    return handler
