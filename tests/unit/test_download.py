"""Parts of `data fetch` and `data record` that need no server: pacing, times, addresses, and pages on disk."""

import asyncio
import email.utils
import ipaddress
import itertools
import json
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.commands.downloads import parse_ms
from experiments.console import CommandFailed
from experiments.download.book_sync import BookSync
from experiments.download.client import open_venue
from experiments.download.kinds import bar_end_ms
from experiments.download.pacing import Pacer, RetryPolicy, parse_retry_after
from experiments.download.page_log import PageLog


@pytest.mark.parametrize("months", range(0, 12 * 60, 7))
def test_a_month_bar_closes_where_the_next_month_begins(months: int) -> None:
    opened = np.datetime64("1999-11") + months
    for timeframe, length in (("1M", 1), ("3M", 3), ("1y", 12)):
        want = (opened + length).astype("datetime64[ms]").astype(int)
        assert bar_end_ms(int(opened.astype("datetime64[ms]").astype(int)), timeframe) == want


@pytest.mark.parametrize(
    ("timeframe", "length"), [("1s", "1s"), ("15m", "15m"), ("4h", "4h"), ("3d", "3D"), ("1w", "7D")]
)
def test_a_shorter_bar_closes_one_length_after_it_opens(timeframe: str, length: str) -> None:
    opened = np.datetime64("2024-02-28T20:00", "ms")
    unit: Any = length[-1]
    want = (opened + np.timedelta64(int(length[:-1]), unit)).astype(int)
    assert bar_end_ms(int(opened.astype(int)), timeframe) == want


def test_retry_after_is_read_as_seconds_or_as_a_date_and_anything_else_is_none() -> None:
    assert [parse_retry_after(text) for text in (None, "3", "0.5", "-4", "soon", "nan")] == [
        None,
        3.0,
        0.5,
        0.0,
        None,
        None,
    ]
    later = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    seconds = parse_retry_after(later)
    assert seconds is not None and 85 < seconds <= 90


@given(attempt=st.integers(0, 10_000), seed=st.integers(0, 2**32))
def test_a_wait_is_between_half_and_all_of_the_doubled_one_and_never_beyond_the_cap(attempt: int, seed: int) -> None:
    policy = RetryPolicy(base_s=0.25, cap_s=30.0)
    whole = min(30.0, 0.25 * 2.0 ** min(attempt, 7))
    assert whole / 2 <= policy.wait_s(attempt, random.Random(seed)) <= whole


def test_a_request_waits_for_the_cost_of_the_one_before_however_many_ask_at_once() -> None:
    costs, spans = [1.0, 3.0, 0.5, 2.0, 1.0], []

    async def ask(pacer: Pacer, cost: float) -> None:
        async with pacer.turn(cost):
            begun = time.monotonic()
            await asyncio.sleep(0.002)
            spans.append((begun, time.monotonic(), cost))

    async def all_at_once() -> None:
        pacer = Pacer(0.01)
        await asyncio.gather(*(ask(pacer, cost) for cost in costs))

    asyncio.run(all_at_once())
    assert sorted(cost for _, _, cost in spans) == sorted(costs)
    for (_, ended, cost), (begun, _, _) in itertools.pairwise(spans):
        assert begun - ended >= cost * 0.01


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("name", ["binance", "binanceusdm", "bybit", "okx", "kraken"])
def test_with_another_base_no_address_of_the_venue_is_left(name: str) -> None:
    import ccxt.pro

    async def addresses() -> list[str]:
        async with open_venue(name, "http://127.0.0.1:9/", library=ccxt.pro) as venue:
            return list(strings(venue.exchange.urls["api"]))

    found = asyncio.run(addresses())
    assert any(url.startswith("ws://") for url in found) and any(url.startswith("http://") for url in found)
    assert all(ipaddress.ip_address(urlsplit(url).hostname or "").is_loopback for url in found)


def test_a_base_that_is_no_address_is_refused() -> None:
    async def enter() -> None:
        async with open_venue("binance", "127.0.0.1:80"):
            pass

    with pytest.raises(CommandFailed, match="http://host:port") as caught:
        asyncio.run(enter())
    assert caught.value.code == 2


