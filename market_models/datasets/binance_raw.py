"""Reader of raw Binance recordings: gzipped text, `<local time> <raw json>` a line, several files to a session.

Local time is in milliseconds, microseconds or nanoseconds, told by its digits. Read are the streams depth (any rate),
bookTicker and trade, and REST snapshots (`lastUpdateId`, no "stream"); other lines are counted by name. Depth events
of the futures have `pu`, the spot's have not. Source: Binance API documentation, "How to manage a local order book".

A session is read twice: `open_session` checks every line and finds the tick and the lot (greatest common divisors),
`Session.events` streams it again in integers. Nothing but one line is held in memory.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from kernels.lob.spec import BUY, MAX_LOTS, SELL
from market_models.datasets.errors import DataError
from market_models.datasets.steps import Lots, StepFinder, Ticks
from market_models.datasets.text_lines import read_lines
from market_models.instrument import Instrument

Level: TypeAlias = tuple[int, int]  # (price_tick, lots)

NS_PER_LOCAL_UNIT = {13: 1_000_000, 16: 1_000, 19: 1}  # by the number of digits of the local time
NS_PER_MS = 1_000_000
ON_BOOK = ("MARKET", None)  # a trade's `X`: liquidations by the insurance fund and the like meet no resting order
OFF_BOOK = "trade that meets no resting order"
NO_STREAM = "line without a stream"
_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD", "BTC", "ETH", "BNB", "EUR", "TRY", "JPY")


class DepthEvent(NamedTuple):
    """What changed at the venue between two update ids: new sizes of levels, 0 for gone."""

    file: int  # place in the session's files
    line: int  # from 1
    time_ns: int  # exchange time
    first_id: int
    last_id: int
    previous_id: int | None  # last_id of the event before; None on the spot market
    bids: list[Level]
    asks: list[Level]


class Snapshot(NamedTuple):
    """The REST order book as of update `last_id`."""

    file: int
    line: int
    time_ns: int
    last_id: int
    bids: list[Level]
    asks: list[Level]


class Ticker(NamedTuple):
    """Best bid and ask as of update `last_id`; lots 0 where the side is empty."""

    last_id: int
    bid: Level
    ask: Level


class Print(NamedTuple):
    """A trade of the book."""

    time_ns: int
    taker_side: int
    price_tick: int
    lots: int


Event: TypeAlias = DepthEvent | Snapshot | Ticker | Print


@dataclass(frozen=True)
class Session:
    """A recording that was read once: what it is and how much of each. `events` reads it again."""

    paths: tuple[str, ...]
    digest: str  # sha256 over the lines of all files
    instrument: Instrument
    futures: bool
    lines: int
    depth_events: int
    tickers: int
    prints: int
    snapshots: int
    time_back: int  # lines whose local time is before that of the line before
    skipped: dict[str, int]  # stream or reason -> lines that were not used

    def events(self, lots: Lots | None = None) -> Iterator[Event]:
        """Yield the session's events in the order of its lines, prices in ticks and sizes in lots.

        `lots`: a converter of the instrument's lot whose count of rounded sizes the caller wants.
        """
        return _read(self.paths, _Parser(Ticks(self.instrument.tick_size), self.make_lots() if lots is None else lots))

    def make_lots(self) -> Lots:
        """Return a converter of sizes to the instrument's lots."""
        return Lots(self.instrument.lot_size)


def open_session(paths: Sequence[Path | str], *, tick_size: str | None = None, lot_size: str | None = None) -> Session:
    """Read and check all lines of one session's files, in order of time.

    Tick and lot are found from the data unless given. Raises DataError(path, line, reason) for what cannot be read:
    a damaged line, files out of order, another symbol, no depth event, a futures session without a snapshot.
    """
    names = tuple(str(path) for path in paths)
    parser = _Parser(StepFinder(signed=True), StepFinder(signed=False))
    kinds: Counter[type] = Counter(type(event) for event in _read(names, parser))
    if not kinds[DepthEvent]:
        raise DataError(names[0], 0, "holds no depth event")
    if parser.futures and not kinds[Snapshot]:
        raise DataError(names[0], 0, "holds no REST snapshot: give the file with the session's start first")
    tick = tick_size or parser.prices.step(2**62)
    lot = lot_size or parser.sizes.step(MAX_LOTS)
    currency = next((quote for quote in _QUOTES if parser.symbol.endswith(quote)), "USD")
    return Session(
        paths=names,
        digest=parser.digest.hexdigest(),
        instrument=Instrument(parser.symbol, tick, lot, currency),
        futures=bool(parser.futures),
        lines=parser.lines,
        depth_events=kinds[DepthEvent],
        tickers=kinds[Ticker],
        prints=kinds[Print],
        snapshots=kinds[Snapshot],
        time_back=parser.time_back,
        skipped=dict(parser.skipped),
    )


def _read(paths: Sequence[str], parser: "_Parser") -> Iterator[Event]:
    for file, path in enumerate(paths):
        line = 0
        for line, text in enumerate(read_lines(path), 1):
            try:
                event = parser.parse(file, line, text)
            except ValueError as error:
                raise DataError(path, line, str(error)) from error
            if event is not None:
                yield event
        if not line:
            raise DataError(path, 0, "is empty")


