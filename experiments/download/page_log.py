"""Pages of history on disk: appended durably, continued after any interruption, written as one Parquet at the end.

A folder `NAME.parts` holds `query.json` (what was asked), `rows.jsonl` (a row a line) and `pages.jsonl` (a page a line:
rows, bytes so far, SHA-256 of its bytes, the cursor after it, counts so far). A page's rows are on disk before its line
is: whatever is behind the last whole line is cut off and fetched again.
"""

import fcntl
import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from experiments.console import CommandFailed

Row = list[Any]  # [key, time_ms, *texts]


@dataclass
class Progress:
    """Where a fetch stands; the fields of a line of `pages.jsonl`."""

    cursor: int | None = None
    done: bool = False
    pages: int = 0
    rows: int = 0
    bytes: int = 0
    counts: dict[str, int] = field(default_factory=dict)  # what the venue gave that is no row, by reason


class PageLog:
    """The folder of one fetch, opened by one process at a time."""

    def __init__(self, folder: Path, query: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.progress = folder, Progress()
        self._pages = (folder / "pages.jsonl").open("a+b")
        self._lock()
        self.query = self._take_query(query)
        self._recover()
        self.resumed = self.progress.pages > 0
        self._rows = (folder / "rows.jsonl").open("ab")

    def begin(self, cursor: int | None) -> None:
        """Make the first cursor durable; None: there is nothing to fetch."""
        self._append([], cursor, cursor is None, {}, 0)

    def append(self, rows: list[Row], cursor: int | None, done: bool, counts: dict[str, int]) -> None:
        """Make a page durable: its rows first, then its line."""
        self._append(rows, cursor, done, counts, 1)

    def _append(self, rows: list[Row], cursor: int | None, done: bool, counts: dict[str, int], pages: int) -> None:
        data = b"".join(json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in rows)
        self._rows.write(data)
        _sync(self._rows)
        now = self.progress
        now.cursor, now.done, now.counts = cursor, done, counts
        now.pages, now.rows, now.bytes = now.pages + pages, now.rows + len(rows), now.bytes + len(data)
        line = {**vars(now), "sha256": hashlib.sha256(data).hexdigest()}
        self._pages.write(json.dumps(line).encode() + b"\n")
        _sync(self._pages)

    def close(self) -> None:
        """Close the files and let another process in."""
        self._rows.close()
        self._pages.close()

    def remove(self) -> None:
        """Delete the folder, once its rows are elsewhere."""
        self.close()
        shutil.rmtree(self.folder)

    def __enter__(self) -> "PageLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._pages, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._pages.close()
            raise CommandFailed(2, f"{self.folder}: another process is fetching this; let it end first") from None

    def _take_query(self, query: dict[str, Any]) -> dict[str, Any]:
        """Return the query that the folder began with: a bar that was open then is not stored by a later run either."""
        path = self.folder / "query.json"
        if not path.exists():
            write_durably(path, json.dumps(query, indent=1).encode())
        return json.loads(path.read_bytes())

    def _recover(self) -> None:
        path = self.folder / "rows.jsonl"
        path.touch()
        self._pages.seek(0)
        whole = 0
        with path.open("rb") as rows:
            for line in self._pages:
                page = _whole_page(line, rows, self.progress)
                if page is None:
                    break
                self.progress = page
                whole += len(line)
        self._pages.truncate(whole)
        os.truncate(path, self.progress.bytes)


def _whole_page(line: bytes, rows: Any, before: Progress) -> Progress | None:
    """Return the state after a page if its line is whole and its rows have the digest; None if it must be fetched."""
    if not line.endswith(b"\n"):
        return None
    try:
        fields = json.loads(line)
        digest, page = fields.pop("sha256"), Progress(**fields)
    except (ValueError, KeyError, TypeError):
        return None
    data = rows.read(page.bytes - before.bytes)
    return page if hashlib.sha256(data).hexdigest() == digest else None


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that after a crash it is there whole or not at all."""
    part = path.with_name(path.name + ".tmp")
    with part.open("wb") as file:
        file.write(data)
        _sync(file)
    replace_durably(part, path)


def replace_durably(part: Path, path: Path) -> None:
    """Rename, and make the rename itself durable."""
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
