"""`bookswarm data fetch`, `data record`: history and live streams of a venue, through ccxt."""

import asyncio
import re
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from experiments.commands.options import Json, Quiet, Seed
from experiments.console import CommandFailed, Output

T = TypeVar("T")
BaseUrl = Annotated[str, typer.Option(help="http://host:port in place of every address of the venue.")]
Retries = Annotated[
    int, typer.Option(help="How often a request that fails by network, HTTP 429 or 5xx is made.", min=1)
]


def fetch_data(
    venue: Annotated[str, typer.Argument(help="Venue by ccxt's name: binance, binanceusdm, kraken, ...")],
    symbol: Annotated[str, typer.Argument(help="BTC/USDT, a perpetual as BTC/USDT:USDT, or the venue's own name.")],
    begin: Annotated[str, typer.Option("--from", help="Start: 2024-01-31, 2024-01-31T08:00:00Z, or ms since 1970.")],
    end: Annotated[str, typer.Option("--to", help="End, itself left out.")],
    out_dir: Annotated[Path, typer.Option("--out", help="Folder of the file; made if it is missing.")],
    kind: Annotated[str, typer.Option(help="trades (Binance), ohlcv, or funding.")] = "trades",
    timeframe: Annotated[str, typer.Option(help="Of ohlcv: 1m, 5m, 1h, 1d, ... as the venue has them.")] = "1m",
    base_url: BaseUrl = "",
    retries: Retries = 8,
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Download history page by page into one Parquet file; run again after an interruption, it goes on where it was.

    Example: bookswarm data fetch binance BTC/USDT --kind trades --from 2024-01-31 --to 2024-02-01 --out data

    Example: bookswarm data fetch kraken BTC/USD --kind ohlcv --timeframe 4h --from 2026-01-01 --to 2026-02-01 --out .

    Example: bookswarm data fetch binanceusdm BTC/USDT:USDT --kind funding --from 2024-01-01 --to 2024-03-01 --out data
    """
    from experiments.download.history import Query, fetch_history
    from experiments.download.pacing import RetryPolicy

    query = Query(venue, symbol, kind, timeframe, parse_ms("--from", begin), parse_ms("--to", end))
    out_dir.mkdir(parents=True, exist_ok=True)
    out = Output(json_mode, quiet)
    with out.progress(f"fetch {venue} {symbol} {kind}", "ms") as advance:
        policy = RetryPolicy(attempts=retries)
        done = run_until_signal(fetch_history(query, out_dir, base_url, policy, seed, advance))
    report = _report(done.path)
    for note in done.notes:
        out.say(note)
    result = {
        **report,
        "notes": [*report["notes"], *done.notes],
        "pages": done.pages,
        "retries": done.retries,
        "resumed": done.resumed,
        "already_complete": done.already_complete,
        "repeated": done.counts,
    }
    out.result(result)


def record_data(
    venue: Annotated[str, typer.Argument(help="binance, binanceus, or binanceusdm.")],
    symbols: Annotated[list[str], typer.Argument(help="BTC/USDT ..., or perpetuals: BTC/USDT:USDT ...")],
    out_dir: Annotated[Path, typer.Option("--out", help="Folder of the files; made if it is missing.")],
    minutes: Annotated[float | None, typer.Option(help="How long; default: until SIGINT or SIGTERM.")] = None,
    streams: Annotated[str, typer.Option(help="Some of depth, trades, bookTicker.")] = "depth,trades,bookTicker",
    rotate_minutes: Annotated[float, typer.Option(help="A file lasts this long, from the full hour.", min=0.01)] = 60,
    buffer_mb: Annotated[float, typer.Option(help="Messages that may wait for the disk, MiB.", min=0.01)] = 64,
    base_url: BaseUrl = "",
    retries: Retries = 8,
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Record raw live streams with their receive times, in files that `data import` and `replay --verify` read.

    Example: bookswarm data record binance BTC/USDT ETH/USDT --minutes 10 --out recordings

    Example: bookswarm data record binanceusdm BTC/USDT:USDT --streams depth,bookTicker --out recordings
    """
    from experiments.download.pacing import RetryPolicy
    from experiments.download.recorder import RecordOptions
    from experiments.download.recording import RecordQuery, record_streams

    query = RecordQuery(venue, tuple(symbols), None if minutes is None else minutes * 60)
    names = tuple(name for name in streams.split(",") if name)
    options = RecordOptions(names, rotate_minutes * 60, buffer_bytes=int(buffer_mb * (1 << 20)))
    out_dir.mkdir(parents=True, exist_ok=True)
    out = Output(json_mode, quiet)

    async def run(advance: Any) -> tuple[dict[str, Any], int]:
        stop, received = asyncio.Event(), []
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, lambda n=number: (received.append(n), stop.set()))
        policy = RetryPolicy(attempts=retries)
        result = await record_streams(query, out_dir, stop, options, base_url, policy, seed, advance)
        return result, received[0] if received else 0

    with out.progress(f"record {venue} {' '.join(symbols)}", "s") as advance:
        result, number = asyncio.run(run(advance))
    out.result(result)
    if number == signal.SIGINT:
        raise CommandFailed(130, "interrupted; the files are closed and whole")


def parse_ms(option: str, text: str) -> int:
    """Return a moment as milliseconds since 1970 UTC; exit code 2 with the shapes that are read."""
    from market_models.datasets.formats.fixed import RowError
    from market_models.datasets.formats.times import parse_iso

    if re.fullmatch(r"\d{1,15}", text, re.ASCII):
        return int(text)
    try:
        return parse_iso(f"{text}T00:00:00" if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else text) // 1_000_000
    except RowError:
        raise CommandFailed(
            2, f"{option} {text!r} is none of 2024-01-31, 2024-01-31T08:00:00Z, or milliseconds since 1970"
        ) from None


def run_until_signal(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; SIGINT and SIGTERM cancel the work between two durable pages and end with 130."""

    async def run() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        return await task

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        raise CommandFailed(130, "interrupted; what was fetched is stored, repeat the command to go on") from None
    except OSError as error:
        raise CommandFailed(
            2, f"cannot write: {error}; what was stored is kept, repeat the command to go on"
        ) from error


def _report(path: Path) -> dict[str, Any]:
    from market_models.datasets.formats import ImportOptions, open_import

    with open_import(path, ImportOptions()) as imported:
        return imported.report.to_json()
