"""One recording session: markets, the recorder, how it ends, and what it says of itself."""

import asyncio
import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from experiments.console import CommandFailed
from experiments.download.client import Venue, market_types, open_venue
from experiments.download.pacing import RetryPolicy
from experiments.download.page_log import write_durably
from experiments.download.recorder import STREAMS, Recorder, RecordOptions
from experiments.download.stream_log import salvage
from market_models.datasets.formats import ImportOptions, open_import

VENUES = ("binance", "binanceus", "binanceusdm")


@dataclass(frozen=True)
class RecordQuery:
    """What is to be recorded."""

    venue: str
    symbols: tuple[str, ...]
    seconds: float | None = None  # None: until it is stopped


async def record_streams(
    query: RecordQuery,
    folder: Path,
    stop: asyncio.Event,
    options: RecordOptions,
    base_url: str = "",
    policy: RetryPolicy | None = None,
    seed: int | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Record until `stop` or the time is over; return the fields of `data import` over all files, and what happened.

    Raises:
        CommandFailed: 2 bad request or a full disk, 3 the venue cannot be reached.
    """
    import ccxt.pro

    check(query, options)
    policy = policy or RetryPolicy()
    types = market_types(query.symbols[0])
    async with open_venue(query.venue, base_url, policy, seed, types, ccxt.pro) as venue:
        markets = [await _unless(stop, venue.market(symbol)) for symbol in query.symbols]
        names, futures = _names(markets), bool(markets[0]["linear"])
        salvaged = [path for name in names for path in salvage(folder, name)]
        recorder = Recorder(venue, names, folder, options, futures)
        begun_ns = time.time_ns()
        if progress is not None:
            recorder.on_batch = partial(_show, progress, recorder, query.seconds, time.monotonic())
        try:
            await _until(stop, query.seconds, recorder.run(policy, seed))
        finally:
            recorder.close()
        return _finish(folder, begun_ns, query, recorder, venue, salvaged)


def check(query: RecordQuery, options: RecordOptions) -> None:
    """Refuse with exit code 2 what cannot be recorded."""
    if query.venue not in VENUES:
        raise CommandFailed(
            2, f"VENUE {query.venue!r} cannot be recorded; those whose raw form is read: {', '.join(VENUES)}"
        )
    for name in options.streams:
        if name not in STREAMS:
            raise CommandFailed(2, f"--streams {name!r}: the streams are {', '.join(STREAMS)}")
    if not options.streams:
        raise CommandFailed(2, f"--streams is empty: the streams are {', '.join(STREAMS)}")
    if query.seconds is not None and not 0 < query.seconds < 1e9:
        raise CommandFailed(2, f"--minutes {query.seconds / 60}: a positive number is needed")


def _show(progress: Any, recorder: Recorder, seconds: float | None, begun_s: float) -> None:
    counts, passed = recorder.counts, int(time.monotonic() - begun_s)
    gaps = f", {counts.num_gaps} gaps" if counts.num_gaps else ""
    progress(passed, int(seconds or passed + 1), f"{counts.messages.total():,} messages{gaps}")


def _names(markets: list[dict[str, Any]]) -> list[str]:
    kinds = {"spot" if market["spot"] else "linear" if market["linear"] else "inverse" for market in markets}
    if kinds not in ({"spot"}, {"linear"}):
        raise CommandFailed(2, f"SYMBOLS are of {', '.join(sorted(kinds))} markets: give spot or linear ones, not both")
    return list(dict.fromkeys(market["id"] for market in markets))


async def _unless(stop: asyncio.Event, work: Any) -> Any:
    """Return what the work returns; CommandFailed 130 if the event is set before."""
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise CommandFailed(130, "interrupted before anything was recorded")
        return task.result()
    finally:
        stopped.cancel()
        task.cancel()
        await asyncio.gather(task, stopped, return_exceptions=True)


async def _until(stop: asyncio.Event, seconds: float | None, work: Any) -> None:
    """Run the work until it fails, the event is set, or the time is over."""
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((task, stopped), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        stopped.cancel()
        task.cancel()
        await asyncio.gather(task, stopped, return_exceptions=True)


def _finish(
    folder: Path, begun_ns: int, query: RecordQuery, recorder: Recorder, venue: Venue, salvaged: list[Path]
) -> dict[str, Any]:
    """Read back what was written, write the session's own file beside it, and return both."""
    counts, reports = recorder.counts, [_report(path) for path in recorder.files]
    happened = {
        "pages": counts.snapshots,
        "retries": dict(venue.retries),
        "resumed": bool(salvaged),
        "messages": dict(counts.messages),
        "snapshots": counts.snapshots,
        "stale_snapshots": counts.stale_snapshots,
        "num_lost": counts.num_gaps,
        "lost": counts.gaps,
        "num_disconnects": counts.num_disconnects,
        "disconnects": counts.disconnects,
        "dropped": dict(counts.dropped),
        "most_buffered_bytes": counts.most_buffered,
        "unusable": dict(counts.unusable),
        "salvaged": [path.name for path in salvaged],
        "files": [_short(report) for report in reports],
    }
    described = {**asdict(query), "begun_ns": begun_ns, "ended_ns": time.time_ns()}
    path = folder / f"recording_{begun_ns}.json"
    write_durably(path, json.dumps({"recording": described, **happened}, indent=1).encode())
    return {**_joined(reports, folder), **happened}


def _joined(reports: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Return the fields of an import over all files; a break between two files of a symbol shows in `lost` only."""
    quarantined: Counter[str] = Counter()
    for report in reports:
        quarantined.update(report["quarantined"])
    times = [(report["first_ns"], report["last_ns"]) for report in reports if report["first_ns"] is not None]
    digests = "".join(report["digest"] for report in reports)
    return {
        "path": str(folder),
        "format": "binance_raw",
        "instrument": ",".join(dict.fromkeys(_symbol(report) for report in reports)),
        "rows": sum(report["rows"] for report in reports),
        "quarantined": dict(quarantined),
        "gaps": sum(report["gaps"] for report in reports),
        "crossed": sum(report["crossed"] for report in reports),
        "first_ns": min((first for first, _ in times), default=None),
        "last_ns": max((last for _, last in times), default=None),
        "digest": hashlib.sha256(digests.encode()).hexdigest(),
    }


def _report(path: Path) -> dict[str, Any]:
    with open_import(path, ImportOptions()) as imported:
        return imported.report.to_json()


def _short(report: dict[str, Any]) -> dict[str, Any]:
    names = ("rows", "gaps", "crossed", "first_ns", "last_ns", "digest")
    return {"file": Path(report["path"]).name, **{name: report[name] for name in names}}


def _symbol(report: dict[str, Any]) -> str:
    return re.split(r"_", Path(report["path"]).name)[0].upper()
