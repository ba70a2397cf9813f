"""Bars and daily series as delimited text, plain or in an archive of one file an instrument.

Two shapes. With a closing price column: one bar a row, of the instrument that the row or the file names. Without: a
date and one column of closing prices an instrument. Columns that are neither stay unread and are listed in the report.
"""

import re
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from market_models.datasets.formats.blocks import NULL, PRICE_DECIMALS, SIZE_DECIMALS, make_rows
from market_models.datasets.formats.fixed import column_to_fixed
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source
from market_models.datasets.formats.tables import Batch, Checked, batches, split_header
from market_models.datasets.formats.times import Clock

_TIMES = ("date", "dates", "time", "timestamp", "timestamp_utc", "datetime", "dt", "unnamed")
_SYMBOLS = ("symbol", "name", "ticker")
_ROLES = {
    "open": ("open", "px_open"),
    "high": ("high", "px_high"),
    "low": ("low", "px_low"),
    "close": ("close", "px_last"),
}


class Layout(NamedTuple):
    """Which column is what; series columns are instruments."""

    skip_lines: int
    header: list[str]
    time: str
    symbol: str | None
    prices: dict[str, str]  # open, high, low, close -> column
    volume: str | None
    volume_decimals: int  # 2 or 8: volumes of whole units may be larger than 64 bits hold in 1e-8
    series: list[str]

    @property
    def unused(self) -> list[str]:
        """Columns that are not read."""
        read = {self.time, self.symbol, self.volume, *self.prices.values(), *self.series}
        return [name for name in self.header if name not in read]


def find_layout(head: bytes) -> Layout | None:
    """Return the layout of a table by its first lines, or None if it is none of bars."""
    first, _, rest = head.partition(b"\n")
    second = rest.partition(b"\n")[0]
    if first.count(b",") < 2 and b"http" in first:
        layout = _layout(split_header(second))
        return _with_volume(layout._replace(skip_lines=1), rest.partition(b"\n")[2]) if layout else None
    layout = _layout(split_header(first))
    return _with_volume(layout, rest) if layout and re.match(rb'^"?[\d-]', second) else None


