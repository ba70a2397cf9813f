"""The formats that `data import` reads. A new one is its module and one line here, and a sample for the contract tests.

The first that recognises a file reads it, so the narrow ones come first.
"""

from market_models.datasets.formats import (
    bars_csv,
    bars_json,
    binance_json,
    binance_raw,
    feather,
    lean,
    lobster,
    taq,
    tardis,
)
from market_models.datasets.formats.format import Format
from market_models.datasets.formats.source import Source

FORMATS: tuple[Format, ...] = (
    lobster.FORMAT,
    binance_raw.FORMAT,
    binance_json.FORMAT,
    bars_json.FORMAT,
    feather.FORMAT,
    lean.FORMAT,
    tardis.FORMAT,
    taq.FORMAT,
    bars_csv.FORMAT,
)


def format_names() -> list[str]:
    """Return the names that --format takes, `auto` left out."""
    return [entry.name for entry in FORMATS]


def detect(source: Source) -> Format | None:
    """Return the format of a file by its beginning and name, or None."""
    return next((entry for entry in FORMATS if entry.recognise(source)), None)
