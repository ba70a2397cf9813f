"""Bars as a JSON array of objects {O, H, L, C, V, T, BV}, as Bittrex gave them."""

import re
from functools import partial
from typing import Any

from market_models.datasets.formats.blocks import NULL
from market_models.datasets.formats.fixed import RowError
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.records import array_elements, take
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source
from market_models.datasets.formats.times import parse_iso


def recognise(source: Source) -> bool:
    """An array whose first object has O and T."""
    first = re.match(rb"\s*\[\s*\{([^}]*)\}", source.head[:4096])
    return bool(first and b'"O"' in first[1] and b'"T"' in first[1])


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read bar by bar."""
    instrument = sink.instrument(options.name_or(re.sub(r"\.json$", "", source.name)))
    sink.report.unused_columns = ["BV"]
    with source.opened() as stream:
        for element in array_elements(source.path, stream):
            sink.report.rows += 1
            take(sink, partial(_bar, sink, instrument, element))


def _bar(sink: Sink, instrument: int, bar: dict[str, Any]) -> None:
    opened, high, low, close = (sink.report.price(bar[key], key) for key in "OHLC")
    if high < max(opened, close) or low > min(opened, close):
        raise RowError("high and low do not enclose open and close")
    size, time_ns = sink.report.size(bar["V"], "V"), parse_iso(bar["T"])
    if size < 0:
        raise RowError("V is negative")
    sink.add("bars", time_ns, NULL, instrument, opened, high, low, close, size)
    sink.commit(time_ns)


FORMAT = Format("bars_json", recognise, read)
