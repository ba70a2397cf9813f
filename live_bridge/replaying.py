"""Running a journal's events through the core again: the basis of recovery and of `journal verify --replay`.

The core is deterministic, so every journalled output must come out again, bit for bit. Outputs may be missing in one
place only: after the last event of a process that died, where the write of its outputs was cut off. An intent among
them never left, because intents leave after they are in the journal.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from live_bridge.core import Core
from live_bridge.core_state import CoreState
from live_bridge.frames import Frame
from live_bridge.records import decode, encode, is_event
from live_bridge.types import NewIntent, Output, SessionStart


class ReplayDivergedError(ValueError):
    """The core does not give what the journal holds: another policy, configuration, program or machine."""

    def __init__(self, sequence: int, reason: str) -> None:
        super().__init__(f"record {sequence}: {reason}")
        self.sequence = sequence


@dataclass
class Replay:
    """Where a replay stands."""

    state: CoreState
    events: int = 0
    outputs: int = 0
    cut_off: list[str] = field(default_factory=list)  # client order ids of intents that never left
    _expected: deque[Output] = field(default_factory=deque)

    def feed(self, core: Core, frame: Frame) -> None:
        """Take one journal record; ReplayDivergedError if the core does not agree with it."""
        body = decode(frame.payload)
        if is_event(body):
            restart = isinstance(body, SessionStart) and body.recovered
            if self._expected and not restart:
                raise ReplayDivergedError(
                    frame.sequence, f"{len(self._expected)} outputs of the event before it are missing"
                )
            self.note_cut_off()
            self.state, outputs = core.step(self.state, body)  # type: ignore[arg-type]
            self._expected = deque(outputs)
            self.events += 1
            return
        if not self._expected:
            raise ReplayDivergedError(frame.sequence, f"{type(body).__name__} is not an output of the event before it")
        ours = self._expected.popleft()
        if encode(ours) != frame.payload:
            raise ReplayDivergedError(frame.sequence, f"the core gives {ours}, the journal holds {body}")
        self.outputs += 1

    def note_cut_off(self) -> None:
        """Count the outputs that are still expected as never written."""
        self.cut_off += [output.client_order_id for output in self._expected if isinstance(output, NewIntent)]
        self._expected.clear()


def replay(core: Core, state: CoreState, frames: Iterable[Frame]) -> Replay:
    """Run frames through the core from `state`; ReplayDivergedError at the first difference."""
    done = Replay(state)
    for frame in frames:
        done.feed(core, frame)
    return done
