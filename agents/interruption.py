"""SIGINT and SIGTERM as a flag that a loop reads between two updates."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interruption:
    """Which signal arrived, if any: `name` is None, "SIGINT" or "SIGTERM"."""

    def __init__(self) -> None:
        self.name: str | None = None


@contextmanager
def noticed() -> Iterator[Interruption]:
    """Turn the first SIGINT or SIGTERM into a flag; a second one acts as it did before.

    Outside the main thread, where Python allows no handlers, signals are left alone.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        before.clear()

    def notice(number: int, frame: FrameType | None) -> None:
        interruption.name = signal.Signals(number).name
        restore()

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, notice)
    try:
        yield interruption
    finally:
        restore()
