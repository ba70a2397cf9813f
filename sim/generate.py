"""A calibrated market written as a LOBSTER recording: a session for every tool that reads one, made from numbers alone.

The market is the calibrated flow in the order book, without agents. Only what changes the visible levels is written, as
LOBSTER does; a market order becomes one execution row a resting order that it meets.
"""

import io
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from kernels.lob import spec
from kernels.lob.host import HostBook
from kernels.lob.spec import LobConfig
from market_models.calibration import Calibration, pack_params, start_messages
from market_models.registry import get_flow

NS_PER_S = 1_000_000_000
US_PER_S = 1_000_000
PRICE_UNITS_PER_DOLLAR = 10_000
ABSENT_PRICE = 9_999_999_999
BURN_IN_EVENTS = 4000
NEW, PARTIAL_CANCEL, FULL_CANCEL, EXECUTION = 1, 2, 3, 4

Row = tuple[int, int, int, int, int, int]  # time_ns, LOBSTER type, order id, lots, price_tick, direction
Progress = Callable[[int, int], None]


class GeneratedMarket:
    """One market without agents, advanced event by event on the host."""

    def __init__(self, calibration: Calibration, seed: int, levels: int, capacity: int = 128) -> None:
        self.book = HostBook(LobConfig(capacity=capacity, depth_levels=levels), "cpu", calibration.reference_tick)
        opening = start_messages(calibration, seed)
        self.book.apply(opening)
        self._sample = get_flow(calibration.model).numba_sampler
        self._params = pack_params(calibration)
        self._seed = np.array([seed, 0], np.uint32)
        self._meta = np.zeros(spec.NUM_META, np.int32)
        self._meta[spec.META_REFERENCE_TICK] = calibration.reference_tick
        self._no_background = np.zeros((0, spec.NUM_MESSAGE_COLUMNS), np.int32)
        self._next_id = len(opening) + 1
        self.elapsed_us = 0

    def next_message(self) -> np.ndarray:
        """Draw the next event, int32[8]; thinned proposals only advance the clock."""
        book = self.book.book
        message = np.zeros(spec.NUM_MESSAGE_COLUMNS, np.int32)
        while True:
            self._meta[spec.META_DRAW] += 1
            message[:] = 0
            status, dt_us = self._sample(self._params, self._no_background, *book[:5], self._meta, self._seed, message)
            if status == spec.FLOW_EXHAUSTED:
                raise ValueError("the calibrated flow is exhausted: its limit rate is zero")
            self.elapsed_us += int(dt_us)
            if status == spec.FLOW_EVENT:
                break
        if message[spec.ORDER_ID] == 0:
            message[spec.ORDER_ID] = self._next_id
            self._next_id += 1
        return message

    def advance(self) -> Iterator[tuple[Row, np.ndarray]]:
        """Apply the next event; yield each LOBSTER row of it with the depth int32[2, L, 2] after the row."""
        message = self.next_message()
        kind, side = int(message[spec.KIND]), int(message[spec.SIDE])
        remaining = int(message[spec.LOTS])
        if kind in (spec.MARKET, spec.LIMIT):
            limit = None if kind == spec.MARKET else int(message[spec.PRICE_TICK])
            while remaining and (front := self._front(1 - side, limit)) is not None:
                order_id, price_tick, lots = front
                taken = min(lots, remaining)
                remaining -= taken
                yield self._apply(spec.EXECUTE, 1 - side, taken, price_tick, order_id, EXECUTION)
        if kind == spec.LIMIT and remaining:
            order_id, price_tick = int(message[spec.ORDER_ID]), int(message[spec.PRICE_TICK])
            yield self._apply(spec.LIMIT, side, remaining, price_tick, order_id, NEW)
        if kind == spec.DELETE:
            order_id = int(message[spec.ORDER_ID])
            slot = int(np.flatnonzero(self.book.book.order_id[side] == order_id)[-1])
            price_tick, lots = (int(field[side, slot]) for field in self.book.book[:2])
            yield self._apply(spec.DELETE, side, lots, price_tick, order_id, FULL_CANCEL)

    def _front(self, side: int, limit: int | None) -> tuple[int, int, int] | None:
        """Return (id, price, lots) of the first order of a side, if a taker with this limit reaches it."""
        book = self.book.book
        count = int(book.num_orders[side])
        if count == 0:
            return None
        price_tick = int(book.price_tick[side, count - 1])
        if limit is not None and (price_tick > limit if side == spec.SELL else price_tick < limit):
            return None
        return int(book.order_id[side, count - 1]), price_tick, int(book.lots[side, count - 1])

    def _apply(
        self, kind: int, side: int, lots: int, price_tick: int, order_id: int, code: int
    ) -> tuple[Row, np.ndarray]:
        out = self.book.apply(np.array([[kind, side, lots, price_tick, order_id, 0, 0, 0]], np.int32))
        direction = 1 if side == spec.BUY else -1
        return (self.elapsed_us * 1000, code, order_id, lots, price_tick, direction), np.array(out.depth)


