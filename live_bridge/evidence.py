"""The evidence bundle: from a journal and the tests, what each control is set to, when it acted, and what proves it.

Only records count: nothing is taken from a running session. A test is named only where its function is found in the
checkout; a test that the table names and the checkout lacks is a failure, not a footnote.
"""

import ast
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernels.risk.spec import INSTRUMENT_LIMITS, UNLIMITED
from live_bridge.controls import as_dict
from live_bridge.core_state import SCOPES, CoreConfig, check_limits
from live_bridge.evidence_controls import CONTROLS, Control
from live_bridge.guarding import changed_limits
from live_bridge.journal import JournalError, JournalReader
from live_bridge.records import BODIES, Body, RecordError, decode, is_event
from live_bridge.types import (
    Alert,
    LimitsChange,
    Refusal,
    RiskRefusal,
    SessionStart,
    SizeCut,
    StopTriggered,
)
from live_bridge.types import Control as ControlRecord
from live_bridge.whole_files import write_whole

JSON_NAME, PAGE_NAME = "evidence.json", "evidence.md"


@dataclass
class Trace:
    """How often something happened, and where in the journal it did first and last."""

    count: int = 0
    first_sequence: int = 0
    last_sequence: int = 0

    def note(self, sequence: int) -> None:
        """Count one more."""
        self.count += 1
        self.first_sequence = self.first_sequence or sequence
        self.last_sequence = sequence


@dataclass
class Tally:
    """What a journal holds, by trace (see live_bridge/evidence_controls.py)."""

    traces: dict[str, Trace] = field(default_factory=dict)
    config: CoreConfig | None = None
    limits: list[Any] = field(default_factory=list)  # in force at the end, in the order of SCOPES
    sessions: list[dict[str, Any]] = field(default_factory=list)
    actors: set[str] = field(default_factory=set)  # who commanded or changed limits
    records: int = 0
    torn_tail_bytes: int = 0
    alert_lag_ns: int = 0  # longest, from the time of an event to the time of the alert that it caused
    clock_offset_ns: tuple[int, int] | None = None  # least and most of our clock less the venue's, live sessions
    _event_ns: int = 0
    _pending: LimitsChange | None = None

    def take(self, sequence: int, body: Body) -> None:
        """Count one record."""
        self.records += 1
        for name in _names(body):
            self.traces.setdefault(name, Trace()).note(sequence)
        if isinstance(body, SessionStart):
            self._start(body)
        elif isinstance(body, ControlRecord | LimitsChange):
            self.actors.add(body.actor)
            self._pending = body if isinstance(body, LimitsChange) else None
        elif isinstance(body, Alert):
            self.alert_lag_ns = max(self.alert_lag_ns, body.event_ns - self._event_ns)
            if body.code == "LIMITS_CHANGED" and self._pending is not None:
                self._apply(self._pending)
        if is_event(body) and not isinstance(body, SessionStart):
            self._event_ns = getattr(body, "now_ns", 0) or body.event_ns  # type: ignore[union-attr]
            self._clock(body)

    def _start(self, body: SessionStart) -> None:
        try:
            self.config = CoreConfig.from_json(body.config_json)
        except (KeyError, TypeError, ValueError) as error:
            raise JournalError(f"epoch {body.epoch}: its configuration cannot be read: {error}") from error
        self.limits = self.limits or list(self.config.limits_by_scope())
        self.sessions.append(
            {name: getattr(body, name) for name in ("instance", "epoch", "run_id", "source", "strategy")}
            | {"venues": list(body.venues), "instruments": list(body.instruments)}
        )

    def _apply(self, change: LimitsChange) -> None:
        assert self.config is not None, "a session starts before its limits change"
        place = SCOPES.index(change.scope)
        self.limits[place] = check_limits(changed_limits(self.limits[place], change), self.config.instrument)

    def _clock(self, body: Body) -> None:
        event_ns, recv_ns = getattr(body, "event_ns", 0), getattr(body, "recv_ns", 0)
        if event_ns and recv_ns and self.sessions and self.sessions[-1]["source"] == "live":
            offset = recv_ns - event_ns
            least, most = self.clock_offset_ns or (offset, offset)
            self.clock_offset_ns = (min(least, offset), max(most, offset))


def _names(body: Body) -> list[str]:
    names = [BODIES[type(body)]]
    if isinstance(body, RiskRefusal):
        names.append(f"risk:{body.reason.name}")
    elif isinstance(body, Refusal):
        names.append(f"refusal:{body.reason.name}")
    elif isinstance(body, Alert):
        names.append(f"alert:{body.code}")
    elif isinstance(body, StopTriggered):
        names.append(f"stop:{body.reason.name}")
    elif isinstance(body, SizeCut):
        names.append(f"cut:{body.reason.name}")
    elif isinstance(body, ControlRecord):
        names.append(f"command:{body.command.name}")
    return names


def tally(directory: Path) -> Tally:
    """Read a whole journal: its directory, or the session directory that holds it.

    Raises FileNotFoundError where there is none, JournalDamagedError or RecordError at the first thing that cannot be
    read, JournalError where it holds no session.
    """
    if (directory / "journal").is_dir() and not JournalReader(directory).segments():
        directory /= "journal"
    reader = JournalReader(directory)
    if not reader.segments():
        raise FileNotFoundError(f"{directory} holds no journal (segment-*.bsj); give the journal of a session")
    found = Tally()
    for frame in reader.frames():
        try:
            found.take(frame.sequence, decode(frame.payload))
        except RecordError as error:
            raise RecordError(f"{directory}: record {frame.sequence}: {error}") from error
    if found.config is None:
        raise JournalError(f"{directory}: the journal holds no session, so there is nothing to show")
    found.torn_tail_bytes = reader.torn_tail_bytes
    return found


