"""LOBSTER: a message file, with or without the order-book file that holds the state after each message.

Format and fields: market_models/datasets/lobster.py. Times are made UTC with the date in the file's name. The order
book is read beside the messages to judge it (crossed, locked, order of levels); the messages are what is stored.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np

from kernels.lob.spec import BUY, MAX_LOTS, SELL
from market_models.datasets import recording as rec
from market_models.datasets.errors import DataError
from market_models.datasets.formats.blocks import PRICE_UNIT, SIZE_UNIT, make_rows
from market_models.datasets.formats.fixed import column_to_fixed
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source, open_source
from market_models.datasets.formats.tables import WRONG_COLUMNS, Batch, Checked, batches
from market_models.datasets.formats.times import NEW_YORK, find_date, midnight_ns
from market_models.datasets.lobster import ABSENT_PRICE, FINE_TIME, MESSAGE_COLUMNS, OFF_TICK

_PRICE_E9 = PRICE_UNIT // 10_000
_TICK = 100  # of 1e-4 dollars, unless another is given


def recognise(source: Source) -> bool:
    """A zip or csv named as LOBSTER names them, beginning with six or 4 L numbers."""
    names = source.members or [source.path.name]
    if not any(re.search(r"_(message|orderbook)_\d", name) for name in names):
        return False
    cells = source.head.split(b"\n", 1)[0].strip().split(b",")
    return len(cells) >= 4 and all(re.fullmatch(rb"-?\d+(\.\d+)?", cell) for cell in cells)


def files(source: Source) -> list[Path]:
    """The zip, or the message file and its order-book file if that is beside it."""
    if source.packing == "zip":
        return [source.path]
    message = source.path.with_name(source.path.name.replace("_orderbook_", "_message_"))
    book = source.path.with_name(source.path.name.replace("_message_", "_orderbook_"))
    return [path for path in (message, book) if path.is_file()]


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read messages, and the book row by row beside them."""
    with ExitStack() as stack:
        message, book = _streams(source, stack)
        name = options.name_or(re.split(r"[_.]", _file_name(message[0]))[0])
        instrument = sink.instrument(name)
        units = sink.report.instruments[instrument]
        units.given_tick = units.given_tick or _TICK * _PRICE_E9
        midnight = midnight_ns(find_date(_file_name(message[0])), NEW_YORK)
        judge = _Book(sink, book, units.given_tick) if book else None
        for batch in batches(sink, message[0], message[1], list(MESSAGE_COLUMNS)):
            if sink.report.quarantined[WRONG_COLUMNS] or len(batch.columns) != len(MESSAGE_COLUMNS):
                raise DataError(message[0], 0, "a row has another number of columns than LOBSTER's six")
            _store(sink, batch, instrument, midnight, units.given_tick)
            if judge:
                judge.advance(batch.num_rows)
        if sink.report.quarantined[WRONG_COLUMNS]:
            raise DataError(message[0], 0, "a row has another number of columns than LOBSTER's six")
        if judge:
            judge.finish(message[0], sink.report.rows)
        else:
            sink.report.notes.append("no order-book file: crossed states are not known")


def _streams(source: Source, stack: ExitStack) -> tuple[tuple[str, BinaryIO], tuple[str, BinaryIO] | None]:
    if source.packing == "zip":
        import zipfile

        found = [(name, part) for part in ("message", "orderbook") for name in source.members if f"_{part}_" in name]
        if not found or "_message_" not in found[0][0] or len(found) > 2:
            raise DataError(source.path, 0, "a LOBSTER zip holds one message csv and one orderbook csv")
        archive = stack.enter_context(zipfile.ZipFile(source.path))
        opened = [(f"{source.path}:{name}", source.member(archive, name)) for name, _ in found]
    else:
        opened = []
        for path in files(source):
            part = source if path == source.path else open_source(path)
            opened.append((str(path), stack.enter_context(part.open())))
        if not opened or "_message_" not in _file_name(opened[0][0]):
            raise DataError(source.path, 0, "the message file of this order book is not beside it")
    return opened[0], (opened[1] if len(opened) > 1 else None)


def _file_name(label: str) -> str:
    return Path(label.replace(":", "/")).name


