"""Reader of Databento market-by-order csv (one instrument) and of the MBP csv that tells the book after its events.

Csv as Databento's clients write it, may be gzipped: header, ISO times or integer nanoseconds, decimal prices, actions A
(add), C (cancel), M (modify), T (trade: the taker), F (fill of a resting order, followed by its C), R (clear); flag 128
marks the last record of an event (F_LAST). An order book changes only by A, C, M and R. Source: Databento
documentation, "MBO schema". Times kept are `ts_event`, the venue's.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import gcd
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from kernels.lob.spec import BUY, MAX_ABS_PRICE_TICK, MAX_LOTS, SELL
from market_models.datasets.errors import DataError
from market_models.datasets.recording import remap_ids
from market_models.datasets.steps import E8, from_e8, to_e8
from market_models.datasets.text_lines import read_lines
from market_models.instrument import Instrument

ADD, CANCEL, MODIFY, TRADE, FILL, CLEAR = "ACMTFR"
ACTIONS = "ACMTFRN"  # N: nothing
F_LAST = 128
NO_SIDE = -1
NS_PER_S = 1_000_000_000
MBO_COLUMNS = ("ts_event", "action", "side", "price", "size", "order_id", "flags", "sequence")
MBP_COLUMNS = ("action", "sequence", "order_id", "bid_px_00", "bid_sz_00", "ask_px_00", "ask_sz_00")
Parsed = TypeVar("Parsed")
_SIDES = {"B": BUY, "A": SELL, "N": NO_SIDE}


class MboRecord(NamedTuple):
    """One record; prices in ticks, sizes in lots of one."""

    time_ns: int
    action: str
    side: int  # BUY, SELL or NO_SIDE
    price_tick: int  # 0 where the record has none; of a trade between two ticks rounded down
    lots: int
    order_id: int  # engine id below 2^30, 0 where the record names no order
    venue_id: int
    last: bool  # F_LAST: the event is complete, the book may be looked at
    sequence: int


@dataclass(frozen=True, eq=False)
class MboRecording:
    """A market-by-order recording of one instrument."""

    path: str
    instrument: Instrument
    records: list[MboRecord]
    time_back: int  # records whose sequence number is below that of the one before


class MbpRow(NamedTuple):
    """The book after one event, as Databento's MBP schema tells it."""

    sequence: int
    action: str
    venue_id: int
    levels: list[tuple[int, int]]  # (price in 1e-8, size), all bids then all asks, best first, (0, 0) where absent


def read_mbo(path: Path | str, *, tick_size: str | None = None) -> MboRecording:
    """Read and check a market-by-order csv. Raises DataError(path, row, reason); rows count from the header, 1."""
    name = str(path)
    raw, divisor, symbols = [], 0, set()
    for row, values in _rows(name, MBO_COLUMNS):
        record = _guard(name, row, _parse_record, values)
        symbols.add(values.get("symbol", ""))
        if len(symbols) > 1:
            raise DataError(name, row, f"a second symbol {values.get('symbol')!r}: give one instrument's records")
        if record.action in (ADD, MODIFY):  # a trade against a hidden order may be between two ticks
            divisor = gcd(divisor, record.price_tick)
        raw.append(record)
    if not raw:
        raise DataError(name, 0, "holds no record")
    tick_e8 = to_e8(tick_size) if tick_size else divisor or E8
    ids = np.array([record.venue_id for record in raw], np.int64)
    try:
        engine_ids = remap_ids(ids, 0)[0].tolist()
    except ValueError as error:
        raise DataError(name, 0, str(error)) from error
    records = []
    for row, (record, order_id) in enumerate(zip(raw, engine_ids, strict=True), 2):
        tick, rest = divmod(record.price_tick, tick_e8)
        if (rest and record.action in (ADD, CANCEL, MODIFY)) or abs(tick) > MAX_ABS_PRICE_TICK:
            raise DataError(name, row, f"price is not a multiple of {from_e8(tick_e8)} in the engine's range")
        records.append(record._replace(price_tick=tick, order_id=order_id))
    sequences = np.array([record.sequence for record in raw], np.int64)
    back = int((np.diff(sequences) < 0).sum())
    symbol = symbols.pop() or Path(name).name.split("_")[0]
    return MboRecording(name, Instrument(symbol, from_e8(tick_e8), "1", "USD"), records, back)


