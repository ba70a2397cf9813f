"""`data fetch` against a real server on loopback: exact history whatever goes wrong, resumable, within the limits."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.console import CommandFailed
from experiments.download.client import open_venue
from experiments.download.history import Fetched
from market_models.datasets.formats import open_import
from tests.support.binance_server import Server
from tests.support.binance_truth import START_MS, Truth
from tests.support.fetcher import BARS, FUNDING, QUICK, TRADES, TRUTH, fetch, stored, true_trades


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Fetched:
    with Server(TRUTH) as server:
        return fetch(server, tmp_path_factory.mktemp("clean"))


def test_trades_are_every_trade_of_the_span_in_the_venues_own_digits(clean: Fetched) -> None:
    rows = stored(clean)
    assert rows == true_trades() and 5_000 < len(rows) < 6_000  # some lie before the span
    with open_import(clean.path) as imported:
        report = imported.report
        block = next(imported.blocks()).rows
    assert (report.format, report.instruments[0].name, report.rows) == ("history", "BTCUSDT", len(rows))
    assert (report.gaps, report.sequenced, report.back_steps, dict(report.quarantined)) == (0, True, 0, {})
    assert report.to_json()["instruments"][0]["tick_size"] == "0.01"
    assert block["price"][0] == round(float(rows[0][3]) * 100) and block["trade_id"][0] == rows[0][0]


def test_bars_are_every_closed_bar_and_the_open_one_is_not_stored(tmp_path: Path) -> None:
    with Server(TRUTH) as server:
        done = fetch(server, tmp_path, BARS)
    rows = stored(done)
    assert rows == [(bar[0], *bar[1:6]) for bar in TRUTH.bars[:-1]]
    assert TRUTH.bars[-1][6] == TRUTH.now_ms  # one millisecond before its end
    with open_import(done.path) as imported:
        assert (imported.report.gaps, imported.report.first_ns) == (0, START_MS * 1_000_000)


def test_funding_rates_are_every_rate_of_the_span(tmp_path: Path) -> None:
    truth = Truth(now_ms=START_MS + 10**10)
    query = replace(FUNDING, to_ms=START_MS + 20 * 28_800_000)
    with Server(truth) as server:
        done = fetch(server, tmp_path, query)
    assert stored(done) == [(rate["fundingTime"], rate["fundingRate"]) for rate in truth.rates[:20]]
    with open_import(done.path) as imported:
        assert (imported.report.instruments[0].name, imported.report.rows) == ("BTCUSDT funding", 20)


FAULTS = {
    "slow down": "HTTP 429",
    "error": "HTTP 500",
    "drop": "body cut short",
    "torn": "response that is no whole JSON",
    "page before": "",
    "page ahead": "",
    "backwards": "",
    "twice": "",
    "hole": "",
    "empty": "",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_changes_no_byte_of_the_history(fault: str, clean: Fetched, tmp_path: Path) -> None:
    with Server(TRUTH, {"aggTrades": {3: fault, 8: fault}}) as server:
        done = fetch(server, tmp_path)
        assert server.early == 0
    assert done.path.read_bytes() == clean.path.read_bytes()
    assert done.retries == ({FAULTS[fault]: 2} if FAULTS[fault] else {})
    # The third request proves the start; the eighth is a page of 1,000.
    repeated = {"page before": 1_000, "twice": 500}
    assert sum(done.counts.values()) == repeated.get(fault, 0)


def test_a_fault_in_the_first_request_of_every_kind_is_survived(clean: Fetched, tmp_path: Path) -> None:
    faults = {"exchangeInfo": {1: "drop", 2: "error"}, "time": {1: "torn"}, "aggTrades": {1: "drop", 2: "torn"}}
    with Server(TRUTH, faults) as server:
        assert fetch(server, tmp_path).path.read_bytes() == clean.path.read_bytes()


def test_bars_that_the_venue_does_not_have_are_one_gap_and_are_asked_for_twice(tmp_path: Path) -> None:
    truth = Truth(lost=range(1_200, 1_205))
    with Server(truth) as server:
        done = fetch(server, tmp_path, BARS)
        assert server.counts["klines"] == 4  # 1,000 with no hole; with it, twice; the rest
    assert stored(done) == [(bar[0], *bar[1:6]) for bar in truth.bars[:-1]]
    with open_import(done.path) as imported:
        assert imported.report.gaps == 1


def test_a_hole_that_stays_is_a_gap_and_no_row_is_made_up(tmp_path: Path) -> None:
    truth = Truth(seed=7, trades=6_000)
    del truth.trades[3_000:3_010]
    with Server(truth) as server:
        done = fetch(server, tmp_path)
    assert stored(done) == true_trades(truth)
    with open_import(done.path) as imported:
        assert imported.report.gaps == 1


def test_a_venue_that_repeats_itself_for_ever_ends_with_1_and_keeps_what_is_stored(
    clean: Fetched, tmp_path: Path
) -> None:
    with Server(TRUTH, {"aggTrades": dict.fromkeys(range(8, 40), "page before")}) as server:
        with pytest.raises(CommandFailed, match="rows before its cursor") as caught:
            fetch(server, tmp_path)
        assert caught.value.code == 1
    with Server(TRUTH) as healed:
        done = fetch(healed, tmp_path)
    assert done.resumed and done.path.read_bytes() == clean.path.read_bytes()


def test_a_definite_refusal_is_not_repeated(tmp_path: Path) -> None:
    with Server(TRUTH, {"aggTrades": {2: "refuse"}}) as server:
        with pytest.raises(CommandFailed, match="-1100") as caught:
            fetch(server, tmp_path)
        assert caught.value.code == 2 and server.counts["aggTrades"] == 2


def test_requests_never_exceed_the_weight_that_the_venue_allows_in_any_window() -> None:
    async def flood(url: str) -> None:
        async with open_venue("binance", url, QUICK, types=("spot",)) as venue:
            await venue.market("BTC/USDT")
            ask = venue.exchange.fetch_trades
            await asyncio.gather(*(ask("BTC/USDT", None, 1, {"fromId": 900}) for _ in range(90)))

    with Server(TRUTH) as server:
        asyncio.run(flood(server.url))
        assert server.counts["aggTrades"] == 90
        # 6,000 a minute are allowed.
        assert server.most_weight(0.5) <= 50 and server.most_weight(1.0) <= 100


def test_a_complete_file_is_not_fetched_again_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    with Server(TRUTH) as server:
        first = fetch(server, tmp_path, BARS)
        asked = server.counts["klines"]
        again = fetch(server, tmp_path, BARS)
        assert again == replace(first, already_complete=True) and server.counts["klines"] == asked
        first.path.write_bytes(first.path.read_bytes() + b"x")
        with pytest.raises(CommandFailed, match="SHA-256 differs") as caught:
            fetch(server, tmp_path, BARS)
    assert caught.value.code == 2


WRONG = {
    "VENUE": (replace(TRADES, venue="binanse"), "close to it: binance"),
    "SYMBOL": (replace(TRADES, symbol="BTC/USDX"), "close to it: BTC/USDT"),
    "timeframe": (replace(BARS, timeframe="7m"), "1m, 3m, 5m"),
    "kind": (replace(TRADES, kind="books"), "trades, ohlcv, funding"),
    "spot funding": (replace(TRADES, kind="funding"), "no funding rates"),
    "span": (replace(TRADES, to_ms=START_MS), "is not before"),
    "empty": (replace(TRADES, from_ms=START_MS + 9 * 10**7), "has no trades"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_request_ends_with_2_and_says_what_is_valid(name: str, tmp_path: Path) -> None:
    query, said = WRONG[name]
    with Server(TRUTH) as server, pytest.raises(CommandFailed, match=re.escape(said)) as caught:
        fetch(server, tmp_path, query)
    assert caught.value.code == 2


def test_two_processes_do_not_fetch_into_one_folder(tmp_path: Path) -> None:
    from experiments.download.page_log import PageLog

    with PageLog(tmp_path / "x.parts", {"a": 1}), pytest.raises(CommandFailed, match="another process") as caught:
        PageLog(tmp_path / "x.parts", {"a": 1})
    assert caught.value.code == 2
