"""The canonical form of an order-by-order recording with the book after each message."""

from dataclasses import dataclass, field

import numpy as np

from kernels.lob import spec
from market_models.instrument import Instrument

# Kinds of recorded events, as LOBSTER numbers them.
NEW, PARTIAL_CANCEL, FULL_CANCEL, VISIBLE_EXECUTION, HIDDEN_EXECUTION, CROSS_TRADE, HALT = 1, 2, 3, 4, 5, 6, 7

_ENGINE_KINDS = np.array(
    [spec.NOP, spec.LIMIT, spec.REDUCE, spec.DELETE, spec.EXECUTE, spec.NOP, spec.NOP, spec.NOP], np.int32
)


@dataclass(frozen=True, eq=False)
class Recording:
    """N recorded messages and the book after each; integers throughout, best level first, absent levels (0, 0)."""

    path: str
    digest: str  # sha256 of the file, or of the message file followed by the order-book file
    instrument: Instrument
    time_s: np.ndarray  # int32[N] seconds since midnight, exchange time
    time_ns: np.ndarray  # int32[N] the nanoseconds beyond
    kind: np.ndarray  # int32[N] NEW .. HALT
    side: np.ndarray  # int32[N] side of the resting order: an execution's taker is on the other one
    lots: np.ndarray  # int32[N]
    price_tick: np.ndarray  # int32[N]; of a quarantined row rounded down
    order_id: np.ndarray  # int32[N] below 2^30, 0 where the event names no order
    book: np.ndarray  # int32[N, 2, L, 2] (price_tick, lots) after the message
    quarantined: np.ndarray  # bool[N] rows that stay in place but change nothing
    quarantine_counts: dict[str, int] = field(default_factory=dict)  # reason -> rows
    rounded_counts: dict[str, int] = field(default_factory=dict)  # what was rounded -> rows
    id_map: np.ndarray | None = None  # int64[K]: venue id of engine id k + 1; None where ids are the venue's
    first_free_id: int = 1  # ids from here to 2^30 - 1 are nobody's

    @property
    def levels(self) -> int:
        """Recorded levels L."""
        return self.book.shape[2]

    @property
    def has_orders(self) -> bool:
        """Whether the recording tells of single orders; otherwise of levels (`level_recording`), and all ids are 0."""
        return bool(self.order_id.any())

    @property
    def present(self) -> np.ndarray:
        """bool[N, 2, L]: whether the level exists."""
        return self.book[..., 1] > 0

    @property
    def time_total_ns(self) -> np.ndarray:
        """int64[N] nanoseconds since midnight."""
        return self.time_s.astype(np.int64) * 1_000_000_000 + self.time_ns

    @property
    def messages(self) -> np.ndarray:
        """int32[N, 8] in the engine's columns: what each row did, NOP where it changed no visible order."""
        out = np.zeros((len(self.kind), spec.NUM_MESSAGE_COLUMNS), np.int32)
        out[:, spec.KIND] = np.where(self.quarantined, spec.NOP, _ENGINE_KINDS[self.kind])
        columns = {
            spec.SIDE: self.side,
            spec.LOTS: self.lots,
            spec.PRICE_TICK: self.price_tick,
            spec.ORDER_ID: self.order_id,
            spec.TIME_S: self.time_s,
            spec.TIME_NS: self.time_ns,
        }
        for column, values in columns.items():
            out[:, column] = values
        return out


def remap_ids(venue_id: np.ndarray, spare: int) -> tuple[np.ndarray, np.ndarray | None, int]:
    """Bring int64 ids into 1..2^30-1, leaving room for `spare` more; 0 stays 0 (no order).

    Returns (int32 ids, map or None, first free id); ids that already fit are kept. ValueError if there are too many.
    """
    top = spec.FIRST_AGENT_ORDER_ID
    if venue_id.min(initial=0) >= 0 and venue_id.max(initial=0) + spare < top:
        return venue_id.astype(np.int32), None, int(venue_id.max(initial=0)) + 1
    named = venue_id != 0
    id_map, position = np.unique(venue_id[named], return_inverse=True)
    if len(id_map) + spare >= top:
        raise ValueError(f"{len(id_map)} different order ids do not fit below 2^30")
    ids = np.zeros(venue_id.shape, np.int32)
    ids[named] = position + 1
    return ids, id_map, len(id_map) + 1
