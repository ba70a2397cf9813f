"""`data record`: the raw streams of a venue as they come, with the receive time, in the form that `data import` reads.

The socket is ours, at ccxt's address: ccxt.pro hands out decoded messages, keeps a book of its own, and subscribes
without the stream's name; an exact replay needs the bytes. REST (markets, snapshots) goes through ccxt.
"""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from experiments.console import CommandFailed
from experiments.download.book_sync import BookSync
from experiments.download.client import Venue
from experiments.download.pacing import RetryPolicy
from experiments.download.stream_log import StreamLog

STREAMS = {"depth": "depth@100ms", "trades": "trade", "bookTicker": "bookTicker"}
OVERFLOW = "buffer full: the disk is slower than the stream"
_SNAPSHOT_LEVELS = 1_000
_YIELD_EVERY = 64  # messages that are taken from the socket before others have their turn
_END_FILE = b""
_STEADY_S = 10.0  # a connection that lived this long does not lengthen the wait before the next
_MOST_LISTED = 1_000  # gaps and disconnects that are told one by one


@dataclass(frozen=True)
class RecordOptions:
    """How to record."""

    streams: tuple[str, ...] = tuple(STREAMS)
    rotate_s: float = 3_600.0
    flush_s: float = 1.0  # a batch, which is fsynced: what a power cut costs at most
    stall_s: float = 120.0  # without any message, though pings are answered: connect anew
    buffer_bytes: int = 64 << 20  # of messages not yet on disk; beyond it messages are dropped and counted
    stale_wait_s: float = 1.0  # before another snapshot is asked for


@dataclass
class Counts:
    """What happened."""

    messages: Counter[str] = field(default_factory=Counter)  # by stream
    snapshots: int = 0
    stale_snapshots: int = 0  # older than the diffs at hand: not written, another was asked for
    num_gaps: int = 0
    gaps: list[dict[str, Any]] = field(default_factory=list)  # the first ones: symbol, local_ns
    num_disconnects: int = 0
    disconnects: list[dict[str, Any]] = field(default_factory=list)  # the first ones: local_ns, reason
    dropped: Counter[str] = field(default_factory=Counter)  # reason -> messages
    unusable: Counter[str] = field(default_factory=Counter)  # reason -> messages
    most_buffered: int = 0  # bytes


def _list(entries: list[dict[str, Any]], **entry: Any) -> None:
    """Add an entry, unless there are many: a bad day must not fill the memory."""
    if len(entries) < _MOST_LISTED:
        entries.append(entry)


