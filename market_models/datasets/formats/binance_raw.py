"""Binance raw recordings: lines `<local time> <json>` of the combined stream, with the REST snapshot in between.

The local time is in nanoseconds, microseconds or milliseconds, told apart by its digits. A line without "stream" is the
snapshot of the one symbol of the file.
"""

import re
from functools import partial

from market_models.datasets.formats.binance_feed import BinanceFeed
from market_models.datasets.formats.fixed import RowError
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.records import parse, take
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source, lines

_UNITS = {19: 1, 16: 1_000, 13: 1_000_000}


def recognise(source: Source) -> bool:
    """A first line of digits, a space and a JSON object that Binance's combined stream makes."""
    return bool(re.match(rb'\d{13,19} \{"(stream|lastUpdateId)"', source.head))


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read line by line."""
    feed = BinanceFeed(sink)
    symbol = options.name_or(re.split(r"[_.]", source.name)[0].upper())
    with source.opened() as stream:
        for line in lines(source.path, stream):
            sink.report.rows += 1
            take(sink, partial(_line, feed, line, symbol))


def _line(feed: BinanceFeed, line: bytes, symbol: str) -> None:
    stamp, space, text = line.partition(b" ")
    if not space or not stamp.isdigit() or len(stamp) not in _UNITS:
        raise RowError("no local time")
    local_ns = int(stamp) * _UNITS[len(stamp)]
    if local_ns >= 2**63:
        raise RowError("local time is out of range")
    message = parse(text)
    if "stream" in message:
        feed.event(message["data"], local_ns)
    elif "lastUpdateId" in message:
        feed.snapshot(symbol, message, local_ns)
    else:
        raise RowError("neither an event nor a snapshot")


FORMAT = Format("binance_raw", recognise, read)
