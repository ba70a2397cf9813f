"""Recorded sessions of Bybit v5: the public linear, inverse and spot streams."""

from typing import Any

from market_models.datasets.formats.bybit_feed import BybitFeed
from market_models.datasets.formats.sessions.base import NoAnswers
from market_models.datasets.formats.sink import Sink


class Session(NoAnswers):
    """Symbols of the spot stream are called spot.SYMBOL: the linear stream has the same ones."""

    def __init__(self, sink: Sink) -> None:
        self.sink, self.feed = sink, BybitFeed(sink)
        self.prefix: dict[str, str] = {}

    def connected(self, conn: str, addr: str) -> None:
        """Learn which market a connection is of."""
        self.prefix[conn] = "spot." if addr.rstrip("/").endswith("/spot") else ""

    def frame(self, conn: str, body: Any, local_ns: int) -> None:
        """Take one message."""
        self.feed.message(body, local_ns, self.prefix.get(conn, ""))