def generate_lobster(
    calibration: Calibration,
    out_dir: Path,
    *,
    messages: int,
    seed: int,
    levels: int = 5,
    start_s: int = 34_200,
    progress: Progress | None = None,
) -> Path:
    """Write one generated session of `messages` rows as a LOBSTER zip into `out_dir`; return its path.

    The same calibration and seed give the same file. Raises ValueError for messages or levels below 1.
    """
    if messages < 1 or levels < 1:
        raise ValueError(f"messages {messages} and levels {levels} must be at least 1")
    market = GeneratedMarket(calibration, seed, levels)
    for _ in range(BURN_IN_EVENTS):
        for _row in market.advance():
            pass
    market.elapsed_us = 0
    rows, books = _visible_rows(market, messages, progress)
    offset_ns = start_s * NS_PER_S
    end_s = start_s + 1 + market.elapsed_us // US_PER_S
    stem = f"{calibration.instrument.name}_GENERATED-{seed:04d}_{start_s * 1000}_{end_s * 1000}"
    unit = round(float(calibration.instrument.tick_size) * PRICE_UNITS_PER_DOLLAR)
    message_text, book_text = io.StringIO(), io.StringIO()
    for (time_ns, code, order_id, lots, price_tick, direction), depth in zip(rows, books, strict=True):
        s, ns = divmod(offset_ns + time_ns, NS_PER_S)
        message_text.write(f"{s}.{ns:09d},{code},{order_id},{lots},{price_tick * unit},{direction}\n")
        book_text.write(_book_line(depth, unit))
    files = {
        f"{stem}_message_{levels}.csv": message_text.getvalue(),
        f"{stem}_orderbook_{levels}.csv": book_text.getvalue(),
    }
    return _write_zip(out_dir / f"{stem}_{levels}.zip", files)


def _visible_rows(
    market: GeneratedMarket, messages: int, progress: Progress | None
) -> tuple[list[Row], list[np.ndarray]]:
    rows: list[Row] = []
    books: list[np.ndarray] = []
    depth = None
    while len(rows) < messages:
        for row, after in market.advance():
            if depth is not None and not np.array_equal(depth, after):
                rows.append(row)
                books.append(after)
            depth = after
        if progress is not None and len(rows) % 500 == 0:
            progress(len(rows), messages)
    return rows[:messages], books[:messages]


def _book_line(depth: np.ndarray, unit: int) -> str:
    cells = []
    for level in range(depth.shape[1]):
        for side, absent in ((spec.SELL, ABSENT_PRICE), (spec.BUY, -ABSENT_PRICE)):
            price_tick, lots = depth[side, level].tolist()
            cells.append(f"{price_tick * unit},{lots}" if lots else f"{absent},0")
    return ",".join(cells) + "\n"


def _write_zip(path: Path, files: dict[str, str]) -> Path:
    """Write the zip whole under its name or not at all; its bytes depend on the contents alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, text in files.items():
                archive.writestr(zipfile.ZipInfo(member, (1980, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
    return path
