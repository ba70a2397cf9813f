"""Runs `data record` against a loopback server until it has sent everything, and reads what was recorded."""

import asyncio
from pathlib import Path
from typing import Any

from experiments.download.pacing import RetryPolicy
from experiments.download.recorder import RecordOptions
from experiments.download.recording import RecordQuery, record_streams
from market_models.datasets.text_lines import read_lines
from tests.support.binance_server import Server
from tests.support.binance_stream import BookStream
from tests.support.binance_truth import Truth

TRUTH = Truth(trades=1, bars=2)
SPOT, FUTURES = RecordQuery("binance", ("BTC/USDT",)), RecordQuery("binanceusdm", ("BTC/USDT:USDT",))
OPTIONS = RecordOptions(flush_s=0.05, stale_wait_s=0.05)
QUICK = RetryPolicy(attempts=5, base_s=0.01)


def record(
    feed: BookStream,
    folder: Path,
    query: RecordQuery = SPOT,
    options: RecordOptions = OPTIONS,
    faults: dict[int, str] | None = None,
) -> dict[str, Any]:
    """Record until the server has sent everything and the client has read it (it answers the closing frame)."""

    async def session(url: str) -> dict[str, Any]:
        stop = asyncio.Event()
        recording = asyncio.ensure_future(record_streams(query, folder, stop, options, url, QUICK, 1))
        finished = await asyncio.to_thread(feed.finished.wait, 60)
        stop.set()
        result = await recording
        assert finished
        return result

    with Server(TRUTH, {"depth": faults or {}}, feed) as server:
        return asyncio.run(session(server.url))


def recorded(folder: Path) -> list[tuple[int, str]]:
    """Return (local ns, text) of every line of the folder's files."""
    lines = [line.decode() for path in sorted(folder.glob("*.gz")) for line in read_lines(path)]
    return [(int(head), text) for head, _, text in (line.partition(" ") for line in lines)]


def split(folder: Path) -> tuple[list[str], list[str]]:
    """Return the stream's messages and the snapshots."""
    texts = [text for _, text in recorded(folder)]
    return [t for t in texts if t.startswith('{"stream"')], [t for t in texts if t.startswith('{"lastUpdateId"')]
