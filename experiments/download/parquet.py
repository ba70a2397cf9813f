"""Rows of history to one Parquet file: the venue's own text of prices and sizes, the same bytes for the same rows."""

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from market_models.datasets.formats.history import COLUMNS, METADATA_KEY

_GROUP_ROWS = 65_536


def write_parquet(rows: Path, out: Path, query: dict[str, Any], step: int | None) -> None:
    """Write `rows.jsonl` as Parquet, in groups of 65,536 rows; when and how often it was fetched does not enter it."""
    names = COLUMNS[query["kind"]]
    about = {name: query[name] for name in ("venue", "symbol", "market", "kind", "timeframe")} | {"step": step}
    fields = [(name, pa.int64() if name in ("id", "time_ms") else pa.string()) for name in names]
    schema = pa.schema(fields, metadata={METADATA_KEY: json.dumps(about, sort_keys=True).encode()})
    with rows.open("rb") as lines, pq.ParquetWriter(out, schema, compression="zstd") as writer:
        while group := [json.loads(line) for line in itertools.islice(lines, _GROUP_ROWS)]:
            # A row begins with its key: of trades the id, which is stored; else the time, which follows.
            cells = [row if query["kind"] == "trades" else row[1:] for row in group]
            columns = [
                pa.array(values, kind) for values, (_, kind) in zip(zip(*cells, strict=True), fields, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    with out.open("rb+") as file:
        os.fsync(file.fileno())
