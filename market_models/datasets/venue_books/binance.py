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
        self.snapshot_id: int | None = None
        self.replayed: list[Diff] = []  # what the last snapshot was followed by at once
        self._chain: int | None = None  # u of the diff before
        self._waits_for_first = False
        self._buffer: deque[Diff] = deque(maxlen=MAX_BUFFERED)

    def on_snapshot(self, last_id: int, bids: Levels, asks: Levels) -> Outcome:
        """Take the snapshot and the kept diffs that are younger; `replayed` lists these."""
        self.replayed = []
        if self.synced and self._chain is not None and last_id <= self._chain:
            return Outcome.STALE
        kept, self.snapshot_id = list(self._buffer), last_id
        self._buffer.clear()
        self.start(bids, asks)
        self._waits_for_first = True
        for diff in kept:
            outcome = self._use(diff)
            if outcome.broke:
                return outcome
            if outcome is Outcome.APPLIED:
                self.replayed.append(diff)
        return Outcome.APPLIED

    def on_diff(self, diff: Diff) -> Outcome:
        """Take one depth event."""
        if diff.first > diff.last or not self._follows(diff):
            self._chain = diff.last
            self._buffer.clear()
            self.lose()
            self._waits_for_first = False
            self.snapshot_id = None
            self._keep(diff)
            self.change(diff.bids, diff.asks)
            return Outcome.GAP
        self._chain = diff.last
        if not self.synced:
            self._keep(diff)
            return self.change(diff.bids, diff.asks)
        return self._use(diff)

    def _keep(self, diff: Diff) -> None:
        self._buffer.append(diff)

    def _follows(self, diff: Diff) -> bool:
        if self._chain is None:
            return True
        return diff.first == self._chain + 1 if diff.previous is None else diff.previous == self._chain

    def _use(self, diff: Diff) -> Outcome:
        """Apply a diff to a book that began with a snapshot."""
        if not self._waits_for_first:
            return self.change(diff.bids, diff.asks)
        assert self.snapshot_id is not None
        spot = diff.previous is None
        if diff.last <= self.snapshot_id if spot else diff.last < self.snapshot_id:
            return Outcome.STALE
        too_late = diff.first > self.snapshot_id + 1 if spot else diff.first > self.snapshot_id
        # Futures ids are shared by all symbols: a diff whose pu is the snapshot's id follows it as well.
        if too_late and diff.previous != self.snapshot_id:
            self.snapshot_id = None
            return self.lose()
        self._waits_for_first = False
        return self.change(diff.bids, diff.asks)
