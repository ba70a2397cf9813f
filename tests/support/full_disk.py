"""A disk that is full at a known byte: the operating system's limit on the size of a file."""

import sys

_LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execv(sys.argv[2], sys.argv[2:])
"""


def on_a_full_disk(most_bytes: int, command: list[str]) -> list[str]:
    """Return `command` with every file limited to `most_bytes`; no code of ours runs between fork and exec."""
    return [sys.executable, "-c", _LIMITED, str(most_bytes), *command]
