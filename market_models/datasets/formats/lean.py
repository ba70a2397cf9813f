"""QuantConnect LEAN: equity ticks (trade, quote), forex ticks, and forex quote bars; each a zip of one csv.

Equity ticks: milliseconds after midnight in New York, prices in 1e-4 dollars; a quote row updates one side and has
zeros on the other. Forex ticks: milliseconds after midnight UTC, bid, ask. Quote bars: `yyyymmdd hh:mm`, bid open,
high, low, close, last size, then the same of the ask; they become two instruments, NAME.bid and NAME.ask.
"""

import re
from pathlib import Path
from typing import BinaryIO

import numpy as np

from market_models.datasets.errors import DataError
from market_models.datasets.formats.blocks import NO_SIDE, NULL, PRICE_UNIT, SIZE_UNIT, make_rows
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source
from market_models.datasets.formats.tables import Checked, batches
from market_models.datasets.formats.times import NEW_YORK, Clock, find_date, midnight_ns

_MS = 1_000_000
_TRADE = re.compile(r"(\d{8})_(\w+?)_Trade_Tick\.csv$", re.IGNORECASE)
_QUOTE = re.compile(r"(\d{8})_(\w+?)_Quote_Tick\.csv$", re.IGNORECASE)
_FOREX = re.compile(r"(\d{8})_(\w+?)_tick_quote\.csv$", re.IGNORECASE)
_BAR_ROW = re.compile(rb"\d{8} \d\d:\d\d(,[\d.]*){10}\s*$")
_SIDE_COLUMNS = ("open", "high", "low", "close", "size")


