"""The gate's arrays, allocated once: set what has changed, judge, set again. No array is made on the way of an order.

A row is packed with `struct`, which takes integers only: what is not one (None, a fraction, a NaN, too large) becomes
ABSENT, word by word, so that the gate refuses and nothing is rounded into something that looks valid.
"""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from kernels.risk import columns as c
from kernels.risk.cpu import gate
from kernels.risk.spec import ABSENT, RiskLimits, word

STRATEGY, VENUE, FIRM = "strategy", "venue", "firm"


class GateWorkspace:
    """State and limits of S strategies, V venues and the firm over I instruments in Q groups.

    Everything is absent until it is set, so that an order for which something was forgotten is refused. Capacities grow
    by doubling where a batch or the live orders need more. Not for two threads at once.
    """

    def __init__(
        self, num_strategies: int = 1, num_venues: int = 1, num_instruments: int = 1, num_groups: int = 1
    ) -> None:
        """Raise ValueError where there is none of something."""
        counts = (num_strategies, num_venues, num_instruments, num_groups)
        if min(counts) < 1:
            raise ValueError(f"strategies, venues, instruments and groups are {counts}; there is at least one of each")
        self.num_strategies, self.num_venues = num_strategies, num_venues
        num_scopes = num_strategies + num_venues + 1
        self.instruments = np.full((num_instruments, c.NUM_INSTRUMENT_COLUMNS), ABSENT, np.int64)
        self.instruments[:, c.INSTRUMENT_GROUP] = 0
        self.market = np.full((num_venues, num_instruments, c.NUM_MARKET_COLUMNS), ABSENT, np.int64)
        self.scopes = np.full((num_scopes, c.NUM_SCOPE_COLUMNS), ABSENT, np.int64)
        self.cells = np.full((num_scopes, num_instruments, c.NUM_CELL_COLUMNS), ABSENT, np.int64)
        self.groups = np.zeros((num_scopes, num_groups), np.int64)
        self._market_bytes = self.market.data.cast("B")
        self._scope_bytes, self._cell_bytes = self.scopes.data.cast("B"), self.cells.data.cast("B")
        self.num_intents = self.num_live = 0
        self.live = np.zeros((0, c.NUM_LIVE_COLUMNS), np.int64)
        self._make_intents(16)
        self._make_live(32)

    def scope(self, level: str, index: int = 0) -> int:
        """Return the row of a scope; ValueError where there is none."""
        counts = {STRATEGY: self.num_strategies, VENUE: self.num_venues, FIRM: 1}
        if not 0 <= index < counts.get(level, 0):
            raise ValueError(f"scope {level} {index} is none of {counts}")
        return index + {STRATEGY: 0, VENUE: self.num_strategies, FIRM: len(self.scopes) - 1}[level]

    def set_instrument(self, instrument: int, limits: RiskLimits, group: int = 0) -> None:
        """Set an instrument's limits and group; its mark stays."""
        words = limits.instrument_words()
        self.instruments[instrument, : len(words)] = words
        self.instruments[instrument, c.INSTRUMENT_GROUP] = word(group)

    def set_scope_limits(self, scope: int, limits: RiskLimits) -> None:
        """Set a scope's limits, its largest position in every instrument included."""
        words = limits.scope_words()
        self.scopes[scope, : len(words)] = words
        self.cells[scope, :, c.CELL_MAX_POSITION_LOTS] = word(limits.max_position_lots)

    def set_scope(self, scope: int, trading: Any, equity_e8: Any, recent: Any) -> None:
        """Set a scope's trading state, equity and messages within the window."""
        if not 0 <= scope < len(self.scopes):
            raise IndexError(f"scope {scope} is none of {len(self.scopes)}")
        _pack(_STATE, self._scope_bytes, _SCOPE_ROW * scope + 8 * c.SCOPE_TRADING, (trading, equity_e8, recent))

    def set_cell(self, scope: int, instrument: int, position_lots: Any, repeats: Any) -> None:
        """Set what a scope holds of an instrument and how often it was executed in a row."""
        if not (0 <= scope < len(self.scopes) and 0 <= instrument < len(self.instruments)):
            raise IndexError(f"scope {scope}, instrument {instrument} is none of {self.cells.shape[:2]}")
        _pack(_HELD, self._cell_bytes, self.cells.strides[0] * scope + _CELL_ROW * instrument, (position_lots, repeats))

    def set_market(self, venue: int, instrument: int, words: Sequence[Any]) -> None:
        """Set (best bid, best ask, reference price, time of the book, whether it is whole): the MARKET columns."""
        if not (0 <= venue < self.num_venues and 0 <= instrument < len(self.instruments)):
            raise IndexError(f"venue {venue}, instrument {instrument} is none of {self.market.shape[:2]}")
        _pack(_MARKET, self._market_bytes, self.market.strides[0] * venue + _MARKET_ROW * instrument, words)

    def set_mark(self, instrument: int, mark_tick: Any) -> None:
        """Set the price that values an instrument."""
        self.instruments[instrument, c.INSTRUMENT_MARK_TICK] = word(mark_tick)

    def clear_live(self) -> None:
        """Forget every live order."""
        self.num_live = 0

    def add_live(self, words: Sequence[Any]) -> int:
        """Add a live order, the LIVE columns without scratch; return its row counted from 1."""
        if self.num_live == len(self.live):
            before = self.live
            self._make_live(2 * len(before))
            self.live[: len(before)] = before
        _pack(_LIVE, self._live_bytes, _LIVE_ROW * self.num_live, words)
        self.num_live += 1
        return self.num_live

    def clear_intents(self) -> None:
        """Begin another batch."""
        self.num_intents = 0

    def add_intent(self, words: Sequence[Any]) -> None:
        """Add an order, cancel or replace, the INTENT columns."""
        if self.num_intents == len(self.intents):
            before = self.intents
            self._make_intents(2 * len(before))
            self.intents[: len(before)] = before
        _pack(_INTENT, self._intent_bytes, _INTENT.size * self.num_intents, words)
        self.num_intents += 1

    def judge(self, now_ns: int) -> np.ndarray:
        """Return int64[N] RiskReason of the batch; a view that the next call overwrites."""
        self._gate(self.intents, self.num_intents, self._table, now_ns, self.reasons)
        return self.reasons[: self.num_intents]

    def judge_batch(self, intents: np.ndarray, now_ns: int) -> np.ndarray:
        """Return int64[N] RiskReason of the rows of `intents` int64[N, NUM_INTENT_COLUMNS], beside the own batch."""
        if intents.dtype != np.int64 or intents.ndim != 2 or intents.shape[1] != c.NUM_INTENT_COLUMNS:
            raise ValueError(f"intents are {intents.dtype}{list(intents.shape)}, not int64[N, {c.NUM_INTENT_COLUMNS}]")
        reasons = np.zeros(len(intents), np.int64)
        table = _table_for(len(intents) + len(self.live))
        self._gate(np.ascontiguousarray(intents), len(intents), table, now_ns, reasons)
        return reasons

    def _gate(self, intents: np.ndarray, num_intents: int, table: np.ndarray, now_ns: int, reasons: np.ndarray) -> None:
        gate(
            intents,
            num_intents,
            self.live,
            self.num_live,
            self.instruments,
            self.market,
            self.scopes,
            self.cells,
            self.groups,
            table,
            now_ns,
            reasons,
        )

    def _make_intents(self, capacity: int) -> None:
        self.intents = np.zeros((capacity, c.NUM_INTENT_COLUMNS), np.int64)
        self.reasons = np.zeros(capacity, np.int64)
        self._intent_bytes = self.intents.data.cast("B")
        self._table = _table_for(capacity + len(self.live))

    def _make_live(self, capacity: int) -> None:
        self.live = np.zeros((capacity, c.NUM_LIVE_COLUMNS), np.int64)
        self._live_bytes = self.live.data.cast("B")
        self._table = _table_for(capacity + len(self.intents))


def _table_for(orders: int) -> np.ndarray:
    """Return a table of a power of two of entries in which so many orders fill at most half."""
    return np.zeros(1 << (2 * orders).bit_length(), np.int64)


_INTENT = struct.Struct(f"{c.NUM_INTENT_COLUMNS}q")
_LIVE, _LIVE_ROW = struct.Struct(f"{c.NUM_LIVE_GIVEN}q"), 8 * c.NUM_LIVE_COLUMNS
_STATE, _SCOPE_ROW = struct.Struct("3q"), 8 * c.NUM_SCOPE_COLUMNS  # trading, equity, recent
_HELD, _CELL_ROW = struct.Struct("2q"), 8 * c.NUM_CELL_COLUMNS  # position, repeats
_MARKET, _MARKET_ROW = struct.Struct(f"{c.NUM_MARKET_GIVEN}q"), 8 * c.NUM_MARKET_COLUMNS


def _pack(layout: struct.Struct, buffer: memoryview, offset: int, words: Sequence[Any]) -> None:
    try:
        layout.pack_into(buffer, offset, *words)
    except struct.error:
        layout.pack_into(buffer, offset, *map(word, words))
