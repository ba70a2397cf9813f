"""Binance events as one JSON array (depthUpdate, aggTrade), or a REST snapshot as one JSON object."""

import re
from functools import partial
from typing import Any

from market_models.datasets.errors import DataError
from market_models.datasets.formats.binance_feed import BinanceFeed
from market_models.datasets.formats.fixed import RowError
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.records import array_elements, parse, take
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source
from market_models.datasets.venue_books.base import ASK, BID, LevelBook

_MAX_SNAPSHOT_BYTES = 1 << 26


def recognise(source: Source) -> bool:
    """An array of events, or a snapshot object."""
    head = source.head[:4096].lstrip()
    return bool(
        re.match(rb'\[\s*\{\s*"e"\s*:\s*"(depthUpdate|aggTrade|trade)"', head)
        or re.match(rb'\{\s*"lastUpdateId"\s*:', head)
    )


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read the elements one at a time."""
    with source.opened() as stream:
        if source.head.lstrip()[:1] == b"{":
            text = stream.read(_MAX_SNAPSHOT_BYTES + 1)
            if len(text) > _MAX_SNAPSHOT_BYTES:
                raise DataError(source.path, 0, f"a snapshot of more than {_MAX_SNAPSHOT_BYTES} bytes")
            _snapshot(source, sink, text, options.name_or(re.split(r"[_.]", source.name)[0]))
            return
        feed = BinanceFeed(sink)
        for element in array_elements(source.path, stream):
            sink.report.rows += 1
            take(sink, partial(feed.event, element))


def _snapshot(source: Source, sink: Sink, text: bytes, symbol: str) -> None:
    """Read a snapshot; its records are the levels of the longer side."""
    try:
        document = parse(text)
        if type(document["bids"]) is not list or type(document["asks"]) is not list:
            raise RowError("bids and asks are no lists")
        last_id = int(document["lastUpdateId"])
    except (RowError, KeyError, TypeError, ValueError) as error:
        raise DataError(source.path, 0, f"not a whole snapshot ({error})") from error
    instrument, book = sink.instrument(symbol), LevelBook()
    length = max(len(document["bids"]), len(document["asks"]))
    for index in range(length):
        sink.report.rows += 1
        take(sink, partial(_pair, sink, book, instrument, last_id, document, index))
    sink.report.judge(*book.touch)


def _pair(sink: Sink, book: LevelBook, instrument: int, last_id: int, document: dict[str, Any], index: int) -> None:
    from market_models.datasets.formats.blocks import NULL

    levels: list[list[tuple[int, int]]] = [[], []]
    for side, name in ((BID, "bids"), (ASK, "asks")):
        if index < len(document[name]):
            pair = document[name][index]
            price, size = sink.report.price(pair[0]), sink.report.size(pair[1])
            if size < 0:
                raise RowError("size is negative")
            levels[side].append((price, size))
            sink.add("levels", NULL, NULL, instrument, last_id, 1, side, price, size)
    book.apply(levels[BID], levels[ASK])
    sink.commit()


FORMAT = Format("binance_json", recognise, read)
