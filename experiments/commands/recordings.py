"""The group `bookswarm data`; `data import`, `data list`: recorded files into the warehouse, and what is there."""

from pathlib import Path
from typing import Annotated, Any

import typer

from experiments.commands import downloads
from experiments.commands.options import Json, Quiet, Seed
from experiments.console import CommandFailed, Output, print_value

data_app = typer.Typer(
    name="data",
    help="Recorded market data: fetch or record it, import files, list what is stored.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Attach the command group."""
    data_app.command("import")(import_data)
    data_app.command("list")(list_data)
    data_app.command("fetch")(downloads.fetch_data)
    data_app.command("record")(downloads.record_data)
    app.add_typer(data_app)


def import_data(
    path: Annotated[Path, typer.Argument(help="A recorded file, or a folder of them.")],
    format_name: Annotated[str, typer.Option("--format", help="Format, or auto to find it out.")] = "auto",
    instrument: Annotated[str, typer.Option(help="Name of the instrument, where the file has one and no name.")] = "",
    tick_size: Annotated[str, typer.Option(help="Price step, such as 0.01; default: inferred exactly.")] = "",
    lot_size: Annotated[str, typer.Option(help="Size step; default: inferred exactly.")] = "",
    mapping: Annotated[Path | None, typer.Option(help="YAML that says how to read the columns of a table.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and judge, store nothing.")] = False,
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Read recorded data, judge it (gaps, crossed books, bad rows by reason) and store it in the warehouse, once.

    Example: bookswarm data import data/btcusdt_20240718.gz

    Example: bookswarm data import data --json
    """
    from market_models.datasets.errors import DataError
    from market_models.datasets.formats import ImportOptions

    if not path.exists():
        raise DataError(path, 0, "no such file or folder")
    options = ImportOptions(format_name, instrument, tick_size, lot_size, mapping)
    out = Output(json_mode, quiet)
    if path.is_dir():
        _folder(path, options, out, dry_run)
    else:
        _file(path, options, out, dry_run)


def list_data(json_mode: Json = False, quiet: Quiet = False, seed: Seed = None) -> None:
    """List the data sets of the warehouse and how well its tables compress.

    Example: bookswarm data list
    """
    from experiments.home import home
    from warehouse.client import open_warehouse
    from warehouse.stored import list_datasets, list_market_tables

    with open_warehouse(home()) as client:
        datasets, tables = list_datasets(client), list_market_tables(client)
    unpacked = sum(row["unpacked_bytes"] for row in datasets)
    stored = sum(row["stored_bytes"] for row in tables)
    compression = 1 - stored / unpacked if unpacked else None
    Output(json_mode, quiet).result(
        {
            "datasets": datasets,
            "tables": tables,
            "unpacked_bytes": unpacked,
            "stored_bytes": stored,
            "compression": compression,
        }
    )


def _file(path: Path, options: Any, out: Output, dry_run: bool) -> None:
    from experiments.data_import import import_file

    total, done = path.stat().st_size, 0
    with out.progress(f"import {path.name}", "bytes") as advance:

        def on_read(count: int) -> None:
            nonlocal done
            done += count
            advance(min(done, total), total)

        with _client(dry_run) as client:
            result = import_file(path, options, client, on_read)
    if out.json_mode:
        out.result(result)
        return
    _print_table([result])
    for name in ("instruments", "notes", "unused", "unused_columns"):
        if result[name]:
            print_value(name, result[name])


def _folder(path: Path, options: Any, out: Output, dry_run: bool) -> None:
    from experiments.data_import import import_folder

    with out.progress(f"import {path}", "files") as advance, _client(dry_run) as client:
        result = import_folder(path, options, client, lambda file, done, total: advance(done, total, file.name))
    if out.json_mode:
        out.result(result)
    else:
        _print_table(result["imports"])
        for name in ("failed", "skipped", "totals"):
            print_value(name, result[name])
    if result["failed"]:
        first = result["failed"][0]["error"]
        raise CommandFailed(2, f"{len(result['failed'])} of the files could not be read; the first: {first}")
    if not result["imports"]:
        raise CommandFailed(2, f"{path}: no file of a known format")


def _client(dry_run: bool) -> Any:
    from contextlib import nullcontext

    from experiments.home import home
    from warehouse.client import open_warehouse

    return nullcontext() if dry_run else open_warehouse(home())


def _print_table(results: list[dict[str, Any]]) -> None:
    rows = [
        {
            "file": Path(result["path"]).name,
            "format": result["format"],
            "instrument": result["instrument"],
            "rows": result["rows"],
            "quarantined": sum(result["quarantined"].values()),
            "gaps": result["gaps"] if result["sequenced"] else "-",
            "crossed": result["crossed"],
            "stored": sum(result["stored"].values()),
            "reasons": ", ".join(f"{count} {reason}" for reason, count in result["quarantined"].items()),
        }
        for result in results
    ]
    if rows:
        print_value("imports", rows)
