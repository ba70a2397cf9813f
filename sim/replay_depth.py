"""Level recordings replayed through the engine and compared with what the venue says the touch is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kernels.lob import spec
from kernels.lob.spec import LobConfig
from market_models.datasets import binance_raw
from market_models.datasets.depth_replay import AGENT_ROOM, DepthReplay, VerifyBlock, check_window
from market_models.datasets.errors import DataError
from sim import replay_backends
from sim.replay_backends import CHUNK, Progress, Tracer

DEFAULT_CAPACITY = 128
TOUCH_LEVELS = 1  # a bookTicker tells the best level


class Rows(NamedTuple):
    """Depth events and the touch after them."""

    last_id: np.ndarray  # int64[N]
    place: np.ndarray  # int64[N, 2] file and line
    touch: np.ndarray  # int64[N, 2, 2] (price_tick, lots) of best bid and ask in the engine


def verify_binance(
    paths: Sequence[Path | str],
    levels: int | None = None,
    backend: str = "cpu",
    capacity: int | None = None,
    *,
    room: int = AGENT_ROOM,
    tick_size: str | None = None,
    lot_size: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Replay one session's files; compare the touch after every depth event with the bookTicker of that update.

    That is the last bookTicker of the session whose `u` is at most the event's. An event before the first bookTicker,
    or while a side of the book is unknown, is not compared. Returns `rows` (events compared), `rows_equal, revealed,
    levels, first_mismatch, gaps, crossed, depth_events, tickers, capacity, beyond_capacity, ok` and more counts.
    Raises DataError for a damaged file, ValueError for an unknown backend, `levels` other than 1 or a capacity that is
    not one of the engine's.
    """
    if levels not in (None, TOUCH_LEVELS):
        raise ValueError(f"levels {levels}: a Binance recording tells the best level only, give 1 or nothing")
    config = LobConfig(capacity or DEFAULT_CAPACITY, depth_levels=TOUCH_LEVELS)
    tracer = replay_backends.make_tracer(backend, config)
    window = check_window(config.capacity, room)
    session = binance_raw.open_session(paths, tick_size=tick_size, lot_size=lot_size)
    if not session.tickers:
        raise DataError(session.paths[0], 0, "holds no bookTicker: there is nothing to compare with")
    replay = DepthReplay(session, window)
    judge = TickerJudge(session.paths)
    feeder = _Feeder(tracer)
    for block in replay.blocks():
        judge.take(feeder.rows(block), block.tickers)
        if progress is not None:
            progress(replay.applied, session.depth_events)
    judge.finish()
    counts = replay.counts
    all_equal = judge.rows_equal == judge.rows and judge.rows > 0
    return {
        "rows": judge.rows,
        "rows_equal": judge.rows_equal,
        "levels": TOUCH_LEVELS,
        "first_mismatch": judge.first_mismatch,
        **counts,
        "prints": session.prints,
        "skipped": session.skipped,
        "time_back": session.time_back,
        "rejected": int(tracer.counters()[spec.NUM_REJECTED_FULL]),
        "instrument": session.instrument.name,
        "tick_size": session.instrument.tick_size,
        "lot_size": session.instrument.lot_size,
        "backend": backend,
        "capacity": config.capacity,
        "ok": all_equal and counts["gaps"] == 0 and counts["crossed"] == 0,
    }


class _Feeder:
    """Runs blocks through a tracer; an event without messages shows the touch of the event before."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self.last = np.zeros((1, 2, TOUCH_LEVELS, 2), np.int32)

    def rows(self, block: VerifyBlock) -> Rows:
        depth = np.concatenate([self.last, trace_padded(self.tracer, block.messages)])
        self.last = depth[len(block.messages) :][:1]
        touch = depth[block.ends, :, 0][block.two_sided].astype(np.int64)
        return Rows(block.last_id[block.two_sided], block.place[block.two_sided], touch)


def trace_padded(tracer: Tracer, messages: np.ndarray) -> np.ndarray:
    """Return the depth after each message; runs of one size only, so that a compiling backend compiles once."""
    parts = []
    for start in range(0, len(messages), CHUNK):
        part = messages[start : start + CHUNK]
        parts.append(tracer.trace(replay_backends.pad(part, CHUNK))[: len(part)])
    return np.concatenate(parts) if parts else tracer.trace(messages)


class TickerJudge:
    """Compares depth events with the last bookTicker whose update id is not above theirs.

    bookTickers arrive before or after the depth event that they belong to, so an event is judged one block after a
    later bookTicker was seen, or at the end.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths
        self.rows = self.rows_equal = 0
        self.first_mismatch: dict[str, Any] | None = None
        self._pending: list[Rows] = []
        self._tickers = np.zeros((0, 5), np.int64)
        self._watermark = -1  # highest update id of the bookTickers of earlier blocks

    def take(self, rows: Rows, tickers: np.ndarray) -> None:
        """Add a block, and judge what is ripe."""
        self._pending.append(rows)
        self._judge(self._watermark)
        if len(tickers):
            together = np.concatenate([self._tickers, tickers])
            self._tickers = together[np.argsort(together[:, 0], kind="stable")]
            self._watermark = int(self._tickers[-1, 0])

    def finish(self) -> None:
        """Judge the rest."""
        self._judge(2**63 - 1)

    def _judge(self, below: int) -> None:
        """Judge pending events with an update id below `below`, and forget the bookTickers no longer needed."""
        rows = Rows(*(np.concatenate(parts) for parts in zip(*self._pending, strict=True)))
        ripe = rows.last_id < below
        self._pending = [Rows(*(field[~ripe] for field in rows))]
        rows = Rows(*(field[ripe] for field in rows))
        place = np.searchsorted(self._tickers[:, 0], rows.last_id, side="right") - 1
        known = place >= 0
        rows, place = Rows(*(field[known] for field in rows)), place[known]
        if not len(place):
            return
        expected = self._tickers[place, 1:].reshape(-1, 2, 2)
        expected[expected[..., 1] == 0] = 0  # an empty side is (0, 0) in the engine's depth
        equal = (rows.touch == expected).all(axis=(1, 2))
        self.rows += len(equal)
        self.rows_equal += int(equal.sum())
        if self.first_mismatch is None and not equal.all():
            self.first_mismatch = self._describe(rows, expected, int(np.argmin(equal)))
        self._tickers = self._tickers[place[-1] :]

    def _describe(self, rows: Rows, expected: np.ndarray, row: int) -> dict[str, Any]:
        side = int(np.argmax((rows.touch[row] != expected[row]).any(axis=1)))
        file, line = rows.place[row].tolist()
        return {
            "path": self.paths[file],
            "line": line,
            "update_id": int(rows.last_id[row]),
            "side": ("BUY", "SELL")[side],
            "expected": expected[row, side].tolist(),
            "actual": rows.touch[row, side].tolist(),
        }
