"""`bookswarm train`, `evaluate`, `select`, `export`: from a configuration to a verified artifact."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from experiments.commands.options import Json, Quiet, Seed
from experiments.console import CommandFailed, Output

Run = Annotated[Path, typer.Argument(help="Run directory that `train` wrote.")]


def register(app: typer.Typer) -> None:
    """Attach the commands."""
    app.command()(train)
    app.command()(evaluate)
    app.command()(select)
    app.command()(export)


def train(
    config: Annotated[str, typer.Argument(help="YAML file, or the name of a shipped configuration.")],
    out_dir: Annotated[Path, typer.Option("--out", help="Run directory to write.")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, wins over the file.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the newest checkpoint.")] = False,
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Train a population of agents, all in one compiled program.

    Example: bookswarm train quickstart --out runs/a --set train.num_agents=64

    Example: bookswarm train quickstart --out runs/a --resume
    """
    from experiments.runtime import configure_jax

    configure_jax()  # before a configuration is read: one that names another environment imports JAX
    from experiments.experiment import load_experiment

    overrides = (*(settings or ()), *((f"train.seed={seed}",) if seed is not None else ()))
    experiment = load_experiment(config, overrides)
    from experiments.training import run_training

    out = Output(json_mode, quiet)
    with out.progress(f"train {experiment.train.num_agents} agents", "updates") as advance:

        def on_update(report: Any) -> None:
            shown = "PnL" if "episode_pnl" in report.metrics else "return"
            median = report.metrics.get(f"episode_{shown.lower()}", {}).get("q50")
            note = f"{report.env_steps_per_s:,.0f} steps/s"
            note += f", median {shown} {median:,.0f}" if median is not None else ""
            advance(report.update, report.num_updates, note)

        result = run_training(experiment, out_dir, resume=resume, on_update=on_update)
    out.result(asdict(result))
    if result.status != "done":
        code = 0 if result.status == "SIGTERM" else 130
        raise CommandFailed(code, f"{out_dir}: stopped after update {result.updates}; go on with --resume")


def evaluate(
    run: Run,
    on: Annotated[
        list[str] | None, typer.Option("--on", help="sim, or the path of a recording; may be given twice.")
    ] = None,
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Judge every agent and every tuned baseline on held-out markets.

    Example: bookswarm evaluate runs/a --on sim
    """
    require_run(run)
    from experiments.runtime import configure_jax

    configure_jax()
    from experiments import judging

    out = Output(json_mode, quiet)
    results: dict[str, Any] = {}
    for market in on or ["sim"]:
        with out.progress(f"evaluate on {market}", "episodes") as advance:
            report = _named(advance)
            if market == "sim":
                found = judging.run_evaluation(run, report)
            else:
                found = judging.run_recorded_evaluation(run, Path(market), report)
        results = {**found, "table": [*results.get("table", []), *found["table"]]}
    out.result(results if json_mode else {**results, "table": _readable(results["table"])})


def select(
    run: Run,
    recording: Annotated[Path | None, typer.Option("--recording", help="Held-out recording to look at once.")] = None,
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Choose an ensemble by the fixed procedure: deflated Sharpe, PBO, StepM, then one look at the hold-out.

    Example: bookswarm select runs/a
    """
    require_run(run)
    from experiments.runtime import configure_jax

    configure_jax()
    from experiments import judging
    from experiments.records import count_trials, record_run

    out = Output(json_mode, quiet)
    with out.progress("select", "episodes") as advance:
        trials = count_trials(run)
        selection = judging.run_selection(run, trials, recording, _named(advance))
        record_run(run)
    out.result(selection.document)
    if not selection.released:
        failed = ", ".join(selection.document["failed"])
        raise CommandFailed(4, f"{run}: selection passed nobody (failed: {failed}); the artifact will not be released")


def export(
    run: Run,
    out_dir: Annotated[Path, typer.Option("--out", help="Artifact directory to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an artifact that is there.")] = False,
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Write the selected ensemble as one signed artifact, load it again and verify it.

    Example: bookswarm export runs/a --out artifacts/a
    """
    require_run(run)
    from experiments.runtime import configure_jax

    configure_jax()
    from experiments import judging

    out = Output(json_mode, quiet)
    out.result(judging.run_export(run, out_dir, overwrite=overwrite))


def require_run(run: Path) -> None:
    """Raise FileNotFoundError unless `run` is a run directory."""
    if not (run / "config.yaml").is_file():
        raise FileNotFoundError(f"{run}: no run here (config.yaml is missing); `bookswarm train` makes one")


def _named(advance: Any) -> Any:
    return lambda what, done, total: advance(done, total, what)


def _readable(rows: list[dict[str, Any]], agents: int = 5) -> list[dict[str, Any]]:
    """Keep the ensemble, the baselines and the best few agents; round what people need not read."""
    kept, seen = [], 0
    for row in rows:
        seen += row["kind"] == "agent"
        if row["kind"] != "agent" or seen <= agents:
            names = ("name", "market", "mean_pnl", "ci", "sharpe", "max_drawdown", "win_rate", "fills")
            kept.append({name: row[name] for name in names})
    return kept
