"""Raw messages on disk: `<local ns> <json>` a line, in gzip, a file an hour, whole after any crash.

Every batch is one gzip member, on disk (fsync) before the next is begun, so a power cut costs at most the last batch. A
file is `NAME.gz.part` until it is closed; one that a crash left behind is cut after its last whole member and named.
"""

import gzip
import io
import os
import zlib
from datetime import UTC, datetime
from pathlib import Path

from experiments.download.page_log import replace_durably

_LEVEL = 6
_CHUNK = 1 << 20


class StreamLog:
    """The files of one symbol, one after the other."""

    def __init__(self, folder: Path, symbol: str) -> None:
        self.files: list[Path] = []
        self._folder, self._symbol = folder, symbol
        self._part: Path | None = None
        self._file: io.FileIO | None = None
        self._failed = False

    def write(self, lines: list[bytes]) -> None:
        """Make a batch durable; the first one of a file opens it and names it after its first line's time.

        After an OSError the file ends with the batch before, and nothing more is written.
        """
        if not lines or self._failed:
            return
        file = self._file or self._open(int(lines[0].split(b" ", 1)[0]))
        before, rest = file.tell(), gzip.compress(b"".join(lines), _LEVEL, mtime=0)
        try:
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except OSError:
            self._failed = True
            file.truncate(before)
            file.seek(before)
            raise

    def end_file(self) -> None:
        """Close the file and give it its name; the next batch opens another."""
        if self._file is None or self._part is None:
            return
        size = self._file.tell()
        self._file.close()
        name = self._part.with_suffix("")
        if size:
            replace_durably(self._part, name)
            self.files.append(name)
        else:  # not even the first batch could be written
            self._part.unlink()
        self._file = self._part = None

    def _open(self, first_ns: int) -> io.FileIO:
        at = datetime.fromtimestamp(first_ns // 1_000_000_000, UTC)
        name = f"{self._symbol.lower()}_{at:%Y%m%dT%H%M%S}{first_ns % 1_000_000_000:09d}.gz"
        self._part = self._folder / f"{name}.part"
        self._file = io.FileIO(self._part, "x")
        return self._file


def salvage(folder: Path, symbol: str) -> list[Path]:
    """Give the files that a crash left unnamed their names, cut after the last whole batch; return them."""
    out = []
    for part in sorted(folder.glob(f"{symbol.lower()}_*.gz.part")):
        whole = whole_bytes(part)
        if not whole:
            part.unlink()
            continue
        os.truncate(part, whole)
        replace_durably(part, part.with_suffix(""))
        out.append(part.with_suffix(""))
    return out


def whole_bytes(path: Path) -> int:
    """Return how many bytes of a gzip file are whole members."""
    whole, position, member = 0, 0, zlib.decompressobj(wbits=31)
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            position += len(data)
            try:
                while data:
                    member.decompress(data)
                    if not member.eof:
                        break
                    data = member.unused_data
                    whole, member = position - len(data), zlib.decompressobj(wbits=31)
            except zlib.error:
                return whole
    return whole
