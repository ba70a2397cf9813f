"""What history there is: how a page of each kind is asked for, what its cursor is, and when it ends.

The cursor is the least key that is not stored yet. Of trades the key is Binance's aggregate trade id, which rises by
one; of bars the opening time [ms], which rises by the timeframe; of funding rates their time [ms], which has no rule.
Source: ccxt manual, "Pagination"; Binance API documentation, aggTrades (`fromId`), klines, fundingRate (`startTime`).
"""

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from experiments.console import CommandFailed
from experiments.download.client import BINANCE, Venue
from experiments.download.page_log import Row
from market_models.datasets.formats.history import COLUMNS

PAGE_ROWS = 1_000
_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Span:
    """From when until when: a row at `to_ms` is not part of it. `asked_ms` is the venue's time at the first request."""

    from_ms: int
    to_ms: int
    asked_ms: int

    @property
    def end_ms(self) -> int:
        """Return the end of what the venue can have."""
        return min(self.to_ms, self.asked_ms)


class Kind(Protocol):
    """One kind of history of one market."""

    step: int | None  # from one key to the next; None: no rule
    starts_on_key: bool  # whether the first cursor is the key of a row that is there

    async def first_cursor(self, venue: Venue, span: Span) -> int | None:
        """Return the cursor of the first page; None where there is nothing in the span."""
        ...

    async def page(self, venue: Venue, cursor: int) -> list[Row]:
        """Return the rows that the venue gives for a cursor, as it gives them."""
        ...

    def keeps(self, row: Row, span: Span) -> bool:
        """Return whether a row is to be stored."""
        ...

    def after(self, rows: list[Row], cursor: int, span: Span) -> int | None:
        """Return the cursor after these (sorted) rows, or None at the end."""
        ...


class Trades:
    """Aggregate trades of Binance, by id."""

    step: int | None = 1
    starts_on_key = True

    def __init__(self, market: dict[str, Any]) -> None:
        self._symbol = market["symbol"]

    async def first_cursor(self, venue: Venue, span: Span) -> int | None:
        """Find a trade at or after the start by time, then prove by ids that none before it is in the span."""
        start_ms = span.from_ms
        while start_ms < span.end_ms:
            rows = await self._ask(venue, start_ms, {"until": min(start_ms + _HOUR_MS, span.end_ms) - 1})
            if rows:
                return await self._prove_start(venue, min(row[0] for row in rows), span.from_ms)
            start_ms += _HOUR_MS
        return None

    async def page(self, venue: Venue, cursor: int) -> list[Row]:
        """Ask by `fromId`."""
        return await self._ask(venue, None, {"fromId": cursor})

    def keeps(self, row: Row, span: Span) -> bool:
        """By time."""
        return span.from_ms <= row[1] < span.end_ms

    def after(self, rows: list[Row], cursor: int, span: Span) -> int | None:
        """End where the venue has no further trade, or where one is beyond the span."""
        return rows[-1][0] + 1 if rows and rows[-1][1] < span.end_ms else None

    async def _prove_start(self, venue: Venue, first: int, from_ms: int) -> int:
        """Step back from a trade in the span to one before it, or to the first of all; return its id.

        The venue gives the last trades of a window that has too many, so the one that was found need not be the first.
        """
        cursor = first
        while cursor > 0:
            cursor, end = max(0, cursor - PAGE_ROWS), cursor
            # Asked twice: one answer may be another page than the one that was asked for.
            rows = [*await self.page(venue, cursor), *await self.page(venue, cursor)]
            own = [row for row in rows if cursor <= row[0] < end]
            first = min([first, *(row[0] for row in own)])
            if any(row[1] < from_ms for row in own):
                break
        return first

    async def _ask(self, venue: Venue, since_ms: int | None, params: dict[str, Any]) -> list[Row]:
        trades = await venue.ask(lambda: venue.exchange.fetch_trades(self._symbol, since_ms, PAGE_ROWS, params))
        return [_trade_row(trade) for trade in trades]


