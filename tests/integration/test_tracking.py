"""Tracking: offline runs read back from their file, and failures that the tracked run survives.

Each case runs in a process of its own, since W&B keeps a service process for the life of its parent.
"""

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.tracking import NoTracker, start_tracking

ROOT = Path(__file__).resolve().parents[2]
ROW = {"metric": "pnl", "q05": 1.0, "q25": 2.0, "q50": 3.0, "q75": 4.0, "q95": 5.0, "mean": 3.5, "best": 9.0}

HEAD = """
import sys, logging
from pathlib import Path
from experiments.tracking import start_tracking
logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(message)s")
folder = Path(sys.argv[1])
row = dict(metric="pnl", q05=1.0, q25=2.0, q50=3.0, q75=4.0, q95=5.0, mean=3.5, best=9.0)
"""


def run_script(body: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", HEAD + body, str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "WANDB_MODE": "offline"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def read_back(folder: Path) -> list[dict]:
    """Read every record of the one offline run below a folder, once its last record is on disk."""
    [file] = folder.glob("wandb/offline-run-*/*.wandb")
    deadline = time.monotonic() + 30
    while True:
        done = subprocess.run(
            [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", "--json", str(file)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        records = [json.loads(line) for line in done.stdout.splitlines()]
        if records[-1]["type"] == "exit" or time.monotonic() > deadline:
            return records
        time.sleep(0.1)  # finish() may return before the tail is written


def test_an_offline_run_holds_config_curves_selection_table_and_artifact_with_lineage(tmp_path: Path):
    run_script(
        """
with start_tracking(folder, "run7", {"num_agents": 4}, {"commit": "abc", "data_digest": "d1"}) as tracker:
    for update in range(3):
        rows = [row | {"mean": update}, row | {"metric": "entropy"}, {"metric": "none", "q50": None}]
        tracker.log_update(update, 100 * update, rows)
        tracker.log_values({"env_steps_per_s": 10.0 * update})
    tracker.log_summary("selection", {"dsr": 0.97, "pbo": 0.1})
    tracker.log_table("evaluation", ["name", "mean_pnl", "ci"], [["agent", 1.5, [1.0, 2.0]], ["baseline", None, None]])
    (folder / "manifest.json").write_text("{}")
    tracker.log_artifact(folder / "manifest.json", "ensemble", "artifact", {"data_digest": "d1", "run": "run7"})
    assert tracker.failure is None
    assert folder / "wandb" in tracker.folder.parents
""",
        tmp_path,
    )
    records = read_back(tmp_path)
    by_type = {kind: [r[kind] for r in records if r["type"] == kind] for kind in {r["type"] for r in records}}
    [run] = by_type["run"]
    assert run["run_id"] == "run7"
    assert run["config"]["update"]["num_agents"] == 4
    provenance = run["config"]["update"]["provenance"]
    assert provenance | {"machine": None} == {"commit": "abc", "data_digest": "d1", "machine": None}
    steps = [r["item"] for r in by_type["history"] if "pnl/mean" in r["item"]]
    assert [(s["_step"], s["update"], s["env_steps"], s["pnl/mean"]) for s in steps] == [
        (0, 0, 0, 0.0),
        (1, 1, 100, 1.0),
        (2, 2, 200, 2.0),
    ]
    assert [s["env_steps_per_s"] for s in steps] == [0.0, 10.0, 20.0]  # in the same record
    assert not any(name.startswith("none/") for name in steps[0])
    assert {name: steps[0][f"entropy/{name}"] for name in ROW if name != "metric"} == {
        name: value for name, value in ROW.items() if name != "metric"
    }
    summary = {k: v for record in by_type["summary"] for k, v in record["update"].items()}
    assert (summary["selection/dsr"], summary["selection/pbo"]) == (0.97, 0.1)
    assert (summary["evaluation.nrows"], summary["evaluation.ncols"]) == (2, 3)
    paths = [entry["local_path"] for artifact in by_type["artifact"] for entry in artifact["manifest"]["contents"]]
    assert paths
    assert all(Path(path).is_relative_to(tmp_path) and Path(path).is_file() for path in paths)
    assert '"data_digest":"d1"' in json.dumps(by_type["artifact"]).replace(" ", "").replace("\\", "")


def test_a_run_goes_on_with_one_warning_when_the_tracking_process_dies(tmp_path: Path):
    said = run_script(
        """
import os, signal, psutil
tracker = start_tracking(folder, "run8", {}, {})
for child in psutil.Process().children(recursive=True):
    child.kill()
    child.wait()
for update in range(200):
    tracker.log_update(update, update, [row])
tracker.log_summary("selection", {"dsr": 1.0})
tracker.finish()
print("trained on")
""",
        tmp_path,
    )
    lines = said.splitlines()
    assert lines[-1] == "trained on"
    assert len(lines) == 2
    assert "the run goes on" in lines[0] or "could not finish" in lines[0]


def test_a_tracking_call_that_fails_is_said_once_and_stops_tracking_only(tmp_path: Path):
    said = run_script(
        """
with start_tracking(folder, "run9", {}, {}) as tracker:
    tracker.log_artifact(folder / "nowhere", "x", "artifact", {})
    tracker.log_artifact(folder / "nowhere", "x", "artifact", {})
    tracker.log_update(0, 0, [row])
    print("trained on")
""",
        tmp_path,
    )
    assert said.splitlines()[1:] == ["trained on"]
    assert said.startswith("W&B failed in log_artifact (ValueError")


def test_a_run_that_wandb_cannot_start_in_goes_on_untracked(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "run").touch()
    with caplog.at_level(logging.WARNING), start_tracking(tmp_path / "run", "r", {}, {}, mode="offline") as tracker:
        tracker.log_update(0, 0, [ROW])
    assert isinstance(tracker, NoTracker)
    assert caplog.records[0].message.startswith("W&B cannot start (FileExistsError")


def test_a_disabled_tracker_does_not_even_import_wandb(tmp_path: Path):
    script = (
        HEAD
        + """
import os
os.environ["WANDB_MODE"] = "disabled"
with start_tracking(folder, "r", {}, {}) as tracker:
    tracker.log_update(0, 0, [row])
    tracker.log_values({})
    tracker.log_summary("s", {})
    tracker.log_table("t", ["a"], [[1]])
    tracker.log_html("h", folder)
    tracker.log_artifact(folder, "a", "b", {})
print("wandb" in sys.modules, list(folder.iterdir()))
"""
    )
    assert run_script(script.removeprefix(HEAD), tmp_path) == "False []\n"


def test_an_unknown_mode_is_refused_with_the_valid_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_MODE", "cloud")
    with pytest.raises(ValueError, match="WANDB_MODE is 'cloud'; valid: offline, online, disabled"):
        start_tracking(tmp_path, "r", {}, {})
