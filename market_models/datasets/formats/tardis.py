"""Tardis.dev csv: trades, quotes, incremental_book_L2 and book_snapshot_N. Times are microseconds, both clocks."""

import re

import numpy as np

from market_models.datasets.formats.blocks import NO_SIDE, NULL, make_rows
from market_models.datasets.formats.fixed import RowError
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.ids import trade_number
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source
from market_models.datasets.formats.tables import Batch, Checked, batches
from market_models.datasets.venue_books.base import LevelBook

_US = 1_000
_HEADER = b"exchange,symbol,timestamp,local_timestamp,"
_BOOL = {b"true": 1, b"false": 0}


def recognise(source: Source) -> bool:
    """Tardis' first four columns."""
    return source.head.startswith(_HEADER)


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read by what the header says the table holds."""
    books: dict[int, LevelBook] = {}
    with source.opened() as stream:
        for batch in batches(sink, source.path, stream):
            check = Checked(sink, batch)
            names = batch.columns
            if not {"symbol", "timestamp", "local_timestamp"} <= names.keys():
                check.require(np.zeros(batch.num_rows, bool), "Tardis' columns are missing")
                continue
            common = _common(sink, check, options)
            if {"id", "side", "price", "amount"} <= names.keys():
                _trades(sink, check, common)
            elif {"ask_price", "bid_price", "ask_amount", "bid_amount"} <= names.keys():
                _quotes(sink, check, common)
            elif {"is_snapshot", "side", "price", "amount"} <= names.keys():
                _changes(sink, check, common, books)
            elif "asks[0].price" in names:
                _snapshots(sink, check, common, batch)
            else:
                check.require(np.zeros(batch.num_rows, bool), "neither trades, quotes nor a book")


def _common(sink: Sink, check: Checked, options: ImportOptions) -> dict[str, np.ndarray]:
    exchange_ns, local_ns = check.time("timestamp", _US), check.time("local_timestamp", _US)
    words = check.text("symbol")
    check.require(np.array([0 < len(word) <= 64 for word in words], bool), "no symbol")
    names = {word: sink.instrument(options.name_or(word.decode("utf-8", "replace"))) for word in set(words[check.good])}
    instrument = np.array([names.get(word, 0) for word in words], np.int64)
    return {"exchange_ns": exchange_ns, "local_ns": local_ns, "instrument": instrument}


def _pick(check: Checked, common: dict[str, np.ndarray], **columns: np.ndarray) -> dict[str, np.ndarray]:
    check.watch_time(common["local_ns"])
    return {key: values[check.good] for key, values in (common | columns).items()}


def _trades(sink: Sink, check: Checked, common: dict[str, np.ndarray]) -> None:
    side = check.code("side", {b"buy": 0, b"sell": 1, b"unknown": NO_SIDE})
    price, size = check.price("price"), check.size("amount")
    numbers = [_number(word) for word in check.text("id")]
    check.require(np.array([number is not None for number in numbers], bool), "no trade id")
    trade_id = np.array([number or 0 for number in numbers], np.int64)
    picked = _pick(check, common, side=side, price=price, size=size, trade_id=trade_id)
    sink.write("trades", make_rows("trades", int(check.good.sum()), **picked))


def _quotes(sink: Sink, check: Checked, common: dict[str, np.ndarray]) -> None:
    columns = {}
    for side in ("bid", "ask"):
        absent = check.text(f"{side}_price") == b""  # Tardis leaves a side without orders empty
        price, size = _or_null(check, f"{side}_price", absent, True), _or_null(check, f"{side}_amount", absent, False)
        columns |= {f"{side}_price": price, f"{side}_size": size}
    picked = _pick(check, common, **columns)
    both = (picked["bid_price"] != NULL) & (picked["ask_price"] != NULL)
    sink.report.crossed += int((both & (picked["bid_price"] > picked["ask_price"])).sum())
    sink.report.locked += int((both & (picked["bid_price"] == picked["ask_price"])).sum())
    sink.write("quotes", make_rows("quotes", int(check.good.sum()), **picked))


def _or_null(check: Checked, column: str, absent: np.ndarray, is_price: bool) -> np.ndarray:
    from market_models.datasets.formats.blocks import PRICE_DECIMALS, SIZE_DECIMALS
    from market_models.datasets.formats.fixed import column_to_fixed

    decimals = PRICE_DECIMALS if is_price else SIZE_DECIMALS
    values, good, rounded = column_to_fixed(check.batch.columns[column], decimals)
    check.sink.report.rounded += rounded
    check.require(good | absent, f"{column} is not a number")
    check.require(absent | ~good | (values >= 0) | is_price, f"{column} is negative")
    return np.where(absent | ~good, NULL, values)


def _changes(sink: Sink, check: Checked, common: dict[str, np.ndarray], books: dict[int, LevelBook]) -> None:
    flag = check.code("is_snapshot", _BOOL)
    side = check.code("side", {b"bid": 0, b"ask": 1})
    price, size = check.price("price"), check.size("amount")
    picked = _pick(check, common, snapshot=flag, side=side, price=price, size=size)
    picked["event_id"] = picked["local_ns"]  # rows of one message share the local time
    rows = make_rows("levels", int(check.good.sum()), **picked)
    _judge_changes(sink, rows, books)
    sink.write("levels", rows)


def _judge_changes(sink: Sink, rows: np.ndarray, books: dict[int, LevelBook]) -> None:
    """Rebuild the books and judge each state at the end of a message."""
    was_snapshot: dict[int, bool] = {}
    for index, row in enumerate(rows.tolist()):
        _, _, instrument, event_id, snapshot, side, price, size = row
        book = books.setdefault(instrument, LevelBook())
        if snapshot and not was_snapshot.get(instrument, False):
            book.clear()
        was_snapshot[instrument] = bool(snapshot)
        change = [(price, size)]
        book.apply(change if side == 0 else [], change if side == 1 else [])
        if index + 1 == len(rows) or rows["event_id"][index + 1] != event_id:
            sink.report.judge(*book.touch)


def _snapshots(sink: Sink, check: Checked, common: dict[str, np.ndarray], batch: Batch) -> None:
    depth = max(int(m[1]) for m in (re.fullmatch(r"asks\[(\d+)\]\.price", name) for name in batch.columns) if m) + 1
    cells = []
    for index in range(depth):
        for side, name in enumerate(("bids", "asks")):
            if f"{name}[{index}].amount" not in batch.columns or f"{name}[{index}].price" not in batch.columns:
                continue
            absent = check.text(f"{name}[{index}].price") == b""
            price = _or_null(check, f"{name}[{index}].price", absent, True)
            cells.append((side, price, _or_null(check, f"{name}[{index}].amount", absent, False)))
    check.watch_time(common["local_ns"])
    good = check.good
    order = np.arange(batch.num_rows)[good]
    parts = [
        make_rows(
            "levels",
            len(order),
            **{key: values[good] for key, values in common.items()},
            event_id=order + batch.first_row,
            snapshot=1,
            side=side,
            price=price[good],
            size=size[good],
        )
        for side, price, size in cells
    ]
    rows = np.stack(parts, axis=1).reshape(-1) if parts else make_rows("levels", 0)
    best = {side: price[good] for side, price, _ in reversed(cells)}
    known = (best[0] != NULL) & (best[1] != NULL) if len(best) == 2 else np.zeros(len(order), bool)
    if known.any():
        sink.report.crossed += int((best[0][known] > best[1][known]).sum())
        sink.report.locked += int((best[0][known] == best[1][known]).sum())
    sink.write("levels", rows[rows["price"] != NULL], used=len(order))


def _number(word: bytes) -> int | None:
    try:
        return trade_number(word.decode("utf-8", "replace"))
    except RowError:
        return None


FORMAT = Format("tardis", recognise, read)
