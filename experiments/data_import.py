"""Recorded files into the warehouse: import one, or every one of a folder, each stored once."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from clickhouse_connect.driver.client import Client

from market_models.datasets.errors import DataError
from market_models.datasets.formats import Imported, ImportOptions, open_import
from market_models.datasets.formats.blocks import BLOCK_ROWS, KINDS, NULL, Block
from market_models.datasets.formats.registry import detect
from market_models.datasets.formats.report import ImportReport
from market_models.datasets.formats.source import open_source
from warehouse.writer import insert_rows

_TABLES = {
    "orders": (
        "book_messages",
        {"event": "kind", "side": "side", "order_id": "order_id", "price": "price_tick", "size": "lots"},
    ),
    "levels": (
        "book_levels",
        {"event_id": "event_id", "snapshot": "snapshot", "side": "side", "price": "price_tick", "size": "lots"},
    ),
    "quotes": (
        "quotes",
        {"bid_price": "bid_tick", "bid_size": "bid_lots", "ask_price": "ask_tick", "ask_size": "ask_lots"},
    ),
    "trades": ("trades", {"trade_id": "trade_id", "side": "side", "price": "price_tick", "size": "lots"}),
    "bars": (
        "bars",
        {"open": "open_tick", "high": "high_tick", "low": "low_tick", "close": "close_tick", "size": "volume_lots"},
    ),
}
_ZERO_FOR_NULL = ("trade_id", "event_id", "order_id")
_INSERT_ROWS = 4 * BLOCK_ROWS
# Files that describe data and hold none.
_BESIDE = (".md", ".txt", ".yaml", ".yml", ".pdf")


def import_file(
    path: Path,
    options: ImportOptions,
    client: Client | None,
    on_read: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Import one file and store it unless the warehouse has it; return the report's fields and `already_stored`.

    Raises:
        DataError: the file is damaged or of no known format.
    """
    with open_import(path, options, on_read) as imported:
        out = imported.report.to_json()
        if client is not None:
            out["already_stored"] = is_stored(client, imported.report)
            if not out["already_stored"]:
                store(client, imported)
        return out


def is_stored(client: Client, report: ImportReport) -> bool:
    """Return whether the warehouse has this file, read as this format."""
    found = client.query(
        "SELECT count() FROM datasets WHERE digest = {digest:String} AND format = {format:String} "
        "AND name = {name:String}",
        parameters={"digest": report.digest, "format": report.format, "name": Path(report.path).name},
    )
    return bool(found.result_rows[0][0])


def store(client: Client, imported: Imported) -> None:
    """Write the rows, then the data set's own row: an import that is cut off is repeated and lands once."""
    report = imported.report
    constants = {"source": "replay", "run_id": f"import-{report.digest[:16]}"}
    _store_instruments(client, report, constants)
    for kind, rows, first_row in _gathered(imported.blocks()):
        table, columns = _table(kind, rows, first_row, report)
        insert_rows(client, table, columns, constants=constants)
    insert_rows(client, "datasets", _dataset(report), constants=constants)


def data_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder that may hold recorded data, in order of name, each LOBSTER pair once."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name.startswith(".") or path.suffix in _BESIDE:
            continue
        message = path.with_name(path.name.replace("_orderbook_", "_message_"))
        if message == path or not message.is_file():
            yield path


def is_known(path: Path) -> bool:
    """Return whether some format recognises the file; DataError if it cannot be unpacked."""
    return detect(open_source(path)) is not None


def import_folder(
    folder: Path,
    options: ImportOptions,
    client: Client | None,
    on_file: Callable[[Path, int, int], None] | None = None,
) -> dict[str, Any]:
    """Import every file of a folder; return `imports`, `failed`, `skipped` and `totals`."""
    files = list(data_files(folder))
    out: dict[str, Any] = {"imports": [], "failed": [], "skipped": []}
    for number, path in enumerate(files):
        if on_file:
            on_file(path, number, len(files))
        try:
            if options.format == "auto" and options.mapping is None and not is_known(path):
                out["skipped"].append({"path": str(path), "reason": "of no known format"})
                continue
            out["imports"].append(import_file(path, options, client))
        except DataError as error:
            out["failed"].append({"path": str(path), "error": str(error)})
    out["totals"] = _totals(out)
    return out


