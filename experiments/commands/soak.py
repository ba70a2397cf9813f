"""`bookswarm bench soak`: the engine's backends against each other, for as many messages as asked."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from experiments.commands.options import Json, Quiet, Seed
from experiments.console import CommandFailed, Output


def soak(
    messages: Annotated[int, typer.Option(help="Messages to send through both backends.", min=1)] = 100_000_000,
    backend: Annotated[Literal["xla", "cpu"], typer.Option(help="What is compared with the host's kernel.")] = "xla",
    out_file: Annotated[
        Path | None, typer.Option("--out", help="JSON of the result, rewritten after every round.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the result in --out.")] = False,
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Compare backends word by word on generated messages of every kind, the oracle on a sample of the calls.

    Rounds are numbered from `--seed` (default 0). It stops at the first difference, exit code 1, and writes the failing
    stream with its seed beside `--out`.

    Example: bookswarm bench soak --messages 1000000 --out soak.json
    """
    from experiments.runtime import configure_jax

    if resume and out_file is None:
        raise ValueError("--resume needs the --out FILE to go on from")
    if out_file is not None and not out_file.parent.is_dir():
        raise FileNotFoundError(f"--out {out_file}: the directory {out_file.parent} does not exist; create it first")
    configure_jax()
    from experiments import soak as differential

    out = Output(json_mode, quiet)
    with out.progress("soak", "messages") as advance:
        result = differential.soak(messages, seed or 0, backend, out_file, resume, advance)
    out.result(result)
    if not result["ok"]:
        raise CommandFailed(
            1, f"seed {result['next_seed']}: backends differ; the stream is in {result['failing_stream']}"
        )
