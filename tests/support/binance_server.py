"""A server that speaks Binance's public REST and websocket interface on loopback, from a seeded truth, and misbehaves.

It shares no code with the client: what it serves is computed from `Truth`, and what it was asked is kept in `requests`.
A fault is planned by endpoint and request number: `Server(truth, {"aggTrades": {3: "error"}})` fails the third.
"""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web

WEIGHTS = {"exchangeInfo": 20, "aggTrades": 2, "klines": 2, "depth": 50, "time": 1, "fundingRate": 5}
RETRY_AFTER_S = 1


class Server:
    """Runs in a thread of its own: `with Server(truth) as server: ... server.url`."""

    def __init__(self, truth: Any, faults: dict[str, dict[int, str]] | None = None, feed: Any = None) -> None:
        self.truth, self.faults, self.feed = truth, faults or {}, feed
        self.requests: list[tuple[float, str, dict[str, str]]] = []  # (monotonic s, endpoint, query)
        self.counts: Counter[str] = Counter()
        self.closed_until = 0.0  # monotonic s before which a client that was told to wait must not come
        self.early = 0  # requests that came in that time
        self.on_request: Callable[[int], None] | None = None
        self.url = ""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> "Server":
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def most_weight(self, window_s: float) -> float:
        """Return the most weight that was asked for within any window."""
        most, total, first = 0, 0, 0
        for at, endpoint, _ in self.requests:
            total += WEIGHTS[endpoint]
            while self.requests[first][0] <= at - window_s:
                total -= WEIGHTS[self.requests[first][1]]
                first += 1
            most = max(most, total)
        return most

    async def _run(self) -> None:
        self.loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        for prefix in ("/api/v3", "/fapi/v1"):
            app.router.add_get(prefix + "/{endpoint}", self._answer)
        app.router.add_get("/stream", self._stream)
        runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        return await self.feed.serve(request)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        endpoint, query = request.match_info["endpoint"], dict(request.query)
        now = time.monotonic()
        self.early += now < self.closed_until
        self.requests.append((now, endpoint, query))
        self.counts[endpoint] += 1
        if self.on_request:
            self.on_request(len(self.requests))
        fault = self.faults.get(endpoint, {}).get(self.counts[endpoint], "")
        if fault == "slow down":
            self.closed_until = now + RETRY_AFTER_S
            return _json({"code": -1003, "msg": "Too many requests."}, 429, {"Retry-After": str(RETRY_AFTER_S)})
        if fault == "error":
            return web.Response(status=500, text="<html>Internal Server Error</html>", content_type="text/html")
        if fault == "refuse":
            return _json({"code": -1100, "msg": "Illegal characters found in a parameter."}, 400)
        if endpoint == "depth":
            return _json(await self.feed.snapshot(query, fault))
        body = getattr(self.truth, endpoint)({**query, "futures": str(request.path.startswith("/fapi"))})
        if fault in ("drop", "torn"):
            return await _cut(request, json.dumps(body), fault)
        return _json(_spoiled(body, fault, self.truth, query) if fault else body)


def _spoiled(body: Any, fault: str, truth: Any, query: dict[str, str]) -> Any:
    """Return an answer of whole JSON that is not what was asked."""
    if fault.startswith("page "):
        pages = -1 if fault == "page before" else 1
        return truth.aggTrades({**query, "fromId": str(int(query["fromId"]) + pages * int(query["limit"]))})
    third = len(body) // 3
    spoiled = {
        "backwards": body[::-1],
        "twice": body + body[len(body) // 2 :],
        "hole": body[:third] + body[third + 7 :],
        "empty": [],
    }
    return spoiled[fault]


async def _cut(request: web.Request, text: str, fault: str) -> web.StreamResponse:
    """Answer with half a body: `drop` breaks the connection inside it, `torn` claims that it is whole."""
    half = text[: len(text) // 2].encode()
    if fault == "torn":
        return web.Response(body=half, content_type="application/json")
    response = web.StreamResponse(headers={"Content-Length": str(len(text)), "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(half)
    assert request.transport is not None
    request.transport.close()
    return response


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    text = body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))
    return web.Response(status=status, text=text, content_type="application/json", headers=headers)