def _totals(result: dict[str, Any]) -> dict[str, Any]:
    imports = result["imports"]
    quarantined: dict[str, int] = {}
    for entry in imports:
        for reason, count in entry["quarantined"].items():
            quarantined[reason] = quarantined.get(reason, 0) + count
    return {
        "files": len(imports),
        "failed": len(result["failed"]),
        "skipped": len(result["skipped"]),
        **{key: sum(entry[key] for entry in imports) for key in ("rows", "gaps", "crossed")},
        "quarantined": quarantined,
        "stored_rows": sum(sum(entry["stored"].values()) for entry in imports),
    }


def _gathered(blocks: Iterator[Block]) -> Iterator[tuple[str, np.ndarray, int]]:
    """Join blocks of a kind up to a size that is worth an insert."""
    held: dict[str, list[Block]] = {kind: [] for kind in KINDS}
    for block in blocks:
        held[block.kind].append(block)
        if sum(len(part.rows) for part in held[block.kind]) >= _INSERT_ROWS:
            yield block.kind, np.concatenate([part.rows for part in held[block.kind]]), held[block.kind][0].first_row
            held[block.kind] = []
    for kind, parts in held.items():
        if parts:
            yield kind, np.concatenate([part.rows for part in parts]), parts[0].first_row


def _table(kind: str, rows: np.ndarray, first_row: int, report: ImportReport) -> tuple[str, dict[str, Any]]:
    """Return the table of a kind and its columns."""
    table, names = _TABLES[kind]
    event_ns = np.where(rows["exchange_ns"] == NULL, rows["local_ns"], rows["exchange_ns"])
    event_ns = np.where(event_ns == NULL, 0, event_ns)
    units = pa.array([units.name for units in report.instruments])
    columns: dict[str, Any] = {
        "instrument": pa.DictionaryArray.from_arrays(pa.array(rows["instrument"]), units).cast(pa.string()),
        "dataset_digest": pa.array([report.digest] * len(rows)),
        "sequence": np.arange(first_row, first_row + len(rows), dtype=np.uint64),
        "event_ns": event_ns,
    }
    if kind != "bars":
        columns["recv_ns"] = np.where(rows["local_ns"] == NULL, event_ns, rows["local_ns"])
    for own, name in names.items():
        values = rows[own]
        if own in _ZERO_FOR_NULL:
            columns[name] = np.where(values == NULL, 0, values)
        else:
            columns[name] = pa.array(values, mask=values == NULL) if values.dtype == np.int64 else values
    return table, columns


def _store_instruments(client: Client, report: ImportReport, constants: dict[str, str]) -> None:
    steps = [units.to_json() for units in report.instruments]
    rows = {
        "instrument": [step["name"] for step in steps],
        "currency": [""] * len(steps),
        "tick_size": [step["tick_size"] for step in steps],
        "lot_size": [step["lot_size"] for step in steps],
        "tick_lot_value_e8": [units.tick_lot_e8 for units in report.instruments],
    }
    insert_rows(client, "instruments", rows, constants=constants)


def _dataset(report: ImportReport) -> dict[str, list[Any]]:
    out = report.to_json()
    return {
        "digest": [report.digest],
        "name": [Path(report.path).name],
        "format": [report.format],
        "instrument": [out["instrument"]],
        "rows": [report.rows],
        "quarantined": [report.quarantined.total()],
        "first_ns": [report.first_ns or 0],
        "last_ns": [report.last_ns or 0],
        "raw_bytes": [report.raw_bytes],
        "unpacked_bytes": [report.unpacked_bytes],
        "imported_ns": [time.time_ns()],
        "tier": [report.tier],
        "gaps": [report.gaps],
        "crossed": [report.crossed],
        "stored_rows": [report.stored.total()],
        "report": [json.dumps(out)],
    }
