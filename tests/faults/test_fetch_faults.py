"""`data fetch` after signals, kill -9, a full disk and without a network: nothing lost, nothing twice."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.download.history import Fetched
from tests.support.binance_server import Server
from tests.support.fetcher import TRADES, TRUTH, fetch, true_trades
from tests.support.full_disk import on_a_full_disk

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Fetched:
    with Server(TRUTH) as server:
        return fetch(server, tmp_path_factory.mktemp("clean"))


def command(url: str, folder: Path, *more: str) -> list[str]:
    span = ("--from", str(TRADES.from_ms), "--to", str(TRADES.to_ms), "--out", str(folder))
    arguments = ("data", "fetch", "binance", "BTC/USDT", *span, "--base-url", url, "--json", *more)
    return [sys.executable, "-m", "experiments", *arguments]


def killed_run(server: Server, folder: Path, at_request: int, number: signal.Signals) -> tuple[int, str]:
    """Run the command and send it a signal when the server gets its request number `at_request`."""
    child: subprocess.Popen[str] | None = None
    asked = len(server.requests)

    def on_request(count: int) -> None:
        if count - asked == at_request and child is not None:
            child.send_signal(number)

    server.on_request = on_request
    child = subprocess.Popen(
        command(server.url, folder), cwd=ROOT, env=dict(os.environ), stderr=subprocess.PIPE, text=True
    )
    said = child.communicate(timeout=60)[1]
    server.on_request = None
    return child.returncode, said


def test_after_kill_nine_at_any_request_and_a_torn_tail_the_file_is_the_same_byte_for_byte(
    clean: Fetched, tmp_path: Path
) -> None:
    with Server(TRUTH) as server:
        for at_request in (11, 4):  # the second run goes on at its third request
            assert killed_run(server, tmp_path, at_request, signal.SIGKILL)[0] == -signal.SIGKILL
            parts = next(tmp_path.glob("*.parts"))
            assert (parts / "rows.jsonl").stat().st_size > 0
            for name in ("rows.jsonl", "pages.jsonl"):
                with (parts / name).open("ab") as file:
                    file.write(b'[12345,"torn')
        done = subprocess.run(
            command(server.url, tmp_path), cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert Path(result["path"]).read_bytes() == clean.path.read_bytes()
    fields = ("format", "instrument", "rows", "quarantined", "gaps", "crossed", "first_ns", "last_ns", "digest")
    assert all(name in result for name in (*fields, "pages", "retries"))
    assert result["resumed"] is True and (result["rows"], result["gaps"]) == (len(true_trades()), 0)
    assert not list(tmp_path.glob("*.parts"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_130_says_how_to_go_on_and_loses_nothing(
    number: signal.Signals, clean: Fetched, tmp_path: Path
) -> None:
    with Server(TRUTH) as server:
        code, said = killed_run(server, tmp_path, 11, number)
        assert code == 130 and "repeat the command to go on" in said and "Traceback" not in said
        done = fetch(server, tmp_path)
    assert done.resumed and done.path.read_bytes() == clean.path.read_bytes()


def test_without_a_network_the_command_ends_with_3_and_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as held:  # bound and not listening: refused
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        done = subprocess.run(
            command(url, tmp_path, "--retries", "2"), cwd=ROOT, capture_output=True, text=True, check=False
        )
    assert done.returncode == 3 and "binance cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr and "Unclosed" not in done.stderr


def test_a_full_disk_ends_with_2_and_the_same_command_goes_on_once_there_is_room(
    clean: Fetched, tmp_path: Path
) -> None:
    with Server(TRUTH) as server:
        done = subprocess.run(
            on_a_full_disk(100_000, command(server.url, tmp_path)),
            cwd=ROOT,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2 and "cannot write" in done.stderr and "Traceback" not in done.stderr
        again = fetch(server, tmp_path)
    assert again.resumed and again.path.read_bytes() == clean.path.read_bytes()
