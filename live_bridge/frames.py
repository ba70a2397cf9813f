"""The journal's bytes: segment headers, frames, and the scan that tells a torn tail from damage.

A segment is a 48-byte header and frames. A frame is a 40-byte header and a payload:

    sync u32 | length u32 | sequence u64 | hash of the previous frame [16] | payload CRC32C u32 | header CRC32C u32

all little-endian. The hash is BLAKE2b-128 over the whole previous frame: the frames form a chain; the first frame
of a segment continues the chain from the segment's header. The header has a checksum of its own, so that a damaged
length is never believed.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import google_crc32c

HASH_BYTES: Final = 16
_FRAME: Final = struct.Struct("<IIQ16sII")
_FRAME_CHECKED: Final = struct.Struct("<IIQ16sI")
_SEGMENT: Final = struct.Struct("<8sQQ16sII")
_SEGMENT_CHECKED: Final = struct.Struct("<8sQQ16s")
SYNC: Final = 0xB5A7C03D
_SYNC_BYTES: Final = struct.pack("<I", SYNC)
MAGIC: Final = b"BSWJRNL1"
FRAME_HEADER_BYTES: Final = _FRAME.size
SEGMENT_HEADER_BYTES: Final = _SEGMENT.size
MAX_PAYLOAD_BYTES: Final = 2**24
GENESIS: Final = bytes(HASH_BYTES)  # what the first segment of a journal continues


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """What a segment says about itself."""

    index: int  # counts from 1
    first_sequence: int
    previous: bytes  # hash of the frame before its first one


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame."""

    sequence: int
    payload: bytes
    offset: int  # of its header in the segment
    digest: bytes  # what the next frame must name


@dataclass(frozen=True, slots=True)
class Flaw:
    """Where a segment stops being readable. `torn`: a write that never finished, with nothing readable after it."""

    offset: int
    sequence: int  # of the frame that should have been there
    torn: bool
    reason: str


def pack_frame(sequence: int, previous: bytes, payload: bytes) -> tuple[bytes, bytes]:
    """Return (frame, its digest); ValueError if the payload is too long."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a record of {len(payload)} bytes is above the journal's {MAX_PAYLOAD_BYTES}")
    checked = _FRAME_CHECKED.pack(SYNC, len(payload), sequence, previous, google_crc32c.value(payload))
    frame = checked + google_crc32c.value(checked).to_bytes(4, "little") + payload
    return frame, digest_of(frame)


def digest_of(frame: bytes | memoryview) -> bytes:
    """Return the hash of a whole frame."""
    return blake2b(frame, digest_size=HASH_BYTES).digest()


def pack_segment_header(header: SegmentHeader) -> bytes:
    """Return the 48 bytes of a segment's header."""
    checked = _SEGMENT_CHECKED.pack(MAGIC, header.index, header.first_sequence, header.previous)
    return checked + struct.pack("<II", google_crc32c.value(checked), 0)


def unpack_segment_header(data: bytes) -> SegmentHeader | None:
    """Return the header at the start of `data`, or None if it is short or damaged."""
    if len(data) < SEGMENT_HEADER_BYTES:
        return None
    magic, index, first, previous, crc, zero = _SEGMENT.unpack_from(data)
    if magic != MAGIC or zero != 0 or crc != google_crc32c.value(data[: _SEGMENT_CHECKED.size]):
        return None
    return SegmentHeader(index, first, previous)


class SegmentScan:
    """Iterates over the frames of one segment's bytes; afterwards `flaw` says why it stopped, None at a clean end."""

    def __init__(self, data: bytes, header: SegmentHeader) -> None:
        self.data = data
        self.flaw: Flaw | None = None
        self.end = SEGMENT_HEADER_BYTES  # first byte after the last good frame
        self.sequence = header.first_sequence  # of the next frame
        self.digest = header.previous

    def __iter__(self) -> Iterator[Frame]:
        while self.end < len(self.data):
            reason = self._flaw_at(self.end)
            if reason:
                torn = reason not in _NEVER_TORN and not self._frame_after(self.end)
                self.flaw = Flaw(self.end, self.sequence, torn, reason)
                return
            length = _FRAME.unpack_from(self.data, self.end)[1]
            start, stop = self.end, self.end + FRAME_HEADER_BYTES + length
            whole = self.data[start:stop]
            self.end, self.digest = stop, digest_of(whole)
            self.sequence += 1
            yield Frame(self.sequence - 1, whole[FRAME_HEADER_BYTES:], start, self.digest)

    def _flaw_at(self, offset: int) -> str:
        if not _header_is_whole(self.data, offset):
            return "header"
        _, length, sequence, previous, crc, _ = _FRAME.unpack_from(self.data, offset)
        if sequence != self.sequence:
            return "sequence"
        if previous != self.digest:
            return "chain"
        start = offset + FRAME_HEADER_BYTES
        if start + length > len(self.data):
            return "length"
        return "" if crc == google_crc32c.value(self.data[start : start + length]) else "payload"

    def _frame_after(self, offset: int) -> bool:
        """Whether any frame header is readable after `offset`: then what is unreadable was once written whole."""
        found = self.data.find(_SYNC_BYTES, offset + 1)
        while found != -1:
            if _header_is_whole(self.data, found) and _FRAME.unpack_from(self.data, found)[2] > self.sequence:
                return True
            found = self.data.find(_SYNC_BYTES, found + 1)
        return False


_NEVER_TORN = ("sequence", "chain")  # the header's checksum holds, so it was written whole


def _header_is_whole(data: bytes, offset: int) -> bool:
    if offset + FRAME_HEADER_BYTES > len(data):
        return False
    checked = data[offset : offset + _FRAME_CHECKED.size]
    sync, *_, crc = _FRAME.unpack_from(data, offset)
    return sync == SYNC and crc == google_crc32c.value(checked)
