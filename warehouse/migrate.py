"""Numbered schema changes, each applied once, in order, and never edited afterwards."""

import hashlib
import re
import time
from pathlib import Path
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from warehouse.errors import WarehouseError

MIGRATIONS = Path(__file__).parent / "migrations"

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations
(number UInt32, name String, digest String, applied_ns Int64)
ENGINE = ReplacingMergeTree ORDER BY number
"""


class Migration(NamedTuple):
    """One numbered file."""

    number: int
    name: str
    digest: str  # SHA-256 of the file
    statements: tuple[str, ...]


def read_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """Read `NNNN_name.sql` files in order; numbers run 1, 2, 3 without gaps.

    Raises:
        WarehouseError: a file name or a number is out of order.
    """
    found = []
    for expected, path in enumerate(sorted(folder.glob("*.sql")), start=1):
        match = re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.sql", path.name)
        if not match or int(match[1]) != expected:
            raise WarehouseError(f"{path}: expected a migration named {expected:04d}_name.sql")
        text = path.read_text()
        found.append(Migration(expected, match[2], hashlib.sha256(text.encode()).hexdigest(), split_statements(text)))
    return found


def split_statements(text: str) -> tuple[str, ...]:
    """Return the statements of a file: comment lines dropped, split where a line ends with a semicolon."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    parts = re.split(r";\s*$", "\n".join(lines), flags=re.MULTILINE)
    return tuple(part.strip() for part in parts if part.strip())


def migrate(client: Client, folder: Path = MIGRATIONS) -> list[int]:
    """Apply what is missing and return the numbers applied.

    A crash inside a migration is repaired by the next call: repeating a statement is harmless (IF NOT EXISTS).

    Raises:
        WarehouseError: an applied migration differs from its file, or the store knows one that this version does not.
    """
    client.command(_LEDGER)
    applied = {row[0]: row for row in client.query("SELECT number, name, digest FROM schema_migrations").result_rows}
    known = read_migrations(folder)
    _check_history(applied, known)
    pending = [migration for migration in known if migration.number not in applied]
    for migration in pending:
        for statement in migration.statements:
            client.command(statement)
        client.insert(
            "schema_migrations",
            [[migration.number, migration.name, migration.digest, time.time_ns()]],
            column_names=["number", "name", "digest", "applied_ns"],
        )
    return [migration.number for migration in pending]


def _check_history(applied: dict, known: list[Migration]) -> None:
    by_number = {migration.number: migration for migration in known}
    for number, name, digest in sorted(applied.values()):
        here = by_number.get(number)
        if here is None:
            raise WarehouseError(f"migration {number:04d}_{name} was applied by a newer bookswarm; update this one")
        if here.digest != digest:
            raise WarehouseError(
                f"migration {number:04d}_{name} was changed after it was applied (file {here.digest[:12]}, "
                f"store {digest[:12]}); restore the file and add a new migration instead"
            )
