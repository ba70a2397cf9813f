"""What a run's folder holds, into the store; and the log of everything that was ever tried on a data set."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from clickhouse_connect.driver.client import Client

from warehouse.errors import WarehouseError
from warehouse.reader import run_query
from warehouse.writer import ingest_segment, insert_rows


def log_trials(
    client: Client,
    dataset_digest: str,
    run_id: str,
    strategies: Sequence[str],
    *,
    source: str = "sim",
    config_digest: str = "",
) -> int:
    """Log that a run tried these strategies on a data set; return how many were ever tried on it, these included.

    Logging the same run again adds nothing. Raises WarehouseError for an empty digest: trials without a data set could
    not be counted against one.
    """
    if not dataset_digest:
        raise WarehouseError("the data set has no digest, so its trials cannot be counted")
    constants = {
        "dataset_digest": dataset_digest,
        "run_id": run_id,
        "source": source,
        "config_digest": config_digest,
        "recorded_ns": time.time_ns(),
    }
    insert_rows(client, "trials", {"strategy": pa.array(strategies, pa.string())}, constants=constants)
    return count_trials(client, dataset_digest)


def count_trials(client: Client, dataset_digest: str) -> int:
    """Return how many strategies were ever tried on a data set."""
    columns, rows = run_query(client, "trial_count", {"dataset_digest": dataset_digest})
    return int(rows[0][columns.index("trials")]) if rows else 0


def ingest_run(client: Client, run_dir: str | Path, run_id: str, dataset_digest: str = "") -> dict[str, int]:
    """Ingest what a run's folder has so far and return the rows added by table; calling it again adds nothing.

    metrics.parquet goes to `population_metrics`, the evaluation's episode files to `episodes`, selection.json to
    `selection`.

    Raises:
        WarehouseError: a file is damaged or does not fit its table.
    """
    folder = Path(run_dir)
    if not folder.is_dir():
        raise WarehouseError(f"{folder} is not a run's folder")
    added = {"population_metrics": 0, "episodes": 0, "selection": 0}
    if (metrics := folder / "metrics.parquet").is_file():
        done = ingest_segment(client, metrics, "population_metrics", {"run_id": run_id, "source": "sim"})
        added["population_metrics"] = 0 if done.was_known else done.rows
    for pattern in ("episodes_*.parquet", "validation_*.parquet"):
        for path in sorted((folder / "evaluation").glob(pattern)):
            done = ingest_segment(client, path, "episodes")
            added["episodes"] += 0 if done.was_known else done.rows
    if (selection := folder / "selection.json").is_file():
        added["selection"] = _insert_selection(client, selection, run_id, dataset_digest)
    return added


def _insert_selection(client: Client, path: Path, run_id: str, dataset_digest: str) -> int:
    text = path.read_text(encoding="utf-8")
    try:
        chosen: dict[str, Any] = json.loads(text)
        row = {
            "selected_ns": path.stat().st_mtime_ns,
            "trials": chosen["trials"],
            "effective_trials": chosen["effective_trials"],
            "dsr": chosen["dsr"],
            "pbo": chosen["pbo"],
            "survivors": chosen["stepm_survivors"],
            "members": [str(member) for member in chosen["members"]],
            "passed": chosen["released"],
            "detail": text,
        }
    except (json.JSONDecodeError, KeyError) as error:
        raise WarehouseError(f"{path}: not a selection: {error}") from error
    known = client.query(
        "SELECT count() FROM selection WHERE run_id = {run_id:String} AND detail = {detail:String}",
        parameters={"run_id": run_id, "detail": text},
    ).result_rows[0][0]
    if known:
        return 0
    constants = {"run_id": run_id, "source": "sim", "dataset_digest": dataset_digest}
    return insert_rows(client, "selection", pa.Table.from_pylist([row]), constants=constants)