class _Symbol:
    """One market: its file, its chain, and what waits to be written."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.log, self.sync = name, StreamLog(folder, name), BookSync()
        self.waiting: list[bytes] = []
        self.file_end_ns = 0
        self.snapshot: asyncio.Task[None] | None = None


class Recorder:
    """Records until it is cancelled; `close` writes what waits and ends the files."""

    def __init__(self, venue: Venue, names: list[str], folder: Path, options: RecordOptions, futures: bool) -> None:
        self.counts, self._venue, self._options, self._futures = Counts(), venue, options, futures
        self._symbols = {name.lower(): _Symbol(name, folder) for name in names}
        self._buffered = 0
        self._is_up = False
        self.on_batch: Callable[[], None] = lambda: None

    @property
    def files(self) -> list[Path]:
        """Return the closed files, symbol by symbol in order of time."""
        return [path for symbol in self._symbols.values() for path in symbol.log.files]

    async def run(self, policy: RetryPolicy, seed: int | None) -> None:
        """Listen and write until cancelled. CommandFailed 3 if the first connection cannot be made."""
        writer = asyncio.ensure_future(self._write_for_ever())
        listener = asyncio.ensure_future(self._listen_for_ever(policy, random.Random(seed)))
        try:
            done, _ = await asyncio.wait((writer, listener), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await task
        finally:
            # A snapshot that fails for good ends the listener; nothing else ends by itself.
            for task in (writer, listener, *(s.snapshot for s in self._symbols.values() if s.snapshot)):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def close(self) -> None:
        """Write what waits, and end the files."""
        for symbol in self._symbols.values():
            self._write(symbol, symbol.waiting)
            symbol.waiting = []
            symbol.log.end_file()

    async def _listen_for_ever(self, policy: RetryPolicy, rng: random.Random) -> None:
        failures = 0
        while True:
            begun_s = time.monotonic()
            reason = await self._listen()
            failures = 0 if time.monotonic() - begun_s >= _STEADY_S else failures + 1
            if self._is_up:
                self.counts.num_disconnects += 1
                _list(self.counts.disconnects, local_ns=time.time_ns(), reason=reason)
            elif not self.counts.num_disconnects and failures >= policy.attempts:
                raise CommandFailed(3, f"{self._venue.name}: no stream at {self._url()}: {reason}; check the network")
            self._is_up = False
            await asyncio.sleep(policy.wait_s(failures, rng))

    async def _listen(self) -> str:
        """Take messages until the connection ends; return why it did."""
        try:
            stall_s = self._options.stall_s
            timeout = aiohttp.ClientWSTimeout(ws_receive=stall_s, ws_close=1.0)  # pyright: ignore[reportCallIssue]
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(self._url(), heartbeat=20.0, timeout=timeout, max_msg_size=16 << 20) as socket,
            ):
                self._is_up = True
                async for number, message in _numbered(socket):
                    self._take(message.data, time.time_ns())
                    if number % _YIELD_EVERY == 0:
                        await asyncio.sleep(0)
                return f"closed with code {socket.close_code}"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"

    def _url(self) -> str:
        base = self._venue.exchange.urls["api"]["ws"]["linear" if self._futures else "spot"]
        names = [f"{name}@{STREAMS[kind]}" for name in self._symbols for kind in self._options.streams]
        return f"{base.removesuffix('/ws')}/stream?streams={'/'.join(names)}"

    def _take(self, raw: str | bytes, local_ns: int) -> None:
        """Keep a message as it is; depth events also run through the chain."""
        text = raw.encode() if isinstance(raw, str) else raw
        try:
            message = json.loads(text)
            name, _, stream = message["stream"].partition("@")
            symbol, event = self._symbols[name], message["data"]
            is_depth = stream.startswith("depth")
            if b"\n" in text or not isinstance(event, dict):
                raise ValueError("message that is no line of an object")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.counts.unusable[f"{type(error).__name__} in a message"] += 1
            return
        if not self._keep(symbol, text, local_ns):
            return
        self.counts.messages[stream] += 1
        if is_depth:
            self._follow(symbol, event, local_ns)

    def _follow(self, symbol: _Symbol, event: dict[str, Any], local_ns: int) -> None:
        try:
            broke = symbol.sync.on_depth(event)
        except ValueError as error:
            self.counts.unusable[str(error)] += 1
            return
        if broke:
            self.counts.num_gaps += 1
            _list(self.counts.gaps, symbol=symbol.name, local_ns=local_ns)
        if symbol.sync.needs_snapshot and (symbol.snapshot is None or symbol.snapshot.done()):
            symbol.snapshot = asyncio.ensure_future(self._take_snapshot(symbol))

    async def _take_snapshot(self, symbol: _Symbol) -> None:
        """Ask until a snapshot connects to the diffs at hand."""
        exchange = self._venue.exchange
        ask = exchange.fapiPublicGetDepth if self._futures else exchange.publicGetDepth
        while symbol.sync.needs_snapshot:
            try:
                body = await self._venue.ask(lambda: ask({"symbol": symbol.name, "limit": _SNAPSHOT_LEVELS}))
            except CommandFailed as error:
                self.counts.unusable[f"no snapshot: {str(error)[:120]}"] += 1
                await asyncio.sleep(self._options.stale_wait_s)
                continue
            # Nothing was awaited since the response: this is its text, as it came.
            text = exchange.last_http_response.encode()
            if b"\n" in text or not symbol.sync.on_snapshot(int(body["lastUpdateId"])):
                self.counts.stale_snapshots += 1
                await asyncio.sleep(self._options.stale_wait_s)
            else:
                self.counts.snapshots += self._keep(symbol, text, time.time_ns(), must=True)

    def _keep(self, symbol: _Symbol, text: bytes, local_ns: int, must: bool = False) -> bool:
        """Put a line where the writer finds it, or drop and count it. A snapshot is one a file: it is always kept."""
        line = b"%d %s\n" % (local_ns, text)
        if self._buffered + len(line) > self._options.buffer_bytes and not must:
            self.counts.dropped[OVERFLOW] += 1
            return False
        if local_ns >= symbol.file_end_ns and not must:
            rotate_ns = int(self._options.rotate_s * 1e9)
            symbol.waiting.append(_END_FILE)
            symbol.file_end_ns = (local_ns // rotate_ns + 1) * rotate_ns
            symbol.sync.begin_file()
        symbol.waiting.append(line)
        self._buffered += len(line)
        self.counts.most_buffered = max(self.counts.most_buffered, self._buffered)
        return True

    async def _write_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._options.flush_s)
            for symbol in self._symbols.values():
                lines, symbol.waiting = symbol.waiting, []
                writing = asyncio.ensure_future(asyncio.to_thread(self._write, symbol, lines))
                try:
                    await asyncio.shield(writing)
                except asyncio.CancelledError:
                    await writing  # what left the buffer gets to the disk
                    raise
                self._buffered -= sum(map(len, lines))
            self.on_batch()

    def _write(self, symbol: _Symbol, lines: list[bytes]) -> None:
        try:
            self._write_batches(symbol, lines)
        except OSError as error:
            raise CommandFailed(
                2, f"cannot write the recording of {symbol.name}: {error}; the next run names what is whole"
            ) from error

    @staticmethod
    def _write_batches(symbol: _Symbol, lines: list[bytes]) -> None:
        batch: list[bytes] = []
        for line in lines:
            if line == _END_FILE:
                symbol.log.write(batch)
                symbol.log.end_file()
                batch = []
            else:
                batch.append(line)
        symbol.log.write(batch)


async def _numbered(socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[tuple[int, aiohttp.WSMessage]]:
    number = 0
    async for message in socket:
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            number += 1
            yield number, message
