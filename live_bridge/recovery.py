"""From a journal directory to a core state: the last usable snapshot, then a replay of what follows it."""

from dataclasses import dataclass
from pathlib import Path

from live_bridge.core import Core
from live_bridge.core_snapshot import decode_state, encode_state
from live_bridge.core_state import CoreState
from live_bridge.journal import JournalError, JournalReader
from live_bridge.replaying import Replay
from live_bridge.snapshots import Snapshot, read_snapshots, write_snapshot


class OtherSessionError(JournalError):
    """The journal belongs to another instance, configuration or policy."""


@dataclass(frozen=True)
class Recovered:
    """What the journal says."""

    state: CoreState
    records: int  # in the journal, as far as it was read
    replayed: int  # records after the snapshot
    cut_off: frozenset[str]  # intents that never left


def usable_snapshot(directory: Path) -> Snapshot | None:
    """Return the latest snapshot that the journal's chain confirms, or None."""
    for snapshot in read_snapshots(directory):
        for frame in JournalReader(directory).frames(snapshot.sequence):
            if frame.sequence == snapshot.sequence and frame.digest == snapshot.digest:
                return snapshot
            break
    return None


def recover(directory: Path, core: Core, snapshot: Snapshot | None) -> Recovered:
    """Replay the journal. JournalDamagedError or ReplayDivergedError refuse; the caller must not trade then."""
    state, start = CoreState(), 0
    if snapshot is not None:
        state, start = decode_state(snapshot.payload)
        check_same_session(state, core)
    done = Replay(state)
    reader = JournalReader(directory)
    for frame in reader.frames(start + 1):
        done.feed(core, frame)
        if done.events == 1 and start == 0:
            check_same_session(done.state, core)
    done.note_cut_off()
    return Recovered(done.state, reader.records, done.events + done.outputs, frozenset(done.cut_off))


def check_same_session(state: CoreState, core: Core) -> None:
    """Raise OtherSessionError unless the journal was made with this configuration and policy."""
    session = state.session
    if session is None:
        raise OtherSessionError("the journal does not begin with a session")
    ours = {"config_json": core.config.to_json(), "artifact_digest": core.policy.digest}
    for name, value in ours.items():
        if getattr(session, name) != value:
            raise OtherSessionError(
                f"the journal was made with another {name}: {getattr(session, name)!r}, now {value!r}; "
                "use another session directory"
            )


def save_snapshot(directory: Path, state: CoreState, sequence: int, digest: bytes) -> None:
    """Write the state after record `sequence`, which the journal holds durably."""
    write_snapshot(directory, Snapshot(sequence, digest, encode_state(state, sequence)))
