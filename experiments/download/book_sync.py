"""What a recorder must know of a book: whether an update was lost, and whether the file has a snapshot that fits."""

from typing import Any

from market_models.datasets.venue_books import BinanceBook, Outcome
from market_models.datasets.venue_books.binance import Diff


class BookSync:
    """The chain of one symbol's update ids. It holds no levels; the rule is `venue_books.BinanceBook`'s.

    A chain of the stream runs through all files; whether a snapshot fits is judged file by file, since each is to be
    read alone.
    """

    def __init__(self) -> None:
        self._last: int | None = None
        self._book = BinanceBook()
        self._has_diffs = False  # of this file

    @property
    def needs_snapshot(self) -> bool:
        """Whether the file has diffs and no snapshot that connects to them."""
        return not self._book.synced

    def begin_file(self) -> None:
        """Start a file: it needs a snapshot of its own."""
        self._book, self._has_diffs = BinanceBook(), False

    def on_depth(self, event: dict[str, Any]) -> bool:
        """Take a depth event; return whether updates before it were lost. ValueError if it has no update ids."""
        try:
            first, last = int(event["U"]), int(event["u"])
            previous = int(event["pu"]) if "pu" in event else None
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError("a depth event without update ids") from error
        before, self._last, self._has_diffs = self._last, last, True
        outcome = self._book.on_diff(Diff(first, last, previous, [], []))
        broke = before is not None and (first != before + 1 if previous is None else previous != before)
        return broke or outcome.broke

    def on_snapshot(self, last_id: int) -> bool:
        """Take a snapshot; return whether it connects to the diffs of the file. If not, another is to be asked for."""
        return self._has_diffs and self._book.on_snapshot(last_id, [], []) is not Outcome.STALE
