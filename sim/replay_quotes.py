"""Five-level recordings replayed through the engine: after every recorded row the engine must show its five levels."""

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kernels.lob import spec
from kernels.lob.spec import LobConfig
from market_models.datasets import cme_five_level
from market_models.datasets.depth_replay import AGENT_ROOM, Sides, check_window, make_sides, to_messages, write_batch
from sim import replay_backends
from sim.replay_backends import Progress, Tracer
from sim.replay_depth import DEFAULT_CAPACITY, trace_padded


def verify_five_levels(
    paths: Sequence[Path | str],
    levels: int | None = None,
    backend: str = "cpu",
    capacity: int | None = None,
    *,
    room: int = AGENT_ROOM,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Replay quotes files of one session and compare the best `levels` levels after every row.

    Trades files among `paths` are checked and counted. Returns `rows, rows_equal, revealed, levels, first_mismatch,
    crossed, locked, gaps` (0: rows have no ids), `depth_events, prints, capacity, beyond_capacity, ok`. Raises
    DataError for a damaged file, ValueError for an unknown backend, a depth that is not recorded or a bad capacity.
    """
    levels = cme_five_level.LEVELS if levels is None else levels
    if not 1 <= levels <= cme_five_level.LEVELS:
        raise ValueError(f"levels {levels} is outside 1..{cme_five_level.LEVELS}, the recorded depth")
    config = LobConfig(capacity or DEFAULT_CAPACITY, depth_levels=levels)
    tracer = replay_backends.make_tracer(backend, config)
    session = cme_five_level.open_session(paths)
    run = _Run(tracer, make_sides(check_window(config.capacity, room)), session.quote_paths)
    for rows in session.quotes():
        run.take(rows)
        if progress is not None:
            progress(run.rows, session.num_rows)
    bids, asks = run.sides
    most = max(bids.most_levels, asks.most_levels)
    return {
        "rows": run.rows,
        "rows_equal": run.rows_equal,
        "revealed": bids.revealed + asks.revealed,
        "levels": levels,
        "first_mismatch": run.first_mismatch,
        "gaps": 0,
        "crossed": run.crossed,
        "locked": run.locked,
        "depth_events": run.rows,
        "tickers": 0,
        "prints": sum(1 for _ in session.prints()),
        "most_levels": most,
        "beyond_capacity": max(most - bids.window, 0),
        "rejected": int(tracer.counters()[spec.NUM_REJECTED_FULL]),
        "instrument": session.instrument.name,
        "tick_size": session.instrument.tick_size,
        "backend": backend,
        "capacity": config.capacity,
        "ok": run.rows_equal == run.rows and run.crossed == 0,
    }


class _Run:
    def __init__(self, tracer: Tracer, sides: Sides, paths: Sequence[str]) -> None:
        self.tracer, self.sides, self.paths = tracer, sides, paths
        self.rows = self.rows_equal = self.crossed = self.locked = 0
        self.first_mismatch: dict[str, Any] | None = None
        self.last: np.ndarray | None = None

    def take(self, rows: cme_five_level.QuoteRows) -> None:
        """Apply a block of rows and compare after each."""
        buffer, ends = array("i"), []
        for time_ns, apply in zip(rows.time_ns.tolist(), cme_five_level.row_batches(rows), strict=True):
            write_batch(buffer, apply(self.sides), time_ns)
            ends.append(len(buffer) // spec.NUM_MESSAGE_COLUMNS)
        actual = self._depth(to_messages(buffer), np.array(ends))
        expected = rows.levels[:, :, : actual.shape[2]]
        equal = (actual == expected).all(axis=(1, 2, 3))
        if self.first_mismatch is None and not equal.all():
            self.first_mismatch = self._describe(rows, actual, expected, int(np.argmin(equal)))
        best = rows.levels[:, :, 0]
        two_sided = best[..., 1].all(axis=1)
        self.rows += len(equal)
        self.rows_equal += int(equal.sum())
        self.crossed += int((two_sided & (best[:, spec.BUY, 0] > best[:, spec.SELL, 0])).sum())
        self.locked += int((two_sided & (best[:, spec.BUY, 0] == best[:, spec.SELL, 0])).sum())

    def _depth(self, messages: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Return the depth after each row; one without messages shows that of the row before."""
        depth = trace_padded(self.tracer, messages)
        before = np.zeros_like(depth, shape=(1, *depth.shape[1:])) if self.last is None else self.last
        depth = np.concatenate([before, depth])
        self.last = depth[-1:]
        return depth[ends]

    def _describe(
        self, rows: cme_five_level.QuoteRows, actual: np.ndarray, expected: np.ndarray, row: int
    ) -> dict[str, Any]:
        side, level = (int(index) for index in np.argwhere((actual[row] != expected[row]).any(axis=-1))[0])
        return {
            "path": self.paths[rows.file],
            "row": rows.first_row + row,
            "side": ("BUY", "SELL")[side],
            "level": level,
            "expected": expected[row, side, level].tolist(),
            "actual": actual[row, side, level].tolist(),
        }
