"""`bookswarm replay`, `bookswarm calibrate`: recorded markets against the engine, and models fitted on them."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from experiments.commands.options import Json, Quiet, Seed
from experiments.console import CommandFailed, Output

Backend = Literal["oracle", "xla", "cpu", "cuda"]


def register(app: typer.Typer) -> None:
    """Attach the commands."""
    app.command()(replay)
    app.command()(calibrate)


def replay(
    paths: Annotated[
        list[Path], typer.Argument(help="A LOBSTER zip, its message and orderbook files, or an .npz stream.")
    ],
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare with the recorded truth (this is what replay is for).")
    ] = True,
    backend: Annotated[Backend, typer.Option(help="Engine to drive.")] = "cpu",
    levels: Annotated[
        int | None, typer.Option(help="Levels to compare; default: all that the recording has.", min=1)
    ] = None,
    capacity: Annotated[int | None, typer.Option(help="Resting orders a side: 64, 128, 256 or 512.")] = None,
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Replay a recording (or a stream with expected outcome) through the engine and compare with the recorded truth.

    Example: bookswarm replay data/AMZN_5.zip --verify --levels 5 --json

    Example: bookswarm replay data/stream_64x2000.npz --backend xla
    """
    from experiments.runtime import configure_jax

    configure_jax(1)
    from sim import replay as engine_replay

    out = Output(json_mode, quiet)
    with out.progress(f"replay {paths[0].name} on {backend}") as advance:
        if paths[0].suffix == ".npz":
            if len(paths) > 1:
                raise ValueError(f"{paths[1]}: a stream is one .npz file; replay streams one at a time")
            result: dict[str, Any] = engine_replay.verify_stream(paths[0], backend, capacity, progress=advance)
        else:
            result = engine_replay.verify_recording(paths, levels, backend, capacity, progress=advance)
    out.result(result)
    if not result["ok"]:
        raise CommandFailed(1, f"{paths[0]}: the replayed book differs from the recorded one; see first_mismatch above")


def calibrate(
    data: Annotated[Path, typer.Option("--data", help="Recording to fit on.")],
    out_file: Annotated[Path, typer.Option("--out", help="Calibration file to write (JSON).")],
    model: Annotated[Literal["zero_intelligence"], typer.Option(help="Market model.")] = "zero_intelligence",
    from_s: Annotated[float | None, typer.Option(help="Start of the fit window, seconds after midnight.")] = None,
    to_s: Annotated[float | None, typer.Option(help="End of the fit window, seconds after midnight.")] = None,
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Fit a market model on a recording and write it as a small JSON of parameters.

    Example: bookswarm calibrate --data data/AMZN_5.zip --from-s 34200 --to-s 45900 --out amzn.json
    """
    from market_models import calibration
    from market_models.datasets import lobster

    out = Output(json_mode, quiet)
    if not out_file.parent.is_dir():
        raise FileNotFoundError(f"--out {out_file}: the directory {out_file.parent} does not exist; create it first")
    with out.progress("calibrate"):
        recording = lobster.read(data)
        fitted = calibration.calibrate(recording, from_s, to_s)
        calibration.save_calibration(fitted, out_file)
    out.result(
        {
            "model": fitted.model,
            "params": fitted.params,
            "standard_errors": fitted.standard_errors,
            "log_likelihood": fitted.log_likelihood,
            "data_digest": fitted.data_digest,
            "path": str(out_file),
        }
    )
