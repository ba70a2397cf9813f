"""Replay compared with the truth: recorded order books row by row, and streams with a known outcome."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kernels.lob import spec
from kernels.lob.spec import LobConfig
from market_models.datasets import lobster, lobster_replay
from sim import replay_backends
from sim.replay_backends import Progress
from sim.replay_stream import LEVELS, Stream, read_stream

_TRADE_COLUMNS = (
    spec.FILL_MESSAGE,
    spec.FILL_PRICE_TICK,
    spec.FILL_LOTS,
    spec.FILL_MAKER_ID,
    spec.FILL_TAKER_ID,
    spec.FILL_MAKER_OWNER,
    spec.FILL_TAKER_OWNER,
)


def choose_capacity(max_orders: int) -> int:
    """Return the smallest capacity from 128 that holds `max_orders` a side, else the largest there is."""
    fitting = (capacity for capacity in spec.CAPACITIES if capacity >= max(max_orders, 128))
    return next(fitting, spec.CAPACITIES[-1])


def verify_stream(
    path: Path | str,
    backend: str = "cpu",
    capacity: int | None = None,
    *,
    max_books: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run a stream with known outcome and compare the touch after every message, the final book and every trade.

    `max_books` takes only the first books. Returns `books, bbo_rows, bbo_rows_equal, l2_equal` (books), `trades,
    trades_equal, totals_equal` (books), `first_mismatch`, `needed_capacity`, what a smaller capacity lost (`evicted,
    evicted_lots, rejected, rejected_lots`), `backend, capacity, ok`. Raises DataError for a damaged file,
    ValueError for an unknown backend or capacity.
    """
    replay_backends.check_backend(backend)
    stream = _first_books(read_stream(path), max_books)
    config = LobConfig(capacity or choose_capacity(stream.max_orders), depth_levels=LEVELS)
    spec.validate_config(config)
    books, length = stream.messages.shape[:2]
    touch_equal = np.zeros((books, length), bool)
    num_opening = stream.opening.shape[1]
    messages = np.concatenate([stream.opening, stream.messages], axis=1)
    for book in range(books):
        tracer = replay_backends.make_tracer(backend, config._replace(depth_levels=1))
        touch = tracer.trace(messages[book])[num_opening:, :, 0]
        touch_equal[book] = (touch == stream.touch[book]).all(axis=(-1, -2))
        if progress is not None:
            progress(book + 1, books)
    run = replay_backends.run_books(backend, config, messages)
    trades_equal, num_trades = _count_equal_trades(stream, run, num_opening)
    l2_equal = int((run.depth == stream.depth).all(axis=(1, 2, 3)).sum())
    totals_equal = int((_totals(run, books) == stream.totals).all(axis=1).sum())
    result = {
        "books": books,
        "bbo_rows": touch_equal.size,
        "bbo_rows_equal": int(touch_equal.sum()),
        "l2_equal": l2_equal,
        "trades": len(stream.trades),
        "trades_equal": trades_equal,
        "totals_equal": totals_equal,
        "first_mismatch": _first_touch_mismatch(touch_equal),
        "needed_capacity": choose_capacity(stream.max_orders),
        "evicted": int(run.counters[spec.NUM_EVICTED]),
        "evicted_lots": int(run.counters[spec.LOTS_EVICTED]),
        "rejected": int(run.counters[spec.NUM_REJECTED_FULL]),
        "rejected_lots": int(run.counters[spec.LOTS_REJECTED_FULL]),
        "backend": backend,
        "capacity": config.capacity,
    }
    complete = touch_equal.all() and l2_equal == totals_equal == books and run.num_dropped == 0
    return result | {"ok": bool(complete and trades_equal == num_trades == len(stream.trades))}


def _first_books(stream: Stream, max_books: int | None) -> Stream:
    if max_books is None:
        return stream
    if max_books < 1:
        raise ValueError(f"max_books {max_books} is below 1")
    trades = stream.trades[stream.trades[:, 0] < max_books]
    kept = {name: getattr(stream, name)[:max_books] for name in ("opening", "messages", "touch", "depth", "totals")}
    return stream._replace(trades=trades, **kept)


