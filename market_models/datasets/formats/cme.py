"""CME futures of a broker feed as Parquet: the five best levels after each change, or trades.

Quotes: index transact_time (UTC), {bid,offer}_{price,quantity}_{0..4}. Trades: side says where the RESTING order was,
B at the bid, O at the offer, so the aggressor is on the other side.
"""

import re
from typing import TYPE_CHECKING

import numpy as np

from market_models.datasets.errors import DataError
from market_models.datasets.formats.arrow_tables import column_names, float_column, record_batches, time_column
from market_models.datasets.formats.blocks import PRICE_DECIMALS, SIZE_DECIMALS, make_rows
from market_models.datasets.formats.feather import Rows
from market_models.datasets.formats.fixed import RowError, floats_to_fixed
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.ids import trade_number
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source

if TYPE_CHECKING:
    import pyarrow as pa

_TRADES = ["transact_time", "side", "price", "quantity", "market_trade_id"]


def recognise(source: Source) -> bool:
    """A Parquet file with the columns of one of the two."""
    names = set(column_names(source))
    return "transact_time" in names and ("bid_price_0" in names or names.issuperset(_TRADES))


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read batch by batch."""
    names = column_names(source)
    instrument = sink.instrument(options.name_or(re.sub(r"_(quotes|trades)_.*$", "", source.name)))
    levels = sorted(int(match[1]) for match in (re.fullmatch(r"bid_price_(\d)", name) for name in names) if match)
    if not levels and not set(names).issuperset(_TRADES):
        raise DataError(source.path, 0, "damaged, or without the columns of five levels or trades")
    cells = [
        f"{side}_{what}_{level}" for level in levels for side in ("bid", "offer") for what in ("price", "quantity")
    ]
    columns = ["transact_time", *cells] if levels else _TRADES
    if missing := sorted(set(columns) - set(names)):
        raise DataError(source.path, 0, f"column {missing[0]} is missing")
    for batch in record_batches(source, columns):
        rows = Rows(sink, batch.num_rows)
        parts = {name: batch.column(name) for name in columns}
        rows.first_row, sink.report.rows = sink.report.rows, sink.report.rows + batch.num_rows
        if levels:
            _quotes(sink, rows, parts, instrument, len(levels))
        else:
            _trades(sink, rows, parts, instrument)


def _quotes(sink: Sink, rows: Rows, columns: dict[str, "pa.Array"], instrument: int, depth: int) -> None:
    time_ns, known = time_column(columns["transact_time"])
    rows.require(known, "no time")
    price, size, present = [], [], []
    for level in range(depth):
        for side in ("bid", "offer"):
            raw_price = float_column(columns[f"{side}_price_{level}"])
            raw_size = float_column(columns[f"{side}_quantity_{level}"])
            absent = np.isnan(raw_price) | np.isnan(raw_size)
            fixed, fits = floats_to_fixed(np.where(absent, 0.0, raw_price), PRICE_DECIMALS)
            lots, lots_fit = floats_to_fixed(np.where(absent, 0.0, raw_size), SIZE_DECIMALS)
            rows.require(fits & lots_fit & (lots >= 0), "a level is out of range")
            price.append(fixed)
            size.append(lots)
            present.append(~absent & (lots > 0))
    nothing = ~np.any(present, axis=0)
    sink.skip("row without a quote", int((rows.good & nothing).sum()))
    rows.good &= ~nothing
    rows.watch_time(time_ns)
    good = rows.good
    both = good & present[0] & present[1]
    sink.report.crossed += int((price[0][both] > price[1][both]).sum())
    sink.report.locked += int((price[0][both] == price[1][both]).sum())
    order = np.arange(len(good))[good] + rows.first_row
    parts = [
        make_rows(
            "levels",
            len(order),
            exchange_ns=time_ns[good],
            instrument=instrument,
            event_id=order,
            snapshot=1,
            side=index % 2,
            price=price[index][good],
            size=np.where(present[index][good], size[index][good], 0),
        )
        for index in range(2 * depth)
    ]
    stored = np.stack(parts, axis=1).reshape(-1)
    sink.write("levels", stored[stored["size"] > 0], used=len(order))


def _trades(sink: Sink, rows: Rows, columns: dict[str, "pa.Array"], instrument: int) -> None:
    time_ns, known = time_column(columns["transact_time"])
    rows.require(known, "no time")
    price = rows.fixed(columns["price"], PRICE_DECIMALS, "price")
    size = rows.fixed(columns["quantity"], SIZE_DECIMALS, "quantity")
    rows.require(size >= 0, "quantity is negative")
    words = columns["side"].to_pylist()
    side = np.array([{"B": 1, "O": 0}.get(word, -2) if isinstance(word, str) else -2 for word in words], np.int64)
    rows.require(side >= 0, "side is neither B nor O")
    numbers = np.array([_number(value) for value in columns["market_trade_id"].to_pylist()], np.int64)
    rows.watch_time(time_ns)
    good = rows.good
    picked = {"exchange_ns": time_ns[good], "trade_id": numbers[good], "side": side[good], "price": price[good]}
    sink.write("trades", make_rows("trades", int(good.sum()), instrument=instrument, size=size[good], **picked))


def _number(value: object) -> int:
    try:
        return trade_number(value)
    except RowError:
        return 0


FORMAT = Format("cme", recognise, read)
