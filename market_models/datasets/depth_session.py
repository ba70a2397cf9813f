"""Binance's rule for a local order book: buffered events, the snapshot, and the chain of update ids.

With a snapshot as of update L, events wait until it is there; those that end before it are dropped, and the first one
applied must span it: spot `U <= L + 1 <= u`, futures `U <= L <= u`. Then every event must continue the one before:
spot `U = previous u + 1`, futures `pu = previous u`. Where it does not, lost updates are counted as one gap and the
event is applied all the same; a snapshot that comes after a gap brings the book back in step. An event that ends no
later than what is applied is stale: counted, not applied. A spot session without a snapshot starts from an empty book.
Source: Binance API documentation, "How to manage a local order book correctly", spot and USD-M futures.
"""

from collections import deque
from collections.abc import Iterator
from typing import TypeAlias

from market_models.datasets.binance_raw import DepthEvent, Session, Snapshot

Batch: TypeAlias = DepthEvent | Snapshot  # a Snapshot replaces the whole book

WAITING_EVENTS = 65_536  # kept while no snapshot is there; older ones are lost, which shows as a gap


class DepthChain:
    """State of one session's chain. `feed` takes what arrives and yields what is to be applied, in order."""

    def __init__(self, session: Session) -> None:
        self.futures = session.futures
        self.in_step = not session.snapshots  # without any snapshot the first event starts the book
        self.applied_id: int | None = None
        self.spans_snapshot = True  # False from a snapshot to the first event applied on it
        self.waiting: deque[DepthEvent] = deque(maxlen=WAITING_EVENTS)
        self.gaps = self.stale = self.dropped = self.ignored_snapshots = 0

    def feed(self, event: Batch) -> Iterator[Batch]:
        """Yield the batches that this event makes ready."""
        if isinstance(event, Snapshot):
            yield from self._snapshot(event)
        elif self.applied_id is None and not self.in_step:
            self.waiting.append(event)
        else:
            if not self.in_step:
                self.waiting.append(event)
            yield from self._event(event)

    def _snapshot(self, snapshot: Snapshot) -> Iterator[Batch]:
        if self.in_step and self.applied_id is not None:
            self.ignored_snapshots += 1
            return
        self.in_step, self.applied_id, self.spans_snapshot = True, snapshot.last_id, False
        yield snapshot
        waiting = list(self.waiting)
        self.waiting.clear()
        for event in waiting:
            if not self.in_step:
                self.waiting.append(event)
            yield from self._event(event)

    def _event(self, event: DepthEvent) -> Iterator[Batch]:
        applied = self.applied_id
        if applied is not None:
            if not self.spans_snapshot:
                if event.last_id < applied + (not self.futures):
                    self.dropped += 1
                    return
                whole = event.first_id <= applied + (not self.futures)
            elif event.last_id <= applied:
                self.stale += 1
                return
            elif self.futures:
                whole = event.previous_id == applied
            else:
                whole = event.first_id == applied + 1
            if not whole:
                self.gaps += 1
                if self.in_step:
                    self.waiting.append(event)
                self.in_step = False
        self.applied_id, self.spans_snapshot = event.last_id, True
        yield event
