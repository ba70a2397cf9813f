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
_MAX_LINE_BYTES = 1 << 23
_COMMA, _NEWLINE, _RETURN = b",\n\r"
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

    Rows with another number of columns are quarantined. Quotes mean nothing. Raises DataError for a stream without a
    header or damaged, and for a line that is longer than 8 MiB.
    """
    header = _header(name, stream, names, skip_lines)
    first_row = 0
    for block in _blocks(name, stream):
        columns, num_rows, num_lines = _split(block, header)
        sink.report.rows += num_lines
        sink.quarantine(WRONG_COLUMNS, num_lines - num_rows)
        if num_rows:
            yield Batch(columns, num_rows, first_row)
            first_row += num_rows


def _blocks(name: object, stream: BinaryIO) -> Iterator[bytes]:
    """Yield the stream in pieces that end with a line; a last line without its end is a line."""
    rest = b""
    while chunk := stream.read(_BLOCK_BYTES):
        head, end, tail = chunk.rpartition(b"\n")
        if not end:
            rest += chunk
            if len(rest) > _MAX_LINE_BYTES:
                raise DataError(name, 0, f"not a table of text: a line is longer than {_MAX_LINE_BYTES} bytes")
            continue
        yield rest + head + end
        rest = tail
    if rest:
        yield rest + b"\n"


def _split(block: bytes, header: list[str]) -> tuple[dict[str, "pa.Array"], int, int]:
    """Return (columns of the rows with as many cells as the header, number of these rows, number of lines)."""
    text = np.frombuffer(block, np.uint8)
    separator = np.flatnonzero((text == _COMMA) | (text == _NEWLINE))
    line_end = np.flatnonzero(text[separator] == _NEWLINE)  # where, among the separators, each line ends
    count = np.diff(line_end, prepend=-1)
    good = count == len(header)
    cell = (line_end[good] - len(header) + 1)[:, None] + np.arange(len(header))
    end = separator[cell]
    start = np.where(cell == 0, 0, separator[cell - 1] + 1)
    has_return = (end[:, -1] > start[:, -1]) & (text[end[:, -1] - 1] == _RETURN)
    end[:, -1] -= has_return
    columns = {key: _gather(text, start[:, index], end[:, index]) for index, key in enumerate(header)}
    return columns, len(end), len(line_end)


def _gather(text: np.ndarray, start: np.ndarray, end: np.ndarray) -> "pa.Array":
    """Return text[start[i]:end[i]] as an Arrow array of bytes."""
    import pyarrow as pa

    offsets = np.zeros(len(start) + 1, np.int32)
    np.cumsum(end - start, out=offsets[1:])
    source = np.repeat(start - offsets[:-1], end - start) + np.arange(offsets[-1])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text[source])]
    return pa.Array.from_buffers(pa.binary(), len(start), buffers)


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
