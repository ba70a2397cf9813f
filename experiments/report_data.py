"""What the report reads: a run's folder, a session's figures and the warehouse. Each may be absent, with a reason.

From the run: run.json, provenance.json, config.yaml, metrics.parquet, selection.json, and in evaluation/: table.json,
episodes*.parquet, returns_sim_validation.npz. From the warehouse, for the session's `run_id`: decisions, fills, equity,
risk events, execution figures and the ledger. From the session's journal and the venue's ledger on disk: their books.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from clickhouse_connect.driver.client import Client

from live_bridge.journal import JournalError
from live_bridge.ledgers import ledger_from_journal, ledger_from_venue
from warehouse.client import open_warehouse
from warehouse.errors import WarehouseError
from warehouse.reader import read_table, run_query

SESSION_TABLES = ("decisions", "fills", "equity", "risk_events")
MARKOUT_S = (1, 10, 60)
Table = tuple[tuple[str, ...], list[tuple[Any, ...]]]  # columns, rows


@dataclass
class RunData:
    """A run's results; `missing` says for each part that is None what is not there."""

    run_dir: Path
    run: dict[str, Any] | None = None
    provenance: dict[str, Any] | None = None
    config: str | None = None
    metrics: pa.Table | None = None  # update, env_steps, metric, q05 .. best
    comparison: list[dict[str, Any]] | None = None  # rows of evaluation/table.json, with `market`
    episodes: pa.Table | None = None
    sharpes: np.ndarray | None = None  # float64[A] of the agents on validation episodes
    selection: dict[str, Any] | None = None
    missing: dict[str, str] = field(default_factory=dict)


@dataclass
class SessionData:
    """A paper or live session; tables are None where the warehouse does not have them."""

    summary: dict[str, Any] | None = None
    tables: dict[str, pa.Table] = field(default_factory=dict)  # those of SESSION_TABLES that have rows
    ledgers: dict[str, dict[str, int]] = field(default_factory=dict)  # journal, venue, warehouse, where there is one
    executions: dict[str, Table] = field(default_factory=dict)  # answers of named queries, by title
    tick_value_e8: int = 0  # worth of one lot moving one tick, from the ledgers
    missing: str = ""


def read_run(run_dir: Path) -> RunData:
    """Read what a run's folder has."""
    data = RunData(run_dir)
    _part(data, "run", "run.json", _read_json)
    _part(data, "provenance", "provenance.json", _read_json)
    _part(data, "config", "config.yaml", lambda path: path.read_text(encoding="utf-8"))
    _part(data, "metrics", "metrics.parquet", pq.read_table)
    _part(data, "comparison", "evaluation/table.json", lambda path: comparison_rows(_read_json(path)))
    _part(data, "episodes", "evaluation", _read_episodes)
    _part(data, "sharpes", "evaluation/returns_sim_validation.npz", _read_sharpes)
    _part(data, "selection", "selection.json", _read_json)
    return data


def _part(data: RunData, name: str, file: str, read: Any) -> None:
    path = data.run_dir / file
    try:
        if not path.exists():
            raise FileNotFoundError(f"{file} is not in {data.run_dir}")
        setattr(data, name, read(path))
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        data.missing[name] = str(error)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name} is not JSON: {error}") from error


def _read_episodes(folder: Path) -> pa.Table:
    files = sorted(folder.glob("episodes*.parquet"))
    if not files:
        raise FileNotFoundError(f"episodes*.parquet is not in {folder}")
    columns = ["source", "strategy", "episode", "pnl_tick_lots"]
    return pa.concat_tables([pq.read_table(path, columns=columns) for path in files], promote_options="default")


def _read_sharpes(path: Path) -> np.ndarray:
    """Return the Sharpe ratio of each agent's episodes: mean over sample deviation, 0 where nothing varies."""
    with np.load(path, allow_pickle=False) as file:
        pnl = np.asarray(file["pnl"], np.float64)[file["kinds"] == "agent"]
    deviation = pnl.std(axis=1, ddof=1)
    return np.divide(pnl.mean(axis=1), deviation, out=np.zeros(len(pnl)), where=deviation > 0)


