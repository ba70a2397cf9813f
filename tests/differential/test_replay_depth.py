"""Binance sessions through the engine against their own bookTickers: small ones by hand, recorded ones whole."""

import json

import numpy as np
import pytest

from market_models.datasets import DataError
from sim import replay_depth
from sim.replay_depth import Rows, TickerJudge, verify_binance
from tests.support.binance_feed import Feed, small_feed

SESSIONS = {
    # files: (rows, before the snapshot, bookTickers, most levels, prints)
    ("usdm/btcusdt_20230404.dat.gz", "usdm/btcusdt_20230405.dat.gz"): (16110, 0, 44205, 5397, 12934),
    ("usdm/btcusdt_20240718.gz", "usdm/btcusdt_20240719.gz"): (9017, 5, 52260, 5433, 10701),
    ("usdm/ethusdt_20240718.gz", "usdm/ethusdt_20240719.gz"): (8924, 5, 47328, 4781, 13655),
    ("spot/btcusdt_20230405.dat.gz",): (3929, 0, 8015, 651, 3144),
}


def edited(lines, number, change):
    """Return lines with the json of line `number` (from 1) passed through `change`."""
    head, body = lines[number - 1].split(" ", 1)
    data = json.loads(body)
    change(data["data"])
    return [*lines[: number - 1], f"{head} {json.dumps(data)}", *lines[number:]]


@pytest.mark.data
@pytest.mark.parametrize("files", SESSIONS, ids=lambda files: files[0].split(".")[0])
def test_every_depth_event_of_a_recorded_session_shows_its_book_tickers_touch(data_dir, files):
    rows, before, tickers, most, prints = SESSIONS[files]
    result = verify_binance([data_dir / "l2/binance_raw" / file for file in files])
    assert result["rows"] == result["rows_equal"] == result["depth_events"] == rows
    assert result["gaps"] == result["crossed"] == result["stale"] == result["time_back"] == result["rejected"] == 0
    assert (result["before_snapshot"], result["tickers"], result["most_levels"]) == (before, tickers, most)
    assert result["prints"] == prints and result["beyond_capacity"] == most - 112
    assert result["revealed"] > 0 and result["purged"] > 0
    assert result["ok"] and result["first_mismatch"] is None


@pytest.mark.data
@pytest.mark.parametrize("capacity", [64, 256, 512])
def test_any_capacity_shows_the_recorded_touch(data_dir, capacity):
    result = verify_binance([data_dir / "l2/binance_raw/spot/btcusdt_20230405.dat.gz"], capacity=capacity)
    assert result["ok"] and result["rows_equal"] == 3929
    assert result["beyond_capacity"] == 651 - (capacity - 16)


@pytest.mark.parametrize("backend", ["oracle", "cpu"])
@pytest.mark.parametrize("futures", [True, False])
def test_a_small_session_is_equal_on_every_backend(tmp_path, backend, futures):
    result = verify_binance([small_feed(futures).write(tmp_path)], backend=backend)
    assert (result["rows"], result["rows_equal"], result["depth_events"], result["tickers"]) == (6, 6, 6, 6)
    assert result["ok"] and result["backend"] == backend and result["beyond_capacity"] == 0


def test_a_narrow_window_reveals_and_purges_and_still_shows_the_touch(tmp_path):
    feed = Feed()
    feed.snapshot([[f"{90 + i}.0", "1"] for i in range(10)], [[f"{100 + i}.0", "1"] for i in range(10)])
    for i in range(9):
        feed.depth([[f"{99 - i}.0", "0"]], [[f"{100 + i}.0", "0"]]).ticker()
    for i in range(9):
        feed.depth([[f"{91 + i}.0", "2"]], [[f"{108 - i}.0", "3"]]).ticker()
    result = verify_binance([feed.write(tmp_path)], room=61, capacity=64)  # three levels
    assert result["ok"] and result["rows_equal"] == 18
    assert result["beyond_capacity"] == 7 and result["revealed"] == 14 and result["purged"] == 14


def test_a_book_ticker_that_arrives_after_its_depth_event_belongs_to_it(tmp_path):
    lines = small_feed().lines
    lines[1], lines[2] = lines[2], lines[1]  # and one before it
    lines[-1], lines[-2] = lines[-2], lines[-1]
    result = verify_binance([small_feed().write(tmp_path, lines=lines)])
    assert result["ok"] and result["rows"] == 6


def test_events_before_the_first_book_ticker_or_with_an_unknown_side_are_not_compared(tmp_path):
    feed = Feed(futures=False)
    feed.depth([["99", "1"]]).ticker().depth([], [["101", "2"]]).ticker().depth([["99", "3"]]).ticker()
    result = verify_binance([feed.write(tmp_path)])
    assert (result["rows"], result["rows_equal"], result["depth_events"]) == (2, 2, 3) and result["ok"]
    late = Feed().snapshot([["99", "1"]], [["101", "2"]]).depth([["99", "3"]]).depth([["99", "4"]]).ticker()
    result = verify_binance([late.write(tmp_path)])
    assert (result["rows"], result["depth_events"]) == (1, 2) and result["ok"]


