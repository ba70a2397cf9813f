"""What runs leave in the warehouse: written by the command in front, exactly once."""

from pathlib import Path

from agents import run_files
from agents.evaluation import agent_name
from experiments.home import home
from experiments.training import PROVENANCE_FILE
from warehouse.client import open_warehouse
from warehouse.runs import ingest_run, log_trials


def count_trials(run: Path) -> int:
    """Log this run's agents as trials on its data set and return how many strategies were ever tried on it."""
    origin = run_files.read_json(run / PROVENANCE_FILE, "train")
    strategies = [agent_name(index) for index in range(run_files.read_json(run / "run.json", "train")["agents"])]
    with open_warehouse(home()) as client:
        return log_trials(
            client, origin["data_digest"], origin["run_id"], strategies, config_digest=origin["config_digest"]
        )


def record_run(run: Path) -> dict[str, int]:
    """Write a run's learning curve, episodes and selection into the warehouse; return the rows added a table."""
    origin = run_files.read_json(run / PROVENANCE_FILE, "train")
    with open_warehouse(home()) as client:
        return ingest_run(client, run, origin["run_id"], origin["data_digest"])