def test_moments_are_read_as_dates_times_and_milliseconds() -> None:
    day = int(datetime(2024, 1, 31, tzinfo=UTC).timestamp() * 1000)
    texts = ("2024-01-31", "2024-01-31T00:00:00Z", str(day))
    assert [parse_ms("--from", text) for text in texts] == [day] * 3
    for text in ("yesterday", "2024-13-01", "-5", ""):
        with pytest.raises(CommandFailed, match="--from") as caught:
            parse_ms("--from", text)
        assert caught.value.code == 2


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_pages_cut_anywhere_come_back_as_the_longest_run_of_whole_ones(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("log") / "x.parts"
    pages = [[[10 * page + row, 0, "buy"] for row in range(page % 3)] for page in range(5)]
    ends, counts = [(0, 0)], []
    with PageLog(folder, {"a": 1}) as log:
        for number, rows in enumerate(pages):
            log.append(rows, number, number == 4, {"twice": number})
            counts.append(dict(log.progress.counts))
            ends.append(((folder / "rows.jsonl").stat().st_size, (folder / "pages.jsonl").stat().st_size))
    whole = [(folder / name).read_bytes() for name in ("rows.jsonl", "pages.jsonl")]
    cuts = [data.draw(st.integers(0, len(part)), "cut") for part in whole]
    tail = data.draw(st.binary(max_size=8), "tail")
    for name, part, cut in zip(("rows.jsonl", "pages.jsonl"), whole, cuts, strict=True):
        (folder / name).write_bytes(part[:cut] + tail)
    survivors = max(n for n, (rows_end, pages_end) in enumerate(ends) if pages_end <= cuts[1] and rows_end <= cuts[0])
    with PageLog(folder, {"a": 2}) as log:
        # A tail may by chance complete what was cut; then more comes back, never something else.
        kept = log.progress.pages
        assert kept >= survivors and log.query == {"a": 1}
        assert (folder / "rows.jsonl").read_bytes() == whole[0][: ends[kept][0]]
        assert log.progress.cursor == (kept - 1 if kept else None)
        for number in range(kept, 5):
            log.append(pages[number], number, number == 4, {"twice": number})
    assert [(folder / name).read_bytes() for name in ("rows.jsonl", "pages.jsonl")] == whole


@pytest.mark.parametrize("futures", [False, True])
def test_a_recorder_wants_a_snapshot_until_one_fits_and_tells_a_lost_update(futures: bool) -> None:
    def event(first: int, last: int) -> dict[str, Any]:
        return {"U": first, "u": last, **({"pu": first - 1} if futures else {})}

    sync = BookSync()
    assert not sync.on_snapshot(99) and sync.needs_snapshot  # nothing to connect to yet
    assert not sync.on_depth(event(100, 105)) and not sync.on_depth(event(106, 110))
    assert not sync.on_snapshot(90) and sync.needs_snapshot  # too old
    assert sync.on_snapshot(107) and not sync.needs_snapshot
    assert not sync.on_depth(event(111, 112))
    assert sync.on_depth(event(115, 116)) and sync.needs_snapshot  # 113 and 114 are lost: told once
    assert not sync.on_depth(event(117, 118)) and sync.on_snapshot(116) and not sync.needs_snapshot
    sync.begin_file()
    assert sync.needs_snapshot
    assert sync.on_depth(event(121, 122))  # lost between two files
    with pytest.raises(ValueError, match="without update ids"):
        sync.on_depth({"U": "x"})


def test_the_manifest_of_a_query_is_json_that_was_there_first(tmp_path: Path) -> None:
    with PageLog(tmp_path / "a.parts", {"asked_ms": 5}) as log:
        log.begin(17)
    assert json.loads((tmp_path / "a.parts" / "query.json").read_bytes()) == {"asked_ms": 5}
    with PageLog(tmp_path / "a.parts", {"asked_ms": 9}) as log:
        assert (log.query["asked_ms"], log.progress.cursor, log.progress.pages) == (5, 17, 0)
