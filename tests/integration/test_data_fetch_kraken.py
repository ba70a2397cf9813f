"""`data fetch` of bars from a venue that keeps only its latest ones, whatever is asked for: Kraken, on loopback."""

import asyncio
import threading
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
from aiohttp import web

from experiments.download.history import Query, fetch_history
from tests.support.binance_truth import MINUTE_MS, START_MS, Truth

KEPT = 720  # "up to 720 of the most recent entries", Kraken API documentation, OHLC
PAIR = {
    "altname": "XBTUSD",
    "wsname": "XBT/USD",
    "base": "XXBT",
    "quote": "ZUSD",
    "pair_decimals": 2,
    "lot_decimals": 8,
    "status": "online",
    "ordermin": "0.0001",
    "fees": [[0, 0.26]],
    "fees_maker": [[0, 0.16]],
    "leverage_buy": [],
    "leverage_sell": [],
}


class KrakenServer:
    """Bars of `truth`, the last of which is open, in Kraken's words; the first answer to OHLC is an error."""

    def __init__(self, truth: Truth) -> None:
        self._truth, self.counts, self.url = truth, Counter[str](), ""
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()

    def __enter__(self) -> "KrakenServer":
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    async def _run(self) -> None:
        self._stop, app = asyncio.Event(), web.Application()
        app.router.add_get("/0/public/{endpoint}", self._answer)
        runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        endpoint = request.match_info["endpoint"]
        self.counts[endpoint] += 1
        if endpoint == "Time":
            return web.json_response({"error": [], "result": {"unixtime": self._truth.now_ms // 1000}})
        if endpoint == "AssetPairs":
            return web.json_response({"error": [], "result": {"XXBTZUSD": PAIR}})
        assert (endpoint, request.query["interval"], request.query["pair"]) == ("OHLC", "1", "XXBTZUSD")
        if self.counts[endpoint] == 1:
            return web.json_response({"error": ["EService:Unavailable"]}, status=520)
        since = int(request.query["since"])
        rows = [
            [bar[0] // 1000, *bar[1:5], "0.0", bar[5], 1] for bar in self._truth.bars[-KEPT:] if bar[0] // 1000 > since
        ]
        return web.json_response({"error": [], "result": {"XXBTZUSD": rows, "last": 0}})


def test_a_history_that_begins_later_than_asked_is_whole_from_there_and_says_so(tmp_path: Path) -> None:
    truth = Truth(seed=2, trades=1, bars=1_000)
    query = Query("kraken", "BTC/USD", "ohlcv", "1m", START_MS, START_MS + 1_000 * MINUTE_MS)
    with KrakenServer(truth) as server:
        done = asyncio.run(fetch_history(query, tmp_path, server.url, seed=1))
        assert server.counts["OHLC"] >= 2
    rows = list(zip(*(column.to_pylist() for column in pq.read_table(done.path).columns), strict=True))
    assert rows == [(bar[0], *bar[1:6]) for bar in truth.bars[-KEPT:-1]]
    assert "the venue's history begins 280 bars after --from" in done.notes
    assert done.retries == {"HTTP 520": 1}
