"""What `data record` leaves on disk after a signal, kill -9, a full disk, or a torn file."""

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.download.stream_log import StreamLog, salvage, whole_bytes
from market_models.datasets.formats import open_import
from tests.support.binance_server import Server
from tests.support.binance_stream import BookStream
from tests.support.full_disk import on_a_full_disk
from tests.support.recorder import TRUTH, record, split

ROOT = Path(__file__).resolve().parents[2]


def command(url: str, folder: Path) -> list[str]:
    arguments = ("data", "record", "binance", "BTC/USDT", "--out", str(folder), "--base-url", url, "--json")
    return [sys.executable, "-m", "experiments", *arguments, "--retries", "3"]


def stopped(number: signal.Signals, folder: Path) -> tuple[int, str, str, BookStream]:
    """Run the command, and signal it from the server once it has streamed 600 steps and a batch is on disk."""
    feed = BookStream(seed=9, steps=1_000_000)
    with Server(TRUTH, {}, feed) as server:
        child = subprocess.Popen(
            command(server.url, folder),
            cwd=ROOT,
            env=dict(os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        feed.at_step(600, lambda: child.send_signal(number))
        out, said = child.communicate(timeout=60)
    return child.returncode, out, said, feed


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_closes_the_files_whole_and_says_what_they_hold(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    returncode, out, said, feed = stopped(number, tmp_path)
    assert returncode == code and "Traceback" not in said
    result = json.loads(out)
    fields = ("format", "instrument", "rows", "quarantined", "gaps", "crossed", "first_ns", "last_ns", "digest")
    assert all(name in result for name in (*fields, "pages", "retries", "resumed"))
    assert (result["gaps"], result["crossed"]) == (0, 0) and not list(tmp_path.glob("*.part"))
    messages = split(tmp_path)[0]
    assert len(messages) > 100 and messages == feed.sent[: len(messages)]


def test_after_kill_nine_the_next_run_names_the_file_and_it_is_whole(tmp_path: Path) -> None:
    assert stopped(signal.SIGKILL, tmp_path)[0] == -signal.SIGKILL
    part = next(tmp_path.glob("*.part"))
    with part.open("ab") as file:
        file.write(gzip.compress(b"1" * 5_000)[:-9])  # as of a batch that was being written
    feed = BookStream(seed=10, steps=40)
    result = record(feed, tmp_path)
    assert result["resumed"] and result["salvaged"] == [part.with_suffix("").name]
    assert not list(tmp_path.glob("*.part")) and len(list(tmp_path.glob("*.gz"))) == 2
    with open_import(part.with_suffix("")) as imported:
        assert imported.report.used > 100 and not imported.report.quarantined and not imported.report.crossed


def test_a_full_disk_ends_with_2_and_what_was_written_is_whole(tmp_path: Path) -> None:
    with Server(TRUTH, {}, BookStream(steps=10**6, pause_s=0.004)) as server:
        done = subprocess.run(
            on_a_full_disk(60_000, command(server.url, tmp_path)),
            cwd=ROOT,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2 and "cannot write the recording of BTCUSDT" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    (path,) = tmp_path.glob("*.gz*")
    assert path.suffix == ".gz" and whole_bytes(path) == path.stat().st_size > 0
    with open_import(path) as imported:
        assert imported.report.rows > 0 and imported.report.gaps == 0


def test_a_torn_file_is_cut_after_its_last_whole_batch_wherever_it_is_torn(tmp_path: Path) -> None:
    log = StreamLog(tmp_path, "ABC")
    ends = [0]
    for batch in range(3):
        log.write([b"%d {}\n" % (10**18 + batch)] * 50)
        ends.append(next(tmp_path.glob("*.part")).stat().st_size)
    whole = next(tmp_path.glob("*.part")).read_bytes()
    log.end_file()
    torn = tmp_path / "torn.gz"
    for size in range(len(whole) + 1):
        torn.write_bytes(whole[:size])
        assert whole_bytes(torn) == max(end for end in ends if end <= size)
    (tmp_path / "abc_1.gz.part").write_bytes(whole[: ends[1] - 1])
    assert salvage(tmp_path, "ABC") == [] and not list(tmp_path.glob("*.part"))  # nothing whole: nothing kept
