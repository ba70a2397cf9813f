"""`bookswarm quickstart`: the whole day on a small scale."""

import os
from typing import Annotated

import typer

from experiments.commands.options import Json, Quiet, Seed
from experiments.console import Output


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command()(quickstart)


def quickstart(
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, wins over the shipped file.")] = None,
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Run the whole day on a small scale; everything lands in $BOOKSWARM_HOME, by default ./runs here.

    Example: bookswarm quickstart

    Example: bookswarm quickstart --set train.num_updates=80
    """
    os.environ.setdefault("BOOKSWARM_HOME", "runs")
    from experiments.runtime import configure_jax

    configure_jax()
    from experiments.quickstart import run_quickstart

    out = Output(json_mode, quiet)
    overrides = (*(settings or ()), *((f"train.seed={seed}",) if seed is not None else ()))
    result = run_quickstart(out, overrides)
    out.result(result)
