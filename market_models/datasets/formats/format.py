"""What a format is: a name, how to recognise a file of it, and a reader."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source

AUTO = "auto"


@dataclass(frozen=True)
class ImportOptions:
    """What the user says of a file; empty: find out."""

    format: str = AUTO
    instrument: str = ""  # name of the only instrument of a file that does not name it
    tick_size: str = ""  # decimal text; prices between two ticks are rounded down and counted
    lot_size: str = ""
    mapping: Path | None = None  # YAML: how a table's columns are to be read

    def name_or(self, default: str) -> str:
        """Return the instrument's name, or the default."""
        return self.instrument or default or "unknown"


def _own_file(source: Source) -> list[Path]:
    return [source.path]


@dataclass(frozen=True)
class Format:
    """One recorded format.

    `recognise` looks at the name and the first bytes only. `read` streams the file into the sink: it raises DataError
    for a file that is damaged or not of this format, and quarantines records with a reason. `files` are those that one
    import reads, the first of them the source.
    """

    name: str
    recognise: Callable[[Source], bool]
    read: Callable[[Source, Sink, ImportOptions], None]
    files: Callable[[Source], list[Path]] = field(default=_own_file)
