"""What one import says of its file: rows, what was quarantined and why, gaps, crossed states, times, instruments."""

from collections import Counter
from dataclasses import dataclass, field
from math import gcd
from typing import Any

import numpy as np

from kernels.lob.spec import MAX_LOTS
from market_models.datasets.formats.blocks import NULL, PRICE_DECIMALS, SIZE_DECIMALS
from market_models.datasets.formats.fixed import decimal_text, to_fixed


@dataclass
class Units:
    """The price and size steps of one instrument, as seen so far or as given."""

    name: str
    price_gcd: int = 0  # 1e-9 of the quote currency; 0: no price seen
    size_gcd: int = 0  # 1e-8 of the base unit
    max_size: int = 0  # of what rests or trades
    size_decimals: int = SIZE_DECIMALS  # of this instrument's fixed-point sizes
    given_tick: int = 0
    given_lot: int = 0

    @property
    def tick(self) -> int:
        """Price of one tick in 1e-9: the greatest step that all prices share, at most 1."""
        return self.given_tick or gcd(self.price_gcd, 10**PRICE_DECIMALS if self.price_gcd else 1)

    @property
    def lot(self) -> int:
        """Size of one lot: the greatest step that all sizes share, at most 1, times what lets int32 hold the sizes."""
        lot = self.given_lot or gcd(self.size_gcd, 10**self.size_decimals if self.size_gcd else 1)
        while not self.given_lot and self.max_size // lot > MAX_LOTS:
            lot *= 10
        return lot

    @property
    def tick_lot_e8(self) -> int:
        """Worth of one lot moving one tick in 1e-8 of the quote currency, rounded down; at most what int64 holds."""
        worth = self.tick * self.lot * 10**8 // 10 ** (PRICE_DECIMALS + self.size_decimals)
        return min(worth, 2**63 - 1)

    def to_json(self) -> dict[str, str]:
        """Return name, tick and lot as decimal text."""
        return {
            "name": self.name,
            "tick_size": decimal_text(self.tick, PRICE_DECIMALS),
            "lot_size": decimal_text(self.lot, self.size_decimals),
        }


@dataclass
class ImportReport:
    """Counts of one import. Every record is used, unused (it says nothing that is stored) or quarantined."""

    path: str
    format: str
    digest: str
    tier: str = "unknown"
    raw_bytes: int = 0
    unpacked_bytes: int = 0
    rows: int = 0  # records of the file: lines, messages, table rows
    used: int = 0
    unused: Counter[str] = field(default_factory=Counter)  # what kind of record -> how many
    quarantined: Counter[str] = field(default_factory=Counter)  # reason -> records
    omitted: Counter[str] = field(default_factory=Counter)  # canonical rows of used records that cannot be stored
    gaps: int = 0  # breaks of the venue's sequence, checksums that do not hold
    sequenced: bool = False  # whether the format has a sequence or a checksum to judge by
    crossed: int = 0  # book states with bid > ask
    locked: int = 0  # book states with bid = ask
    rounded: int = 0  # numbers finer than the canonical units
    back_steps: int = 0  # records earlier than the record before
    first_ns: int | None = None
    last_ns: int | None = None
    clock: str = "none"  # whose times first_ns and last_ns are: exchange, local, none
    stored: Counter[str] = field(default_factory=Counter)  # kind -> canonical rows
    instruments: list[Units] = field(default_factory=list)
    unused_columns: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def price(self, value: object, what: str = "price", bounded: bool = True) -> int:
        """Return a price in 1e-9, counting what is rounded; RowError if it is none, or `bounded` and too large."""
        fixed, rounded = to_fixed(value, PRICE_DECIMALS, what, bounded)
        self.rounded += rounded
        return fixed

    def size(self, value: object, what: str = "size", bounded: bool = True) -> int:
        """Return a size in 1e-8, counting what is rounded; RowError if it is none, or `bounded` and too large."""
        fixed, rounded = to_fixed(value, SIZE_DECIMALS, what, bounded)
        self.rounded += rounded
        return fixed

    def see_times(self, exchange_ns: np.ndarray, local_ns: np.ndarray) -> None:
        """Widen first_ns and last_ns: by the exchange's clock; by the local one while no exchange time was seen."""
        for clock, time_ns in (("exchange", exchange_ns), ("local", local_ns)):
            known = time_ns[time_ns != NULL]
            if not len(known) or (clock == "local" and self.clock == "exchange"):
                continue
            low, high = int(known.min()), int(known.max())
            fresh = self.first_ns is None or self.clock != clock
            self.first_ns = low if fresh else min(self.first_ns or low, low)
            self.last_ns = high if fresh else max(self.last_ns or high, high)
            self.clock = clock

    def judge(self, bid: int | None, ask: int | None) -> None:
        """Count a book state that is crossed or locked."""
        if bid is not None and ask is not None:
            self.crossed += bid > ask
            self.locked += bid == ask

    def to_json(self) -> dict[str, Any]:
        """Return the fields of docs/cli.md and the further ones."""
        names = [units.name for units in self.instruments]
        return {
            "path": self.path,
            "format": self.format,
            "instrument": names[0] if len(names) == 1 else f"{len(names)} instruments",
            "rows": self.rows,
            "quarantined": dict(self.quarantined),
            "gaps": self.gaps,
            "crossed": self.crossed,
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
            "clock": self.clock,
            "digest": self.digest,
            "tier": self.tier,
            "sequenced": self.sequenced,
            "locked": self.locked,
            "unused": dict(self.unused),
            "omitted": dict(self.omitted),
            "rounded": self.rounded,
            "back_steps": self.back_steps,
            "stored": dict(self.stored),
            "instruments": [units.to_json() for units in self.instruments],
            "unused_columns": self.unused_columns,
            "notes": self.notes,
        }
