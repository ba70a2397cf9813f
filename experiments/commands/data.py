"""`bookswarm replay`, `bookswarm calibrate`: recorded markets against the engine, and models fitted on them."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from experiments.commands.options import Json, Quiet, Seed
from experiments.console import CommandFailed, Output

Backend = Literal["oracle", "xla", "cpu", "cuda"]
_FAULTS = {"gaps": "gaps in the recording's updates", "crossed": "updates after which the recorded book is crossed"}


def register(app: typer.Typer) -> None:
    """Attach the commands."""
    app.command()(replay)
    app.command()(calibrate)


def replay(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="A LOBSTER zip or its two files; raw Binance files of one session; five-level CME quotes and trades; "
            "a Databento MBO csv and its MBP csv; or an .npz stream."
        ),
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

    Example: bookswarm replay data/btcusdt_20240718.gz data/btcusdt_20240719.gz --verify --json
    """
    from experiments.runtime import configure_jax

    configure_jax(1)
    from sim.replay_files import verify_files

    out = Output(json_mode, quiet)
    with out.progress(f"replay {paths[0].name} on {backend}") as advance:
        result = verify_files(paths, levels, backend, capacity, progress=advance)
    out.result(result)
    if not result["ok"]:
        raise CommandFailed(1, f"{paths[0]}: {_what_failed(result)}")


def _what_failed(result: dict[str, Any]) -> str:
    """Return why a replay does not stand: lost updates and crossed books of the recording, or books that differ."""
    found = [f"{result[field]} {what}" for field, what in _FAULTS.items() if result.get(field)]
    if result.get("needed_capacity", 0) > result["capacity"]:
        lost = f"{result['evicted']} orders evicted, {result['rejected']} rejected"
        found.append(f"not expected to be equal: it needs capacity {result['needed_capacity']}; {lost}")
    if result.get("first_mismatch") is not None or not found:
        found.append("the replayed book differs from the recorded one; see first_mismatch above")
    return "; ".join(found)


def calibrate(
    data: Annotated[Path, typer.Option("--data", help="Recording to fit on.")],
    out_file: Annotated[Path, typer.Option("--out", help="Calibration file to write (JSON).")],
    model: Annotated[
        str, typer.Option(help="Market model: zero_intelligence, queue_reactive or hawkes.")
    ] = "zero_intelligence",
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
    from market_models.registry import get_model

    out = Output(json_mode, quiet)
    _ = get_model(model).calibrate  # an unknown model is refused before the recording is read
    if not out_file.parent.is_dir():
        raise FileNotFoundError(f"--out {out_file}: the directory {out_file.parent} does not exist; create it first")
    with out.progress("calibrate"):
        recording = lobster.read(data)
        fitted = calibration.calibrate(recording, from_s, to_s, model)
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
