"""A seeded book that streams over a websocket as Binance's combined stream does, and knows what it sent.

`faults` happen one after the other, each once a snapshot was served after the one before and CALM_STEPS have passed:
`skip` (a depth event is not sent), `disconnect` (the connection is closed and four updates pass before a client is
served again), `stall` (as that, and the connection stays: pings are answered, nothing is sent until the client goes).
Every symbol that is subscribed has the same book. The stream lasts `steps`, and until each fault was followed by a
snapshot; then it closes.
"""

import asyncio
import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

CALM_STEPS = 100


class BookStream:
    """One symbol. `sent` holds what went to a client, in order, with the connection's number."""

    def __init__(
        self,
        seed: int = 0,
        steps: int = 120,
        faults: Sequence[str] = (),
        futures: bool = False,
        pause_s: float = 0.002,
        padding: int = 0,
        wants_snapshots: int = 0,
    ) -> None:
        self._rng, self._steps, self._faults, self._futures = random.Random(seed), steps, list(faults), futures
        self._pause_s, self._padding, self._wants_snapshots = pause_s, padding, max(wants_snapshots, len(faults) + 1)
        self.sent: list[str] = []
        self.snapshots: list[str] = []
        self.finished = threading.Event()
        self.connections = self.faults_done = 0
        self._id, self._step, self._trade = 10_000, 0, 500
        # Bids stay below 1,000 and asks above: no mixture of old and new levels is crossed.
        self._book = (dict.fromkeys(range(950, 1000), 5), dict.fromkeys(range(1001, 1051), 5))
        self._first_snapshot = self._snapshot()
        self._served_at_step = 0
        self._names: list[str] = []
        self._calls: dict[int, Callable[[], None]] = {}

    def at_step(self, step: int, call: Callable[[], None]) -> None:
        """Call this when the step begins."""
        self._calls[step] = call

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Stream from where the book is, until a fault or the end."""
        if self.finished.is_set():
            return web.Response(status=503)
        streams = request.query["streams"].split("/")
        assert "btcusdt@depth@100ms" in streams
        self._names = list(dict.fromkeys(stream.split("@")[0] for stream in streams))
        socket = web.WebSocketResponse(autoclose=True)
        await socket.prepare(request)
        self.connections += 1
        while not self._is_over():
            self._step += 1
            self._calls.pop(self._step, _nothing)()
            fault = self._next_fault()
            await self._send_step(socket, fault)
            if fault == "stall":
                for _ in range(4):
                    self._change()
                await socket.receive()  # pings are answered inside; returns when the client goes
                return socket
            if fault == "disconnect":
                for _ in range(4):
                    self._change()
                assert request.transport is not None
                request.transport.close()
                return socket
            await asyncio.sleep(self._pause_s)
        await socket.close()  # returns once the client has read all of it and answers
        self.finished.set()
        return socket

    async def snapshot(self, query: dict[str, str], fault: str) -> str:
        """Return the book of now, or an old one where the fault is `stale`."""
        assert query["symbol"].lower() in self._names
        if fault == "stale":
            return self._first_snapshot
        self._served_at_step = self._step
        self.snapshots.append(self._snapshot())
        return self.snapshots[-1]

    def _is_over(self) -> bool:
        calm = self._step >= self._served_at_step + CALM_STEPS
        return self._step >= self._steps and len(self.snapshots) >= self._wants_snapshots and calm

    def _next_fault(self) -> str:
        happened = self.faults_done
        calm = self._step >= self._served_at_step + CALM_STEPS
        if happened == len(self._faults) or len(self.snapshots) <= happened or not calm:
            return ""
        self.faults_done += 1
        return self._faults[happened]

    async def _send_step(self, socket: web.WebSocketResponse, fault: str) -> None:
        event = self._change()
        best = (max(self._book[0]), min(self._book[1]))
        ticker = {
            "u": self._id,
            "s": "BTCUSDT",
            "b": _price(best[0]),
            "B": str(self._book[0][best[0]]),
            "a": _price(best[1]),
            "A": str(self._book[1][best[1]]),
        }
        if fault != "skip":
            await self._send(socket, "bookTicker", ticker)
            await self._send(socket, "depth@100ms", event)
        if self._step % 10 == 0:
            self._trade += 1
            trade = {"t": self._trade, "p": _price(best[0]), "q": "1", "m": True, "T": _now_ms()}
            await self._send(socket, "trade", {"e": "trade", "E": _now_ms(), "s": "BTCUSDT", **trade, "X": "MARKET"})

    async def _send(self, socket: web.WebSocketResponse, stream: str, data: dict[str, Any]) -> None:
        if self._padding:
            data = {**data, "padding": "x" * self._padding}
        text = json.dumps({"stream": f"btcusdt@{stream}", "data": data}, separators=(",", ":"))
        for name in self._names:
            await socket.send_str(in_name_of(name, text))
        self.sent.append(text)

    def _change(self) -> dict[str, Any]:
        """Change some levels; return the depth event."""
        previous, count = self._id, self._rng.randint(1, 4)
        self._id += count
        sides: tuple[list, list] = ([], [])
        for _ in range(count):
            side = self._rng.randint(0, 1)
            tick = self._rng.choice((range(985, 1000), range(1001, 1016))[side])
            lots = self._rng.choice((0, 1, 2, 7))
            self._book[side].pop(tick, None)
            if lots:
                self._book[side][tick] = lots
            sides[side].append([_price(tick), str(lots)])
        own = {"U": previous + 1, "u": self._id, **({"pu": previous, "T": _now_ms()} if self._futures else {})}
        return {"e": "depthUpdate", "E": _now_ms(), "s": "BTCUSDT", **own, "b": sides[0], "a": sides[1]}

    def _snapshot(self) -> str:
        bids = [[_price(tick), str(lots)] for tick, lots in sorted(self._book[0].items(), reverse=True)]
        asks = [[_price(tick), str(lots)] for tick, lots in sorted(self._book[1].items())]
        times = {"E": _now_ms(), "T": _now_ms()} if self._futures else {}
        return json.dumps({"lastUpdateId": self._id, **times, "bids": bids, "asks": asks}, separators=(",", ":"))


def in_name_of(name: str, text: str) -> str:
    """Return a message of BTCUSDT as that of another symbol, whose book is the same."""
    return text.replace("btcusdt", name).replace("BTCUSDT", name.upper())


def _nothing() -> None:
    pass


def _price(tick: int) -> str:
    return f"{tick / 100:.2f}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
