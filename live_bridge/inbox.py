"""The session's inbox: commands from any thread to the single writer, bounded, with room kept for the kill switch."""

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Condition
from typing import Any

from live_bridge.types import (
    BookEvent,
    CancelRequest,
    CommandResult,
    Control,
    HoldingMark,
    LimitsChange,
    OrderRequest,
)

INBOX_FULL = "INBOX_FULL"
SESSION_ENDED = "SESSION_ENDED"
Request = Control | LimitsChange | HoldingMark | OrderRequest | CancelRequest | BookEvent


@dataclass(frozen=True)
class Letter:
    """A request and who waits for its answer."""

    request: Request
    future: Future[Any]


class Inbox:
    """First in, first out; urgent letters enter even when it is full and go first."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity {capacity} is below 1")
        self._capacity = capacity
        self._letters: deque[Letter] = deque()
        self._urgent: deque[Letter] = deque()
        self._ready = Condition()
        self._closed = False

    def put(self, request: Request, urgent: bool = False) -> Future[Any]:
        """Hand in a request; its future fails or answers at once where the inbox is full or closed."""
        letter = Letter(request, Future())
        with self._ready:
            if not self._closed and (urgent or len(self._letters) < self._capacity):
                (self._urgent if urgent else self._letters).append(letter)
                self._ready.notify()
                return letter.future
            reason = SESSION_ENDED if self._closed else INBOX_FULL
        turn_away(letter, reason)
        return letter.future

    def take(self) -> Letter | None:
        """Return the next letter, urgent ones first, or None."""
        with self._ready:
            if self._urgent:
                return self._urgent.popleft()
            return self._letters.popleft() if self._letters else None

    def wait(self, timeout_s: float) -> None:
        """Wait until a letter is there or the time is over."""
        with self._ready:
            if not self._urgent and not self._letters:
                self._ready.wait(timeout_s)

    def close(self) -> None:
        """Turn away what waits and everything to come."""
        with self._ready:
            self._closed = True
            waiting = [*self._urgent, *self._letters]
            self._urgent.clear()
            self._letters.clear()
        for letter in waiting:
            turn_away(letter, SESSION_ENDED)


def turn_away(letter: Letter, reason: str) -> None:
    """Answer a request that is not taken."""
    if isinstance(letter.request, BookEvent):
        letter.future.set_exception(RuntimeError(f"the book was not taken: {reason}"))
    else:
        letter.future.set_result(CommandResult(False, 0, "", reason))
