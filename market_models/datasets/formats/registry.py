"""The formats that `data import` reads. A new one is its module and one line here, and a sample for the contract tests.

The first that recognises a file reads it, so the narrow ones come first.
"""

from importlib import import_module

from market_models.datasets.formats.format import Format
from market_models.datasets.formats.source import Source

_MODULES = (
    "lobster",
    "binance_raw",
    "binance_json",
    "bitfinex_l3",
    "bitstamp",
    "bats_pitch",
    "databento_dbn",
    "databento_csv",
    "itch",
    "bybit_ob",
    "cme",
    "gdax",
    "sgx",
    "session",
    "bars_json",
    "history",
    "feather",
    "lean",
    "tardis",
    "taq",
    "bars_csv",
    "mapping",
)
FORMATS: tuple[Format, ...] = tuple(import_module(f"{__package__}.{name}").FORMAT for name in _MODULES)


def format_names() -> list[str]:
    """Return the names that --format takes, `auto` left out."""
    return [entry.name for entry in FORMATS]


def detect(source: Source) -> Format | None:
    """Return the format of a file by its beginning and name, or None."""
    return next((entry for entry in FORMATS if entry.recognise(source)), None)
