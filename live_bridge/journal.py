"""The append-only journal: segments of chained frames, one writer, group commit, an explicit fsync policy.

`append` buffers, `commit` writes everything buffered with one call and syncs as the policy says:
`always` at every commit, `intents` at commits that carry an intent to a venue, `never` (the operating system decides).
`kill -9` loses nothing that was committed under any policy; power loss loses what was not synced.
Opening truncates a torn tail and refuses damage (`JournalDamagedError` with the first bad position).
"""

import fcntl
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Final

from live_bridge.failpoints import armed, reach
from live_bridge.frames import (
    GENESIS,
    SEGMENT_HEADER_BYTES,
    Frame,
    SegmentHeader,
    SegmentScan,
    pack_frame,
    pack_segment_header,
    unpack_segment_header,
)

FSYNC_POLICIES: Final = ("always", "intents", "never")
DEFAULT_NAME: Final = "segment"
DEFAULT_SEGMENT_BYTES: Final = 64 * 2**20
KEPT_TIMES: Final = 1_000_000  # last measurements of writes and syncs


class JournalError(Exception):
    """The journal cannot be used as asked."""


class JournalWriteError(JournalError):
    """The disk refused a write or a sync; nothing buffered counts as durable."""


@dataclass(frozen=True)
class BadPosition:
    """The first place that cannot be read."""

    segment: str
    offset: int
    sequence: int
    reason: str


class JournalDamagedError(JournalError):
    """Bytes in the middle are not what was written; `first_bad` says where."""

    def __init__(self, first_bad: BadPosition) -> None:
        super().__init__(
            f"journal damaged at {first_bad.segment} byte {first_bad.offset} "
            f"(record {first_bad.sequence}, {first_bad.reason}); restore it or rebuild from the venue"
        )
        self.first_bad = first_bad


class JournalReader:
    """Reads a journal's segments in order and remembers how they end."""

    def __init__(self, directory: Path, name: str = DEFAULT_NAME) -> None:
        self.directory, self.name = directory, name
        self.records = 0
        self.next_sequence = 1
        self.digest = GENESIS
        self.torn_tail_bytes = 0
        self.end_offset = 0  # of the last segment
        self.last_segment: Path | None = None

    def segments(self) -> list[Path]:
        """Return the segment files in order."""
        return sorted(self.directory.glob(f"{self.name}-*.bsj"))

    def frames(self, from_sequence: int = 1) -> Iterator[Frame]:
        """Yield every frame from `from_sequence` on; JournalDamagedError at the first bad position.

        Segments that end before `from_sequence` are not read; the one that holds it is checked from its start.
        """
        paths = self.segments()
        first = self._first_needed(paths, from_sequence)
        for position in range(first, len(paths)):
            is_last = position == len(paths) - 1
            chained = position > first
            for frame in self._segment(paths[position], is_last, None if chained else from_sequence):
                if frame.sequence >= from_sequence:
                    yield frame

    def _first_needed(self, paths: list[Path], from_sequence: int) -> int:
        needed = 0
        for position, path in enumerate(paths):
            with path.open("rb") as file:
                header = unpack_segment_header(file.read(SEGMENT_HEADER_BYTES))
            if header is None or header.first_sequence > from_sequence:
                break
            needed = position
        return needed

    def _segment(self, path: Path, is_last: bool, starts_at: int | None) -> Iterator[Frame]:
        """Yield a segment's frames; `starts_at` is None for one that must continue the segment before it."""
        data = path.read_bytes()
        self.last_segment = path
        header = unpack_segment_header(data)
        if header is None:
            if not (is_last and len(data) < SEGMENT_HEADER_BYTES):
                raise self._damaged(path, 0, "segment header")
            self.torn_tail_bytes, self.end_offset = len(data), 0
            return
        in_order = path.name == segment_name(self.name, header.index)
        if starts_at is None:
            in_order &= (header.first_sequence, header.previous) == (self.next_sequence, self.digest)
        elif header.index == 1:
            in_order &= (header.first_sequence, header.previous) == (1, GENESIS)
        else:
            in_order &= header.first_sequence <= starts_at
        if not in_order:
            raise self._damaged(path, 0, "segment order")
        yield from self._scan(SegmentScan(data, header), path, is_last)

    def _scan(self, scan: SegmentScan, path: Path, is_last: bool) -> Iterator[Frame]:
        self.next_sequence, self.digest = scan.sequence, scan.digest
        for frame in scan:
            self.records += 1
            self.next_sequence, self.digest = scan.sequence, scan.digest
            yield frame
        if scan.flaw is not None:
            if not (is_last and scan.flaw.torn):
                raise self._damaged(path, scan.flaw.offset, scan.flaw.reason)
            self.torn_tail_bytes = len(scan.data) - scan.end
        self.end_offset = scan.end

    def _damaged(self, path: Path, offset: int, reason: str) -> JournalDamagedError:
        return JournalDamagedError(BadPosition(path.name, offset, self.next_sequence, reason))


def segment_name(name: str, index: int) -> str:
    """Return the file name of a segment."""
    return f"{name}-{index:08d}.bsj"


