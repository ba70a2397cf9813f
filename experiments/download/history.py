"""`data fetch`: a span of history, page by page, to one Parquet file that does not depend on how it was interrupted."""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments.console import CommandFailed
from experiments.download.client import Venue, market_types, open_venue
from experiments.download.kinds import Kind, Span, make_kind
from experiments.download.pacing import RetryPolicy
from experiments.download.page_log import PageLog, Row, replace_durably, write_durably
from experiments.download.parquet import write_parquet

STALE_PAGES = 5  # answers in a row with nothing but what is stored
REPEATED, DIFFERS = "row given twice", "row given twice with other values"


@dataclass(frozen=True)
class Query:
    """What is asked for."""

    venue: str
    symbol: str
    kind: str
    timeframe: str
    from_ms: int
    to_ms: int


@dataclass(frozen=True)
class Fetched:
    """What a fetch gave."""

    path: Path
    pages: int
    rows: int
    resumed: bool
    already_complete: bool
    counts: dict[str, int]
    retries: dict[str, int]
    notes: list[str]


async def fetch_history(
    query: Query,
    folder: Path,
    base_url: str = "",
    policy: RetryPolicy | None = None,
    seed: int | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Fetched:
    """Fetch the span, continuing where an earlier run was cut off; a complete file is only checked.

    Raises:
        CommandFailed: 1 the venue keeps giving what is stored, 2 bad request, 3 the venue cannot be reached.
    """
    if query.from_ms >= query.to_ms:
        raise CommandFailed(2, f"--from ({query.from_ms} ms) is not before --to ({query.to_ms} ms)")
    async with open_venue(query.venue, base_url, policy, seed, market_types(query.symbol)) as venue:
        market = await venue.market(query.symbol)
        kind = make_kind(venue, market, query.kind, query.timeframe)
        path = folder / f"{_stem(query, market)}.parquet"
        if (done := _complete(path)) is not None:
            return done
        asked_ms = await _venue_time_ms(venue)
        described = {**asdict(query), "symbol": market["symbol"], "market": market["id"], "asked_ms": asked_ms}
        with PageLog(path.with_suffix(".parts"), described) as log:
            span = Span(query.from_ms, query.to_ms, log.query["asked_ms"])
            await _pages(venue, kind, span, log, progress or _no_progress)
            return _finish(path, log, kind, venue)


async def _pages(venue: Venue, kind: Kind, span: Span, log: PageLog, progress: Callable[[int, int, str], None]) -> None:
    now = log.progress
    if now.cursor is None and not now.done:
        log.begin(await kind.first_cursor(venue, span))
    stale = 0
    while not now.done:
        cursor = now.cursor or 0
        counts = Counter(now.counts)
        rows = await _judged_page(venue, kind, cursor, kind.starts_on_key or now.rows > 0, counts)
        kept = [row for row in rows if kind.keeps(row, span)]
        following = kind.after(rows, cursor, span)
        stale = stale + 1 if not rows and counts[REPEATED] > now.counts.get(REPEATED, 0) else 0
        if stale >= STALE_PAGES:
            raise CommandFailed(1, f"{venue.name} gave nothing but rows before its cursor {cursor} {stale} times; "
                                   "what was stored is kept, repeat the command to go on")  # fmt: skip
        log.append(kept, cursor if stale else following, following is None and not stale, dict(counts))
        at_ms = rows[-1][1] if rows else span.from_ms
        progress(max(0, at_ms - span.from_ms), span.to_ms - span.from_ms, f"{now.rows:,} rows")


async def _judged_page(venue: Venue, kind: Kind, cursor: int, exact: bool, counts: Counter[str]) -> list[Row]:
    """Return the new rows of a page by key. One that is odd (empty, broken, repeated) is asked for twice and joined."""
    page = await kind.page(venue, cursor)
    rows = _new_rows(page, cursor, counts)
    if _is_broken(sorted(rows), kind.step, cursor if exact else None) or len(rows) < len(page) or not rows:
        again = await kind.page(venue, cursor)
        rows = {**_new_rows(again, cursor, counts), **rows}
    return [rows[key] for key in sorted(rows)]


def _new_rows(page: list[Row], cursor: int, counts: Counter[str]) -> dict[int, Row]:
    """Return a page's rows from the cursor on by key, counting those that were given before."""
    rows: dict[int, Row] = {}
    for row in page:
        known = rows.get(row[0])
        if row[0] < cursor or known == row:
            counts[REPEATED] += 1
        elif known is not None:
            counts[DIFFERS] += 1
        else:
            rows[row[0]] = row
    return rows


def _is_broken(keys: list[int], step: int | None, expected: int | None) -> bool:
    """Return whether, in sorted keys, one that must follow is missing."""
    if step is None or not keys:
        return False
    pairs = itertools.pairwise(keys)
    return (expected is not None and keys[0] != expected) or any(after - before != step for before, after in pairs)


def _finish(path: Path, log: PageLog, kind: Kind, venue: Venue) -> Fetched:
    """Write the Parquet file and its manifest, then drop the pages."""
    if not log.progress.rows:
        log.remove()
        raise CommandFailed(2, f"{venue.name} has no {log.query['kind']} of {log.query['symbol']} in this span")
    part = path.with_name(path.name + ".tmp")
    write_parquet(log.folder / "rows.jsonl", part, log.query, kind.step)
    replace_durably(part, path)
    now = log.progress
    manifest = {
        "query": log.query,
        "pages": now.pages,
        "rows": now.rows,
        "counts": {reason: count for reason, count in now.counts.items() if count},
        "rows_sha256": _sha256(log.folder / "rows.jsonl"),
        "sha256": _sha256(path),
        "notes": _notes(log, kind),
    }
    write_durably(_manifest(path), json.dumps(manifest, indent=1).encode())
    log.remove()
    return Fetched(
        path, now.pages, now.rows, log.resumed, False, manifest["counts"], dict(venue.retries), manifest["notes"]
    )


def _notes(log: PageLog, kind: Kind) -> list[str]:
    """Say where the venue's history is shorter than what was asked for."""
    query, notes = log.query, []
    with (log.folder / "rows.jsonl").open("rb") as lines:
        first_ms = json.loads(next(lines))[1]
    if kind.step is not None and not kind.starts_on_key and first_ms - query["from_ms"] >= kind.step:
        notes.append(f"the venue's history begins {(first_ms - query['from_ms']) // kind.step} bars after --from")
    if query["asked_ms"] < query["to_ms"]:
        notes.append("--to was in the future: fetched to the time of the first run")
    return notes


def _complete(path: Path) -> Fetched | None:
    """Return what an earlier run fetched; exit code 2 if its file is no longer what it was."""
    if not path.exists() or not _manifest(path).exists():
        return None
    manifest = json.loads(_manifest(path).read_bytes())
    if _sha256(path) != manifest["sha256"]:
        raise CommandFailed(2, f"{path}: not the file that was fetched (its SHA-256 differs); delete it to fetch anew")
    return Fetched(path, manifest["pages"], manifest["rows"], False, True, manifest["counts"], {}, manifest["notes"])


async def _venue_time_ms(venue: Venue) -> int:
    """Return the venue's clock where it tells it (which bars are closed is its decision), else ours."""
    if venue.exchange.has.get("fetchTime"):
        return int(await venue.ask(venue.exchange.fetch_time))
    return int(venue.exchange.milliseconds())


def _stem(query: Query, market: dict[str, Any]) -> str:
    moments = [datetime.fromtimestamp(ms / 1000, UTC) for ms in (query.from_ms, query.to_ms)]
    span = [f"{at:%Y%m%dT%H%M%S}" + (f".{at.microsecond // 1000:03d}" if at.microsecond else "") for at in moments]
    kind = f"{query.kind}-{query.timeframe}" if query.kind == "ohlcv" else query.kind
    return "_".join((query.venue, market["id"].replace("/", "-"), kind, *span))


def _manifest(path: Path) -> Path:
    return path.with_suffix(".manifest.json")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _no_progress(done: int, total: int, note: str) -> None:
    pass
