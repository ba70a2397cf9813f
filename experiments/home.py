"""Where bookswarm keeps what it makes: `$BOOKSWARM_HOME`, by default ~/.local/share/bookswarm."""

import os
import subprocess
from pathlib import Path

DEFAULT_HOME = Path("~/.local/share/bookswarm")


def home() -> Path:
    """Return the absolute home directory (not created)."""
    return Path(os.environ.get("BOOKSWARM_HOME") or DEFAULT_HOME).expanduser().resolve()


def warehouse_dir() -> Path:
    """Return the directory of the embedded ClickHouse database."""
    return home() / "warehouse"


def git_commit() -> str:
    """Return the commit of this checkout, with `-dirty` where the tree has changes, or `unknown` outside git."""
    root = Path(__file__).resolve().parents[1]
    try:
        head = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
        status = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain"], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{head}-dirty" if status else head
