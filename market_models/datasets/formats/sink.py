"""Where readers put canonical rows: checked, counted, and spooled to disk in blocks, so that memory stays bounded."""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from market_models.datasets.formats.blocks import (
    BLOCK_ROWS,
    KINDS,
    MAX_INT64,
    NULL,
    PRICE_COLUMNS,
    SIZE_COLUMNS,
    SIZE_DECIMALS,
    Block,
)
from market_models.datasets.formats.fixed import RowError, gcd_of
from market_models.datasets.formats.report import ImportReport, Units


class Sink:
    """Collects the rows of one import.

    Row by row: `add` the rows of one record, then `commit` them (the record is used), or `quarantine` or `skip` the
    record, which drops what it had added. Whole columns at once: `write`. `report.rows` is counted by whoever frames
    the records, so that a reader that loses one is found out by `finish`.
    """

    def __init__(self, report: ImportReport, spool: BinaryIO, tick: int = 0, lot: int = 0) -> None:
        self.report = report
        self._spool = spool
        self._given = (tick, lot)
        self._pending: list[tuple[str, tuple]] = []
        self._rows: dict[str, list[tuple]] = {kind: [] for kind in KINDS}
        self._blocks: list[tuple[str, int]] = []
        self._index: dict[str, int] = {}
        self._last_ns: dict[str, int] = {}

    def instrument(self, name: str, size_decimals: int = SIZE_DECIMALS) -> int:
        """Return the number of an instrument, new or known; its fixed-point sizes have `size_decimals`."""
        index = self._index.get(name)
        if index is None:
            index = self._index[name] = len(self._index)
            tick, lot = self._given
            lot //= 10 ** (SIZE_DECIMALS - size_decimals)
            self.report.instruments.append(Units(name, given_tick=tick, given_lot=lot, size_decimals=size_decimals))
        return index

    def add(self, kind: str, *values: int) -> None:
        """Add one row of the current record, its values in the order of KINDS[kind]; RowError beyond 64 bits."""
        if max(values) > MAX_INT64 or min(values) < NULL:
            raise RowError("a number does not fit in 64 bits")
        self._pending.append((kind, values))

    def commit(self, time_ns: int | None = None, clock: str = "") -> None:
        """Keep what the current record added; `time_ns` of a record older than the last of its clock is counted."""
        for kind, values in self._pending:
            rows = self._rows[kind]
            rows.append(values)
            if len(rows) >= BLOCK_ROWS:
                self._flush(kind)
        self._pending.clear()
        self.report.used += 1
        if time_ns is not None:
            self.report.back_steps += time_ns < self._last_ns.get(clock, time_ns)
            self._last_ns[clock] = time_ns

    def quarantine(self, reason: str, count: int = 1) -> None:
        """Drop what the current record added and count it under the reason."""
        self._pending.clear()
        if count:
            self.report.quarantined[reason] += count

    def skip(self, what: str, count: int = 1) -> None:
        """Count records that are well formed and say nothing that is stored."""
        self._pending.clear()
        if count:
            self.report.unused[what] += count

    def write(self, kind: str, rows: np.ndarray, used: int | None = None) -> None:
        """Store a structured array; `used` records brought it (default: one a row)."""
        self._flush(kind)
        self.report.used += len(rows) if used is None else used
        for start in range(0, len(rows), BLOCK_ROWS):
            self._store(kind, rows[start : start + BLOCK_ROWS])

    def watch_times(self, time_ns: np.ndarray, clock: str = "") -> None:
        """Count the steps back in a run of record times; the last one is remembered by clock."""
        if len(time_ns):
            last = self._last_ns.get(clock, int(time_ns[0]))
            self.report.back_steps += int((np.diff(time_ns, prepend=last) < 0).sum())
            self._last_ns[clock] = int(time_ns[-1])

    def finish(self) -> None:
        """Flush, and check that every record is accounted for."""
        for kind in KINDS:
            self._flush(kind)
        report = self.report
        counted = report.used + report.unused.total() + report.quarantined.total()
        if counted != report.rows:
            raise AssertionError(f"{report.format}: {report.rows} records, {counted} accounted for")

    def blocks(self) -> Iterator[Block]:
        """Yield what was stored, block by block, in fixed-point units."""
        self._spool.seek(0)
        first_row = dict.fromkeys(KINDS, 0)
        for kind, length in self._blocks:
            rows = np.frombuffer(self._spool.read(length * KINDS[kind].itemsize), KINDS[kind])
            yield Block(kind, first_row[kind], rows)
            first_row[kind] += length

    def _flush(self, kind: str) -> None:
        if self._rows[kind]:
            rows = np.array(self._rows[kind], KINDS[kind])
            self._rows[kind] = []
            self._store(kind, rows)

    def _store(self, kind: str, rows: np.ndarray) -> None:
        if not len(rows):
            return
        self._see(kind, rows)
        self._spool.write(rows.tobytes())
        self._blocks.append((kind, len(rows)))
        self.report.stored[kind] += len(rows)

    def _see(self, kind: str, rows: np.ndarray) -> None:
        """Learn times and steps."""
        self.report.see_times(rows["exchange_ns"], rows["local_ns"])
        names = KINDS[kind].names or ()
        for index in np.unique(rows["instrument"]):
            units = self.report.instruments[index]
            own = rows[rows["instrument"] == index]
            for name in PRICE_COLUMNS:
                if name in names:
                    units.price_gcd = gcd_of(own[name], units.price_gcd)
            for name in SIZE_COLUMNS:
                if name in names:
                    units.size_gcd = gcd_of(own[name], units.size_gcd)
                    if kind != "bars":  # a bar's volume is no order: it may be larger than a lot count of the engine
                        units.max_size = max(units.max_size, int(own[name].max(initial=0)))
