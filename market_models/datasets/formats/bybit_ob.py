"""Bybit's historical order books: one JSON message a line, snapshot and deltas of orderbook.DEPTH.SYMBOL."""

import re
from functools import partial

from market_models.datasets.formats.bybit_feed import BybitFeed
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.records import parse, take
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source, lines


def recognise(source: Source) -> bool:
    """A first line that is an orderbook message."""
    return bool(re.match(rb'\s*\{"topic":\s*"orderbook\.', source.head))


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read line by line."""
    feed = BybitFeed(sink)
    for member, stream in source.each():
        for line in lines(f"{source.path}:{member}", stream):
            sink.report.rows += 1
            take(sink, partial(_line, feed, line))


def _line(feed: BybitFeed, line: bytes) -> None:
    feed.message(parse(line))


FORMAT = Format("bybit_ob", recognise, read)
