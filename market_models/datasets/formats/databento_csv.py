"""Databento records as csv: MBO, MBP-N or trades, with times and prices as text or as integers."""

import re
from functools import partial

from market_models.datasets.formats.databento_feed import UNDEFINED, DatabentoFeed
from market_models.datasets.formats.fixed import RowError, to_int
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.records import take
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source
from market_models.datasets.formats.tables import Batch, batches, split_header
from market_models.datasets.formats.times import parse_iso

_COMMON = {"ts_recv", "ts_event", "action", "side", "price", "size"}


def recognise(source: Source) -> bool:
    """A header with Databento's columns."""
    return set(split_header(source.head.split(b"\n", 1)[0])) >= _COMMON


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read row by row: the orders of a book depend on each other."""
    rows = _Rows(DatabentoFeed(sink), options)
    with source.opened() as stream:
        for batch in batches(sink, source.path, stream):
            if not set(batch.columns) >= _COMMON:
                sink.quarantine("Databento's columns are missing", batch.num_rows)
                continue
            rows.batch(batch)


class _Rows:
    def __init__(self, feed: DatabentoFeed, options: ImportOptions) -> None:
        self.feed, self.options = feed, options

    def batch(self, batch: Batch) -> None:
        columns = {name: column.to_pylist() for name, column in batch.columns.items()}
        depth = sum(1 for name in columns if re.fullmatch(r"bid_px_\d\d", name))
        for index in range(batch.num_rows):
            row = {name: values[index].decode("utf-8", "replace") for name, values in columns.items()}
            take(self.feed.sink, partial(self._row, row, depth))

    def _row(self, row: dict[str, str], depth: int) -> None:
        times = (_time(row["ts_event"]), _time(row["ts_recv"]))
        # Integer times mean that the file has raw integers throughout; a price with a point is decimal anyway.
        raw = row["ts_event"].isdigit()
        name = row.get("symbol") or f"instrument {row.get('instrument_id', '')}"
        instrument = self.feed.sink.instrument(self.options.name_or(name[:64]))
        price, size = self._price(row["price"], raw), to_int(row["size"] or "0", "size")
        flags = to_int(row.get("flags") or "0", "flags")
        if depth:
            levels = [self._level(row, index, raw) for index in range(depth)]
            sequence = to_int(row.get("sequence") or "0", "sequence")
            self.feed.prices(times, instrument, row["action"], row["side"], price, size, levels, sequence, flags)
        elif "order_id" in row:
            order_id = to_int(row["order_id"], "order id")
            self.feed.order(times, instrument, row["action"], row["side"], order_id, price, size, flags)
        else:
            self.feed.trade(times, instrument, row["side"], price, size)

    def _level(self, row: dict[str, str], index: int, raw: bool) -> tuple[int, int, int, int]:
        cells = [row[f"{side}_{what}_{index:02d}"] for side in ("bid", "ask") for what in ("px", "sz")]
        bid, ask = self._price(cells[0], raw), self._price(cells[2], raw)
        return bid, to_int(cells[1] or "0", "bid_sz"), ask, to_int(cells[3] or "0", "ask_sz")

    def _price(self, text: str, raw: bool) -> int:
        if text in ("", "nan", "NaN"):
            return UNDEFINED
        return to_int(text, "price") if raw and "." not in text else self.feed.sink.report.price(text)


def _time(text: str) -> int:
    time_ns = to_int(text, "time") if text.isdigit() else parse_iso(text)
    if time_ns < 0:
        raise RowError("time is undefined")
    return time_ns


FORMAT = Format("databento_csv", recognise, read)
