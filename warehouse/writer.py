"""Put Arrow rows into the store so that a batch that is sent again, after any crash, counts once.

Two mechanisms, and the second carries the proof. A segment's digest is entered in `ingested_segments` after its rows,
so that a known segment is not sent again. And every table replaces rows of the same key, so that a segment whose rows
had arrived before the crash that lost its entry replaces them with themselves.
"""

import hashlib
import io
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from warehouse.columns import conform, table_columns
from warehouse.errors import WarehouseError

# A recording may span more days than the engine's default number of partitions for one insert.
_INSERT_SETTINGS = {"max_partitions_per_insert_block": 0}


class Ingested(NamedTuple):
    """What happened to one segment file."""

    digest: str  # SHA-256 of the file and of the constants added to it
    rows: int
    was_known: bool  # True: it had been ingested before, nothing was sent


def insert_rows(
    client: Client,
    table: str,
    rows: pa.Table | Mapping[str, Any],
    *,
    constants: Mapping[str, Any] | None = None,
    batch: str | None = None,
) -> int:
    """Insert rows and return their number; `constants` adds a column of one value each (run_id, source).

    The count is read back from the store: fewer rows than were sent is an error, never silence. Rows whose key is
    already stored replace the stored ones.

    Raises:
        WarehouseError: see `warehouse.columns.conform`; or the store refused, or kept another number of rows.
    """
    arrow: Any = rows if isinstance(rows, pa.Table) else pa.table(dict(rows))
    for name, value in (constants or {}).items():
        if name in arrow.column_names:
            raise WarehouseError(f"{table}: {name!r} is both a column and a constant")
        arrow = arrow.append_column(name, pa.array([value] * arrow.num_rows))
    if arrow.num_rows == 0:
        return 0
    columns = table_columns(client, table)
    digest = batch or _content_digest(table, arrow)
    arrow = arrow.append_column("batch", pa.array([digest] * arrow.num_rows))
    fitted = conform(table, arrow, columns)
    try:
        client.insert_arrow(table, fitted, settings=_INSERT_SETTINGS)
    except ClickHouseError as error:
        raise WarehouseError(f"{table}: the store refused {fitted.num_rows} rows: {error}") from error
    _assert_stored(client, table, fitted, digest)
    return fitted.num_rows


def ingest_segment(
    client: Client, path: str | Path, table: str, constants: Mapping[str, Any] | None = None
) -> Ingested:
    """Ingest one Arrow or Parquet file exactly once, however often and after whatever crash this is called.

    Raises:
        WarehouseError: the file is unreadable or torn, or its rows do not fit; then nothing was entered as ingested.
    """
    path = Path(path)
    data = _read_bytes(path)
    # The constants are part of what is stored: two runs may well have written the same bytes.
    digest = hashlib.sha256(data + json.dumps(dict(constants or {}), sort_keys=True).encode()).hexdigest()
    known = client.query(
        "SELECT rows FROM ingested_segments WHERE digest = {digest:String} AND table_name = {table:String}",
        parameters={"digest": digest, "table": table},
    ).result_rows
    if known:
        return Ingested(digest, known[0][0], was_known=True)
    rows = decode_segment(data, path)
    stored = insert_rows(client, table, rows, constants=constants, batch=digest)
    _mark_ingested(client, digest, table, path, rows, constants or {})
    return Ingested(digest, stored, was_known=False)


def ingest_folder(client: Client, folder: str | Path) -> dict[str, int]:
    """Ingest every segment `TABLE.arrow` or `TABLE-*.arrow` (or .parquet) of a folder; return rows added by table."""
    added: dict[str, int] = {}
    for path in sorted(Path(folder).iterdir()):
        if path.suffix not in (".arrow", ".parquet"):
            continue
        table = path.stem.partition("-")[0]
        done = ingest_segment(client, path, table)
        added[table] = added.get(table, 0) + (0 if done.was_known else done.rows)
    return added


def decode_segment(data: bytes, path: Path) -> pa.Table:
    """Read an Arrow file, an Arrow stream or a Parquet file; raise `WarehouseError` if it is torn or something else."""
    try:
        if data[:6] == b"ARROW1":
            return pa.ipc.open_file(data).read_all()
        if data[:4] == b"PAR1":
            return pq.read_table(io.BytesIO(data))
        return pa.ipc.open_stream(data).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise WarehouseError(f"{path}: not a whole Arrow or Parquet segment ({error})") from error


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WarehouseError(f"{path}: cannot be read: {error.strerror}") from error


def _mark_ingested(
    client: Client, digest: str, table: str, path: Path, rows: pa.Table, constants: Mapping[str, Any]
) -> None:
    def only(name: str, default: str) -> str:
        value = constants.get(name) or (
            rows[name][0].as_py() if name in rows.column_names and rows.num_rows else default
        )
        return str(value)

    client.insert(
        "ingested_segments",
        [[digest, only("source", "sim"), only("run_id", ""), table, str(path), rows.num_rows, time.time_ns()]],
        column_names=["digest", "source", "run_id", "table_name", "path", "rows", "ingested_ns"],
    )


def _content_digest(table: str, rows: pa.Table) -> str:
    """Name a batch by its content, so that the same rows sent again are the same batch."""
    digest = hashlib.sha256(table.encode())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows.combine_chunks())
    digest.update(sink.getvalue())
    return digest.hexdigest()


def _assert_stored(client: Client, table: str, rows: pa.Table, digest: str) -> None:
    # The run ids narrow the scan to the head of the sorting key.
    parameters = {"digest": digest, "runs": rows["run_id"].unique().to_pylist()}
    stored = client.query(
        f"SELECT count() FROM {table} FINAL WHERE run_id IN {{runs:Array(String)}} AND batch = {{digest:String}}",
        parameters=parameters,
    ).result_rows[0][0]
    if stored != rows.num_rows:
        raise WarehouseError(f"{table}: sent {rows.num_rows} rows of batch {digest[:12]}, the store has {stored}")
