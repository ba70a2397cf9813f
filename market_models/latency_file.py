"""Latency tables as small JSON files of parameters: quantiles in nanoseconds, no recorded row.

Fields: `model` ("latency_table"), `legs` (LEG_ns: quantiles), `samples` (how many were fitted), `source`. A name that
is no file is looked for in `market_models/calibrations/latency/`.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from market_models.datasets.binance_raw import NS_PER_LOCAL_UNIT, NS_PER_MS
from market_models.datasets.text_lines import read_lines
from market_models.latency import LEGS, TableLatency, check_table
from market_models.parameter_files import load_parameters, shipped_names, write_parameters

SHIPPED = Path(__file__).parent / "calibrations" / "latency"
MODEL = "latency_table"


def save_latency(latency: TableLatency, path: Path, samples: int, source: str) -> None:
    """Write the tables of `latency` to `path`."""
    legs = {f"{leg}_ns": latency.table(leg).tolist() for leg in LEGS}
    record = {"model": MODEL, "source": source, "samples": samples, "legs": legs}
    write_parameters(path, json.dumps(record, separators=(",", ":")) + "\n")


def load_latency(name: str | Path) -> TableLatency:
    """Read a file, or a shipped one by its name. ValueError names the file, the field and what would be valid."""
    path, record = load_parameters(name, SHIPPED, "latency table")
    if not isinstance(record, dict) or record.get("model") != MODEL or not isinstance(record.get("legs"), dict):
        raise ValueError(f"{path}: not a latency table: expected an object with model {MODEL!r} and legs")
    legs: dict[str, Any] = record["legs"]
    valid = [f"{leg}_ns" for leg in LEGS]
    if unknown := sorted(legs.keys() - set(valid)):
        raise ValueError(f"{path}: legs has no field {unknown[0]!r}; valid: {valid}")
    try:
        return TableLatency(**{leg: tuple(check_table(leg, np.array(table)).tolist()) for leg, table in legs.items()})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def shipped_latencies() -> list[str]:
    """Return the names of the tables that come with the project."""
    return shipped_names(SHIPPED)


def binance_feed_delays(path: Path) -> np.ndarray:
    """Return local minus exchange time (`E`), int64[N] ns, of a raw Binance recording (datasets/binance_raw.py).

    Exchange times are in ms, so a delay is known to a millisecond. Rows without one (snapshots, spot's bookTicker) have
    none. ValueError names the file and the line.
    """
    delays = []
    for number, line in enumerate(read_lines(path), 1):
        stamp, _, body = line.partition(b" ")
        try:
            data, local = json.loads(body).get("data", {}), int(stamp)
            if "E" in data:
                delays.append(local * NS_PER_LOCAL_UNIT[len(stamp)] - int(data["E"]) * NS_PER_MS)
        except (ValueError, AttributeError, TypeError, KeyError) as error:
            raise ValueError(f"{path}: line {number} is not `<local time> <json>` ({error})") from error
    return np.array(delays, np.int64)
