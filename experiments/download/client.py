"""One venue through ccxt's asynchronous client: at its own addresses or at those of another server, paced and watched.

ccxt's retries and its throttler (first in, first out, on wall clock) are off; numbers come as the venue wrote them, as
text. What failed is told by the HTTP status and the cause, not by ccxt's class: it files HTTP 400 and 404 under
ExchangeNotAvailable, and a body that was cut short under ExchangeError.
"""

import difflib
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
import ccxt.async_support as ccxt

from experiments.console import CommandFailed
from experiments.download.pacing import (
    GaveUpError,
    Pacer,
    RetryableError,
    RetryPolicy,
    parse_retry_after,
    with_retries,
)

T = TypeVar("T")
BINANCE = ("binance", "binanceus", "binanceusdm", "binancecoinm")


class _Watched:
    """Mixed into ccxt's class of a venue: paces it, and remembers the status of the last response."""

    pacer: Pacer
    next_cost = 1.0
    last_status: int | None = None
    last_response_headers: Any

    async def throttle(self, cost: float | None = None) -> None:
        # Called right before `fetch`, and nothing is awaited in between: this is the cost of that request.
        self.next_cost = 1.0 if cost is None else cost

    def on_rest_response(self, code: int, *rest: Any) -> Any:
        self.last_status = code
        return super().on_rest_response(code, *rest)  # pyright: ignore[reportAttributeAccessIssue]

    async def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        async with self.pacer.turn(self.next_cost):
            self.last_status, self.last_response_headers = None, {}
            out = await super().fetch(url, method, headers, body)  # pyright: ignore[reportAttributeAccessIssue]
        if not isinstance(out, dict | list):
            raise RetryableError("response that is no whole JSON", f"{url}: the response is no whole JSON")
        return out


class Venue:
    """A venue's client. `retries` counts by reason what had to be asked again."""

    def __init__(self, exchange: Any, pacer: Pacer, policy: RetryPolicy, seed: int | None) -> None:
        self.exchange, self._pacer, self._policy = exchange, pacer, policy
        self._rng = random.Random(seed)
        self.retries: Counter[str] = Counter()

    @property
    def name(self) -> str:
        """Return ccxt's name of the venue."""
        return self.exchange.id

    async def ask(self, request: Callable[[], Awaitable[T]]) -> T:
        """Run a request of `exchange`, repeating what may be repeated.

        Raises:
            CommandFailed: 2 where the venue refuses it, 3 where the venue cannot be reached or keeps failing.
        """
        try:
            return await with_retries(
                lambda: self._translated(request), self._policy, self._rng, self._pacer.hold, self._count
            )
        except GaveUpError as error:
            raise CommandFailed(
                3, f"{self.name} cannot be reached: {error}; what was stored is kept, repeat the command to go on"
            ) from error
        except ccxt.BaseError as error:
            raise CommandFailed(2, f"{self.name} refuses: {str(error)[:300]}") from error

    async def market(self, symbol: str) -> dict[str, Any]:
        """Return ccxt's record of a market by symbol (BTC/USDT) or the venue's id (BTCUSDT); exit code 2 if none."""
        exchange = self.exchange
        await self.ask(exchange.load_markets)
        if symbol in exchange.markets:
            return exchange.markets[symbol]
        if symbol in exchange.markets_by_id:
            return exchange.markets_by_id[symbol][0]
        known = [*exchange.markets, *exchange.markets_by_id]
        close = difflib.get_close_matches(symbol.upper(), known, 5, 0.5) or sorted(exchange.markets)[:5]
        raise CommandFailed(
            2, f"SYMBOL {symbol!r} is not traded at {self.name}; close to it: {', '.join(close)} (of {len(known)})"
        )

    def _count(self, reason: str) -> None:
        self.retries[reason] += 1

    async def _translated(self, request: Callable[[], Awaitable[T]]) -> T:
        try:
            return await request()
        except ccxt.BaseError as error:
            again = _retryable(error, self.exchange.last_status, self.exchange.last_response_headers)
            if again is None:
                raise
            raise again from error


def _retryable(error: ccxt.BaseError, status: int | None, headers: Any) -> RetryableError | None:
    """Return what to repeat, by an allowlist: network, HTTP 429 and 418, HTTP 5xx. Everything else is definite."""
    text = " ".join(str(error).split())[:300]
    if status is None:
        if isinstance(error.__cause__, aiohttp.ClientPayloadError):
            return RetryableError("body cut short", text)
        if isinstance(error, ccxt.RequestTimeout):
            return RetryableError("timeout", text)
        is_network = isinstance(error, ccxt.ExchangeNotAvailable)
        return RetryableError("connection", f"{text} ({error.__cause__})") if is_network else None
    named = {str(key).lower(): value for key, value in (headers or {}).items()}
    asked_s = parse_retry_after(named.get("retry-after"))
    if status == 429 or (status == 418 and asked_s is not None):
        return RetryableError(f"HTTP {status}", text, asked_s)
    return RetryableError(f"HTTP {status}", text, asked_s) if 500 <= status < 600 else None


@asynccontextmanager
async def open_venue(
    name: str,
    base_url: str = "",
    policy: RetryPolicy | None = None,
    seed: int | None = None,
    types: tuple = (),
    library: Any = ccxt,
) -> AsyncIterator[Venue]:
    """Open a venue's client; `base_url` (http://host:port) replaces the host of every address it has.

    `library` is ccxt.pro where the addresses of websockets are wanted.
    """
    if name not in ccxt.exchanges:
        close = difflib.get_close_matches(name, ccxt.exchanges, 5, 0.4) or ["binance", "bybit", "okx", "kraken"]
        raise CommandFailed(
            2, f"VENUE {name!r} is not one of ccxt's {len(ccxt.exchanges)}; close to it: {', '.join(close)}"
        )
    if base_url and not re.fullmatch(r"https?://[^/\s]+/?", base_url):
        raise CommandFailed(2, f"--base-url {base_url!r} is not of the form http://host:port")
    watched: Any = type(name, (_Watched, getattr(library, name)), {})
    exchange = watched(_options(name, types))
    exchange.number = str
    exchange.has = {**exchange.has, "fetchCurrencies": False}
    exchange.pacer = pacer = Pacer(exchange.rateLimit / 1000)
    if base_url:
        exchange.urls["api"] = rebase(exchange.urls["api"], base_url.rstrip("/"))
    try:
        yield Venue(exchange, pacer, policy or RetryPolicy(), seed)
    finally:
        await exchange.close()


def _options(name: str, types: tuple) -> dict[str, Any]:
    own = {"fetchMarkets": {"types": list(types)}} if name == "binance" and types else {}
    return {"enableRateLimit": True, "options": {"maxRetriesOnFailure": 0, "warnOnFetchOpenOrders": False, **own}}


def rebase(urls: Any, base_url: str) -> Any:
    """Return ccxt's addresses (nested) with scheme and host replaced; ws for http in those of websockets."""
    if isinstance(urls, dict):
        return {key: rebase(value, base_url) for key, value in urls.items()}
    if not isinstance(urls, str):
        return urls
    as_socket = "ws" + base_url.removeprefix("http")
    return re.sub(r"^(https?|wss?)://[^/]+", as_socket if urls.startswith("ws") else base_url, urls)


def market_types(symbol: str) -> tuple[str, ...]:
    """Return which of Binance's market lists hold a symbol: each costs a request."""
    if ":" not in symbol:
        return ("spot",)
    return ("linear",) if re.search(r":(USD[TC]|BUSD)(-|$)", symbol) else ("inverse",)
