"""`data record` against a real websocket server on loopback: every byte that was sent, gaps as injected."""

import asyncio
import re
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.console import CommandFailed
from experiments.download.pacing import RetryPolicy
from experiments.download.recorder import OVERFLOW
from experiments.download.recording import RecordQuery, record_streams
from market_models.datasets.formats import open_import
from market_models.datasets.text_lines import read_lines
from sim.replay_depth import verify_binance
from tests.support.binance_server import Server
from tests.support.binance_stream import BookStream, in_name_of
from tests.support.recorder import FUTURES, OPTIONS, QUICK, SPOT, TRUTH, record, recorded, split


@pytest.mark.parametrize("query", [SPOT, FUTURES], ids=["spot", "futures"])
def test_every_byte_is_on_disk_and_the_replayed_book_is_the_venues(query: RecordQuery, tmp_path: Path) -> None:
    feed = BookStream(seed=3, steps=200, futures=query is FUTURES)
    result = record(feed, tmp_path, query)
    messages, snapshots = split(tmp_path)
    assert messages == feed.sent and snapshots == feed.snapshots
    times = [at for at, _ in recorded(tmp_path)]
    assert times == sorted(times)
    assert (result["format"], result["instrument"], result["rows"]) == ("binance_raw", "BTCUSDT", len(times))
    assert (result["gaps"], result["crossed"], result["quarantined"], result["lost"]) == (0, 0, {}, [])
    replayed = verify_binance([tmp_path / entry["file"] for entry in result["files"]], None, "cpu", None)
    assert replayed["ok"] and replayed["rows_equal"] == replayed["rows"] >= 50
    assert replayed["gaps"] == replayed["crossed"] == 0


def test_several_symbols_have_files_and_snapshots_of_their_own(tmp_path: Path) -> None:
    feed = BookStream(seed=12, steps=100, wants_snapshots=2)
    result = record(feed, tmp_path, replace(SPOT, symbols=("BTC/USDT", "ETHUSDT")))
    assert (result["instrument"], result["snapshots"], result["lost"]) == ("BTCUSDT,ETHUSDT", 2, [])
    for name in ("btcusdt", "ethusdt"):
        (path,) = tmp_path.glob(f"{name}_*.gz")
        texts = [line.partition(b" ")[2].decode() for line in read_lines(path)]
        assert [text for text in texts if '"stream"' in text] == [in_name_of(name, text) for text in feed.sent]
        replayed = verify_binance([path], None, "cpu", None)
        assert replayed["ok"] and replayed["rows"] >= 50


@pytest.mark.parametrize("query", [SPOT, FUTURES], ids=["spot", "futures"])
def test_lost_updates_are_gaps_exactly_as_injected_each_healed_by_a_snapshot(
    query: RecordQuery, tmp_path: Path
) -> None:
    faults = ("disconnect", "skip", "disconnect")
    feed = BookStream(seed=4, steps=200, faults=faults, futures=query is FUTURES)
    result = record(feed, tmp_path, query)
    assert split(tmp_path)[0] == feed.sent and feed.connections == 3
    assert len(result["lost"]) == result["gaps"] == 3 and result["crossed"] == 0
    assert len(result["disconnects"]) == 3  # and the last one, at the end
    assert result["snapshots"] == len(split(tmp_path)[1]) >= 2
    assert result["snapshots"] + result["stale_snapshots"] == len(feed.snapshots) >= 4
    replayed = verify_binance(sorted(tmp_path.glob("*.gz")), None, "cpu", None)
    assert replayed["gaps"] == 3 and replayed["crossed"] == 0


def test_a_silent_stall_is_noticed_though_pings_are_answered(tmp_path: Path) -> None:
    feed = BookStream(seed=11, steps=120, faults=["stall"])
    result = record(feed, tmp_path, options=replace(OPTIONS, stall_s=0.5))
    assert feed.connections == 2 and split(tmp_path)[0] == feed.sent
    assert len(result["lost"]) == 1 and "Timeout" in result["disconnects"][0]["reason"]


def test_a_stale_snapshot_is_counted_and_another_is_asked_for(tmp_path: Path) -> None:
    feed = BookStream(seed=5, steps=100, faults=["skip"])
    result = record(feed, tmp_path, faults={2: "stale"})
    assert (result["snapshots"], result["stale_snapshots"], result["gaps"]) == (2, 1, 1)
    assert split(tmp_path)[1] == feed.snapshots  # the stale one is not in the file
    assert verify_binance(sorted(tmp_path.glob("*.gz")), None, "cpu", None)["gaps"] == 1