def comparison_rows(document: Any) -> list[dict[str, Any]]:
    """Return the rows of evaluation/table.json; raise ValueError if it holds none."""
    rows = document.get("table") if isinstance(document, Mapping) else None
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) and "mean_pnl" in row for row in rows):
        raise ValueError("evaluation/table.json holds no table")
    return [dict(row) for row in rows]


def episode_totals(episodes: pa.Table) -> dict[str, dict[str, float]]:
    """Return the total PnL by source and strategy."""
    sums = episodes.group_by(["source", "strategy"]).aggregate([("pnl_tick_lots", "sum")]).to_pylist()
    totals: dict[str, dict[str, float]] = {}
    for row in sorted(sums, key=lambda row: (row["source"] != "sim", row["source"], row["strategy"])):
        totals.setdefault(row["source"], {})[row["strategy"]] = row["pnl_tick_lots_sum"]
    return totals


def episode_series(episodes: pa.Table, source: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the PnL of each named strategy, float64 in episode order."""
    series = {}
    for name in names:
        rows = episodes.filter((ds.field("source") == source) & (ds.field("strategy") == name))
        series[name] = rows.sort_by("episode")["pnl_tick_lots"].to_numpy().astype(np.float64)
    return series


def read_session(session: Mapping[str, Any] | None, warehouse: Client | str | Path | None) -> SessionData:
    """Read what the disk and the warehouse have of a session."""
    if session is None:
        return SessionData(missing="no session was given; run `bookswarm paper` and pass its result")
    data = SessionData(summary=dict(session))
    reasons = [_read_ledgers(data), _read_warehouse(data, warehouse)]
    data.missing = "; ".join(reason for reason in reasons if reason)
    return data


def _read_ledgers(data: SessionData) -> str:
    """Add up the journal and the venue's ledger; return why that could not be done, or nothing."""
    summary = data.summary or {}
    reasons = []
    for name, key, read in (("journal", "journal", ledger_from_journal), ("venue", "venue_ledger", ledger_from_venue)):
        folder = summary.get(key)
        if not folder or not Path(folder).is_dir():
            reasons.append(f"the session's {key} is not on disk")
            continue
        try:
            book = read(Path(folder))
        except (JournalError, ValueError) as error:
            reasons.append(f"the {name} cannot be read: {error}")
            continue
        data.tick_value_e8 = data.tick_value_e8 or book.tick_value_e8
        data.ledgers[name] = {
            "fills": len(book.fills),
            "traded_lots": sum(fill.lots for fill in book.fills),
            "position_lots": book.position_lots,
            "cash_e8": book.cash_e8,
            "fees_e8": book.fees_e8,
        }
    return "; ".join(reasons)


def _read_warehouse(data: SessionData, warehouse: Client | str | Path | None) -> str:
    """Read the session's rows; return why that could not be done, or nothing."""
    if warehouse is None:
        return "no warehouse was given"
    try:
        if isinstance(warehouse, str | Path):
            with open_warehouse(warehouse, create=False) as client:
                return _read_tables(data, client)
        return _read_tables(data, warehouse)
    except WarehouseError as error:
        return str(error)


def _read_tables(data: SessionData, client: Client) -> str:
    summary = data.summary or {}
    run_id, source = str(summary.get("run_id", "")), str(summary.get("source", "paper"))
    for name in SESSION_TABLES:
        rows = read_table(client, name, run_id, source)
        if rows.num_rows:
            data.tables[name] = rows
    if not data.tables:
        return f"the warehouse has no rows of session {run_id!r}"
    session = {"run_id": run_id, "source": source}
    data.executions["fills and fees"] = run_query(client, "fills_summary", session)
    data.executions["orders"] = run_query(client, "order_outcomes", session)
    for horizon_s in MARKOUT_S:
        params = {**session, "horizon_ns": horizon_s * 10**9}
        data.executions[f"markout after {horizon_s} s of event time"] = run_query(client, "markouts", params)
    if not data.tick_value_e8:
        return "no ledger on disk says what a tick is worth, so SQL cannot value the fills"
    columns, rows = run_query(client, "session_ledger", {**session, "tick_value_e8": data.tick_value_e8})
    if rows:
        data.ledgers["warehouse"] = dict(zip(columns, rows[0], strict=True))
    return ""
