"""`bookswarm report`: one self-contained page about a run and, where there is one, its session.

The page loads nothing: the figures' library is inside it. A part whose input is missing says so; it does not stop the
rest.
"""

import os
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client

from experiments import report_sections, report_session
from experiments.home import git_commit
from experiments.report_data import read_run, read_session
from experiments.report_page import render_page


def write_report(
    run_dir: str | Path,
    session: Mapping[str, Any] | None,
    warehouse: Client | str | Path | None,
    out: str | Path,
) -> dict[str, Any]:
    """Write the page and return {"path", "bytes"}.

    `session` is what `bookswarm paper` returned: the books are added up from its `journal` and `venue_ledger` on disk
    and compared with those that `warehouse` (an open client, a home directory or a URL) gives for its `run_id`. The
    file appears whole or not at all.

    Raises:
        FileNotFoundError: `run_dir` is not a directory.
        OSError: `out` cannot be written.
    """
    folder, target = Path(run_dir), Path(out)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a run's folder")
    run, live = read_run(folder), read_session(session, warehouse)
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    sections = [
        report_sections.header(run, git_commit(), made),
        report_sections.comparison(run),
        report_sections.held_out(run),
        report_sections.selection(run),
        report_sections.learning(run),
        report_session.session(live),
        report_session.behaviour(live),
        report_session.executions(live),
        report_session.ledger(live),
    ]
    name = (run.run or {}).get("run") or folder.resolve().name
    page = render_page(f"bookswarm: {Path(str(name)).name}", f"Report made {made}", sections)
    return {"path": str(target), "bytes": write_atomically(target, page.encode())}


def write_atomically(target: Path, data: bytes) -> int:
    """Write a file that a reader never sees half done; return its size."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return len(data)