class _Parser:
    """One line after the other to events; ValueError says what is wrong with a line."""

    def __init__(self, prices: Any, sizes: Any) -> None:
        self.prices, self.sizes = prices, sizes
        self.symbol = ""
        self.futures: bool | None = None
        self.local_ns = 0
        self.lines = self.time_back = 0
        self.skipped: Counter[str] = Counter()
        self.digest = hashlib.sha256()

    def parse(self, file: int, line: int, text: bytes) -> Event | None:
        head, _, body = text.partition(b" ")
        self._advance(head, line == 1 and file > 0)
        self.digest.update(text)
        self.lines += 1
        try:
            message = json.loads(body.decode())
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"not json after the local time ({error})") from error
        if not isinstance(message, dict):
            raise ValueError("not a json object after the local time")
        if "stream" not in message:
            if "lastUpdateId" in message:
                return self._snapshot(file, line, message)
            return self._skip(NO_STREAM)
        stream, data = message["stream"], message.get("data")
        if not isinstance(stream, str) or not isinstance(data, dict):
            raise ValueError("'stream' is not a name, or 'data' not an object")
        name = stream.partition("@")[2]
        if name == "bookTicker":
            return self._ticker(data)
        if name == "trade":
            return self._trade(data)
        if name == "depth" or name.startswith("depth@"):
            return self._depth(file, line, data)
        return self._skip(name or stream)

    def _advance(self, head: bytes, opens_file: bool) -> None:
        scale = NS_PER_LOCAL_UNIT.get(len(head))
        if scale is None or not head.isdigit():
            raise ValueError(f"local time {head[:30].decode(errors='replace')!r} is not 13, 16 or 19 digits")
        local_ns = int(head) * scale
        if local_ns < self.local_ns:
            if opens_file:
                raise ValueError("starts before the file before it ends: give the files in order of time")
            self.time_back += 1
        self.local_ns = local_ns

    def _skip(self, reason: str) -> None:
        self.skipped[reason] += 1

    def _depth(self, file: int, line: int, data: dict[str, Any]) -> DepthEvent:
        self._check_symbol(data)
        futures = "pu" in data
        if self.futures not in (None, futures):
            raise ValueError("field 'pu' is in some depth events and not in others")
        self.futures = futures
        first_id, last_id = _whole(data, "U"), _whole(data, "u")
        if first_id > last_id:
            raise ValueError(f"field 'U' {first_id} is above 'u' {last_id}")
        previous_id = _whole(data, "pu") if futures else None
        time_ns = _whole(data, "T" if "T" in data else "E") * NS_PER_MS
        bids, asks = self._levels(data, "b"), self._levels(data, "a")
        return DepthEvent(file, line, time_ns, first_id, last_id, previous_id, bids, asks)

    def _snapshot(self, file: int, line: int, data: dict[str, Any]) -> Snapshot:
        # The spot's snapshot has no exchange time: what it holds was there by the local time.
        time_ns = _whole(data, "T") * NS_PER_MS if "T" in data else self.local_ns
        bids, asks = self._levels(data, "bids"), self._levels(data, "asks")
        return Snapshot(file, line, time_ns, _whole(data, "lastUpdateId"), bids, asks)

    def _ticker(self, data: dict[str, Any]) -> Ticker:
        self._check_symbol(data)
        bid, ask = (self._level(data, *fields) for fields in (("b", "B"), ("a", "A")))
        return Ticker(_whole(data, "u"), bid, ask)

    def _trade(self, data: dict[str, Any]) -> Print | None:
        self._check_symbol(data)
        if data.get("X") not in ON_BOOK:
            return self._skip(OFF_BOOK)
        maker_buys = data.get("m")
        if not isinstance(maker_buys, bool):
            raise ValueError(f"field 'm' is {maker_buys!r}, expected true or false")
        price_tick, lots = self._level(data, "p", "q")
        time_ns = _whole(data, "T") * NS_PER_MS
        return Print(time_ns, SELL if maker_buys else BUY, price_tick, lots) if lots else self._skip(OFF_BOOK)

    def _level(self, data: dict[str, Any], price: str, size: str) -> Level:
        try:
            return self.prices[data[price]], self.sizes[data[size]]
        except KeyError as error:
            raise ValueError(f"field {error} is missing") from error
        except (TypeError, ValueError) as error:
            raise ValueError(f"fields {price!r}, {size!r}: {error}") from error

    def _levels(self, data: dict[str, Any], field: str) -> list[Level]:
        prices, sizes = self.prices, self.sizes
        if not isinstance(data.get(field), list):
            raise ValueError(f"field {field!r} is missing or not a list of [price, size]")
        try:
            return [(prices[price], sizes[size]) for price, size in data[field]]
        except (TypeError, ValueError) as error:
            raise ValueError(f"field {field!r}: {error}") from error

    def _check_symbol(self, data: dict[str, Any]) -> None:
        symbol = data.get("s")
        if symbol == self.symbol:
            return
        if self.symbol or not isinstance(symbol, str) or not symbol:
            raise ValueError(f"field 's' is {symbol!r}, the session is of {self.symbol or 'no symbol yet'}")
        self.symbol = symbol


def _whole(data: dict[str, Any], field: str) -> int:
    value = data.get(field)
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError(f"field {field!r} is {value!r}, expected a whole number")
    return value
