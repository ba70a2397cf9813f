"""Arrow (feather) and Parquet files as batches, streamed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from market_models.datasets.errors import DataError
from market_models.datasets.formats.blocks import BLOCK_ROWS, NULL
from market_models.datasets.formats.source import Source

if TYPE_CHECKING:
    import pyarrow as pa


def is_arrow(source: Source) -> bool:
    """Whether it begins as a feather (Arrow) or Parquet file."""
    return source.head[:6] == b"ARROW1" or source.head[:4] == b"PAR1"


def column_names(source: Source) -> list[str]:
    """Return the column names; empty if the file cannot be opened as such."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not is_arrow(source):
        return []
    try:
        if source.head[:4] == b"PAR1":
            return list(pq.ParquetFile(source.path).schema_arrow.names)
        with pa.memory_map(str(source.path)) as file:
            return list(pa.ipc.open_file(file).schema.names)
    except (pa.ArrowException, OSError, ValueError):
        return []


def record_batches(source: Source, columns: list[str]) -> Iterator["pa.RecordBatch"]:
    """Yield batches of at most BLOCK_ROWS rows with these columns. Raises DataError for a damaged file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if source.head[:4] == b"PAR1":
            yield from pq.ParquetFile(source.path).iter_batches(BLOCK_ROWS, columns=columns)
            return
        with pa.memory_map(str(source.path)) as file:
            reader = pa.ipc.open_file(file)
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                batch.validate(full=True)
                batch = batch.select(columns)
                for start in range(0, batch.num_rows, BLOCK_ROWS):
                    yield batch.slice(start, BLOCK_ROWS)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(source.path, 0, f"not a whole {_kind(source)} file ({_one_line(error)})") from error


def time_column(values: "pa.Array", unit_ns: int = 1_000_000) -> tuple[np.ndarray, np.ndarray]:
    """Return (int64[N] nanoseconds, bool[N] known) of a timestamp column, or of integers of the unit."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = np.asarray(pc.call_function("is_valid", [values]))
    if pa.types.is_timestamp(values.type):
        factor = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[values.type.unit]
    elif pa.types.is_integer(values.type):
        factor = unit_ns
    else:
        return np.full(len(values), NULL, np.int64), np.zeros(len(values), bool)
    ticks = np.asarray(pc.fill_null(pc.cast(values, pa.int64()), 0))
    fits = known & (np.abs(ticks) <= (2**63 - 1) // factor)
    return np.where(fits, ticks, 0) * factor, fits


def float_column(values: "pa.Array") -> np.ndarray:
    """Return float64[N], NaN where null or not a number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return np.asarray(pc.fill_null(pc.cast(values, pa.float64(), safe=False), float("nan")))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return np.full(len(values), np.nan)


def _kind(source: Source) -> str:
    return "parquet" if source.head[:4] == b"PAR1" else "arrow"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
