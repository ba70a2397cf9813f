"""A seeded market as Binance's REST interface tells it: trades, bars and funding rates that a client must recover."""

import random
import time
from typing import Any

START_MS = 1_700_000_000_000 // 3_600_000 * 3_600_000
_PERPETUAL = {"contractType": "PERPETUAL", "deliveryDate": 4_133_404_800_000, "marginAsset": "USDT", "contractSize": 1}
MINUTE_MS, EIGHT_HOURS_MS = 60_000, 28_800_000


class Truth:
    """Aggregate trades with ids from `first_id`; one-minute bars until `now_ms`, the last of which is open."""

    def __init__(
        self, seed: int = 0, trades: int = 3_000, bars: int = 2_500, lost: range = range(0), now_ms: int = 0
    ) -> None:
        rng = random.Random(seed)
        self.first_id, self.trades, at_ms = 900, [], START_MS - 40_000
        self.bars = [_bar(rng, START_MS + index * MINUTE_MS) for index in range(bars) if index not in lost]
        self.now_ms = now_ms or START_MS + bars * MINUTE_MS - 1
        for number in range(trades):
            at_ms += rng.choice((0, 0, 3, 40, 700)) + (2 * 3_600_000 if number == trades // 2 else 0)
            self.trades.append(_trade(rng, self.first_id + number, at_ms))
        self.rates = [_rate(rng, START_MS + index * EIGHT_HOURS_MS) for index in range(30)]

    def time(self, query: dict[str, str]) -> Any:
        return {"serverTime": self.now_ms}

    def aggTrades(self, query: dict[str, str]) -> Any:
        limit = int(query["limit"])
        if "fromId" in query:
            assert "startTime" not in query, "the venue refuses both"
            return [trade for trade in self.trades if trade["a"] >= int(query["fromId"])][:limit]
        start, end = int(query["startTime"]), int(query["endTime"])
        assert end - start <= 3_600_000
        # "if both limit and time window are set ... the last trades from the window are returned"
        return [trade for trade in self.trades if start <= trade["T"] <= end][-limit:]

    def klines(self, query: dict[str, str]) -> Any:
        assert query["interval"] == "1m"
        start, limit = int(query["startTime"]), int(query["limit"])
        return [bar for bar in self.bars if bar[0] >= start][:limit]

    def fundingRate(self, query: dict[str, str]) -> Any:
        start, limit = int(query["startTime"]), int(query["limit"])
        return [rate for rate in self.rates if rate["fundingTime"] >= start][: min(limit, 12)]

    def exchangeInfo(self, query: dict[str, str]) -> Any:
        futures = query["futures"] == "True"
        symbols = [_symbol(base) | (_PERPETUAL if futures else {}) for base in ("BTC", "ETH")]
        return {"timezone": "UTC", "serverTime": int(time.time() * 1000), "symbols": symbols}


def _trade(rng: random.Random, number: int, at_ms: int) -> dict[str, Any]:
    price, size = f"{rng.randint(3_500_000, 3_600_000) / 100:.8f}", f"{rng.randint(1, 10**9) / 10**8:.8f}"
    maker = rng.random() < 0.5
    return {"a": number, "p": price, "q": size, "f": number, "l": number, "T": at_ms, "m": maker, "M": True}


def _bar(rng: random.Random, open_ms: int) -> list[Any]:
    cents = [rng.randint(3_500_000, 3_600_000) for _ in range(4)]
    opened, high, low, close = cents[0], max(cents), min(cents), cents[1]
    prices = [f"{value / 100:.8f}" for value in (opened, high, low, close)]
    volume = f"{rng.randint(0, 10**10) / 10**8:.8f}"
    return [open_ms, *prices, volume, open_ms + MINUTE_MS - 1, "0", 1, "0", "0", "0"]


def _rate(rng: random.Random, at_ms: int) -> dict[str, Any]:
    # The venue's funding times are some milliseconds late at random.
    rate = f"{rng.randint(-3_000, 5_000) / 10**8:.8f}"
    return {"symbol": "BTCUSDT", "fundingTime": at_ms + rng.randint(0, 9), "fundingRate": rate, "markPrice": "35000"}


def _symbol(base: str) -> dict[str, Any]:
    return {
        "symbol": f"{base}USDT",
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": "USDT",
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "pricePrecision": 2,
        "quantityPrecision": 5,
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
        ],
    }
