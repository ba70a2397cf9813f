"""The replay of a recorded file: one entry for every format that can be verified."""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from market_models.datasets.errors import DataError
from market_models.datasets.recording_format import BINANCE, FIVE_LEVELS, LOBSTER, MBO, STREAM, detect_format
from sim import replay
from sim.replay_backends import Progress
from sim.replay_depth import verify_binance
from sim.replay_mbo import verify_mbo
from sim.replay_quotes import verify_five_levels

Verify = Callable[..., dict[str, Any]]
_VERIFY: Final[dict[str, Verify]] = {
    LOBSTER: replay.verify_recording,
    BINANCE: verify_binance,
    FIVE_LEVELS: verify_five_levels,
    MBO: verify_mbo,
}


def verify_files(
    paths: Sequence[Path | str],
    levels: int | None = None,
    backend: str = "cpu",
    capacity: int | None = None,
    *,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Replay the files of one recording, whatever its format, and compare with its truth.

    Returns the fields of the format's own function, with `format`. Raises DataError for a damaged file, ValueError for
    files of different formats or arguments that the format does not allow.
    """
    formats = [detect_format(path) for path in paths]
    for path, name in zip(paths, formats, strict=True):
        if name != formats[0]:
            raise ValueError(f"{path} is {name}, {paths[0]} is {formats[0]}: replay one recording at a time")
    if formats[0] == LOBSTER and len(paths) == 1 and not _may_be_lobster(Path(paths[0])):
        raise DataError(paths[0], 0, f"is no recording that is known; those that are: {', '.join((STREAM, *_VERIFY))}")
    if formats[0] == STREAM:
        if len(paths) > 1:
            raise ValueError(f"{paths[1]}: a stream is one .npz file; replay streams one at a time")
        result = replay.verify_stream(paths[0], backend, capacity, progress=progress)
    else:
        result = _VERIFY[formats[0]](paths, levels, backend, capacity, progress=progress)
    return result | {"format": formats[0]}


def _may_be_lobster(path: Path) -> bool:
    """Return whether LOBSTER's reader can find both parts of a recording by this name."""
    return path.suffix == ".zip" or "_message_" in path.name or "_orderbook_" in path.name or zipfile.is_zipfile(path)
