"""What a command says: one JSON object or a table on standard output, progress and remarks on standard error."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table


class ProgressFn(Protocol):
    """Moves a progress bar."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Say how much is done."""
        ...


class CommandFailed(Exception):  # noqa: N818 - an outcome, not a programming error
    """Ends a command with an exit code and a sentence: 1 check failed, 2 bad input, 3 component missing, 4 nobody."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def _stderr() -> Console:
    return Console(stderr=True)


@dataclass
class Output:
    """How one command talks: `json_mode` prints one object at the end, `quiet` drops progress and remarks."""

    json_mode: bool = False
    quiet: bool = False
    console: Console = field(default_factory=_stderr)

    def say(self, text: str) -> None:
        """Print a remark for people (standard error)."""
        if not self.quiet:
            self.console.print(text, highlight=False, soft_wrap=True)

    def result(self, payload: dict[str, Any]) -> None:
        """Print the command's result: one JSON object, or one `key value` line a field."""
        if self.json_mode:
            sys.stdout.write(json.dumps(payload, default=_jsonable, allow_nan=False) + "\n")
        else:
            for key, value in payload.items():
                print_value(key, value)
        sys.stdout.flush()

    @contextmanager
    def progress(self, label: str, unit: str = "") -> Iterator[ProgressFn]:
        """Yield `advance(done, total)` that draws a progress bar with rate and estimate."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        disabled = self.quiet or self.json_mode
        with Progress(*columns, console=self.console, transient=True, disable=disabled) as bar:
            task = bar.add_task(label, total=None, note="")

            def advance(done: int, total: int, note: str = "") -> None:
                bar.update(task, completed=done, total=total, note=note)

            yield advance


def print_value(key: str, value: Any) -> None:
    """Print one field for people; a list of mappings becomes a table."""
    # Where nobody is looking at a terminal, a table is not cut to 80 columns.
    out = Console(file=sys.stdout, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        out.print(key, style="bold")
        out.print(table(value))
    elif isinstance(value, dict):
        out.print(f"{key:<18} " + json.dumps(value, default=_jsonable), highlight=False)
    else:
        out.print(f"{key:<18} {value}", highlight=False, markup=False)


def table(rows: list[dict[str, Any]]) -> Table:
    """Return rows of equal keys as a rich table."""
    grid = Table(show_edge=False)
    for name in rows[0]:
        grid.add_column(name, justify="left" if isinstance(rows[0][name], str) else "right")
    for row in rows:
        grid.add_row(*(_cell(value) for value in row.values()))
    return grid


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_cell(item) for item in value) + "]"
    return str(value)


def _jsonable(value: Any) -> Any:
    """Let NumPy scalars and arrays, paths and dataclasses of paths into JSON."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "item"):
        return value.item()
    return str(value)
