"""The event bus: every journalled record to any number of bounded subscribers, without holding up the session.

A subscriber that asks for old records reads them from the journal's files and then follows live; each has its own
bounded queue. One that falls behind by more than the queue is dropped and told where to continue.
"""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from threading import Condition

from live_bridge.journal import JournalReader
from live_bridge.records import decode
from live_bridge.types import Envelope, SubscriptionDropped

DEFAULT_QUEUE = 4_096


class BusSubscription:
    """One subscriber's stream; see live_bridge/control.py `Subscription`."""

    def __init__(self, bus: "Bus", capacity: int, history: Iterator[Envelope] | None, next_sequence: int) -> None:
        self._bus, self._capacity, self._history = bus, capacity, history
        self._next = next_sequence
        self._queue: deque[Envelope] = deque()
        self._ready = Condition()
        self._dropped = False
        self._told = False
        self._closed = False

    @property
    def ended(self) -> bool:
        """Whether nothing will ever follow."""
        with self._ready:
            return self._closed and not self._queue and self._history is None and (self._told or not self._dropped)

    def get(self, timeout_s: float | None = None) -> Envelope | SubscriptionDropped | None:
        """Return the next envelope, the notice that the stream was dropped, or None (time over, or ended)."""
        if self._history is not None:
            item = next(self._history, None)
            if item is not None:
                self._next = item.sequence + 1
                return item
            self._history = None
        with self._ready:
            if not self._queue and not self._closed:
                self._ready.wait(timeout_s)
            if self._queue:
                item = self._queue.popleft()
                self._next = item.sequence + 1
                return item
            if self._dropped and not self._told:
                self._told = True
                return SubscriptionDropped(self._next, f"more than {self._capacity} records behind")
            return None

    def offer(self, envelope: Envelope) -> bool:
        """Take a record from the session's thread; False if this subscriber is now dropped."""
        with self._ready:
            if self._closed:
                return False
            if len(self._queue) >= self._capacity:
                self._dropped = self._closed = True
            else:
                self._queue.append(envelope)
            self._ready.notify()
            return not self._closed

    def end(self) -> None:
        """Say that the session has ended; what is queued can still be read."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()

    def close(self) -> None:
        """Stop receiving; safe to call twice."""
        self._bus.forget(self)
        with self._ready:
            self._queue.clear()
            self._history = None
            self._closed = self._told = True
            self._ready.notify_all()


class Bus:
    """See live_bridge/control.py `EventBus`. `publish` is called by the session's thread only."""

    def __init__(self, journal_directory: Path, next_sequence: int, capacity: int = DEFAULT_QUEUE) -> None:
        if capacity < 1:
            raise ValueError(f"capacity {capacity} is below 1")
        self._directory, self._capacity = journal_directory, capacity
        self._next = next_sequence
        self._lock = Condition()
        self._subscribers: list[BusSubscription] = []
        self._ended = False
        self.dropped = 0  # subscribers dropped so far

    def subscribe(self, from_sequence: int = 0) -> BusSubscription:
        """Start at record `from_sequence`; 0 means from now on. ValueError if it is beyond the next record."""
        with self._lock:
            if not 0 <= from_sequence <= self._next:
                raise ValueError(f"from_sequence {from_sequence} is outside 0..{self._next}")
            start = from_sequence or self._next
            history = self._history(start, self._next) if start < self._next else None
            subscription = BusSubscription(self, self._capacity, history, start)
            if self._ended:
                subscription.end()
            else:
                self._subscribers.append(subscription)
            return subscription

    def _history(self, start: int, stop: int) -> Iterator[Envelope]:
        for frame in JournalReader(self._directory).frames(start):
            if frame.sequence >= stop:
                return
            yield Envelope(frame.sequence, decode(frame.payload))

    def publish(self, envelopes: list[Envelope]) -> None:
        """Hand records, already in the journal's file, to every subscriber."""
        with self._lock:
            if envelopes:
                self._next = envelopes[-1].sequence + 1
            for subscription in list(self._subscribers):
                if not all(subscription.offer(envelope) for envelope in envelopes):
                    self._subscribers.remove(subscription)
                    self.dropped += 1

    def forget(self, subscription: BusSubscription) -> None:
        """Take a subscriber off the list."""
        with self._lock:
            if subscription in self._subscribers:
                self._subscribers.remove(subscription)

    def end(self) -> None:
        """Tell every subscriber that the session has ended."""
        with self._lock:
            self._ended = True
            for subscription in self._subscribers:
                subscription.end()
            self._subscribers.clear()
