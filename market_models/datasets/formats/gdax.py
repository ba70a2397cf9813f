"""GDAX level 2 as csv: updates (side, price, new size, ISO time) or a full snapshot of one side without times.

Updates are judged against the snapshots that lie beside them (snapshot_bids, snapshot_asks), the first file of a
series; a later file begins in the middle, so its states are judged as far as the file itself tells the book.
"""

import re
from pathlib import Path

import numpy as np

from market_models.datasets.errors import DataError
from market_models.datasets.formats.blocks import make_rows
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source, open_source
from market_models.datasets.formats.tables import Checked, batches, split_header
from market_models.datasets.formats.times import Clock
from market_models.datasets.venue_books.base import LevelBook

_UPDATES, _SNAPSHOT = ["side", "price", "size", "time"], ["side", "price", "size"]
_SIDES = {b"buy": 0, b"sell": 1}


def recognise(source: Source) -> bool:
    """One of the two headers over a row of buy or sell."""
    first, _, rest = source.head.partition(b"\n")
    return split_header(first) in (_UPDATES, _SNAPSHOT) and rest[:4] in (b"buy,", b"sell")


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read batch by batch, in order."""
    instrument, clock = sink.instrument(options.name_or("BTC-USD")), Clock()
    book = LevelBook()
    _seed(source, book, sink)
    with source.opened() as stream:
        for batch in batches(sink, source.path, stream):
            check = Checked(sink, batch)
            if list(batch.columns) not in (_UPDATES, _SNAPSHOT):
                check.require(np.zeros(batch.num_rows, bool), "GDAX's columns are missing")
                continue
            side, price, size = check.code("side", _SIDES), check.price("price"), check.size("size")
            is_update = "time" in batch.columns
            columns = {"side": side, "price": price, "size": size}
            if is_update:
                columns["exchange_ns"], understood = clock.to_ns(batch.columns["time"])
                check.require(understood, "time is not understood")
                check.watch_time(columns["exchange_ns"])
            good = check.good
            picked = {key: values[good] for key, values in columns.items()}
            order = np.arange(batch.num_rows)[good] + batch.first_row
            rows = make_rows(
                "levels", len(order), instrument=instrument, event_id=order, snapshot=int(not is_update), **picked
            )
            _judge(sink, book, rows)
            sink.write("levels", rows)


def _judge(sink: Sink, book: LevelBook, rows: np.ndarray) -> None:
    for side, price, size in zip(rows["side"].tolist(), rows["price"].tolist(), rows["size"].tolist(), strict=True):
        level = [(price, size)]
        book.apply(level if side == 0 else [], level if side == 1 else [])
        sink.report.judge(*book.touch)


def _seed(source: Source, book: LevelBook, sink: Sink) -> None:
    """Load the snapshots beside the first file of updates."""
    from market_models.datasets.formats.report import ImportReport

    if not re.search(r"_1(\.|$)", source.name):
        return
    for path in sorted(source.path.parent.glob("snapshot_*.csv*")):
        own = Sink(ImportReport(str(path), "gdax", ""), None)  # pyright: ignore[reportArgumentType]
        own.instrument("seed")
        try:
            _load(path, own, book)
        except DataError as error:
            sink.report.notes.append(f"a snapshot beside it was not used: {error}")
            book.clear()
            return


def _load(path: Path, own: Sink, book: LevelBook) -> None:
    with open_source(path).opened() as stream:
        for batch in batches(own, path, stream):
            check = Checked(own, batch)
            if list(batch.columns) != _SNAPSHOT:
                raise DataError(path, 1, "not a snapshot")
            side, price, size = check.code("side", _SIDES), check.price("price"), check.size("size")
            for index in np.flatnonzero(check.good):
                level = [(int(price[index]), int(size[index]))]
                book.apply(level if side[index] == 0 else [], level if side[index] == 1 else [])


FORMAT = Format("gdax", recognise, read)
