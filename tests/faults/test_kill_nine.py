"""A paper session killed with SIGKILL at any moment and started again loses nothing and doubles nothing.

The children come from a fork server that has imported everything, so a start costs milliseconds and a kill can come
at any point of a session's life.
"""

import json
import multiprocessing
import random
import signal
from pathlib import Path

import pytest

from live_bridge.failpoints import NAMES
from live_bridge.journal import JournalReader
from live_bridge.journal_tools import verify_replay
from live_bridge.ledgers import ledger_from_journal, ledger_from_venue
from live_bridge.records import decode
from live_bridge.types import Outcome, Resolution
from tests.support.paper_child import paper_config, run_child
from tests.support.paper_market import HashPolicy

PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.paper_child"])
    return context


def run(processes, directory: Path, seed: int, failpoint: str = "", kill_at_bytes: int | None = None) -> int:
    """Run one process of the session; return its exit code (-9 where it was killed).

    `kill_at_bytes`: kill as soon as journal and ledger together have grown to that size, wherever the process is then.
    """
    child = processes.Process(target=run_child, args=(str(directory), seed, failpoint))
    child.start()
    if kill_at_bytes is not None:
        while child.exitcode is None and recorded_bytes(directory) < kill_at_bytes:
            child.join(0.001)
        child.kill()
    child.join(PATIENCE_S)
    assert child.exitcode is not None, "the session hangs"
    code = child.exitcode
    child.close()
    return code


def recorded_bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.glob("*/*.bsj"))


def check_finished(directory: Path, seed: int) -> dict:
    """The promises that hold for every session that has reached its end, interrupted or not."""
    result = json.loads((directory / "result.json").read_text())
    ours, theirs = ledger_from_journal(directory / "journal"), ledger_from_venue(directory / "venue")
    assert ours.equal(theirs)
    assert len(ours.fills) == len({fill.trade_id for fill in ours.fills}) > 10
    assert len(theirs.orders) == len(set(theirs.orders)), "an order was sent twice"
    assert len(ours.orders) == len(set(ours.orders)), "an intent was numbered twice"
    never_sent = set(ours.orders) - set(theirs.orders)
    assert set(theirs.orders) <= set(ours.orders), "an order left before its intent was durable"
    assert never_sent <= resolved_as_not_sent(directory), "an intent has no known end"
    assert result["reconciled"]
    assert result["unknown"] == 0
    assert abs(result["position"]) <= 40
    assert (result["position"], result["cash_e8"]) == (theirs.position_lots, theirs.cash_e8)
    replayed = verify_replay(directory / "journal", HashPolicy())
    assert replayed["replayed_ok"], replayed["diverged"]
    market = paper_config(directory, seed).market
    assert market is not None
    assert last_advance(directory) == len(market.background)
    return result


def resolved_as_not_sent(directory: Path) -> set[str]:
    bodies = (decode(frame.payload) for frame in JournalReader(directory / "journal").frames())
    return {
        body.client_order_id for body in bodies if isinstance(body, Resolution) and body.outcome is Outcome.NOT_SENT
    }


def last_advance(directory: Path) -> int:
    from protos.journal.v1 import journal_pb2 as pb

    cursor = 0
    for frame in JournalReader(directory / "venue", "ledger").frames():
        record = pb.Record.FromString(frame.payload)
        if record.HasField("venue_advance"):
            cursor = max(cursor, record.venue_advance.cursor)
    return cursor


def test_an_uninterrupted_session_keeps_every_promise_in_one_epoch(processes, tmp_path):
    assert run(processes, tmp_path, seed=1) == 0
    assert check_finished(tmp_path, seed=1)["epoch"] == 1


@pytest.mark.parametrize("seed", range(4))
def test_a_session_killed_at_random_moments_ends_with_both_ledgers_equal(processes, tmp_path, seed):
    chance = random.Random(seed)
    for _ in range(5):
        grown = recorded_bytes(tmp_path) + chance.randint(1, 12_000)
        assert run(processes, tmp_path, seed, kill_at_bytes=grown) == -signal.SIGKILL
    assert run(processes, tmp_path, seed) == 0
    assert check_finished(tmp_path, seed)["epoch"] >= 2


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("evidence.")])
def test_a_session_killed_at_a_named_point_ends_with_both_ledgers_equal(processes, tmp_path, name):
    rare = {"journal.mid_rotation": (3, 2), "journal.mid_snapshot": (1, 1), "venue.mid_fill": (7, 3)}
    counts = rare.get(name, (20, 7, 11, 5))
    for count in counts:
        assert run(processes, tmp_path, seed=9, failpoint=f"{name}:{count}") == -signal.SIGKILL
    assert run(processes, tmp_path, seed=9) == 0
    assert check_finished(tmp_path, seed=9)["epoch"] >= 2