def _store(sink: Sink, batch: Batch, instrument: int, midnight: int, tick: int) -> None:
    check = Checked(sink, batch)
    seconds, fits, fine = column_to_fixed(batch.columns["time"], 9)
    check.require(fits & (seconds >= 0) & (seconds < 2**31 * 10**9), "time is not seconds after midnight")
    sink.report.rounded += fine
    if fine and FINE_TIME not in sink.report.notes:
        sink.report.notes.append(FINE_TIME)
    kind, size = check.integer("type"), check.integer("size")
    price, direction, order_id = check.integer("price"), check.integer("direction"), check.integer("order_id")
    check.require((kind >= rec.NEW) & (kind <= rec.HALT), "event type is outside 1..7")
    check.require(np.abs(direction) == 1, "direction is neither 1 nor -1")
    check.require((kind == rec.HALT) | ((size >= 1) & (size <= MAX_LOTS)), f"size is outside 1..{MAX_LOTS}")
    visible = kind <= rec.VISIBLE_EXECUTION
    check.require(~visible | (order_id >= 1), "order id is below 1")
    check.require((np.abs(price) < 2**40), "price is out of range")
    off = (price * _PRICE_E9 % tick != 0) & (kind != rec.HALT)
    check.require(~(off & ~visible), OFF_TICK)
    check.require(~off, "price is between two ticks")
    time_ns = seconds + midnight
    check.watch_time(time_ns)
    good = check.good
    rows = make_rows(
        "orders",
        int(good.sum()),
        exchange_ns=time_ns[good],
        instrument=instrument,
        event=kind[good],
        side=np.where(direction[good] == 1, BUY, SELL),
        order_id=order_id[good],
        price=np.where(kind[good] == rec.HALT, 0, price[good] * _PRICE_E9),
        size=np.where(kind[good] == rec.HALT, 0, size[good] * SIZE_UNIT),
    )
    sink.write("orders", rows)


class _Book:
    """Reads the order-book file in step with the messages and judges each state."""

    def __init__(self, sink: Sink, book: tuple[str, BinaryIO], tick: int) -> None:
        self._report, self._name, self._tick = sink.report, book[0], tick // _PRICE_E9
        self._states = self._read(book[1])
        self._left = np.zeros((0, 2, 2, 1), np.int64)
        self.num_rows = 0

    def advance(self, rows: int) -> None:
        """Judge the states of the next messages."""
        while len(self._left) < rows:
            more = next(self._states, None)
            if more is None:
                raise DataError(
                    self._name, self.num_rows + len(self._left) + 1, "the order book ends before the messages"
                )
            self._left = np.concatenate([self._left, more]) if len(self._left) else more
        self._judge(self._left[:rows])
        self._left = self._left[rows:]
        self.num_rows += rows

    def finish(self, message: str, rows: int) -> None:
        """Complain if states are left over."""
        if len(self._left) or next(self._states, None) is not None:
            raise DataError(message, rows + 1, f"the messages end before the order book {self._name}")

    def _read(self, stream: BinaryIO) -> Iterator[np.ndarray]:
        """Yield int64[N, levels, side (ask, bid), (price, size)]."""
        from market_models.datasets.formats.report import ImportReport

        first = stream.readline(1 << 16)
        count = first.count(b",") + 1
        if count % 4:
            raise DataError(
                self._name, 1, f"{count} columns are not ask price, ask size, bid price, bid size of each level"
            )
        own = Sink(ImportReport(self._name, "lobster", ""), None)  # pyright: ignore[reportArgumentType]
        names = [str(i) for i in range(count)]
        for batch in batches(own, self._name, _Again(first, stream), names):  # pyright: ignore[reportArgumentType]
            check = Checked(own, batch)
            cells = np.stack([check.integer(name) for name in names], axis=1)
            if not check.good.all() or own.report.quarantined:
                row = batch.first_row + int(np.argmin(check.good)) + 1
                raise DataError(self._name, row, "not a row of prices and sizes")
            yield cells.reshape(len(cells), -1, 2, 2)

    def _judge(self, state: np.ndarray) -> None:
        price, size = state[..., 0], state[..., 1]
        absent = (size == 0) & (np.abs(price) == ABSENT_PRICE)
        self._require(((size >= 1) | absent).all((1, 2)), "a level has a size below 1")
        self._require((absent | (price % self._tick == 0)).all((1, 2)), "a level is between two ticks")
        self._require(~(absent[:, :-1] & ~absent[:, 1:]).any((1, 2)), "a level stands behind an absent one")
        step = np.diff(price, axis=1)
        forward = np.stack([step[..., 0] > 0, step[..., 1] < 0], axis=-1)
        self._require((forward | absent[:, 1:]).all((1, 2)), "levels are not in order of price")
        both = ~absent[:, 0].any(1)
        ask, bid = price[both, 0, 0], price[both, 0, 1]
        self._report.crossed += int((bid > ask).sum())
        self._report.locked += int((bid == ask).sum())

    def _require(self, good: np.ndarray, reason: str) -> None:
        if not good.all():
            raise DataError(self._name, self.num_rows + int(np.argmin(good)) + 1, reason)


class _Again:
    """A stream whose first line was looked at."""

    def __init__(self, first: bytes, stream: BinaryIO) -> None:
        self._first, self._stream, self.closed = first, stream, False

    def read(self, size: int = -1) -> bytes:
        if self._first:
            out, self._first = self._first, b""
            return out
        return self._stream.read(size)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


FORMAT = Format("lobster", recognise, read, files)
