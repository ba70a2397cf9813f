"""A market-by-order recording as engine messages, order by order, and which record each MBP row belongs to.

A is LIMIT, C is DELETE or (for part of the order) REDUCE, M is REPLACE, R deletes everything; a C that follows the F of
the same order is EXECUTE. A record that names an unknown order, or would rest where it crosses, changes nothing and is
counted. Records up to one with F_LAST are one event of the venue: the book within it is not to be looked at by agents.
"""

from array import array
from dataclasses import dataclass

import numpy as np

from kernels.lob import spec
from market_models.datasets.databento_mbo import (
    ADD,
    CANCEL,
    CLEAR,
    FILL,
    MODIFY,
    TRADE,
    MboRecord,
    MboRecording,
    MbpRow,
)
from market_models.datasets.depth_book import LevelSide
from market_models.datasets.depth_replay import NS_PER_S, make_sides, to_messages

ALL_LEVELS = 2**31  # a window that nothing leaves


@dataclass(frozen=True, eq=False)
class MboStream:
    """Engine messages of each record, in ragged form."""

    messages: np.ndarray  # int32[M, 8]
    ends: np.ndarray  # int64[N]: record i is applied after messages[: ends[i]]
    last: np.ndarray  # bool[N] F_LAST: the event is complete
    unknown: int  # records that name no order of the book
    crossed: int  # records that would have rested at or beyond the opposite best
    max_orders: int  # most orders that rested on one side


def to_verify_stream(recording: MboRecording) -> MboStream:
    """Return the recording as engine messages."""
    run = _Run()
    before: MboRecord | None = None
    ends = []
    for record in recording.records:
        filled = before is not None and before.action == FILL and before.order_id == record.order_id
        run.take(record, filled)
        ends.append(len(run.buffer) // spec.NUM_MESSAGE_COLUMNS)
        before = record
    return MboStream(
        messages=to_messages(run.buffer),
        ends=np.array(ends, np.int64),
        last=np.array([record.last for record in recording.records]),
        unknown=run.unknown,
        crossed=run.crossed,
        max_orders=run.max_orders,
    )


def pair_rows(recording: MboRecording, rows: list[MbpRow]) -> np.ndarray:
    """Return int64[R]: the record after which the book is what each MBP row says, -1 where none belongs to it.

    A row belongs to the next record of its sequence number, action and order; a trade's row to the last of its T, F, C.
    """
    pairs = np.full(len(rows), -1, np.int64)
    records = recording.records
    row = at = 0
    while at < len(records) and row < len(rows):
        record, end = records[at], _end_of_trade(records, at)
        while row < len(rows) and rows[row].sequence < record.sequence:
            row += 1  # its record is missing
        if row < len(rows) and rows[row][:3] == (record.sequence, record.action, record.venue_id):
            pairs[row] = end
            row += 1
        at = end + 1
    return pairs


def _end_of_trade(records: list[MboRecord], at: int) -> int:
    """Return the index of the last F or C that belongs to the trade at `at`, or `at`."""
    if records[at].action != TRADE:
        return at
    end = at
    for place in range(at + 1, len(records)):
        record, before = records[place], records[place - 1]
        follows = record.action == CANCEL and before.action == FILL and before.order_id == record.order_id
        if record.sequence != records[at].sequence or not (record.action == FILL or follows):
            break
        end = place
    return end


class _Run:
    """The recorded book, order by order, and the messages that make it."""

    def __init__(self) -> None:
        self.orders: dict[int, tuple[int, int, int]] = {}  # id -> side, price_tick, lots
        self.sides = make_sides(ALL_LEVELS)
        self.num_orders = [0, 0]
        self.buffer = array("i")
        self.clock = (0, 0)
        self.unknown = self.crossed = self.max_orders = 0

    def take(self, record: MboRecord, filled: bool) -> None:
        """Apply one record; `filled`: the record before was the fill of this order."""
        self.clock = divmod(record.time_ns, NS_PER_S)
        if record.action == ADD:
            if record.order_id in self.orders:
                self.unknown += 1
            else:
                self.rest(spec.LIMIT, record)
        elif record.action == CLEAR:
            for order_id in list(self.orders):
                self.delete(order_id)
        elif record.action in (CANCEL, MODIFY):
            known = self.orders.get(record.order_id)
            if known is None or known[0] != record.side:
                self.unknown += 1
            elif record.action == MODIFY:
                self.modify(record)
            else:
                self.cancel(record, filled)

    def cancel(self, record: MboRecord, filled: bool) -> None:
        side, price_tick, lots = self.orders[record.order_id]
        taken = min(lots, record.lots)
        if filled:
            self.emit(spec.EXECUTE, side, taken, price_tick, record.order_id)
        elif taken < lots:
            self.emit(spec.REDUCE, side, taken, 0, record.order_id)
        else:
            self.emit(spec.DELETE, side, 0, 0, record.order_id)
        self.change(record.order_id, side, price_tick, lots - taken)

    def modify(self, record: MboRecord) -> None:
        side, price_tick, _ = self.orders[record.order_id]
        if price_tick != record.price_tick:
            self.change(record.order_id, side, price_tick, 0)
            if not self.rest(spec.REPLACE, record):
                self.emit(spec.DELETE, side, 0, 0, record.order_id)
        else:
            self.emit(spec.REPLACE, side, record.lots, price_tick, record.order_id)
            self.change(record.order_id, side, price_tick, record.lots)

    def delete(self, order_id: int) -> None:
        side, price_tick, _ = self.orders[order_id]
        self.emit(spec.DELETE, side, 0, 0, order_id)
        self.change(order_id, side, price_tick, 0)

    def rest(self, kind: int, record: MboRecord) -> bool:
        """Rest an order unless it would match, which no recorded order does."""
        own, other = self.sides[record.side], self.sides[1 - record.side]
        best = other.best()
        if best is not None and own.sign * record.price_tick <= own.sign * best[0]:
            self.crossed += 1
            return False
        self.emit(kind, record.side, record.lots, record.price_tick, record.order_id)
        self.change(record.order_id, record.side, record.price_tick, record.lots)
        return True

    def change(self, order_id: int, side: int, price_tick: int, lots: int) -> None:
        """Set an order's lots, 0 for gone, and its level's."""
        before = self.orders.pop(order_id, (side, price_tick, 0))[2]
        if lots:
            self.orders[order_id] = (side, price_tick, lots)
        self.num_orders[side] += (lots > 0) - (before > 0)
        self.max_orders = max(self.max_orders, self.num_orders[side])
        level: LevelSide = self.sides[side]
        level.update([(price_tick, level.lots.get(level.sign * price_tick, 0) + lots - before)])

    def emit(self, kind: int, side: int, lots: int, price_tick: int, order_id: int) -> None:
        self.buffer.extend((kind, side, lots, price_tick, order_id, 0, *self.clock))
