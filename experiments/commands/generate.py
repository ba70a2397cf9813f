"""`bookswarm generate`: a calibrated market written as LOBSTER message and order-book files, for any tool that reads
them."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from experiments.commands.options import Json, Quiet, Seed
from experiments.console import Output

Format = Literal["lobster"]


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command()(generate)


def generate(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder to write into; made if it is not there.")],
    calibration: Annotated[
        str, typer.Option(help="A calibration: the name of a shipped one, or a file that `calibrate` wrote.")
    ] = "amzn_2012_06_21_zi",
    messages: Annotated[
        int, typer.Option(help="Rows of each sequence: lines of its message file and of its order-book file.", min=1)
    ] = 100_000,
    sequences: Annotated[int, typer.Option(help="Independent sequences, one pair of files each.", min=1)] = 1,
    levels: Annotated[int, typer.Option(help="Price levels a side in the order-book file.", min=1)] = 5,
    format_name: Annotated[Format, typer.Option("--format", help="Format of the files.")] = "lobster",
    start_s: Annotated[
        int, typer.Option(help="When each sequence starts, seconds after midnight; long ones run past midnight.", min=0)
    ] = 34_200,
    capacity: Annotated[
        int, typer.Option(help="Resting orders a side: 64, 128, 256 or 512; `counters` says what it cost.")
    ] = 128,
    threads: Annotated[int | None, typer.Option(help="Threads; default: one a core. The bytes are the same.")] = None,
    as_zip: Annotated[
        bool, typer.Option("--zip/--no-zip", help="A zip of the two csv files a sequence, or the plain files (faster).")
    ] = True,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the generated files of this instrument in the folder.")
    ] = False,
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Write a generated market as LOBSTER files that an outside scorer, or `replay --verify`, can read.

    The calibrated flow runs alone in the order book. A row is written for everything that changes the visible levels: a
    market order is one execution row for every resting order that it meets. The same calibration, seed and number of
    rows give the same files on any number of threads; all the files appear at the end, or none.

    Reported: `messages` are the events of the flow in the book, `rows` the lines written. `generate_s` and `write_s`
    are the threads' seconds divided by their number, `seconds` the wall clock without `compile_s`.

    Example: bookswarm generate --messages 100000 --out generated

    Example: bookswarm generate --calibration fit.json --messages 1000000 --sequences 8 --no-zip --out generated

    Example: bookswarm replay generated/AMZN_GENERATED-0001_*_5.zip --verify
    """
    from experiments.runtime import usable_cores
    from market_models.calibration import load_calibration
    from sim.generation.request import Request
    from sim.generation.session import generate as write

    request = Request(
        messages=messages,
        seed=seed or 0,
        sequences=sequences,
        levels=levels,
        capacity=capacity,
        start_s=start_s,
        threads=usable_cores() if threads is None else threads,
        as_zip=as_zip,
    )
    out = Output(json_mode, quiet)
    with out.progress(f"generate {format_name}", "rows") as advance:
        made = write(load_calibration(calibration), out_dir, request, overwrite=overwrite, progress=advance)
    out.result(_report(made))


def _report(made: Any) -> dict[str, Any]:
    return {
        "files": [str(path) for path in made.files],
        "messages": made.messages,
        "rows": made.rows,
        "seconds": made.seconds,
        "messages_per_s": made.messages / made.generate_s,
        "rows_per_s": made.rows / made.write_s,
        "generate_s": made.generate_s,
        "write_s": made.write_s,
        "compile_s": made.compile_s,
        "counters": made.counters,
    }
