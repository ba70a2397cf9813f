"""Files of a run directory, written whole or not at all."""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def write_bytes(path: Path, data: bytes) -> Path:
    """Write a file beside its place and rename it there; parents are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path)
    try:
        draft.write_bytes(data)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def write_json(path: Path, document: Any) -> Path:
    """Write JSON for people and scripts; raises ValueError for a number that is not finite."""
    text = json.dumps(document, indent=1, sort_keys=False, allow_nan=False)
    return write_bytes(path, text.encode() + b"\n")


def read_json(path: Path, made_by: str) -> Any:
    """Return the document; FileNotFoundError says which command (`made_by`) writes it."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not there; `bookswarm {made_by}` writes it")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: is not JSON: {error}") from error


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write named arrays, compressed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path)
    try:
        with draft.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def write_parquet(path: Path, table: pa.Table) -> Path:
    """Write an Arrow table as parquet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path)
    try:
        pq.write_table(table, draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.partial")
