"""Binance's rule for a local order book, spot and futures.

Source: Binance API documentation, "How to manage a local order book correctly". With L the snapshot's lastUpdateId and
U, u, pu a diff's first, last and previous update id:
spot: drop diffs with u <= L; the first one used has U <= L+1 <= u; then U of each is u+1 of the one before.
futures: drop diffs with u < L; the first one used has U <= L <= u; then pu of each is u of the one before.
"""

from collections import deque
from typing import NamedTuple

from market_models.datasets.venue_books.base import Levels, Outcome, VenueBook

MAX_BUFFERED = 5_000


class Diff(NamedTuple):
    """One depth event."""

    first: int  # U
    last: int  # u
    previous: int | None  # pu; None on spot
    bids: Levels
    asks: Levels
    time_ns: int = 0  # carried along


class BinanceBook(VenueBook):
    """One symbol's book. Diffs that came before the snapshot are kept and used after it."""

    def __init__(self) -> None:
        super().__init__()
        self.snapshot_id = 0
        self.replayed: list[Diff] = []  # what the last snapshot was followed by at once
        self._chain: int | None = None  # u of the diff before
        self._waits_for_first = False
        self._buffer: deque[Diff] = deque(maxlen=MAX_BUFFERED)

    def on_snapshot(self, last_id: int, bids: Levels, asks: Levels) -> Outcome:
        """Take the snapshot and the kept diffs that are younger; `replayed` lists these.

        STALE: the book is ahead of it, or it is too old to connect to the diffs that were kept: ask for another.
        """
        self.replayed = []
        if self.synced and self._chain is not None and last_id <= self._chain:
            return Outcome.STALE
        younger = [diff for diff in self._buffer if not _is_stale(diff, last_id)]
        if younger and not _connects(younger[0], last_id):
            return Outcome.STALE
        self._buffer.clear()
        self.start(bids, asks)
        self.snapshot_id, self._waits_for_first = last_id, True
        for diff in younger:
            self._use(diff)
        self.replayed = younger
        return Outcome.APPLIED

    def on_diff(self, diff: Diff) -> Outcome:
        """Take one depth event."""
        follows = diff.first <= diff.last and self._follows(diff)
        self._chain = diff.last
        outcome = Outcome.GAP if not follows else self._use(diff) if self.synced else Outcome.WAITING
        if outcome is Outcome.GAP:
            self._buffer.clear()
            self.lose()
        if not self.synced:
            self._buffer.append(diff)
            self.change(diff.bids, diff.asks)
        return outcome

    def _follows(self, diff: Diff) -> bool:
        if self._chain is None:
            return True
        return diff.first == self._chain + 1 if diff.previous is None else diff.previous == self._chain

    def _use(self, diff: Diff) -> Outcome:
        """Apply a diff to a book that began with a snapshot."""
        if self._waits_for_first:
            if _is_stale(diff, self.snapshot_id):
                return Outcome.STALE
            if not _connects(diff, self.snapshot_id):
                return Outcome.GAP
            self._waits_for_first = False
        return self.change(diff.bids, diff.asks)


def _is_stale(diff: Diff, snapshot_id: int) -> bool:
    return diff.last <= snapshot_id if diff.previous is None else diff.last < snapshot_id


def _connects(diff: Diff, snapshot_id: int) -> bool:
    """Return whether a diff that is not stale is the first one after the snapshot."""
    if diff.previous is None:
        return diff.first <= snapshot_id + 1
    # Futures ids are shared by all symbols: a diff whose pu is the snapshot's id follows it as well.
    return diff.first <= snapshot_id or diff.previous == snapshot_id
