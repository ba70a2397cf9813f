"""Import one file: detect its format, stream it through its reader, and give canonical blocks and a report."""

import csv
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from market_models.datasets.errors import DataError
from market_models.datasets.formats.blocks import (
    NULL,
    PRICE_COLUMNS,
    PRICE_DECIMALS,
    SIZE_COLUMNS,
    SIZE_DECIMALS,
    Block,
)
from market_models.datasets.formats.fixed import RowError, to_fixed
from market_models.datasets.formats.format import AUTO, Format, ImportOptions
from market_models.datasets.formats.registry import FORMATS, detect
from market_models.datasets.formats.report import ImportReport
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source, file_digest, open_source
from market_models.datasets.locate import licence_tier


class Imported:
    """One import: `report`, and `blocks()` as often as wanted. Use it in a `with` statement: it owns a spool file."""

    def __init__(self, report: ImportReport, sink: Sink, spool: "tempfile._TemporaryFileWrapper[bytes]") -> None:
        self.report, self._sink, self._spool = report, sink, spool

    def blocks(self) -> Iterator[Block]:
        """Yield the rows in ticks and lots, block by block."""
        tick, lot = _per_instrument(self.report, "tick"), _per_instrument(self.report, "lot")
        for kind, first_row, rows in self._sink.blocks():
            out = rows.copy()
            names = out.dtype.names or ()
            for name in PRICE_COLUMNS:
                if name in names:
                    out[name] = _steps(out[name], tick[out["instrument"]])
            for name in SIZE_COLUMNS:
                if name in names:
                    out[name] = _lots(out[name], lot[out["instrument"]])
            yield Block(kind, first_row, out)

    def close(self) -> None:
        """Delete the spool."""
        self._spool.close()

    def __enter__(self) -> "Imported":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_import(
    path: Path | str, options: ImportOptions | None = None, on_read: Callable[[int], None] | None = None
) -> Imported:
    """Read a file to its end and return what it holds.

    `on_read` is told how many bytes of the file were consumed. Memory stays bounded: the rows wait in a temporary file.

    Raises:
        DataError: the file is damaged, or of no known format, or of another format than the one named.
        ValueError: an option is wrong.
    """
    options = options or ImportOptions()
    tick, lot = _step("tick_size", options.tick_size), _step("lot_size", options.lot_size)
    source = open_source(Path(path), on_read)
    chosen = _choose(source, options)
    report = ImportReport(str(path), chosen.name, file_digest(*chosen.files(source)))
    report.tier = find_tier(source.path) or "unknown"
    report.raw_bytes = sum(file.stat().st_size for file in chosen.files(source))
    spool = tempfile.TemporaryFile(prefix="bookswarm-import-")  # noqa: SIM115 - Imported closes it
    try:
        sink = Sink(report, spool, tick, lot)  # pyright: ignore[reportArgumentType]
        chosen.read(source, sink, options)
        sink.finish()
        report.unpacked_bytes = source.unpacked_bytes or report.raw_bytes
        _require_rows(report)
        _count_rounded(report, sink)
    except BaseException:
        spool.close()
        raise
    return Imported(report, sink, spool)  # pyright: ignore[reportArgumentType]


def find_tier(path: Path) -> str | None:
    """Return the licence tier by the nearest manifest.csv above the file, else by the one of the data folder."""
    path = path.resolve()
    for folder in path.parents:
        manifest = folder / "manifest.csv"
        if manifest.is_file():
            name = path.relative_to(folder).as_posix()
            try:
                with manifest.open(newline="", encoding="utf-8") as rows:
                    found = next((row.get("tier") for row in csv.DictReader(rows) if row.get("file") == name), None)
            except (csv.Error, UnicodeDecodeError, OSError):
                return None
            return found
    return licence_tier(path)


def _choose(source: Source, options: ImportOptions) -> Format:
    if options.mapping is not None and options.format == AUTO:
        return next(entry for entry in FORMATS if entry.name == "mapping")
    if options.format != AUTO:
        named = [entry for entry in FORMATS if entry.name == options.format]
        if not named:
            raise ValueError(f"--format {options.format!r}: the formats are auto, {', '.join(f.name for f in FORMATS)}")
        return named[0]
    found = detect(source)
    if found is None:
        raise DataError(source.path, 0, "empty" if not source.head else "of no known format; name one with --format")
    return found


def _require_rows(report: ImportReport) -> None:
    if report.used == 0:
        reasons = ", ".join(f"{count} {reason}" for reason, count in report.quarantined.most_common(3))
        raise DataError(report.path, 0, f"no usable record as {report.format} ({reasons or 'it is empty'})")


def _step(what: str, text: str) -> int:
    if not text:
        return 0
    try:
        step, rounded = to_fixed(text, PRICE_DECIMALS if what == "tick_size" else SIZE_DECIMALS, what)
    except RowError as error:
        raise ValueError(f"{what} {text!r}: {error}") from error
    if step <= 0 or rounded:
        raise ValueError(f"{what} {text!r} is not a positive decimal such as 0.01")
    return step


def _steps(values: np.ndarray, step: np.ndarray) -> np.ndarray:
    return np.where(values == NULL, NULL, values // step)


def _lots(values: np.ndarray, lot: np.ndarray) -> np.ndarray:
    """Return sizes in lots, to the nearest; a size other than zero never becomes zero."""
    nearest = (values + lot // 2) // lot
    return np.where(values == NULL, NULL, np.where((values > 0) & (nearest < 1), 1, nearest))


def _count_rounded(report: ImportReport, sink: Sink) -> None:
    """Count prices and sizes that are no whole number of ticks and lots, where those are coarser than what was seen."""
    tick, price_gcd = _per_instrument(report, "tick"), _per_instrument(report, "price_gcd")
    lot, size_gcd = _per_instrument(report, "lot"), _per_instrument(report, "size_gcd")
    if not ((price_gcd % tick).any() or (size_gcd % lot).any()):
        return
    for _, _, rows in sink.blocks():
        for names, step in ((PRICE_COLUMNS, tick), (SIZE_COLUMNS, lot)):
            for name in set(names) & set(rows.dtype.names or ()):
                known = rows[name] != NULL
                report.rounded += int((rows[name][known] % step[rows["instrument"][known]] != 0).sum())


def _per_instrument(report: ImportReport, what: str) -> np.ndarray:
    return np.array([getattr(units, what) for units in report.instruments], np.int64)
