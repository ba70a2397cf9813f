"""Writing a file so that a reader finds the old one or the new one, never a part: temporary file, fsync, rename."""

import os
from pathlib import Path

from live_bridge.failpoints import armed, reach


def write_whole(path: Path, text: str) -> None:
    """Write a file whole and durably. OSError leaves the earlier one as it was, and nothing beside it."""
    partial = path.with_name(f"{path.name}.partial")
    data = text.encode()
    try:
        with partial.open("wb") as file:
            if armed("evidence.mid_write"):
                file.write(data[: len(data) // 2])
                file.flush()
            reach("evidence.mid_write")
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the rename itself
    finally:
        os.close(directory)