def read_mbp(path: Path | str) -> list[MbpRow]:
    """Read an MBP csv of any depth. Raises DataError(path, row, reason)."""
    name = str(path)
    rows = [_guard(name, row, _parse_mbp, values) for row, values in _rows(name, MBP_COLUMNS)]
    if not rows:
        raise DataError(name, 0, "holds no row")
    return rows


def is_mbp(path: Path | str) -> bool:
    """Return whether the csv's header is that of an MBP file."""
    return "bid_px_00" in next(read_lines(path), b"").decode(errors="replace")


def _rows(path: str, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (number, column -> text) of every row but the header, which is row 1."""
    header: list[str] | None = None
    for row, values in _cells(path):
        if header is None:
            header = values
            missing = [column for column in columns if column not in header]
            if missing:
                raise DataError(path, 1, f"columns {missing} are missing")
        elif len(values) != len(header):
            raise DataError(path, row, f"{len(values)} values, the header has {len(header)}")
        else:
            yield row, dict(zip(header, values, strict=True))
    if header is None:
        raise DataError(path, 0, "is empty")


def _cells(path: str) -> Iterator[tuple[int, list[str]]]:
    lines = (line.decode(errors="replace") for line in read_lines(path))
    reader = csv.reader(lines)
    row = 0
    try:
        for row, values in enumerate(reader, 1):
            yield row, values
    except csv.Error as error:
        raise DataError(path, row + 1, f"not csv ({error})") from error


def _guard(path: str, row: int, parse: Callable[[dict[str, str]], Parsed], values: dict[str, str]) -> Parsed:
    try:
        return parse(values)
    except ValueError as error:
        raise DataError(path, row, str(error)) from error


def _parse_record(values: dict[str, str]) -> MboRecord:
    action, side = values["action"], values["side"]
    if len(action) != 1 or action not in ACTIONS:
        raise ValueError(f"action {action!r} is not one of {tuple(ACTIONS)}")
    if side not in _SIDES:
        raise ValueError(f"side {side!r} is not one of {tuple(_SIDES)}")
    resting = action in (ADD, CANCEL, MODIFY, FILL)
    lots = _whole(values, "size")
    if resting and (_SIDES[side] == NO_SIDE or not 1 <= lots <= MAX_LOTS):
        raise ValueError(f"action {action} with side {side} and size {lots}: it needs a side and 1..{MAX_LOTS} lots")
    price = values["price"]
    if not price and resting:
        raise ValueError("price is missing")
    venue_id = _whole(values, "order_id")
    if resting and not venue_id:
        raise ValueError("order_id is 0")
    last = bool(_whole(values, "flags") & F_LAST)
    price_e8 = to_e8(price) if price else 0
    time_ns = _time_ns(values["ts_event"])
    return MboRecord(time_ns, action, _SIDES[side], price_e8, lots, 0, venue_id, last, _whole(values, "sequence"))


def _parse_mbp(values: dict[str, str]) -> MbpRow:
    levels: list[tuple[int, int]] = []
    for side in ("bid", "ask"):
        level = 0
        while f"{side}_px_{level:02d}" in values:
            price = values[f"{side}_px_{level:02d}"]
            size = _whole(values, f"{side}_sz_{level:02d}")
            levels.append((to_e8(price), size) if price and size else (0, 0))
            level += 1
    return MbpRow(_whole(values, "sequence"), values["action"], _whole(values, "order_id"), levels)


def _whole(values: dict[str, str], column: str) -> int:
    text = values.get(column, "")
    if not (text.isascii() and text.isdecimal()) or int(text) >= 2**63:
        raise ValueError(f"{column} {text!r} is not a whole number")
    return int(text)


def _time_ns(text: str) -> int:
    if text.isdecimal():
        return int(text)
    whole, _, fraction = text.removesuffix("Z").partition(".")
    if not (fraction or "0").isdecimal() or len(fraction) > 9:
        raise ValueError(f"ts_event {text!r} is not an ISO time with up to nine decimals")
    seconds = datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp()
    return int(seconds) * NS_PER_S + int(fraction.ljust(9, "0"))