class Bars:
    """Bars of any venue that has them, by opening time; a bar is stored once it has closed."""

    starts_on_key = False

    def __init__(self, market: dict[str, Any], timeframe: str, page_rows: int = PAGE_ROWS) -> None:
        self._symbol, self._timeframe, self._page_rows = market["symbol"], timeframe, page_rows
        self.step: int | None = None if timeframe[-1] in "MyY" else _step_ms(timeframe)

    async def first_cursor(self, venue: Venue, span: Span) -> int | None:
        """Begin at the start."""
        return span.from_ms if span.from_ms < span.end_ms else None

    async def page(self, venue: Venue, cursor: int) -> list[Row]:
        """Ask by time."""
        request = (self._symbol, self._timeframe, cursor, self._page_rows)
        bars = await venue.ask(lambda: venue.exchange.fetch_ohlcv(*request))
        return [[bar[0], bar[0], *(_text(value, "a bar") for value in bar[1:6])] for bar in bars]

    def keeps(self, row: Row, span: Span) -> bool:
        """By opening time, and not while it is open."""
        return span.from_ms <= row[0] < span.to_ms and bar_end_ms(row[0], self._timeframe) <= span.asked_ms

    def after(self, rows: list[Row], cursor: int, span: Span) -> int | None:
        """Some venues answer with nothing for a window without bars: go on behind it."""
        if not rows and self.step is None:
            return None
        step = self.step or 1
        following = rows[-1][0] + step if rows else cursor + step * self._page_rows
        return following if following < span.end_ms else None


class Funding:
    """Funding rates of a perpetual, by time."""

    step: int | None = None
    starts_on_key = False

    def __init__(self, market: dict[str, Any]) -> None:
        self._symbol = market["symbol"]

    async def first_cursor(self, venue: Venue, span: Span) -> int | None:
        """Begin at the start."""
        return span.from_ms if span.from_ms < span.end_ms else None

    async def page(self, venue: Venue, cursor: int) -> list[Row]:
        """Ask by time."""
        request = (self._symbol, cursor, PAGE_ROWS)
        rates = await venue.ask(lambda: venue.exchange.fetch_funding_rate_history(*request))
        times = [int(rate["timestamp"]) for rate in rates]
        return [[ms, ms, _text(rate["fundingRate"], "a rate")] for ms, rate in zip(times, rates, strict=True)]

    def keeps(self, row: Row, span: Span) -> bool:
        """By time."""
        return span.from_ms <= row[0] < span.end_ms

    def after(self, rows: list[Row], cursor: int, span: Span) -> int | None:
        """End where the venue has no further rate, or where one is beyond the span."""
        return rows[-1][0] + 1 if rows and rows[-1][0] + 1 < span.end_ms else None


def make_kind(venue: Venue, market: dict[str, Any], kind: str, timeframe: str) -> Kind:
    """Return the kind by its name; exit code 2 where the venue does not have it."""
    exchange = venue.exchange
    if kind == "trades":
        if venue.name not in BINANCE:
            raise CommandFailed(2, f"--kind trades: {venue.name} has no trade ids that rise by one; those that have: "
                                   f"{', '.join(BINANCE)}")  # fmt: skip
        return Trades(market)
    if kind == "ohlcv":
        known = list(exchange.timeframes or {})
        if not exchange.has.get("fetchOHLCV") or timeframe not in known:
            raise CommandFailed(2, f"--timeframe {timeframe!r}: {venue.name} has {', '.join(known) or 'no bars'}")
        most = exchange.feature_value(market["symbol"], "fetchOHLCV", "limit")
        return Bars(market, timeframe, min(PAGE_ROWS, int(most or PAGE_ROWS)))
    if kind == "funding":
        if not exchange.has.get("fetchFundingRateHistory") or not market["swap"]:
            raise CommandFailed(2, f"--kind funding: {market['symbol']} of {venue.name} has no funding rates; "
                                   "a perpetual is written like BTC/USDT:USDT")  # fmt: skip
        return Funding(market)
    raise CommandFailed(2, f"--kind {kind!r}: the kinds are {', '.join(COLUMNS)}")


def bar_end_ms(open_ms: int, timeframe: str) -> int:
    """Return when a bar closes; months and years have the calendar's length."""
    count, unit = int(timeframe[:-1]), timeframe[-1]
    if unit not in "MyY":
        return open_ms + _step_ms(timeframe)
    opened = datetime.fromtimestamp(open_ms / 1000, UTC)
    months = opened.year * 12 + opened.month - 1 + count * (1 if unit == "M" else 12)
    year, month = months // 12, months % 12 + 1
    day = min(opened.day, calendar.monthrange(year, month)[1])
    return int(opened.replace(year=year, month=month, day=day).timestamp() * 1000)


def _step_ms(timeframe: str) -> int:
    seconds = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
    return int(timeframe[:-1]) * seconds[timeframe[-1]] * 1_000


def _trade_row(trade: dict[str, Any]) -> Row:
    number, side = str(trade["id"]), trade["side"]
    if not number.isdigit() or side not in ("buy", "sell"):
        raise CommandFailed(2, f"the venue gives a trade without a number or a side: id {number[:40]!r}, {side!r}")
    price, size = _text(trade["price"], "a price"), _text(trade["amount"], "an amount")
    return [int(number), int(trade["timestamp"]), side, price, size]


def _text(value: object, what: str) -> str:
    if value is None:
        raise CommandFailed(2, f"the venue leaves out {what}")
    return str(value)
