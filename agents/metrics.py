"""Training metrics on the host: quantiles over the population, one row an update and metric, in `metrics.parquet`."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

METRICS_FILE = "metrics.parquet"
LEADER_METRIC = "recent_return"
QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}
SCHEMA = pa.schema(
    [("update", pa.int64()), ("env_steps", pa.int64()), ("metric", pa.string())]
    + [(name, pa.float64()) for name in (*QUANTILES, "mean", "best")]
)

Quantiles = dict[str, float | None]


def population_quantiles(values: np.ndarray, leader: int | None = None) -> Quantiles:
    """Summarise values float32[A] over the agents that have one (not nan); every entry is None where none has.

    `best` is the value of agent `leader`: the one that leads by its recent return, the same for every metric of an
    update, so that its column is one agent's and not the luckiest number of each metric.
    """
    finite = np.asarray(values, np.float64)[np.isfinite(values)]
    if finite.size == 0:
        return dict.fromkeys((*QUANTILES, "mean", "best"))
    cuts = np.quantile(finite, list(QUANTILES.values()))
    best = None if leader is None or not np.isfinite(values[leader]) else float(values[leader])
    return dict(zip(QUANTILES, map(float, cuts), strict=True)) | {"mean": float(finite.mean()), "best": best}


def leader(scores: np.ndarray) -> int | None:
    """Index of the agent with the highest finite score float32[A], or None where no score is finite."""
    usable = np.where(np.isfinite(scores), scores, -np.inf)
    return int(np.argmax(usable)) if np.isfinite(usable).any() else None


class MetricsLog:
    """Rows of a run, kept in memory and rewritten whole: a reader never sees half a file."""

    def __init__(self, run_dir: Path, last_update: int = 0) -> None:
        """Continue the file of `run_dir` up to `last_update` (a checkpoint's); later rows are dropped."""
        self.path = Path(run_dir) / METRICS_FILE
        self._columns: dict[str, list] = {name: [] for name in SCHEMA.names}
        if last_update > 0 and self.path.is_file():
            kept = pq.read_table(self.path, schema=SCHEMA, filters=[("update", "<=", last_update)])
            self._columns = {name: kept[name].to_pylist() for name in SCHEMA.names}

    def add(self, update: int, env_steps: int, metrics: dict[str, np.ndarray]) -> dict[str, Quantiles]:
        """Add one update's metrics (each float32[A]) and return their quantiles by name."""
        first = leader(metrics[LEADER_METRIC])
        summaries = {name: population_quantiles(metrics[name], first) for name in sorted(metrics)}
        for name, summary in summaries.items():
            row = {"update": update, "env_steps": env_steps, "metric": name, **summary}
            for column, values in self._columns.items():
                values.append(row[column])
        return summaries

    def flush(self) -> None:
        """Write `metrics.parquet`: to a temporary file, then renamed over the old one."""
        temporary = self.path.with_suffix(".parquet.partial")
        pq.write_table(pa.table(self._columns, schema=SCHEMA), temporary)
        temporary.replace(self.path)
