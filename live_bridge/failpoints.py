"""Named places at which a test may end the process as `kill -9` does.

BOOKSWARM_FAILPOINT="name:count" kills this process the count-th time the place `name` is reached. Unset, which is every
run but a fault test's, `reach` is a dictionary lookup.
"""

import os
import signal
from typing import Final

NAMES: Final = (
    "journal.before_append",
    "journal.mid_append",
    "journal.after_append",
    "journal.mid_rotation",
    "journal.mid_snapshot",
    "session.after_sync_before_send",
    "session.after_send_before_ack",
    "ledger.before_append",
    "ledger.mid_append",
    "ledger.after_append",
    "venue.before_log",
    "venue.after_log",
    "venue.mid_fill",
    "evidence.mid_write",
)


def _parse(text: str) -> dict[str, int]:
    if not text:
        return {}
    name, _, count = text.partition(":")
    if name not in NAMES or not count.isdigit() or int(count) < 1:
        raise ValueError(f"BOOKSWARM_FAILPOINT {text!r} is not NAME:COUNT with NAME one of {NAMES}")
    return {name: int(count)}


_remaining = _parse(os.environ.get("BOOKSWARM_FAILPOINT", ""))


def arm(text: str) -> None:
    """Arm "name:count" in a process whose environment was read before; "" disarms. ValueError as for the variable."""
    _remaining.clear()
    _remaining.update(_parse(text))


def reach(name: str) -> None:
    """Kill the process if this is the armed failpoint's time."""
    if not _remaining or name not in _remaining:
        return
    _remaining[name] -= 1
    if _remaining[name] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def armed(name: str) -> bool:
    """Whether the next `reach` of this name kills; lets a caller write half of what it was about to write."""
    return _remaining.get(name) == 1
