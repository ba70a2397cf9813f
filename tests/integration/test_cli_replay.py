"""`bookswarm replay` on recordings of levels and orders: what is detected, the fields, the exit codes."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from market_models.datasets import DataError
from market_models.datasets.recording_format import detect_format
from sim.replay_files import verify_files
from tests.support.binance_feed import small_feed

ROOT = Path(__file__).resolve().parents[2]
FIELDS = {
    *("rows", "rows_equal", "revealed", "levels", "first_mismatch"),
    *("gaps", "crossed", "depth_events", "tickers", "capacity", "beyond_capacity"),
}


def replay(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "experiments", "replay", *map(str, arguments), "--verify", "--json", "--quiet"]
    return subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)


def test_a_session_of_two_files_ends_with_0_and_the_fields_of_the_contract(tmp_path: Path) -> None:
    feed = small_feed()
    first, second = feed.write(tmp_path, "1.gz", feed.lines[:6]), feed.write(tmp_path, "2.txt", feed.lines[6:])
    done = replay(first, second, "--backend", "oracle", "--capacity", 64, "--levels", 1)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result) >= FIELDS
    assert (result["rows"], result["rows_equal"], result["capacity"], result["format"]) == (6, 6, 64, "binance_raw")


def test_a_lost_depth_line_ends_with_1_and_a_damaged_one_with_2_naming_file_and_line(tmp_path: Path) -> None:
    lines = small_feed().lines
    number = next(i for i, line in enumerate(lines) if '"b": [["99.9", "0"]' in line)
    lost = small_feed().write(tmp_path, "lost.gz", lines[:number] + lines[number + 1 :])
    done = replay(lost, "--backend", "oracle")
    assert done.returncode == 1 and "1 gaps in the recording's updates" in done.stderr
    assert json.loads(done.stdout)["gaps"] == 1
    damaged = small_feed().write(tmp_path, "damaged.gz", [*lines[:7], lines[7].replace('"u"', '"v"'), *lines[8:]])
    done = replay(damaged)
    assert done.returncode == 2 and f"{damaged}, row 8: field 'u' is None" in done.stderr
    assert done.stdout == ""


def test_formats_are_told_by_content(tmp_path: Path, data_dir: Path) -> None:
    assert detect_format(small_feed().write(tmp_path, "any.name")) == "binance_raw"
    assert detect_format(data_dir / "l2/binance_raw/spot/btcusdt_20230405.dat.gz") == "binance_raw"
    assert detect_format(data_dir / "l2/cme_5level/xet_29sept_quotes_0804.parquet") == "cme_five_level"
    assert detect_format(data_dir / "l3/databento/ARL_2025-07-17_mbo.csv.gz") == "databento_mbo"
    assert detect_format(data_dir / "l3/databento/ARL_2025-07-17_mbp10_expected.csv.gz") == "databento_mbo"
    assert detect_format(data_dir / "l3/lobster/LOBSTER_SampleFile_AMZN_2012-06-21_1.zip") == "lobster"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("empty.txt", b"", "is empty"),
        ("cut.gz", gzip.compress(b"1234567890123 {}\n", mtime=0)[:12], "not a whole gzip file"),
        ("a.dbn.zst", b"\x28\xb5\x2f\xfd rest", "is compressed with zstd"),
        ("a.csv", b"side,price,size\nbid,1,2\n", "is no recording that is known; those that are: stream, lobster"),
        ("a.txt", b'x123 {"stream": 1}\n', "row 1: local time 'x123' is not 13, 16 or 19 digits"),
    ],
)
def test_a_file_that_is_no_recording_is_refused_by_name(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason) as error:
        verify_files([path])
    assert error.value.path == str(path)


def test_files_of_two_formats_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "a_message_1.csv"
    other.write_text("1,1,1,1,1,1\n")
    with pytest.raises(ValueError, match=r"a_message_1\.csv is lobster, .*testusdt\.gz is binance_raw"):
        verify_files([small_feed().write(tmp_path), other])
    with pytest.raises(DataError, match="cannot be read"):
        verify_files([tmp_path / "absent"])
