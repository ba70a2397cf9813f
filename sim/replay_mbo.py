"""Market-by-order recordings replayed through the engine: the best levels must be those of the venue's MBP rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kernels.lob import spec
from kernels.lob.spec import LobConfig
from market_models.datasets import databento_mbo, mbo_replay
from market_models.datasets.databento_mbo import MboRecording, MbpRow
from market_models.datasets.errors import DataError
from sim import replay_backends
from sim.replay import choose_capacity
from sim.replay_backends import Progress
from sim.replay_depth import trace_padded


def verify_mbo(
    paths: Sequence[Path | str],
    levels: int | None = None,
    backend: str = "cpu",
    capacity: int | None = None,
    *,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Replay a market-by-order csv and compare the best `levels` levels with every row of its MBP csv.

    `paths`: the two files, in any order; alone, the MBO file's partner is looked for beside it. Returns `rows` (MBP
    rows), `rows_equal, revealed, levels, first_mismatch, gaps` (sequence numbers that go back), `crossed,
    depth_events` (records), `unknown, max_orders, evicted, capacity, beyond_capacity, ok`. Raises DataError for a
    damaged file, ValueError for an unknown backend, a depth that is not recorded or a bad capacity.
    """
    replay_backends.check_backend(backend)
    mbo_path, mbp_path = _tell_apart(paths)
    recording, rows = databento_mbo.read_mbo(mbo_path), databento_mbo.read_mbp(mbp_path)
    recorded = len(rows[0].levels) // 2
    levels = recorded if levels is None else levels
    if not 1 <= levels <= recorded:
        raise ValueError(f"levels {levels} is outside 1..{recorded}, the recorded depth of {mbp_path}")
    stream = mbo_replay.to_verify_stream(recording)
    config = LobConfig(capacity or choose_capacity(stream.max_orders), depth_levels=levels)
    tracer = replay_backends.make_tracer(backend, config)
    depth = trace_padded(tracer, stream.messages)
    if progress is not None:
        progress(len(rows), len(rows))
    depth = np.concatenate([np.zeros((1, 2, levels, 2), np.int32), depth])
    pairs = mbo_replay.pair_rows(recording, rows)
    actual = depth[np.where(pairs >= 0, stream.ends[pairs], 0)]
    expected = _expected(recording, rows, mbp_path)[:, :, :levels]
    equal = (actual == expected).all(axis=(1, 2, 3)) & (pairs >= 0)
    evicted = int(tracer.counters()[spec.NUM_EVICTED])
    return {
        "rows": len(rows),
        "rows_equal": int(equal.sum()),
        "revealed": 0,
        "levels": levels,
        "first_mismatch": _first_mismatch(mbp_path, equal, pairs, actual, expected),
        "gaps": recording.time_back,
        "crossed": stream.crossed,
        "depth_events": len(recording.records),
        "tickers": 0,
        "unknown": stream.unknown,
        "max_orders": stream.max_orders,
        "evicted": evicted,
        "beyond_capacity": max(stream.max_orders - config.capacity, 0),
        "instrument": recording.instrument.name,
        "tick_size": recording.instrument.tick_size,
        "backend": backend,
        "capacity": config.capacity,
        "ok": bool(equal.all()) and recording.time_back == 0 and stream.crossed == 0,
    }


def _tell_apart(paths: Sequence[Path | str]) -> tuple[Path, Path]:
    """Return (MBO file, MBP file)."""
    files = [Path(path) for path in paths]
    kinds = [databento_mbo.is_mbp(path) for path in files]
    if len(files) == 1 and not kinds[0]:
        head, mark, _ = files[0].name.rpartition("mbo")
        found = sorted(files[0].parent.glob(f"{head}mbp*")) if mark else []
        if len(found) != 1:
            raise DataError(files[0], 0, "its MBP file is not beside it: name it too")
        return files[0], found[0]
    if len(files) != 2 or kinds.count(True) != 1:
        raise ValueError(f"{', '.join(map(str, files))}: give one MBO csv and the MBP csv of the same events")
    return files[kinds.index(False)], files[kinds.index(True)]


def _expected(recording: MboRecording, rows: list[MbpRow], path: Path) -> np.ndarray:
    """Return int64[R, 2, L, 2] (price_tick, lots)."""
    try:
        table = np.array([row.levels for row in rows], np.int64).reshape(len(rows), 2, -1, 2)
    except ValueError as error:
        raise DataError(path, 0, "rows have different numbers of levels") from error
    tick, rest = np.divmod(table[..., 0], recording.instrument.tick_e8)
    if rest.any():
        row = int(np.argwhere(rest)[0][0])
        raise DataError(path, row + 2, f"a price is not a multiple of the tick {recording.instrument.tick_size}")
    return np.stack([tick, table[..., 1]], axis=-1)


def _first_mismatch(
    path: Path, equal: np.ndarray, pairs: np.ndarray, actual: np.ndarray, expected: np.ndarray
) -> dict[str, Any] | None:
    if equal.all():
        return None
    row = int(np.argmin(equal))
    told: dict[str, Any] = {"path": str(path), "row": row + 2}
    if pairs[row] < 0:
        return told | {"reason": "no MBO record belongs to it"}
    side, level = (int(index) for index in np.argwhere((actual[row] != expected[row]).any(axis=-1))[0])
    return told | {
        "side": ("BUY", "SELL")[side],
        "level": level,
        "expected": expected[row, side, level].tolist(),
        "actual": actual[row, side, level].tolist(),
    }
