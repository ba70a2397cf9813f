"""Recorded truth: every backend reproduces the expected outcome of the streams and the exchange's own order book."""

import numpy as np
import pytest

from kernels.lob import spec
from market_models.datasets.errors import DataError
from sim import replay
from sim.replay_stream import COLUMNS, read_stream

BACKENDS = ("oracle", "cpu", "xla")
STREAMS = ("stream_64x2000", "stream_32x2000_deep", "stream_32x2000_ties")
BOOKS = {"oracle": 2, "cpu": 8, "xla": 8}
FIRST_ROWS = "AAPL_2012-06-21_34200000_57600000_{}_10_first999.csv.gz"


def existing(path):
    if not path.is_file():
        pytest.skip(f"{path} is not in the recorded data")
    return path


@pytest.mark.data
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_has_its_expected_touch_book_and_trades(data_dir, name, backend):
    path = existing(data_dir / "streams" / f"{name}.npz")
    result = replay.verify_stream(path, backend, max_books=BOOKS[backend])
    assert result["ok"] and result["first_mismatch"] is None
    assert result["bbo_rows_equal"] == result["bbo_rows"] == 2000 * BOOKS[backend]
    assert result["l2_equal"] == result["totals_equal"] == result["books"] == BOOKS[backend]
    assert result["trades_equal"] == result["trades"] > 500
    assert result["capacity"] == (256 if name.endswith("deep") else 128)


@pytest.mark.data
def test_too_small_a_capacity_is_seen_and_said(data_dir):
    path = existing(data_dir / "streams" / "stream_32x2000_deep.npz")
    result = replay.verify_stream(path, "cpu", capacity=64, max_books=2)
    assert not result["ok"] and result["bbo_rows_equal"] < result["bbo_rows"]
    assert set(result["first_mismatch"]) == {"book", "message"}


@pytest.mark.data
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_recording_replays_to_the_exchanges_own_book_row_by_row(data_dir, backend):
    folder = data_dir / "l3" / "lobster"
    paths = [existing(folder / FIRST_ROWS.format(part)) for part in ("message", "orderbook")]
    seen = []
    result = replay.verify_recording(paths, 10, backend, progress=lambda done, total: seen.append((done, total)))
    assert result["ok"] and result["rows"] == result["rows_equal"] == 998
    assert result["first_mismatch"] is None and result["levels"] == 10 and result["revealed"] > 0
    assert seen and seen[-1][0] == seen[-1][1]


