"""Recorded sessions of Binance: spot, US, USD-margined and coin-margined futures."""

import re
from typing import Any

from market_models.datasets.formats.binance_feed import BinanceFeed
from market_models.datasets.formats.fixed import RowError
from market_models.datasets.formats.sink import Sink


class Session:
    """The combined stream, and depth snapshots by REST."""

    def __init__(self, sink: Sink) -> None:
        self.sink, self.feed = sink, BinanceFeed(sink)

    def connected(self, conn: str, addr: str) -> None:
        """Nothing hangs on a connection: each symbol's ids tell what was lost."""

    def answer(self, url: str, body: Any, local_ns: int) -> None:
        """Take a depth snapshot; other answers describe instruments."""
        found = re.search(r"/depth\?(?:.*&)?symbol=([A-Za-z0-9_]{1,40})", url)
        if found:
            self.feed.snapshot(found[1].upper(), body, local_ns)
        else:
            self.sink.skip("REST answer on instruments")

    def frame(self, conn: str, body: Any, local_ns: int) -> None:
        """Take a frame of the combined stream."""
        if "stream" in body:
            self.feed.event(body["data"], local_ns)
        elif "result" in body:
            self.sink.skip("reply to a subscription")
        else:
            raise RowError("no stream")
