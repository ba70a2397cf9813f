"""Where recorded data lies on this machine, and under which licence tier."""

import csv
import os
from pathlib import Path

DATA_VARIABLE = "BOOKSWARM_DATA"


def find_data() -> Path | None:
    """Return the absolute folder of recorded data: $BOOKSWARM_DATA, else ./data, else None."""
    named = os.environ.get(DATA_VARIABLE)
    candidates = ([Path(named)] if named else []) + [Path("data")]
    return next((path.resolve() for path in candidates if path.is_dir()), None)


def licence_tier(path: Path | str, root: Path | None = None) -> str | None:
    """Return the tier that `manifest.csv` of the data folder gives the file, or None where it lists no such file."""
    root = root or find_data()
    if root is None or not (root / "manifest.csv").is_file():
        return None
    file = Path(path).resolve()
    if not file.is_relative_to(root.resolve()):
        return None
    name = file.relative_to(root.resolve()).as_posix()
    with (root / "manifest.csv").open(newline="", encoding="utf-8") as rows:
        return next((row.get("tier") for row in csv.DictReader(rows) if row.get("file") == name), None)