def test_a_wrong_size_in_a_depth_event_is_found_where_it_is(tmp_path):
    lines = small_feed().lines
    number = next(i for i, line in enumerate(lines, 1) if '"b": [["100.0", "2.5"]]' in line)
    wrong = edited(lines, number, lambda data: data.update(b=[["100.0", "3.5"]]))
    path = small_feed().write(tmp_path, lines=wrong)
    result = verify_binance([path])
    assert not result["ok"] and (result["rows"], result["rows_equal"]) == (6, 5)
    assert result["first_mismatch"] == {
        "path": str(path),
        "line": number,
        "update_id": 112,
        "side": "BUY",
        "expected": [1000, 5],
        "actual": [1000, 7],
    }


def test_a_removed_depth_line_is_a_gap_at_the_next_event(tmp_path):
    lines = small_feed().lines
    number = next(i for i, line in enumerate(lines) if '"b": [["99.9", "0"]' in line)
    result = verify_binance([small_feed().write(tmp_path, lines=lines[:number] + lines[number + 1 :])])
    assert result["gaps"] == 1 and result["depth_events"] == 5 and not result["ok"]


def test_swapped_depth_lines_are_a_gap_and_a_stale_event_and_a_repeated_line_is_harmless(tmp_path):
    lines = small_feed().lines
    depths = [i for i, line in enumerate(lines) if "depthUpdate" in line]
    swapped = list(lines)
    swapped[depths[2]], swapped[depths[3]] = swapped[depths[3]], swapped[depths[2]]
    result = verify_binance([small_feed().write(tmp_path, lines=swapped)])
    assert (result["gaps"], result["stale"]) == (1, 1) and result["time_back"] > 0 and not result["ok"]
    repeated = [*lines[: depths[2] + 1], *lines[depths[2] :]]
    result = verify_binance([small_feed().write(tmp_path, lines=repeated)])
    assert (result["gaps"], result["stale"]) == (0, 1) and result["ok"]


def test_a_crossed_book_is_counted(tmp_path):
    feed = small_feed()
    feed.depth([["100.4", "1"]]).ticker().depth([["100.4", "0"]]).ticker()
    result = verify_binance([feed.write(tmp_path)])
    assert result["crossed"] == 1 and result["rows_equal"] == result["rows"] == 8 and not result["ok"]


def test_sizes_finer_than_the_lot_are_rounded_alike_and_counted(tmp_path):
    path = small_feed().write(tmp_path)
    result = verify_binance([path], lot_size="2")
    assert result["ok"] and result["rounded"] > 0
    assert verify_binance([path])["rounded"] == 0


def test_what_cannot_be_compared_is_refused(tmp_path):
    path = small_feed().write(tmp_path, lines=[line for line in small_feed().lines if "bookTicker" not in line])
    with pytest.raises(DataError, match="holds no bookTicker"):
        verify_binance([path])
    with pytest.raises(ValueError, match="levels 2: a Binance recording tells the best level only"):
        verify_binance([path], 2)
    with pytest.raises(ValueError, match="capacity 100 is not one of"):
        verify_binance([path], capacity=100)
    with pytest.raises(ValueError, match="backend 'gpu' is not one of"):
        verify_binance([path], backend="gpu")
    with pytest.raises(ValueError, match=r"room 64 is outside 0\.\.63"):
        verify_binance([path], capacity=64, room=64)


def test_a_session_cut_into_blocks_of_any_size_gives_the_same_answer(tmp_path, monkeypatch):
    feed = Feed().snapshot([["99", "1"]], [["101", "1"]])
    for i in range(200):
        feed.depth([[str(80 + i % 19), str(i % 3)]], [[str(101 + i % 7), str(1 + i % 4)]]).ticker()
    path = feed.write(tmp_path)
    whole = verify_binance([path])
    assert whole["ok"] and whole["rows"] == 200
    for size in (1, 7):
        monkeypatch.setattr("market_models.datasets.depth_replay.BLOCK_MESSAGES", size)
        monkeypatch.setattr(replay_depth, "CHUNK", 64)
        assert verify_binance([path]) == whole


def test_the_judge_takes_the_last_book_ticker_not_above_the_event():
    judge = TickerJudge(["x"])
    none = np.zeros((0, 5), np.int64)

    def rows(ids, bids):
        touch = np.array([[[bid, 1], [9, 1]] for bid in bids], np.int64).reshape(-1, 2, 2)
        return Rows(np.array(ids, np.int64), np.zeros((len(ids), 2), np.int64), touch)

    judge.take(rows([5], [1]), np.array([[10, 2, 1, 9, 1], [7, 1, 1, 9, 1]]))  # before every bookTicker
    judge.take(rows([7, 9], [1, 1]), none)
    judge.take(rows([10, 11], [2, 2]), np.array([[11, 2, 1, 9, 1], [12, 3, 1, 9, 1]]))
    judge.take(rows([12], [4]), none)
    judge.finish()
    assert (judge.rows, judge.rows_equal) == (5, 4)
    assert judge.first_mismatch is not None and judge.first_mismatch["update_id"] == 12
