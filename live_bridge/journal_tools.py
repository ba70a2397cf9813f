"""Reading a journal from outside: verify, verify by replay, show, export. Nothing here writes to it."""

import json
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from live_bridge.core import Core
from live_bridge.core_state import CoreConfig, CoreState
from live_bridge.journal import JournalDamagedError, JournalError, JournalReader
from live_bridge.policy import Policy
from live_bridge.records import Body, RecordError, decode
from live_bridge.replaying import Replay, ReplayDivergedError
from live_bridge.types import SessionStart


def verify(directory: Path) -> dict[str, Any]:
    """Check every byte, the chain and every record.

    Returns `records`, `ok`, `torn_tail_bytes`, `first_bad` (None, or segment, offset, sequence, reason), `segments`.
    A torn tail is not damage: a start cuts it off. FileNotFoundError if there is no journal.
    """
    reader = _open(directory)
    first_bad: dict[str, Any] | None = None
    try:
        for frame in reader.frames():
            decode(frame.payload)
    except JournalDamagedError as error:
        first_bad = asdict(error.first_bad)
    except RecordError as error:
        assert reader.last_segment is not None
        first_bad = {
            "segment": reader.last_segment.name,
            "offset": None,
            "sequence": reader.next_sequence - 1,
            "reason": f"record: {error}",
        }
    return {
        "records": reader.records,
        "ok": first_bad is None,
        "torn_tail_bytes": reader.torn_tail_bytes,
        "first_bad": first_bad,
        "segments": len(reader.segments()),
    }


def verify_replay(directory: Path, policy: Policy) -> dict[str, Any]:
    """Run the journalled events through the core and demand every journalled output, bit for bit.

    Returns what `verify` does, and `events`, `outputs`, `replayed_ok`, `diverged` (None, or sequence and reason). The
    policy must be the one of the session: another digest raises JournalError.
    """
    result = verify(directory)
    result |= {"events": 0, "outputs": 0, "replayed_ok": False, "diverged": None}
    if not result["ok"]:
        return result
    core: Core | None = None
    replay = Replay(CoreState())
    try:
        for frame in _open(directory).frames():
            if core is None:
                core = core_of(decode(frame.payload), policy)
            replay.feed(core, frame)
    except ReplayDivergedError as error:
        result["diverged"] = {"sequence": error.sequence, "reason": str(error)}
    result |= {"events": replay.events, "outputs": replay.outputs, "replayed_ok": result["diverged"] is None}
    return result


def core_of(first: Body, policy: Policy) -> Core:
    """Return the core that a journal's first record describes."""
    if not isinstance(first, SessionStart):
        raise JournalError(f"the journal begins with {type(first).__name__}, not with a session")
    if first.artifact_digest != policy.digest:
        raise JournalError(f"the session ran {first.artifact_digest!r}, this policy is {policy.digest!r}")
    return Core(CoreConfig.from_json(first.config_json), policy)


def show(directory: Path, from_sequence: int = 1, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield records as plain dictionaries: `sequence`, `type`, and the record's fields, units in their names."""
    for count, frame in enumerate(_open(directory).frames(from_sequence)):
        if limit is not None and count >= limit:
            return
        body = decode(frame.payload)
        yield {"sequence": frame.sequence, "type": type(body).__name__, **plain(body)}


def export(directory: Path, out: Path) -> dict[str, Any]:
    """Write the whole journal as JSON lines, one record a line; returns `path`, `records`, `bytes`."""
    out.parent.mkdir(parents=True, exist_ok=True)
    records = 0
    with out.open("w", encoding="ascii") as file:
        for record in show(directory):
            file.write(json.dumps(record, separators=(",", ":")) + "\n")
            records += 1
    return {"path": str(out), "records": records, "bytes": out.stat().st_size}


def plain(body: Body) -> dict[str, Any]:
    """Return a record's fields as JSON values: enumerations by name, arrays as lists."""
    assert is_dataclass(body)
    return {name: _plain_value(getattr(body, name)) for name in body.__dataclass_fields__}


def _plain_value(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _open(directory: Path) -> JournalReader:
    reader = JournalReader(directory)
    if not reader.segments():
        raise FileNotFoundError(f"{directory} holds no journal (segment-*.bsj)")
    return reader
