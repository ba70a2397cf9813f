"""Bars and trades as feather or Parquet tables, as freqtrade keeps them."""

import re
from typing import TYPE_CHECKING

import numpy as np

from market_models.datasets.errors import DataError
from market_models.datasets.formats.arrow_tables import column_names, float_column, record_batches, time_column
from market_models.datasets.formats.blocks import PRICE_DECIMALS, SIZE_DECIMALS, make_rows
from market_models.datasets.formats.fixed import RowError, floats_to_fixed
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.ids import trade_number
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source

if TYPE_CHECKING:
    import pyarrow as pa

_BARS = ["date", "open", "high", "low", "close", "volume"]
_TRADES = ["timestamp", "id", "side", "price", "amount"]
_ENCLOSE = "high and low do not enclose open and close"


class Rows:
    """Marks the good rows of a batch, counting each bad one once."""

    def __init__(self, sink: Sink, length: int) -> None:
        self.sink, self.good, self.first_row = sink, np.ones(length, bool), 0

    def watch_time(self, time_ns: np.ndarray) -> None:
        """Count steps back in time among the good rows, across batches."""
        self.sink.watch_times(time_ns[self.good])

    def require(self, mask: np.ndarray, reason: str) -> None:
        """Quarantine the rows, so far good, where the mask is False."""
        self.sink.quarantine(reason, int((self.good & ~mask).sum()))
        self.good &= mask

    def fixed(self, values: "pa.Array", decimals: int, what: str) -> np.ndarray:
        """Return a column of floats in fixed-point units; rows where it is no number are quarantined."""
        fixed, fits = floats_to_fixed(float_column(values), decimals)
        self.require(fits, f"{what} is not a number")
        return fixed


def recognise(source: Source) -> bool:
    """A feather or Parquet file with freqtrade's columns."""
    names = set(column_names(source))
    return names.issuperset(_BARS) or names.issuperset(_TRADES)


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read batch by batch."""
    names = column_names(source)
    instrument = sink.instrument(options.name_or(re.sub(r"(-trades)?\.(feather|parquet)$", "", source.name)))
    if set(names).issuperset(_TRADES):
        columns, store = _TRADES, _trades
    elif set(names).issuperset(_BARS):
        columns, store = _BARS, _bars
    else:
        raise DataError(source.path, 0, "damaged, or without freqtrade's columns")
    sink.report.unused_columns = [name for name in names if name not in columns]
    for batch in record_batches(source, columns):
        sink.report.rows += batch.num_rows
        rows = Rows(sink, batch.num_rows)
        store(sink, rows, {name: batch.column(name) for name in columns}, instrument)


def _bars(sink: Sink, rows: Rows, columns: dict[str, "pa.Array"], instrument: int) -> None:
    time_ns, known = time_column(columns["date"])
    rows.require(known, "no time")
    prices = {name: rows.fixed(columns[name], PRICE_DECIMALS, name) for name in ("open", "high", "low", "close")}
    size = rows.fixed(columns["volume"], SIZE_DECIMALS, "volume")
    rows.require(size >= 0, "volume is negative")
    top, bottom = np.maximum(prices["open"], prices["close"]), np.minimum(prices["open"], prices["close"])
    rows.require((prices["high"] >= top) & (prices["low"] <= bottom), _ENCLOSE)
    good = rows.good
    picked = {name: values[good] for name, values in prices.items()}
    rows.watch_time(time_ns)
    length = int(good.sum())
    sink.write(
        "bars", make_rows("bars", length, exchange_ns=time_ns[good], instrument=instrument, size=size[good], **picked)
    )


def _trades(sink: Sink, rows: Rows, columns: dict[str, "pa.Array"], instrument: int) -> None:
    time_ns, known = time_column(columns["timestamp"])
    rows.require(known, "no time")
    words = columns["side"].to_pylist()
    side = np.array([{"buy": 0, "sell": 1}.get(word, -2) if isinstance(word, str) else -2 for word in words], np.int64)
    rows.require(side >= 0, "side is none of buy, sell")
    price = rows.fixed(columns["price"], PRICE_DECIMALS, "price")
    size = rows.fixed(columns["amount"], SIZE_DECIMALS, "amount")
    rows.require(size >= 0, "amount is negative")
    numbers = [_number(value) for value in columns["id"].to_pylist()]
    rows.require(np.array([number is not None for number in numbers], bool), "no trade id")
    good = rows.good
    trade_id = np.array([number or 0 for number in numbers], np.int64)[good]
    picked = {"exchange_ns": time_ns[good], "trade_id": trade_id, "side": side[good], "price": price[good]}
    rows.watch_time(time_ns)
    sink.write("trades", make_rows("trades", int(good.sum()), instrument=instrument, size=size[good], **picked))


def _number(value: object) -> int | None:
    try:
        return trade_number(value)
    except RowError:
        return None


FORMAT = Format("feather", recognise, read)
