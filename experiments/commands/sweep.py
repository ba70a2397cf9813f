"""`bookswarm sweep`: search an experiment's shapes, offline, each trial a run of `train`."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.commands.options import Json, Quiet, Seed
from experiments.console import CommandFailed, Output


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command()(sweep)


def sweep(
    config: Annotated[str, typer.Argument(help="YAML file with a `sweep:` group, or the name of a shipped one.")],
    trials: Annotated[int, typer.Option("--trials", help="Trials that the sweep has when it ends.", min=1)],
    out_dir: Annotated[
        Path | None,
        typer.Option("--out", help="Directory of the study and its runs; default: runs/sweep-CONFIG in the home."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the experiment, wins over the file.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the sweep that is there.")] = False,
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Search shapes of networks and batches with Optuna (TPE, median pruning); the study is kept and resumable.

    With WANDB_MODE=online, trials are tracked online and the search is also written as wandb_sweep.yaml for
    `wandb sweep`; that file is not tested against the service.

    Example: bookswarm sweep quickstart --trials 12

    Example: bookswarm sweep mine.yaml --trials 24 --out runs/sweep --resume --json
    """
    from experiments.home import home
    from experiments.runtime import configure_jax

    configure_jax()  # before a configuration is read: one that names another environment imports JAX
    from experiments.sweep_config import load_sweep

    search = load_sweep(config, tuple(settings or ()))
    from experiments.sweep import InterruptedSweepError, run_sweep

    folder = out_dir or home() / "runs" / f"sweep-{search.file.stem}"
    out = Output(json_mode, quiet)
    with out.progress("sweep", "trials") as advance:
        try:
            found = run_sweep(search, folder, trials, seed=seed or 0, resume=resume, progress=advance)
        except InterruptedSweepError as error:
            code = 0 if error.signal == "SIGTERM" else 130
            raise CommandFailed(code, f"{folder}: {error}; go on with --resume") from None
    best = found["best"]
    told = best and f"{best['run']}: {best['value']:,.6g}, {best['params']}"
    out.result(found if json_mode else {**found, "best": told})
    if best is None:
        raise CommandFailed(1, f"{folder}: no trial ended with a value of {search.objective}; the table says why")