def recognise(source: Source) -> bool:
    """Named as LEAN names ticks, or beginning with a row of its quote bars."""
    name = source.members[0] if source.members else source.path.name
    named = any(pattern.search(name) for pattern in (_TRADE, _QUOTE, _FOREX))
    return named or bool(_BAR_ROW.match(source.head.split(b"\n", 1)[0]))


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read each csv of the zip."""
    for member, stream in source.each():
        label = f"{source.path}:{member}"
        found = [(pattern, pattern.search(member)) for pattern in (_TRADE, _QUOTE, _FOREX)]
        pattern, match = next(((p, m) for p, m in found if m), (None, None))
        instrument = options.name_or(match[2].upper() if match else Path(member).stem.upper())
        if pattern is _TRADE:
            _trades(label, stream, sink, instrument, member)
        elif pattern is _QUOTE:
            _quotes(label, stream, sink, instrument, member)
        elif pattern is _FOREX:
            _forex(label, stream, sink, instrument, member)
        else:
            _bars(label, stream, sink, instrument)


def _midnight(label: str, member: str, zone: str) -> int:
    day = find_date(Path(member).name)
    if day is None:
        raise DataError(label, 0, "its name does not begin with a date")
    return midnight_ns(day, zone)


def _trades(label: str, stream: BinaryIO, sink: Sink, name: str, member: str) -> None:
    base, instrument = _midnight(label, member, NEW_YORK), sink.instrument(name)
    names = ["time", "price", "size", "exchange", "condition", "suspicious"]
    sink.report.unused_columns = ["exchange", "condition"]
    for batch in batches(sink, label, stream, names):
        check = Checked(sink, batch)
        time_ns = check.time("time", _MS, base)
        price, size = _e4(check, "price"), _whole(check, "size")
        check.require(check.code("suspicious", {b"0": 0, b"1": 1}) == 0, "marked suspicious")
        check.watch_time(time_ns)
        good = check.good
        rows = make_rows(
            "trades",
            int(good.sum()),
            exchange_ns=time_ns[good],
            instrument=instrument,
            side=NO_SIDE,
            price=price[good],
            size=size[good],
        )
        sink.write("trades", rows)


def _quotes(label: str, stream: BinaryIO, sink: Sink, name: str, member: str) -> None:
    base, instrument = _midnight(label, member, NEW_YORK), sink.instrument(name)
    names = ["time", "bid", "bid_size", "ask", "ask_size", "exchange", "condition", "suspicious"]
    sink.report.unused_columns = ["exchange", "condition"]
    for batch in batches(sink, label, stream, names):
        check = Checked(sink, batch)
        time_ns = check.time("time", _MS, base)
        columns = {"bid_price": _e4(check, "bid"), "bid_size": _whole(check, "bid_size")}
        columns |= {"ask_price": _e4(check, "ask"), "ask_size": _whole(check, "ask_size")}
        check.require(check.code("suspicious", {b"0": 0, b"1": 1}) == 0, "marked suspicious")
        for side in ("bid", "ask"):
            absent = columns[f"{side}_price"] == 0
            columns[f"{side}_price"] = np.where(absent, NULL, columns[f"{side}_price"])
            columns[f"{side}_size"] = np.where(absent, NULL, columns[f"{side}_size"])
        _store_quotes(sink, check, time_ns, instrument, columns)


def _forex(label: str, stream: BinaryIO, sink: Sink, name: str, member: str) -> None:
    base, instrument = _midnight(label, member, "UTC"), sink.instrument(name)
    for batch in batches(sink, label, stream, ["time", "bid", "ask"]):
        check = Checked(sink, batch)
        time_ns = check.time("time", _MS, base)
        columns = {"bid_price": check.price("bid"), "ask_price": check.price("ask")}
        _store_quotes(sink, check, time_ns, instrument, columns)


def _store_quotes(
    sink: Sink, check: Checked, time_ns: np.ndarray, instrument: int, columns: dict[str, np.ndarray]
) -> None:
    check.watch_time(time_ns)
    good = check.good
    picked = {key: values[good] for key, values in columns.items()}
    both = (picked["bid_price"] != NULL) & (picked["ask_price"] != NULL)
    sink.report.crossed += int((both & (picked["bid_price"] > picked["ask_price"])).sum())
    sink.report.locked += int((both & (picked["bid_price"] == picked["ask_price"])).sum())
    sink.write(
        "quotes", make_rows("quotes", int(good.sum()), exchange_ns=time_ns[good], instrument=instrument, **picked)
    )


def _bars(label: str, stream: BinaryIO, sink: Sink, name: str) -> None:
    names = ["time", *(f"{side}_{column}" for side in ("bid", "ask") for column in _SIDE_COLUMNS)]
    clock = Clock()
    for batch in batches(sink, label, stream, names):
        check = Checked(sink, batch)
        time_ns, understood = clock.to_ns(batch.columns["time"])
        check.require(understood, "time is not understood")
        sides = {side: _side(check, side) for side in ("bid", "ask")}
        check.watch_time(time_ns)
        good = check.good
        sink.report.crossed += int((sides["bid"]["close"][good] > sides["ask"]["close"][good]).sum())
        for side, columns in sides.items():
            picked = {key: values[good] for key, values in columns.items()}
            number = sink.instrument(f"{name}.{side}")
            rows = make_rows("bars", int(good.sum()), exchange_ns=time_ns[good], instrument=number, **picked)
            sink.write("bars", rows, used=0)
        sink.report.used += int(good.sum())


def _side(check: Checked, side: str) -> dict[str, np.ndarray]:
    columns = {column: check.price(f"{side}_{column}") for column in _SIDE_COLUMNS[:4]}
    columns["size"] = check.size(f"{side}_size")
    top, bottom = np.maximum(columns["open"], columns["close"]), np.minimum(columns["open"], columns["close"])
    check.require((columns["high"] >= top) & (columns["low"] <= bottom), "high and low do not enclose open and close")
    return columns


def _e4(check: Checked, column: str) -> np.ndarray:
    values = check.integer(column)
    check.require((values >= 0) & (values < 2**43), f"{column} is out of range")
    return np.where(check.good, values, 0) * (PRICE_UNIT // 10_000)


def _whole(check: Checked, column: str) -> np.ndarray:
    values = check.integer(column)
    check.require((values >= 0) & (values < 2**36), f"{column} is out of range")
    return np.where(check.good, values, 0) * SIZE_UNIT


FORMAT = Format("lean", recognise, read)
