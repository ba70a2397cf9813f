"""Snapshots of the core's state beside the journal, so that a restart replays only what came after.

A snapshot is a file `snapshot-SEQUENCE.bss`: magic, sequence, the journal's chain hash there, payload length,
CRC32C of all the rest, payload. It is written under another name, synced and renamed: whole or absent. One that is
damaged, or whose chain hash the journal does not continue, is skipped: the journal alone is the truth.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import google_crc32c

from live_bridge.failpoints import armed, reach
from live_bridge.frames import HASH_BYTES

_MAGIC: Final = b"BSWSNAP1"
_CHECKED: Final = struct.Struct(f"<8sQ{HASH_BYTES}sI")
_HEADER_BYTES: Final = _CHECKED.size + 4
KEPT: Final = 2


@dataclass(frozen=True)
class Snapshot:
    """A state after record `sequence` of the journal whose chain hash was `digest`."""

    sequence: int
    digest: bytes
    payload: bytes


def write_snapshot(directory: Path, snapshot: Snapshot) -> Path:
    """Write one durably and remove all but the last KEPT; OSError leaves the earlier ones in place."""
    checked = _CHECKED.pack(_MAGIC, snapshot.sequence, snapshot.digest, len(snapshot.payload))
    header = checked + google_crc32c.value(checked + snapshot.payload).to_bytes(4, "little")
    path = directory / f"snapshot-{snapshot.sequence:020d}.bss"
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        if armed("journal.mid_snapshot"):
            file.write(header + snapshot.payload[: len(snapshot.payload) // 2])
            file.flush()
        reach("journal.mid_snapshot")
        file.write(header + snapshot.payload)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    for old in sorted(directory.glob("snapshot-*.bss"))[:-KEPT]:
        old.unlink()
    return path


def read_snapshots(directory: Path) -> list[Snapshot]:
    """Return the whole snapshots, latest first; damaged ones are left out."""
    found = (_read(path) for path in sorted(directory.glob("snapshot-*.bss"), reverse=True))
    return [snapshot for snapshot in found if snapshot is not None]


def _read(path: Path) -> Snapshot | None:
    data = path.read_bytes()
    if len(data) < _HEADER_BYTES:
        return None
    checked, crc = data[: _CHECKED.size], int.from_bytes(data[_CHECKED.size : _HEADER_BYTES], "little")
    magic, sequence, digest, length = _CHECKED.unpack(checked)
    payload = data[_HEADER_BYTES:]
    if magic != _MAGIC or len(payload) != length or google_crc32c.value(checked + payload) != crc:
        return None
    return Snapshot(sequence, digest, payload)
