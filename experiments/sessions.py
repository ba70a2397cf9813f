"""A paper session from the command line: the bridge, its gRPC server, and its record in the warehouse. Free of JAX."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client

from experiments.home import home
from live_bridge.arrow_export import journal_to_arrow
from live_bridge.ledgers import ledger_from_journal
from live_bridge.paper import PaperConfig, open_paper, summarise
from live_bridge.server import ServerConfig, start_server
from live_bridge.servicer import Served
from warehouse.client import open_warehouse
from warehouse.reader import run_query
from warehouse.writer import ingest_folder

SEGMENTS = "segments"


def run_session(config: PaperConfig, port: int | None, on_port: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Run a paper session to its end, serve it over gRPC meanwhile (port None: not), and record it in the warehouse.

    Returns the JSON fields of `paper`; `reconciled` needs journal, venue ledger and warehouse to agree to the integer.
    """
    opened = open_paper(config)
    try:
        if port is None:
            opened.run()
        else:
            core = opened.session.core.config
            served = Served(opened.session, (core.instrument,))
            with start_server(served, ServerConfig(port=port)) as server:
                if on_port is not None:
                    on_port(server.port)
                opened.run()
    finally:
        opened.close()
    return with_warehouse(summarise(opened), config.directory)


def with_warehouse(summary: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Ingest the session's journal into the warehouse and hold SQL's sums against the journal's."""
    journal = Path(summary["journal"])
    exported = journal_to_arrow(journal, directory / SEGMENTS)
    ours = ledger_from_journal(journal)
    with open_warehouse(home()) as client:
        ingest_folder(client, directory / SEGMENTS)
        sums = session_ledger(client, summary["run_id"], ours.tick_value_e8)
    agrees = (sums["fills"], sums["position_lots"], sums["cash_e8"], sums["fees_e8"]) == (
        len(ours.fills),
        ours.position_lots,
        ours.cash_e8,
        ours.fees_e8,
    )
    return {
        **summary,
        "reconciled": bool(summary["reconciled"] and agrees),
        "warehouse": {key: int(value) for key, value in sums.items() if key != "instrument"},
        "warehouse_rows": exported["rows"],
        "database": str(home() / "warehouse"),
    }


def session_ledger(client: Client, run_id: str, tick_value_e8: int, source: str = "paper") -> dict[str, Any]:
    """Return a session's fills, lots, position, cash and fees added up in SQL; zeros where it has no fill."""
    params = {"run_id": run_id, "source": source, "tick_value_e8": tick_value_e8}
    columns, rows = run_query(client, "session_ledger", params)
    if not rows:
        return {"fills": 0, "traded_lots": 0, "position_lots": 0, "cash_e8": 0, "fees_e8": 0}
    return dict(zip(columns, rows[0], strict=True))