LOBSTER_MESSAGES = """34200.000000001,1,1,7,1000000,1
34200.100000000,1,11,3,1000000,1
34200.200000000,2,11,1,1000000,1
34201.000000000,4,11,2,1000000,1
34202.500000000,3,1,7,1000000,1
"""
LOBSTER_BOOK = """1010000,5,1000000,7
1010000,5,1000000,10
1010000,5,1000000,9
1010000,5,1000000,7
1010000,5,990000,4
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_hand_made_recording_is_verified_and_the_first_wrong_row_is_named(tmp_path, backend):
    messages, book = (tmp_path / f"TEST_2020-01-02_{part}_1.csv" for part in ("message", "orderbook"))
    messages.write_text(LOBSTER_MESSAGES)
    book.write_text(LOBSTER_BOOK)
    result = replay.verify_recording(messages, None, backend)  # its order-book file is beside it
    assert result["ok"] and result["rows"] == result["rows_equal"] == 4 and result["revealed"] == 1
    book.write_text(LOBSTER_BOOK.replace("1000000,9", "1000000,8"))
    wrong = replay.verify_recording([messages, book], 1, backend)
    assert not wrong["ok"] and wrong["rows_equal"] == 3
    assert wrong["first_mismatch"] == {
        "row": 2,
        "side": "BUY",
        "level": 0,
        "expected": [10000, 8],
        "actual": [10000, 9],
    }
    assert replay.verify_recording([messages, book], 1, backend, max_rows=1)["ok"]


def small_stream(**changes):
    """Return the arrays of a stream of one book: two orders, then a taker, a cancel and a deletion."""
    opening = [(1, 1, 10, 9_900, 1, 7, 0, 0), (1, -1, 4, 10_000, 2, 8, 0, 0)]
    rows = [(1, 1, 6, 10_000, 3, 9, 1, 0), (2, 1, 3, 9_900, 1, 7, 2, 0), (3, 1, 2, 10_000, 3, 9, 3, 0)]
    empty = [(-1, 0, -1, 0)] * 9
    arrays = {
        "columns": np.array(COLUMNS),
        "init_msgs": np.array([opening], np.int32),
        "msgs": np.array([rows], np.int32),
        "bbo": np.array([[(-1, 0, 10_000, 2), (-1, 0, 10_000, 2), (-1, 0, 9_900, 7)]], np.int32),
        "l2": np.array([[(-1, 0, 9_900, 7), *empty]], np.int32),
        "trades": np.array([(0, 0, 10_000, 4, 2, 3, 8, 9)], np.int64),
        "n_trades": np.array([1]),
        "traded_qty": np.array([4]),
        "traded_notional": np.array([40_000]),
        "n_orders_max": np.array([[2, 1]]),
    }
    return {**arrays, **changes}


def write(path, **changes):
    np.savez_compressed(path, **small_stream(**changes))
    return path


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_hand_made_stream_is_verified_and_each_wrong_expectation_is_seen(tmp_path, backend):
    right = replay.verify_stream(write(tmp_path / "right.npz"), backend)
    assert right["ok"] and right["trades_equal"] == right["l2_equal"] == 1 and right["bbo_rows_equal"] == 3
    good = small_stream()
    for name, place, field in (
        ("bbo", (0, 1, 3), "bbo_rows_equal"),
        ("l2", (0, 0, 3), "l2_equal"),
        ("trades", (0, 6), "trades_equal"),
        ("traded_qty", (0,), "totals_equal"),
    ):
        wrong = good[name].copy()
        wrong[place] += 1
        result = replay.verify_stream(write(tmp_path / "wrong.npz", **{name: wrong}), backend)
        assert not result["ok"] and result[field] == right[field] - 1, name


def test_a_trade_that_is_missing_from_the_expectation_is_seen(tmp_path):
    path = write(tmp_path / "none.npz", trades=np.zeros((0, 8), np.int64))
    result = replay.verify_stream(path, "cpu")
    assert not result["ok"] and result["trades"] == result["trades_equal"] == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bbo": np.zeros((1, 2, 4), np.int32)}, r"'bbo' has shape \[1, 2, 4\], expected \[B, M, 4\]"),
        ({"bbo": np.zeros((1, 3, 4))}, r"'bbo' is float64, expected integers"),
        ({"l2": np.zeros((40,), np.int32)}, r"'l2' has shape \[40\], expected \[B, 10, 4\]"),
        ({"columns": np.array(["a"])}, "columns are"),
        (
            {"msgs": small_stream()["msgs"] + np.int32(0) * 1 + np.eye(1, 8, dtype=np.int32) * 9},
            "type 10 is not one of",
        ),
        ({"msgs": small_stream()["msgs"] + np.eye(1, 8, 3, dtype=np.int32)}, "not a multiple of 100"),
        ({"msgs": small_stream()["msgs"] * 0 + 1 + np.eye(1, 8, 1, dtype=np.int32)}, "side 2 is not one of 1, -1"),
        ({"columns": np.array([{}], object)}, "'columns' cannot be read"),
    ],
)
def test_a_stream_with_wrong_arrays_is_refused_with_the_array_named(tmp_path, changes, words):
    path = write(tmp_path / "bad.npz", **changes)
    with pytest.raises(DataError, match=words) as caught:
        read_stream(path)
    assert str(path) in str(caught.value)


def test_a_missing_truncated_or_foreign_file_is_refused_by_name(tmp_path):
    whole = write(tmp_path / "whole.npz").read_bytes()
    files = {"cut.npz": whole[: len(whole) // 2], "flipped.npz": _flip(whole), "text.npz": b"hello", "empty.npz": b""}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            replay.verify_stream(tmp_path / name)
    np.save(tmp_path / "one.npy", np.zeros(3))
    np.savez(tmp_path / "few.npz", msgs=np.zeros(3))
    for name, words in (
        ("absent.npz", "cannot be read"),
        ("one.npy", "one.npy"),
        ("few.npz", "arrays .*bbo.* missing"),
    ):
        with pytest.raises(DataError, match=words):
            replay.verify_stream(tmp_path / name)
    with pytest.raises(DataError, match=r"absent\.zip"):
        replay.verify_recording(tmp_path / "absent.zip", 1)


def _flip(data):
    """Return data with one byte of the compressed messages changed."""
    at = data.index(b"msgs.npy") + 60
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def test_wrong_arguments_are_refused_before_anything_is_read(tmp_path):
    path = write(tmp_path / "right.npz")
    with pytest.raises(ValueError, match="'gpu' is not one of"):
        replay.verify_stream(path, "gpu")
    with pytest.raises(ValueError, match=r"capacity 100 is not one of \(64, 128, 256, 512\)"):
        replay.verify_stream(path, "cpu", 100)
    with pytest.raises(ValueError, match="3 paths"):
        replay.verify_recording([path] * 3, 1)
    assert replay.choose_capacity(5) == 128 and replay.choose_capacity(129) == 256
    assert replay.choose_capacity(10_000) == spec.CAPACITIES[-1]