def test_snapshots_that_fail_are_asked_for_again(tmp_path: Path) -> None:
    result = record(BookStream(seed=6, steps=50), tmp_path, faults={1: "error", 2: "slow down"})
    assert result["retries"] == {"HTTP 500": 1, "HTTP 429": 1} and (result["snapshots"], result["gaps"]) == (1, 0)


def test_files_that_are_rotated_are_one_session_and_each_can_be_read_alone(tmp_path: Path) -> None:
    feed = BookStream(seed=7, steps=600, wants_snapshots=2)
    result = record(feed, tmp_path, options=replace(OPTIONS, rotate_s=1.0))
    paths = sorted(tmp_path.glob("*.gz"))
    assert len(paths) >= 2 and split(tmp_path)[0] == feed.sent
    assert [entry["file"] for entry in result["files"]] == [path.name for path in paths]
    assert result["gaps"] == result["crossed"] == 0 and result["lost"] == []
    whole = verify_binance(paths, None, "cpu", None)
    assert whole["ok"] and whole["gaps"] == 0
    alone = [path for path in paths if any(b'"lastUpdateId"' in line for line in read_lines(path))]
    assert alone and result["snapshots"] >= 2  # the first file may end before its snapshot is there
    for path in alone:
        with open_import(path) as imported:
            assert (imported.report.gaps, imported.report.crossed) == (0, 0)
        replayed = verify_binance([path], None, "cpu", None)
        assert (replayed["rows_equal"], replayed["gaps"], replayed["crossed"]) == (replayed["rows"], 0, 0)


def test_a_disk_that_is_too_slow_costs_counted_messages_and_never_memory(tmp_path: Path) -> None:
    feed = BookStream(seed=8, steps=400, pause_s=0.0, padding=300, wants_snapshots=2)
    limit = 20_000
    result = record(feed, tmp_path, options=replace(OPTIONS, buffer_bytes=limit))
    messages, snapshots = split(tmp_path)
    dropped = result["dropped"][OVERFLOW]
    assert dropped > 0 and len(messages) + dropped == len(feed.sent)
    rest = iter(feed.sent)
    assert all(text in rest for text in messages)  # in order, and nothing that was not sent
    assert result["most_buffered_bytes"] <= limit + max(map(len, snapshots)) + 30
    assert result["lost"] and result["crossed"] == 0


WRONG = {
    "venue": (replace(SPOT, venue="kraken"), OPTIONS, "binance, binanceus, binanceusdm"),
    "symbol": (replace(SPOT, symbols=("BTC/USDX",)), OPTIONS, "close to it: BTC/USDT"),
    "stream": (SPOT, replace(OPTIONS, streams=("book",)), "the streams are depth, trades, bookTicker"),
    "minutes": (replace(SPOT, seconds=-1.0), OPTIONS, "--minutes"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_request_ends_with_2_and_says_what_is_valid(name: str, tmp_path: Path) -> None:
    query, options, said = WRONG[name]

    async def session(url: str) -> None:
        await record_streams(query, tmp_path, asyncio.Event(), options, url, QUICK, 1)

    with Server(TRUTH, {}, None) as server, pytest.raises(CommandFailed, match=re.escape(said)) as caught:
        asyncio.run(session(server.url))
    assert caught.value.code == 2


def test_a_stream_that_cannot_be_opened_ends_with_3(tmp_path: Path) -> None:
    feed = BookStream()
    feed.finished.set()  # the server answers 503

    async def session(url: str) -> None:
        policy = replace(QUICK, attempts=2)
        await record_streams(SPOT, tmp_path, asyncio.Event(), OPTIONS, url, policy, 1)

    with Server(TRUTH, {}, feed) as server, pytest.raises(CommandFailed, match="no stream at ws://") as caught:
        asyncio.run(session(server.url))
    assert caught.value.code == 3


def test_a_stop_before_the_venue_answers_ends_at_once_with_130(tmp_path: Path) -> None:
    async def session(url: str) -> None:
        stop = asyncio.Event()
        stop.set()
        await record_streams(SPOT, tmp_path, stop, OPTIONS, url, RetryPolicy(), 1)

    faults = {"exchangeInfo": dict.fromkeys(range(1, 100), "error")}
    with Server(TRUTH, faults) as server, pytest.raises(CommandFailed, match="before anything") as caught:
        asyncio.run(session(server.url))
    assert caught.value.code == 130


def test_without_a_network_it_ends_with_3(tmp_path: Path) -> None:
    with socket.socket() as held:  # bound and not listening: refused
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        work = record_streams(SPOT, tmp_path, asyncio.Event(), OPTIONS, url, replace(QUICK, attempts=2), 1)
        with pytest.raises(CommandFailed, match="cannot be reached") as caught:
            asyncio.run(work)
    assert caught.value.code == 3
