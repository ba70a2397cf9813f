"""Runs `data fetch` against a loopback server, and says what the server's truth is."""

import asyncio
from pathlib import Path

import pyarrow.parquet as pq

from experiments.download.history import Fetched, Query, fetch_history
from experiments.download.pacing import RetryPolicy
from tests.support.binance_server import Server
from tests.support.binance_truth import START_MS, Truth

TRUTH = Truth(seed=7, trades=6_000)
TRADES = Query("binance", "BTC/USDT", "trades", "1m", START_MS, START_MS + 100_000_000)
BARS = Query("binance", "BTC/USDT", "ohlcv", "1m", START_MS, START_MS + 100_000_000_000)
FUNDING = Query("binanceusdm", "BTC/USDT:USDT", "funding", "1m", START_MS, START_MS + 100_000_000)
QUICK = RetryPolicy(attempts=6, base_s=0.01)


def fetch(server: Server, folder: Path, query: Query = TRADES, policy: RetryPolicy = QUICK) -> Fetched:
    folder.mkdir(parents=True, exist_ok=True)
    return asyncio.run(fetch_history(query, folder, server.url, policy, seed=1))


def stored(done: Fetched) -> list[tuple]:
    table = pq.read_table(done.path)
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def true_trades(truth: Truth = TRUTH, query: Query = TRADES) -> list[tuple]:
    sides = {True: "sell", False: "buy"}  # the buyer made the price: a seller took it
    inside = [trade for trade in truth.trades if query.from_ms <= trade["T"] < query.to_ms]
    return [(trade["a"], trade["T"], sides[trade["m"]], trade["p"], trade["q"]) for trade in inside]
