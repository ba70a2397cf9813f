"""Small JSON files of fitted parameters: found by path or by the name of a shipped one, written whole or not at all."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def shipped_names(folder: Path) -> list[str]:
    """Return the names of the files that come with the project in `folder`."""
    return sorted(path.stem for path in folder.glob("*.json"))


def load_parameters(name: Path | str, folder: Path, what: str) -> tuple[Path, Any]:
    """Return the path and the JSON of a file, or of the shipped one of that name in `folder`.

    Raises ValueError that names the file, and what `folder` holds where there is none.
    """
    path = Path(name)
    if not path.is_file():
        path = folder / f"{name}.json"
    if not path.is_file():
        raise ValueError(f"no {what} {str(name)!r}: neither a file nor one of {shipped_names(folder)}")
    try:
        return path, json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: not JSON ({error})") from error


def write_parameters(path: Path | str, text: str) -> Path:
    """Write a file whole and durable under its name or not at all; parents are made."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)
    return target