def recognise(source: Source) -> bool:
    """A header with a time and prices, over a row that begins with a digit."""
    return find_layout(source.head) is not None and not source.head.startswith(b"exchange,symbol,")


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read each table of the file."""
    for member, stream in source.each():
        name = f"{source.path}:{member}" if source.packing in ("zip", "tar") else str(source.path)
        _table(name, stream, sink, options.name_or(_stem(member)))


def _layout(header: list[str]) -> Layout | None:
    lower = {name.lower(): name for name in reversed(header)}
    time = next((lower[name] for name in _TIMES if name in lower), None)
    if time is None or len(header) < 2 or header.index(time) != 0:
        return None
    prices = {role: lower[name] for role, names in _ROLES.items() for name in names if name in lower}
    if "close" in prices:
        volume = next((name for name in header if re.fullmatch(r"volume_[a-z]+", name.lower())), lower.get("volume"))
        symbol = next((lower[name] for name in _SYMBOLS if name in lower), None)
        return Layout(0, header, time, symbol, prices, volume, SIZE_DECIMALS, [])
    return Layout(0, header, time, None, {}, None, SIZE_DECIMALS, header[1:]) if _are_names(header[1:]) else None


def _with_volume(layout: Layout, rows: bytes) -> Layout:
    """Choose the unit of volume by the rows at hand; finer volumes further on are rounded and counted."""
    if layout.volume is None:
        return layout
    index = layout.header.index(layout.volume)
    cells = [row.split(b",")[index] for row in rows.split(b"\n")[:-1] if row.count(b",") >= index]
    is_fine = any(len(cell.strip().partition(b".")[2].rstrip(b"0")) > 2 or b"e" in cell.lower() for cell in cells)
    return layout if is_fine else layout._replace(volume_decimals=2)


def _are_names(cells: list[str]) -> bool:
    """Column names of series are words; a table of other things (sizes, sides, ids) is not one of series."""
    foreign = {"price", "size", "side", "amount", "bid", "ofr", "ask", "quantity", "id", "volume"}
    words = [cell.lower() for cell in cells]
    return all(re.search(r"[a-z]", word) for word in words) and sum(word in foreign for word in words) < 2


def _stem(member: str) -> str:
    return re.sub(r"\.(csv|txt)$", "", Path(member).name, flags=re.IGNORECASE)


def _table(name: str, stream: BinaryIO, sink: Sink, instrument: str) -> None:
    head = stream.peek(1 << 16)[: 1 << 16] if hasattr(stream, "peek") else b""  # pyright: ignore[reportAttributeAccessIssue]
    layout = find_layout(head)
    if layout is None:
        sink.report.notes.append(f"{name}: not a table of bars, left out")
        sink.report.rows += 1
        sink.quarantine("a member of the archive is not a table of bars")
        return
    if layout.unused and not sink.report.unused_columns:
        sink.report.unused_columns = layout.unused
    clock = Clock()
    for batch in batches(sink, name, stream, skip_lines=layout.skip_lines):
        check = Checked(sink, batch)
        time_ns, good = clock.to_ns(batch.columns[layout.time])
        check.require(good, "time is not understood")
        if layout.series:
            _store_series(sink, check, batch, layout, time_ns)
        else:
            _store_bars(sink, check, layout, time_ns, instrument, name)


def _store_bars(sink: Sink, check: Checked, layout: Layout, time_ns: np.ndarray, instrument: str, clock: str) -> None:
    prices = {role: check.price(column) for role, column in layout.prices.items()}
    columns = dict(prices)
    if layout.volume:
        columns["size"] = check.size(layout.volume, layout.volume_decimals)
    if len(prices) == 4:
        top, bottom = np.maximum(prices["open"], prices["close"]), np.minimum(prices["open"], prices["close"])
        check.require((prices["high"] >= top) & (prices["low"] <= bottom), "high and low do not enclose open and close")
    if layout.symbol:
        numbers = _instruments(sink, check, layout.symbol, layout.volume_decimals)
    else:
        numbers = np.full(check.batch.num_rows, sink.instrument(instrument, layout.volume_decimals))
    check.watch_time(time_ns, clock)
    good = check.good
    picked = {key: values[good] for key, values in columns.items()}
    rows = make_rows("bars", int(good.sum()), exchange_ns=time_ns[good], instrument=numbers[good], **picked)
    sink.write("bars", rows)


def _instruments(sink: Sink, check: Checked, column: str, size_decimals: int) -> np.ndarray:
    words = check.text(column)
    check.require(np.array([0 < len(word) <= 64 for word in words], bool), "no symbol")
    known: dict[bytes, int] = {}
    for word in words[check.good]:
        if word not in known:
            known[word] = sink.instrument(word.decode("utf-8", "replace"), size_decimals)
    return np.array([known.get(word, 0) for word in words], np.int64)


def _store_series(sink: Sink, check: Checked, batch: Batch, layout: Layout, time_ns: np.ndarray) -> None:
    check.watch_time(time_ns)
    parts, broken, empty = [], np.zeros(batch.num_rows, bool), 0
    for column in layout.series:
        values, good, rounded = column_to_fixed(batch.columns[column], PRICE_DECIMALS)
        words = check.text(column)
        blank = np.array([word.strip().lower() in (b"", b"nan", b"na", b"null", b".") for word in words], bool)
        broken |= ~good & ~blank
        empty += int((blank & check.good).sum())
        sink.report.rounded += rounded
        parts.append((sink.instrument(column), values, good))
    check.require(~broken, "a value is not a number")
    if empty:
        sink.report.notes.append(f"{empty} empty cells")
    for instrument, values, good in parts:
        keep = check.good & good & (values != NULL)
        bars = make_rows("bars", int(keep.sum()), exchange_ns=time_ns[keep], instrument=instrument, close=values[keep])
        sink.write("bars", bars, used=0)
    sink.report.used += int(check.good.sum())


FORMAT = Format("bars_csv", recognise, read)
