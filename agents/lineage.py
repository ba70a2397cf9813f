"""Who was copied from whom: one row a copy, in `lineage.parquet` of a run with population-based training."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from agents import run_files
from agents.pbt import ORIGIN, PARENT

LINEAGE_FILE = "lineage.parquet"
SCHEMA = pa.schema([(name, pa.int64()) for name in ("update", "agent", "parent", "origin")])


class LineageLog:
    """Rows of a run, rewritten whole: `agent` continues from `parent` after `update`, begun once as agent `origin`."""

    def __init__(self, run_dir: Path, last_update: int = 0) -> None:
        """Continue the file of `run_dir` up to `last_update` (a checkpoint's); later rows are dropped."""
        self.path = Path(run_dir) / LINEAGE_FILE
        self._rows: list[dict[str, int]] = []
        self._used = False
        if last_update > 0 and self.path.is_file():
            kept = pq.read_table(self.path, schema=SCHEMA, filters=[("update", "<=", last_update)])
            self._rows = kept.to_pylist()

    def add(self, update: int, metrics: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Note the copies of one update; return the metrics without the agents' numbers, which have no quantiles."""
        if PARENT not in metrics:
            return metrics
        self._used = True
        parent, origin = metrics[PARENT].astype(np.int64), metrics[ORIGIN].astype(np.int64)
        for agent in np.flatnonzero(parent != np.arange(len(parent))):
            row = (update, int(agent), int(parent[agent]), int(origin[agent]))
            self._rows.append(dict(zip(SCHEMA.names, row, strict=True)))
        return {name: values for name, values in metrics.items() if name not in (PARENT, ORIGIN)}

    def flush(self) -> None:
        """Write the file; a run without population-based training has none."""
        if self._used:
            run_files.write_parquet(self.path, pa.Table.from_pylist(self._rows, schema=SCHEMA))