class TestFinder:
    """Looks for test functions in a checkout, without importing them."""

    __test__ = False  # it is none itself

    def __init__(self, root: Path | None) -> None:
        """Take the checkout that holds `tests/`; None where tests are not installed."""
        self.root = root if root is not None and (root / "tests").is_dir() else None
        self._functions: dict[str, frozenset[str]] = {}

    def has(self, test: str) -> bool | None:
        """Whether `path::function` is there; None where there are no tests at all to look in."""
        if self.root is None:
            return None
        path, _, function = test.partition("::")
        if path not in self._functions:
            self._functions[path] = _functions(self.root / path)
        return function in self._functions[path]


def _functions(path: Path) -> frozenset[str]:
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def write_bundle(journal: Path, out: Path, root: Path | None) -> dict[str, Any]:
    """Write evidence.json and evidence.md into `out`; return the bundle. `missing_tests` names what is not there."""
    found, finder = tally(journal), TestFinder(root)
    controls = [_row(control, found, finder) for control in CONTROLS]
    bundle = {
        "journal": str(journal),
        "records": found.records,
        "torn_tail_bytes": found.torn_tail_bytes,
        "sessions": found.sessions,
        "people": sorted(found.actors),
        "alert_lag_ns": found.alert_lag_ns,
        "clock_offset_ns": list(found.clock_offset_ns) if found.clock_offset_ns else None,
        "tests_found": finder.root is not None,
        "missing_tests": [test for control in CONTROLS for test in control.tests if finder.has(test) is False],
        "controls": controls,
    }
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / JSON_NAME, json.dumps(bundle, indent=1) + "\n")
    write_whole(out / PAGE_NAME, _page(bundle))
    return bundle | {"files": [str(out / JSON_NAME), str(out / PAGE_NAME)]}


def _row(control: Control, found: Tally, finder: TestFinder) -> dict[str, Any]:
    acted = {name: vars(found.traces[name]) for name in control.traces if name in found.traces}
    tests = [test for test in control.tests if finder.has(test) is not False]
    shown = [test if finder.root is not None else f"{test} (tests are not installed here)" for test in tests]
    if acted:
        count = sum(trace["count"] for trace in acted.values())
        first = min(trace["first_sequence"] for trace in acted.values())
        last = max(trace["last_sequence"] for trace in acted.values())
        shown.append(f"journal: {count} records from {first} to {last}")
    return {
        "name": control.name,
        "rules": list(control.rules),
        "what": control.what,
        "configured": _configured(control.settings, found),
        "acted": acted,
        "tests": tests,
        "shown_by": shown,
    }


def _configured(settings: Iterable[str], found: Tally) -> dict[str, Any]:
    """Return each setting's value at the end of the journal: limits by scope, the rest from the configuration."""
    values: dict[str, Any] = {}
    for name in settings:
        if name in INSTRUMENT_LIMITS:
            values[name] = _limit(getattr(found.limits[0], name))
        elif hasattr(found.limits[0], name):
            values[name] = {
                scope: _limit(getattr(limits, name)) for scope, limits in zip(SCOPES, found.limits, strict=True)
            }
        else:
            value = getattr(found.config, name)
            values[name] = as_dict(value)
    return values


def _limit(value: int) -> int | str:
    return "switched off" if value == UNLIMITED else value


def _page(bundle: dict[str, Any]) -> str:
    sessions = "; ".join(
        f"{each['run_id']} epoch {each['epoch']} ({each['source']}, {', '.join(each['instruments'])} at "
        f"{', '.join(each['venues'])})"
        for each in bundle["sessions"]
    )
    offset = bundle["clock_offset_ns"]
    clock = f"{offset[0]} to {offset[1]} ns (transport included)" if offset else "no live session in this journal"
    lines = [
        "# Controls and their evidence",
        "",
        f"Journal `{bundle['journal']}`: {bundle['records']} records, every byte and the chain verified; "
        f"torn tail {bundle['torn_tail_bytes']} bytes. Sessions: {sessions}.",
        f"Commands and limits by: {', '.join(bundle['people']) or 'nobody'}. Longest from an event to its alert, on "
        f"the venue's clock: {bundle['alert_lag_ns']} ns. Our clock less the venue's: {clock}.",
        "",
        "A control that never had to act in this journal is shown by its tests alone. Values are those in force at the "
        "journal's end.",
    ]
    if not bundle["tests_found"]:
        lines += ["", "**The tests are not installed here: their presence was not checked.**"]
    for test in bundle["missing_tests"]:
        lines += ["", f"**MISSING TEST: {test}**"]
    for row in bundle["controls"]:
        lines += _section(row)
    return "\n".join(lines) + "\n"


def _section(row: dict[str, Any]) -> list[str]:
    lines = ["", f"## {row['name']}", "", f"{'; '.join(row['rules'])}. {row['what']}", ""]
    for name, value in row["configured"].items():
        text = ", ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, dict) else value
        lines.append(f"- set: `{name}`: {text}")
    for name, trace in row["acted"].items():
        lines.append(
            f"- acted: `{name}` {trace['count']} times, records {trace['first_sequence']} to {trace['last_sequence']}"
        )
    if not row["acted"]:
        lines.append("- acted: not in this journal")
    lines += [f"- test: `{test}`" for test in row["tests"]]
    return lines
