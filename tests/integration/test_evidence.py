"""The evidence bundle says what the journal says, names tests that are there, and refuses what it cannot read."""

import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kernels.risk.spec import CHECKS, RiskLimits
from live_bridge.core import Core
from live_bridge.evidence import TestFinder, tally, write_bundle
from live_bridge.evidence_controls import CONTROLS
from live_bridge.journal import Journal, JournalDamagedError, JournalError
from live_bridge.records import CLASSES, encode
from live_bridge.types import Command, Control, LimitsChange, OrderKind, OrderRequest, Reconciled, Timer
from tests.support.core_events import NOON, SECOND, ack, book, core_config, start
from tests.unit.test_live_guards import Joins

ROOT = Path(__file__).resolve().parents[2]


def write_journal(directory: Path, core: Core, events: list) -> list:
    """Journal events and what the core makes of them; return all records."""
    from live_bridge.core_state import CoreState

    state, records = CoreState(), []
    for event in events:
        state, outputs = core.step(state, event)
        records += [event, *outputs]
    journal = Journal(directory, fsync="never")
    for record in records:
        journal.append(encode(record))
    journal.commit(False)
    journal.close()
    return records


def order(price_tick: int, number: int) -> OrderRequest:
    return OrderRequest(f"r{number}", 0, 0, price_tick, 3, OrderKind.LIMIT, False, "ann", NOON + number * SECOND, 1)


@pytest.fixture(scope="module")
def journal(tmp_path_factory) -> tuple[Path, list]:
    core = Core(core_config(limits=RiskLimits(max_repeats=9)), Joins(0))
    events = [
        start(core),
        book(0),
        order(5_000, 1),
        order(5_001, 2),
        LimitsChange("firm", json.dumps({"max_order_lots": 2}), "carol", "smaller", NOON + 3 * SECOND, 1),
        LimitsChange("firm", json.dumps({"max_order_lots": -2}), "carol", "wrong", NOON + 3 * SECOND, 1),
        order(9_985, 4),
        Control(Command.KILL, "ann", "drill", NOON + 5 * SECOND, 1),
        Reconciled(0, 0, 0, True, NOON + 6 * SECOND, 1),
        ack("f" * 32, 7),
        Timer(NOON + 8 * SECOND, 1),
    ]
    directory = tmp_path_factory.mktemp("evidence") / "journal"
    return directory, write_journal(directory, core, events)


def named(bundle: dict, name: str) -> dict:
    return next(row for row in bundle["controls"] if row["name"] == name)


def test_the_bundle_counts_what_the_journal_holds_and_says_where(journal, tmp_path):
    directory, records = journal
    bundle = write_bundle(directory, tmp_path / "out", ROOT)
    kinds = [type(record).__name__ for record in records]
    assert bundle["records"] == len(records)
    refused = [place for place, kind in enumerate(kinds, 1) if kind == "RiskRefusal"]
    collar = named(bundle, "price collars")["acted"]["risk:PRICE_COLLAR"]
    assert collar == {"count": 2, "first_sequence": refused[0], "last_sequence": refused[1]}
    volume = named(bundle, "maximum order volume")
    assert volume["acted"]["risk:MAX_ORDER_LOTS"]["count"] == 1
    assert volume["configured"]["max_order_lots"] == {"strategy": 1_000, "venue": 1_000, "firm": 2}
    assert volume["configured"]["max_lots"] == 1_000
    kill = named(bundle, "kill functionality")["acted"]
    assert set(kill) == {"command:KILL", "alert:KILL_CONFIRMED"}
    assert set(named(bundle, "controls in our own hands")["acted"]) == {
        "limits_change",
        "alert:LIMITS_CHANGED",
        "alert:LIMITS_REFUSED",
        "control",
    }
    assert bundle["people"] == ["ann", "carol"]
    assert bundle["missing_tests"] == []
    assert all(row["shown_by"] and row["rules"] for row in bundle["controls"])
    assert any(text.startswith("journal: 2 records from") for text in named(bundle, "price collars")["shown_by"])
    assert json.loads((tmp_path / "out" / "evidence.json").read_text())["controls"] == bundle["controls"]
    page = (tmp_path / "out" / "evidence.md").read_text()
    assert "## kill functionality" in page
    assert "firm 2" in page
    assert "acted: not in this journal" in page