def _count_equal_trades(stream: Stream, run: replay_backends.Trades, num_opening: int) -> tuple[int, int]:
    """Return (trades that are as expected and in their place, trades that happened)."""
    happened = np.concatenate([run.book[:, None], run.rows[:, _TRADE_COLUMNS]], axis=1)
    happened[:, 1] -= num_opening
    expected = stream.trades
    equal = 0
    for book in range(len(stream.messages)):
        want, have = expected[expected[:, 0] == book], happened[happened[:, 0] == book]
        common = min(len(want), len(have))
        equal += int((want[:common] == have[:common]).all(axis=1).sum())
    return equal, len(happened)


def _totals(run: replay_backends.Trades, books: int) -> np.ndarray:
    """Return int64[B, 3]: trades, traded lots, traded lots x price_tick."""
    lots, price = run.rows[:, spec.FILL_LOTS], run.rows[:, spec.FILL_PRICE_TICK]
    totals = np.zeros((books, 3), np.int64)
    np.add.at(totals, run.book, np.stack([np.ones_like(lots), lots, lots * price], axis=-1))
    return totals


def _first_touch_mismatch(equal: np.ndarray) -> dict[str, int] | None:
    if equal.all():
        return None
    book, message = (int(index) for index in np.argwhere(~equal)[0])
    return {"book": book, "message": message}


def verify_recording(
    paths: Path | str | Sequence[Path | str],
    levels: int | None = None,
    backend: str = "cpu",
    capacity: int | None = None,
    *,
    max_rows: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Replay a LOBSTER recording and compare the best `levels` levels with the recorded book after every row.

    `paths`: a zip, or a message file and its order-book file. `levels` None: all that are recorded; `max_rows` takes
    only the first transitions. Returns `rows` (transitions), `rows_equal, revealed, unexplained, levels,
    first_mismatch, max_orders, evicted, backend, capacity, ok`. Raises DataError for a damaged file, ValueError for an
    unknown backend, a depth that is not recorded or a capacity that is not one of the engine's.
    """
    replay_backends.check_backend(backend)
    files = [paths] if isinstance(paths, str | Path) else list(paths)
    if not 1 <= len(files) <= 2:
        raise ValueError(f"{len(files)} paths: a LOBSTER recording is a zip, or a message file and an order-book file")
    recording = lobster.read(files[0], files[1] if len(files) == 2 else None)
    levels = recording.levels if levels is None else levels
    stream = lobster_replay.to_verify_stream(recording, levels)
    config = LobConfig(capacity or choose_capacity(stream.max_orders), depth_levels=levels)
    offsets, expected = stream.offsets, stream.expected
    if max_rows is not None:
        offsets, expected = offsets[: max_rows + 2], expected[: max_rows + 1]
    tracer = replay_backends.make_tracer(backend, config)
    depth = replay_backends.trace_all(tracer, stream.messages[: offsets[-1]], progress)
    # A row without messages shows the book of the row before: row 0 always has the seed.
    actual = depth[offsets[1:] - 1]
    equal = (actual == expected).all(axis=(1, 2, 3))[1:]
    counters = tracer.counters()
    rows_equal = int(equal.sum())
    return {
        "rows": len(equal),
        "rows_equal": rows_equal,
        "revealed": stream.revealed,
        "unexplained": stream.unexplained,
        "levels": levels,
        "first_mismatch": _first_row_mismatch(equal, actual, expected),
        "max_orders": stream.max_orders,
        "evicted": int(counters[spec.NUM_EVICTED]),
        "backend": backend,
        "capacity": config.capacity,
        "ok": rows_equal == len(equal),
    }


def _first_row_mismatch(equal: np.ndarray, actual: np.ndarray, expected: np.ndarray) -> dict[str, Any] | None:
    """Say which recorded row (0 is the seed) differs first, on which side and level, and how."""
    if equal.all():
        return None
    row = int(np.argmin(equal)) + 1
    side, level = (int(index) for index in np.argwhere((actual[row] != expected[row]).any(axis=-1))[0])
    return {
        "row": row,
        "side": ("BUY", "SELL")[side],
        "level": level,
        "expected": expected[row, side, level].tolist(),
        "actual": actual[row, side, level].tolist(),
    }
