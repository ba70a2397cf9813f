"""The whole day on a small scale: data, calibrate, train, evaluate, select, export, paper session, report."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agents import run_files
from experiments import judging
from experiments.console import CommandFailed, Output
from experiments.experiment import ExperimentConfig, load_experiment
from experiments.home import home, warehouse_dir
from experiments.records import count_trials, record_run
from experiments.report import write_report
from experiments.training import run_training
from market_models import calibration
from market_models.datasets import find_data, lobster
from sim.generate import generate_lobster
from sim.replay import verify_recording

RECORDING = "l3/lobster/LOBSTER_SampleFile_AMZN_2012-06-21_5.zip"
FIT_FROM_S, FIT_TO_S = 34_200, 45_900
GENERATED_MESSAGES = 30_000
GENERATED_SEED = 7


@dataclass
class Day:
    """One quickstart: its names, its paths, and how long each part took."""

    name: str
    config: ExperimentConfig
    out: Output
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def run(self) -> Path:
        """Run directory."""
        return home() / "runs" / self.name

    @property
    def artifact(self) -> Path:
        """Artifact directory."""
        return home() / "artifacts" / self.name

    @contextmanager
    def part(self, title: str) -> Iterator[None]:
        """Say what happens and time it."""
        self.out.say(f"[bold]{title}[/bold]")
        begun = time.perf_counter()
        yield
        self.seconds[title] = round(time.perf_counter() - begun, 1)


def run_quickstart(out: Output, overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """Run the whole day and return the paths of report, artifact and database, and the comparison table."""
    begun = time.perf_counter()
    day = Day(_free_name("quickstart"), load_experiment("quickstart", overrides), out)
    recording = _data(day)
    _train(day)
    _judge(day, recording)
    session = _paper(day, recording)
    with day.part("report"):
        page = write_report(day.run, session, home(), home() / "reports" / f"{day.name}.html")
    return {
        "report": page["path"],
        "artifact": str(day.artifact),
        "database": str(warehouse_dir()),
        "run": str(day.run),
        "data": str(recording),
        "released": run_files.read_json(day.run / "selection.json", "select")["released"],
        "session": {key: session[key] for key in ("decisions", "orders", "fills", "position", "pnl", "reconciled")},
        "comparison": comparison(day.run),
        "seconds": {**day.seconds, "total": round(time.perf_counter() - begun, 1)},
    }


def _free_name(stem: str) -> str:
    """Return the first name that no earlier quickstart of this home has taken."""
    number = 1
    while (home() / "runs" / f"{stem}-{number}").exists():
        number += 1
    return f"{stem}-{number}"


def _data(day: Day) -> Path:
    """Return the session to trade: the recorded day, verified and fitted, or a generated one."""
    found = find_data()
    path = None if found is None else found / RECORDING
    if path is not None and path.is_file():
        with day.part("replay"):
            with day.out.progress("replay the recorded day") as advance:
                verified = verify_recording([path], None, "cpu", None, progress=advance)
            day.out.say(f"  {verified['rows_equal']:,} of {verified['rows']:,} recorded rows reproduced exactly")
            if not verified["ok"]:
                raise CommandFailed(1, f"{path}: the replayed book differs from the recorded one")
        with day.part("calibrate"):
            fitted = calibration.calibrate(lobster.read(path), FIT_FROM_S, FIT_TO_S)
            target = calibration.save_calibration(fitted, home() / "calibrations" / f"{day.name}.json")
            day.config = replace(day.config, market=replace(day.config.market, calibration=str(target)))
        return path
    day.out.say(
        "[yellow]No recorded data (BOOKSWARM_DATA or ./data): the shipped calibration is used, and the session is "
        "generated from it.[/yellow]"
    )
    with day.part("generate"), day.out.progress("generate a session", "messages") as advance:
        shipped = calibration.load_calibration(day.config.market.calibration)
        return generate_lobster(
            shipped,
            home() / "generated",
            messages=GENERATED_MESSAGES,
            seed=GENERATED_SEED,
            start_s=day.config.evaluate.from_s,
            progress=advance,
        )


def _train(day: Day) -> None:
    with day.part("train"), day.out.progress(f"train {day.config.train.num_agents} agents", "updates") as advance:
        result = run_training(day.config, day.run, resume=False, on_update=lambda u: advance(u.update, u.num_updates))
    if result.status != "done":
        raise KeyboardInterrupt
    day.out.say(f"  {result.env_steps:,} steps, {result.env_steps_per_s:,.0f} a second")


def _judge(day: Day, recording: Path) -> None:
    with day.part("evaluate"), day.out.progress("evaluate", "episodes") as advance:
        judging.run_evaluation(day.run, lambda what, done, total: advance(done, total, what))
    with day.part("select"), day.out.progress("select", "episodes") as advance:
        trials = count_trials(day.run)
        selection = judging.run_selection(
            day.run, trials, recording, lambda what, done, total: advance(done, total, what)
        )
        record_run(day.run)
    verdict = "passed" if selection.released else f"passed nobody ({', '.join(selection.document['failed'])})"
    day.out.say(f"  selection {verdict}; {trials} trials on this data so far")
    with day.part("export"):
        judging.run_export(day.run, day.artifact)


def _paper(day: Day, recording: Path) -> dict[str, Any]:
    """Run the paper session in a process of its own: the bridge never shares one with JAX."""
    settings = day.config.evaluate
    command = [sys.executable, "-m", "experiments", "paper", "--json", "--quiet"]
    command += ["--artifact", str(day.artifact), "--data", str(recording), "--port", "0"]
    command += ["--session", str(home() / "journals" / day.name)]
    command += ["--from-s", str(settings.from_s), "--to-s", str(settings.to_s)]
    with day.part("paper session"):
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout.strip():
        raise CommandFailed(done.returncode or 1, "the paper session failed; its own message is above")
    summary = json.loads(done.stdout)
    run_files.write_json(day.run / "session.json", summary)
    if not summary["reconciled"]:
        raise CommandFailed(1, f"{summary['journal']}: journal, venue ledger and warehouse do not agree")
    return summary


def comparison(run: Path) -> list[dict[str, Any]]:
    """Return the held-out rows of ensemble and baselines, by market, with 95 % intervals of the mean PnL."""
    table = run_files.read_json(run / "evaluation" / "table.json", "evaluate")["table"]
    names = ("market", "name", "mean_pnl", "ci", "sharpe", "max_drawdown", "win_rate", "fills")
    return [
        {name: row[name] for name in names}
        for row in table
        if row["kind"] != "agent" and row["market"].endswith("test")
    ]