class Journal:
    """The one writer of a journal directory. Not thread-safe; a second writer is refused by a file lock."""

    def __init__(
        self,
        directory: Path,
        fsync: str = "intents",
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        name: str = DEFAULT_NAME,
        trusted_sequence: int = 0,
    ) -> None:
        """Open or create; `trusted_sequence`: a verified snapshot covers the records up to it, they are not read."""
        if fsync not in FSYNC_POLICIES:
            raise ValueError(f"fsync {fsync!r} is not one of {FSYNC_POLICIES}")
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.fsync, self.segment_bytes, self.name = directory, fsync, segment_bytes, name
        self._point = "journal" if name == DEFAULT_NAME else name  # of this journal's failpoints
        self._lock = _lock(directory / f"{name}.lock")
        self._buffer: list[bytes] = []
        self._descriptor = -1
        self._failed = ""
        self.write_ns: deque[int] = deque(maxlen=KEPT_TIMES)  # of each commit's write
        self.sync_ns: deque[int] = deque(maxlen=KEPT_TIMES)  # of each fsync
        try:
            self._open(trusted_sequence)
        except BaseException:
            self.close()
            raise

    def _open(self, trusted_sequence: int) -> None:
        reader = JournalReader(self.directory, self.name)
        for _ in reader.frames(trusted_sequence + 1):
            pass
        self.next_sequence, self.digest = reader.next_sequence, reader.digest
        self._written = (reader.next_sequence, reader.digest)
        self.torn_tail_bytes = reader.torn_tail_bytes
        if reader.last_segment is None:
            self._index = 0
            self._start_segment()
            return
        self._index = int(reader.last_segment.stem.rpartition("-")[2])
        if reader.end_offset < SEGMENT_HEADER_BYTES:  # the process died while it started this segment
            reader.last_segment.unlink()
            self._index -= 1
            self._start_segment()
            return
        self._descriptor = os.open(reader.last_segment, os.O_WRONLY)
        self._end = reader.end_offset
        if reader.torn_tail_bytes:
            os.ftruncate(self._descriptor, self._end)
            os.fsync(self._descriptor)
        os.lseek(self._descriptor, self._end, os.SEEK_SET)

    def append(self, payload: bytes) -> int:
        """Buffer one record and return its sequence number; it is not durable before `commit`."""
        if self._failed:
            raise JournalWriteError(f"journal {self.directory} stopped: {self._failed}")
        frame, self.digest = pack_frame(self.next_sequence, self.digest, payload)
        self._buffer.append(frame)
        self.next_sequence += 1
        return self.next_sequence - 1

    def commit(self, has_intents: bool) -> None:
        """Write all that is buffered; sync by policy. JournalWriteError means that nothing of it is durable."""
        if not self._buffer:
            return
        if self._failed:
            raise JournalWriteError(f"journal {self.directory} stopped: {self._failed}")
        data = b"".join(self._buffer)
        self._buffer.clear()
        try:
            if self._end >= self.segment_bytes:
                self._start_segment()
            self._write(data)
            if self.fsync == "always" or (has_intents and self.fsync == "intents"):
                self._sync()
        except OSError as error:
            self._fail(error)
            raise JournalWriteError(f"journal {self.directory}: {error}") from error
        self._end += len(data)
        self._written = (self.next_sequence, self.digest)

    def _write(self, data: bytes) -> None:
        reach(f"{self._point}.before_append")
        began = perf_counter_ns()
        if armed(f"{self._point}.mid_append"):
            os.write(self._descriptor, data[: len(data) // 2])
        reach(f"{self._point}.mid_append")
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self.write_ns.append(perf_counter_ns() - began)
        reach(f"{self._point}.after_append")

    def _sync(self) -> None:
        began = perf_counter_ns()
        os.fdatasync(self._descriptor)
        self.sync_ns.append(perf_counter_ns() - began)

    def _start_segment(self) -> None:
        if self._descriptor >= 0:
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
        sequence, digest = self._written
        path = self.directory / segment_name(self.name, self._index + 1)
        header = pack_segment_header(SegmentHeader(self._index + 1, sequence, digest))
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        if armed("journal.mid_rotation"):
            os.write(self._descriptor, header[:20])
        reach("journal.mid_rotation")
        os.write(self._descriptor, header)
        os.fsync(self._descriptor)
        _sync_directory(self.directory)
        self._index, self._end = self._index + 1, SEGMENT_HEADER_BYTES

    def _fail(self, error: OSError) -> None:
        """Take back what was half written, so that the file ends with the last durable record."""
        self._failed = str(error)
        self.next_sequence, self.digest = self._written
        try:
            os.ftruncate(self._descriptor, self._end)
            os.lseek(self._descriptor, self._end, os.SEEK_SET)
        except OSError as second:
            self._failed += f"; and truncating: {second}"

    def close(self) -> None:
        """Sync and close; what was appended and not committed is dropped."""
        if self._descriptor >= 0:
            if not self._failed:
                os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise JournalError(f"{path.parent} is open in another process") from error
    return descriptor


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
