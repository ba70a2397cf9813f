"""Delimited text as batches of byte columns: streamed, tolerant of bad rows, every row accounted for."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from market_models.datasets.errors import DataError
from market_models.datasets.formats.blocks import PRICE_DECIMALS, SIZE_DECIMALS
from market_models.datasets.formats.fixed import column_to_fixed
from market_models.datasets.formats.sink import Sink

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK_BYTES = 1 << 21
WRONG_COLUMNS = "wrong number of columns"


class Batch(NamedTuple):
    """Some rows of a table; `columns` as bytes."""

    columns: dict[str, "pa.Array"]
    num_rows: int
    first_row: int  # of the batch among the well-formed rows


class Checked:
    """Marks the rows of one batch that are good, and counts each bad row once, under its first reason."""

    def __init__(self, sink: Sink, batch: Batch) -> None:
        self.sink, self.batch = sink, batch
        self.good = np.ones(batch.num_rows, bool)

    def require(self, mask: np.ndarray, reason: str) -> None:
        """Quarantine the rows, so far good, where the mask is False."""
        bad = self.good & ~mask
        self.sink.quarantine(reason, int(bad.sum()))
        self.good &= mask

    def unused(self, mask: np.ndarray, what: str) -> None:
        """Set rows aside that say nothing that is stored, where the mask is True."""
        aside = self.good & mask
        self.sink.skip(what, int(aside.sum()))
        self.good &= ~mask

    def price(self, column: str) -> np.ndarray:
        """Return a column in 1e-9 units; rows where it is no number are quarantined."""
        return self._fixed(column, PRICE_DECIMALS)

    def size(self, column: str, decimals: int = SIZE_DECIMALS) -> np.ndarray:
        """Return a column in 1e-8 units; rows where it is no number, or negative, are quarantined."""
        values = self._fixed(column, decimals)
        self.require(values >= 0, f"{column} is negative")
        return values

    def integer(self, column: str) -> np.ndarray:
        """Return a column of integers; other rows are quarantined."""
        values, fits, rounded = column_to_fixed(self.batch.columns[column], 0)
        fits &= rounded == 0
        self.require(fits, f"{column} is not an integer")
        return np.where(fits, values, 0)

    def time(self, column: str, unit_ns: int, base_ns: int = 0) -> np.ndarray:
        """Return integer times in nanoseconds; rows that are none or beyond int64 are quarantined."""
        values = self.integer(column)
        limit = (2**63 - 1 - abs(base_ns)) // unit_ns
        fits = np.abs(values) <= limit
        self.require(fits, f"{column} is out of range")
        return np.where(fits, values, 0) * unit_ns + base_ns

    def text(self, column: str) -> np.ndarray:
        """Return a column as an array of bytes objects."""
        return self.batch.columns[column].to_numpy(zero_copy_only=False)

    def code(self, column: str, codes: dict[bytes, int]) -> np.ndarray:
        """Return a column of known words as their codes; other rows are quarantined."""
        words = self.text(column)
        values = np.full(len(words), -2, np.int64)
        for word, code in codes.items():
            values[words == word] = code
        self.require(values != -2, f"{column} is none of {', '.join(w.decode() for w in codes)}")
        return values

    def watch_time(self, time_ns: np.ndarray, clock: str = "") -> None:
        """Count steps back in time among the good rows, across batches."""
        self.sink.watch_times(time_ns[self.good], clock)

    def _fixed(self, column: str, decimals: int) -> np.ndarray:
        values, good, rounded = column_to_fixed(self.batch.columns[column], decimals)
        self.sink.report.rounded += rounded
        self.require(good, f"{column} is no number within 64 bits")
        return np.where(good, values, 0)


def batches(
    sink: Sink, name: object, stream: BinaryIO, names: list[str] | None = None, *, skip_lines: int = 0
) -> Iterator[Batch]:
    """Yield batches of a comma-separated stream; the first line names the columns unless `names` does.

    Rows with another number of columns are quarantined. Raises DataError for an empty or damaged stream, and for a
    line that is longer than a block.
    """
    import pyarrow as pa
    from pyarrow import csv

    wrong: list[int] = []

    def on_invalid(row: object) -> str:
        wrong.append(1)
        return "skip"

    header = _header(name, stream, names, skip_lines)
    convert = csv.ConvertOptions(column_types=dict.fromkeys(header, pa.binary()), strings_can_be_null=False)
    parse = csv.ParseOptions(quote_char=False, ignore_empty_lines=False, invalid_row_handler=on_invalid)
    read = csv.ReadOptions(column_names=header, use_threads=False, block_size=_BLOCK_BYTES)
    first_row = 0
    try:
        with csv.open_csv(stream, read, parse, convert) as reader:
            for part in reader:
                sink.report.rows += part.num_rows
                yield Batch({key: part.column(key) for key in header}, part.num_rows, first_row)
                first_row += part.num_rows
    except pa.ArrowInvalid as error:
        if "Empty CSV" not in str(error):
            raise DataError(name, 0, f"not a table of text ({_one_line(error)})") from error
    sink.report.rows += len(wrong)
    sink.quarantine(WRONG_COLUMNS, len(wrong))


def split_header(line: bytes) -> list[str]:
    """Return the column names of a header line; an unnamed column is called `unnamed`, a repeated one numbered."""
    seen: dict[str, int] = {}
    out = []
    for cell in line.decode("utf-8", "replace").lstrip("\ufeff").rstrip("\r\n").split(","):
        key = cell.strip().strip('"') or "unnamed"
        seen[key] = seen.get(key, 0) + 1
        out.append(key if seen[key] == 1 else f"{key}_{seen[key]}")
    return out


def _header(name: object, stream: BinaryIO, names: list[str] | None, skip_lines: int) -> list[str]:
    for _ in range(skip_lines):
        stream.readline(_BLOCK_BYTES)
    if names is not None:
        return names
    line = stream.readline(_BLOCK_BYTES)
    if not line.strip():
        raise DataError(name, 1, "there is no header line")
    return split_header(line)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