def test_every_test_that_is_named_can_be_imported_and_every_rule_and_check_has_a_control():
    for test in {test for control in CONTROLS for test in control.tests}:
        path, _, function = test.partition("::")
        module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        assert callable(getattr(module, function)), test
        assert TestFinder(ROOT).has(test)
    rules = " ".join(rule for control in CONTROLS for rule in control.rules)
    for rule in ("art. 12", "art. 15", "art. 16", "art. 17", "RTS 25", "15c3-5"):
        assert rule in rules
    traces = {trace for control in CONTROLS for trace in control.traces}
    shown = {trace.removeprefix("risk:") for trace in traces if trace.startswith("risk:")}
    assert {check.name for check in CHECKS} - shown == {"REPLACE_TARGET"}
    assert {trace for trace in traces if ":" not in trace} <= set(CLASSES)


def test_a_test_that_is_not_there_is_missing_and_a_program_without_tests_says_so(journal, tmp_path):
    directory, _ = journal
    empty = tmp_path / "checkout"
    (empty / "tests").mkdir(parents=True)
    bundle = write_bundle(directory, tmp_path / "a", empty)
    assert len(bundle["missing_tests"]) == sum(len(control.tests) for control in CONTROLS)
    assert "MISSING TEST" in (tmp_path / "a" / "evidence.md").read_text()
    installed = write_bundle(directory, tmp_path / "b", tmp_path / "nothing")
    assert (installed["missing_tests"], installed["tests_found"]) == ([], False)
    assert "not installed here" in installed["controls"][0]["shown_by"][0]


def test_what_is_no_whole_journal_is_refused_with_its_place(journal, tmp_path):
    directory, _ = journal
    with pytest.raises(FileNotFoundError, match="holds no journal"):
        tally(tmp_path)
    Journal(tmp_path / "empty", fsync="never").close()
    with pytest.raises(JournalError, match="no session"):
        tally(tmp_path / "empty")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in directory.glob("*.bsj"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        (damaged / path.name).write_bytes(data)
    with pytest.raises(JournalDamagedError, match="record"):
        tally(damaged)


def command(*arguments: str) -> subprocess.CompletedProcess:
    program = [sys.executable, "-m", "experiments", "evidence", *arguments]
    return subprocess.run(program, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)


def test_the_command_writes_the_bundle_and_ends_with_2_where_there_is_no_journal(journal, tmp_path):
    directory, _ = journal
    done = command("--journal", str(directory.parent), "--out", str(tmp_path / "out"), "--json")
    assert done.returncode == 0, done.stderr
    controls = json.loads(done.stdout)["controls"]
    assert len(controls) == len(CONTROLS)
    assert all({"name", "shown_by"} <= set(row) for row in controls)
    missing = command("--journal", str(tmp_path / "none"), "--out", str(tmp_path / "out"))
    assert missing.returncode == 2
    assert "no such journal directory" in missing.stderr
    assert "Traceback" not in missing.stderr


def test_a_bundle_that_is_cut_off_leaves_the_earlier_one_whole_and_a_failed_one_leaves_nothing_beside_it(
    journal, tmp_path
):
    directory, _ = journal
    write_bundle(directory, tmp_path, ROOT)
    for path in tmp_path.iterdir():
        path.write_text(f"earlier {path.name}")
    program = "import sys; from pathlib import Path; from live_bridge.evidence import write_bundle; "
    program += "write_bundle(Path(sys.argv[1]), Path(sys.argv[2]), None)"
    arguments = [sys.executable, "-c", program, str(directory), str(tmp_path)]
    environment = os.environ | {"BOOKSWARM_FAILPOINT": "evidence.mid_write:2", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(arguments, env=environment, cwd=tmp_path, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "evidence.md.partial").stat().st_size > 0, "it was killed while it wrote"
    assert (tmp_path / "evidence.md").read_text() == "earlier evidence.md"
    assert json.loads((tmp_path / "evidence.json").read_text())["records"] > 0
    write_bundle(directory, tmp_path, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evidence.json", "evidence.md"]
    blocked = tmp_path / "blocked"
    (blocked / "evidence.json").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        write_bundle(directory, blocked, None)
    assert [path.name for path in blocked.iterdir()] == ["evidence.json"]
