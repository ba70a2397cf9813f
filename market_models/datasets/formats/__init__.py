"""Every recorded format, one module each, read as a stream into the canonical blocks of `blocks`."""

from market_models.datasets.formats.importing import Imported, ImportOptions, open_import
from market_models.datasets.formats.registry import FORMATS, format_names

__all__ = ["FORMATS", "ImportOptions", "Imported", "format_names", "open_import"]
