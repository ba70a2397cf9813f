"""Which recording a file is, by its name and first bytes, and a recording in the form that every fit takes."""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from market_models.datasets import lobster
from market_models.datasets.binance_raw import open_session
from market_models.datasets.errors import DataError
from market_models.datasets.level_recording import DEFAULT_LEVELS, to_recording
from market_models.datasets.recording import Recording
from market_models.datasets.text_lines import read_lines

STREAM: Final = "stream"
LOBSTER: Final = "lobster"
BINANCE: Final = "binance_raw"
FIVE_LEVELS: Final = "cme_five_level"
MBO: Final = "databento_mbo"

_PARQUET_MAGIC = b"PAR1"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_BINANCE_LINE = re.compile(rb"[^,]{0,40}\{|\d{13}(\d{3}){0,2} ")  # a damaged line is still one of its format


def detect_format(path: Path | str) -> str:
    """Return the format by the file's name and first bytes. DataError if it cannot be read, is empty or compressed
    in another way than gzip."""
    path = Path(path)
    if path.suffix == ".npz":
        return STREAM
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise DataError(path, 0, f"cannot be read ({error.strerror or error})") from error
    if head == _PARQUET_MAGIC:
        return FIVE_LEVELS
    if head == _ZSTD_MAGIC:
        raise DataError(path, 0, "is compressed with zstd: unpack it, or give a gzip file")
    if path.suffix == ".zip" or zipfile.is_zipfile(path):
        return LOBSTER
    line = next(read_lines(path), None)
    if line is None:
        raise DataError(path, 0, "is empty")
    if _BINANCE_LINE.match(line):
        return BINANCE
    columns = line.decode(errors="replace").split(",")
    return MBO if "ts_event" in columns and "order_id" in columns else LOBSTER


def read_for_fit(paths: Sequence[Path | str], levels: int = DEFAULT_LEVELS) -> Recording:
    """Return one recording for a fit, whatever its format: a LOBSTER zip or its two files, or the raw Binance files of
    one session in any order; a folder stands for its files.

    `levels`: visible levels a side of a level recording; LOBSTER's are what the file has. Raises DataError for files
    that are damaged or of several sessions, ValueError for a format that has no fit.
    """
    files = [file for path in paths for file in _files(Path(path))]
    formats = {detect_format(file) for file in files}
    if formats == {BINANCE}:
        return to_recording(open_session(sorted(files, key=_first_local_time)), levels)
    if formats == {LOBSTER} and len(files) <= 2:
        return lobster.read(*files)
    found = ", ".join(sorted(formats))
    raise ValueError(f"{files[0]}: {len(files)} files of {found}; a fit takes one {LOBSTER} or {BINANCE} recording")


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = [file for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith(".")]
    if not files:
        raise DataError(path, 0, "is a folder without files")
    return files


def _first_local_time(path: Path) -> bytes:
    """Return the first line's local time, milliseconds to nanoseconds padded to the same digits."""
    return next(read_lines(path), b"").partition(b" ")[0].ljust(19, b"0")
