"""A LOBSTER recording as engine messages: to prove the engine (`to_verify_stream`) and to trade in
(`to_trading_stream`).

The rule: the book is seeded with row 0; then every message acts on the book that the earlier ones made. Only the
deepest recorded level may be taken from the recording, and only when this message emptied a level on that side (a
*reveal*, counted). Levels pushed beyond the recorded depth are purged. An event that names an order never seen takes
from the anonymous block of its level. What fits none of these is `unexplained`: nothing is done, so the rows differ.
"""

from array import array
from dataclasses import dataclass, field

import numpy as np

from kernels.lob import spec
from market_models.datasets import recording as rec
from market_models.datasets.level_tracker import SideTracker
from market_models.datasets.recording import Recording


@dataclass(frozen=True, eq=False)
class VerifyStream:
    """Engine messages of each recorded row, in ragged form, and the depth that must be there after it."""

    messages: np.ndarray  # int32[M, 8]
    offsets: np.ndarray  # int64[N + 1]: row i owns messages[offsets[i] : offsets[i + 1]]; row 0 is the seed
    expected: np.ndarray  # int32[N, 2, levels, 2] recorded (price_tick, lots), best first
    revealed: int  # levels taken from the recording
    unexplained: int  # rows that act on nothing known
    max_orders: int  # most orders that rested on one side

    @property
    def rows(self) -> int:
        """Transitions that can be compared: every row but the seed."""
        return len(self.expected) - 1

    @property
    def groups(self) -> np.ndarray:
        """int32[N, G, 8]: the same messages, each row padded with NOP to the longest."""
        counts = np.diff(self.offsets)
        out = np.zeros((len(counts), max(int(counts.max(initial=0)), 1), spec.NUM_MESSAGE_COLUMNS), np.int32)
        row = np.repeat(np.arange(len(counts)), counts)
        out[row, np.arange(len(row)) - self.offsets[row]] = self.messages
        return out


@dataclass(frozen=True, eq=False)
class TradingStream:
    """Background messages of the replay flow, from which agents' orders may deviate."""

    messages: np.ndarray  # int32[M, 8]; time columns are the row's
    row: np.ndarray  # int32[M] recorded row of each message
    time_ns: np.ndarray  # int64[M] nanoseconds since midnight
    revealed: int
    unexplained: int
    snapshots: dict[int, np.ndarray] = field(default_factory=dict)  # row -> int32[K, 8], the book after that row


class _Replay:
    """Runs the rule over a recording and writes engine messages to a flat buffer."""

    def __init__(self, recording: Recording, trading: bool) -> None:
        self.recording, self.trading = recording, trading
        self.sides = (SideTracker(-1), SideTracker(+1))
        self.buffer = array("i")
        self.next_id = recording.first_free_id
        self.revealed = self.unexplained = self.max_orders = 0
        self.clock = (0, 0)

    def emit(self, kind: int, side: int, lots: int, price_tick: int, order_id: int) -> None:
        self.buffer.extend((kind, side, lots, price_tick, order_id, 0, *self.clock))

    def new_id(self) -> int:
        self.next_id += 1
        return self.next_id - 1

    def seed(self) -> None:
        self.clock = (int(self.recording.time_s[0]), int(self.recording.time_ns[0]))
        for side in (spec.BUY, spec.SELL):
            for price_tick, lots in self.recording.book[0, side].tolist():
                if lots:
                    self.rest(side, price_tick, self.new_id(), lots, anonymous=True)

    def rest(self, side: int, price_tick: int, order_id: int, lots: int, anonymous: bool = False) -> bool:
        """Rest an order unless it would match, which no recorded order does; purge what it pushes out of sight."""
        own, other = self.sides[side], self.sides[1 - side]
        if other.crosses(other.sign * price_tick):
            return False
        own.add(price_tick, order_id, lots, anonymous)
        self.emit(spec.LIMIT, side, lots, price_tick, order_id)
        self.max_orders = max(self.max_orders, own.num_orders())
        for gone in own.purge(self.recording.levels):
            self.emit(spec.DELETE, side, 0, 0, gone)
        return True

    def remove(self, kind: int, side: int, price_tick: int, order_id: int, lots: int) -> tuple[bool, bool]:
        """Take lots off the order or its level's anonymous block; return (understood, level emptied)."""
        found = self.sides[side].find(price_tick, order_id)
        if found is None:
            return False, False
        resting_id, resting = found
        taken = min(lots, resting)
        if kind == rec.VISIBLE_EXECUTION and self.trading:
            self.emit(spec.IOC, 1 - side, taken, price_tick, self.new_id())
        elif kind == rec.VISIBLE_EXECUTION:
            self.emit(spec.EXECUTE, side, taken, price_tick, resting_id)
        elif kind == rec.FULL_CANCEL and taken == resting:
            self.emit(spec.DELETE, side, 0, 0, resting_id)
        else:
            self.emit(spec.REDUCE, side, taken, 0, resting_id)
        return taken == lots, self.sides[side].take(price_tick, resting_id, taken)

    def reveal(self, side: int, levels: list[list[int]]) -> None:
        """Take the deepest recorded level of this row, if the side is short of exactly that one."""
        own = self.sides[side]
        price_tick, lots = levels[-1]
        if not lots or len(own.ranks) != len(levels) - 1 or (own.ranks and own.sign * price_tick <= own.ranks[-1]):
            return
        if self.rest(side, price_tick, self.new_id(), lots, anonymous=True):
            self.revealed += 1

    def snapshot(self) -> np.ndarray:
        """Return the tracked book as LIMIT messages int32[K, 8], each side from the best order to the worst."""
        rows = [
            (spec.LIMIT, side, lots, price_tick, order_id, 0, *self.clock)
            for side in (spec.BUY, spec.SELL)
            for price_tick, order_id, lots in self.sides[side].in_priority()
        ]
        return np.array(rows, np.int32).reshape(-1, spec.NUM_MESSAGE_COLUMNS)

    def run(self, snapshot_rows: frozenset[int]) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        """Replay every row; return int64[N + 1] offsets in messages and the snapshots asked for."""
        r = self.recording
        kind = np.where(r.quarantined, rec.HIDDEN_EXECUTION, r.kind)
        columns = (kind, r.side, r.lots, r.price_tick, r.order_id, r.time_s, r.time_ns)
        offsets = np.zeros(len(r.kind) + 1, np.int64)
        snapshots = {}
        for row, (what, side, lots, price_tick, order_id, s, ns) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True)
        ):
            self.clock = (s, ns)
            if row == 0:
                self.seed()
            elif what <= rec.VISIBLE_EXECUTION:
                self.event(row, what, side, lots, price_tick, order_id)
            offsets[row + 1] = len(self.buffer) // spec.NUM_MESSAGE_COLUMNS
            if row in snapshot_rows:
                snapshots[row] = self.snapshot()
        return offsets, snapshots

    def event(self, row: int, what: int, side: int, lots: int, price_tick: int, order_id: int) -> None:
        """Apply one recorded event that changed the visible book."""
        if what == rec.NEW:
            known = self.sides[side].find(price_tick, order_id)
            fresh = known is None or known[0] != order_id
            understood = fresh and self.rest(side, price_tick, order_id, lots)
        else:
            understood, emptied = self.remove(what, side, price_tick, order_id, lots)
            if emptied:
                self.reveal(side, self.recording.book[row, side].tolist())
        self.unexplained += not understood


def to_verify_stream(recording: Recording, levels: int) -> VerifyStream:
    """Return what the engine must be fed and what depth it must show after each row, on the best `levels` levels."""
    if not 1 <= levels <= recording.levels:
        raise ValueError(f"levels {levels} is outside 1..{recording.levels}, the recorded depth of {recording.path}")
    replay = _Replay(recording, trading=False)
    offsets, _ = replay.run(frozenset())
    return VerifyStream(
        messages=_rows(replay.buffer),
        offsets=offsets,
        expected=np.ascontiguousarray(recording.book[:, :, :levels]),
        revealed=replay.revealed,
        unexplained=replay.unexplained,
        max_orders=replay.max_orders,
    )


def to_trading_stream(recording: Recording, snapshot_rows: tuple[int, ...] = ()) -> TradingStream:
    """Return background messages in which a visible execution is an IOC of the taker, which agents' orders can meet.

    Start a market after row r from `snapshots[r]` (LIMIT messages; ask for it in `snapshot_rows`) and the messages
    whose `row` is above r; ids in both agree. Bias: recorded orders do not react to the agents' orders, and an order
    that an agent's order saved from execution stays until its recorded cancel, if it has one.
    """
    wrong = [row for row in snapshot_rows if not 0 <= row < len(recording.kind)]
    if wrong:
        raise ValueError(f"snapshot rows {wrong} are outside 0..{len(recording.kind) - 1} of {recording.path}")
    replay = _Replay(recording, trading=True)
    offsets, snapshots = replay.run(frozenset(snapshot_rows))
    row = np.repeat(np.arange(len(recording.kind), dtype=np.int32), np.diff(offsets))
    return TradingStream(
        messages=_rows(replay.buffer),
        row=row,
        time_ns=recording.time_total_ns[row],
        revealed=replay.revealed,
        unexplained=replay.unexplained,
        snapshots=snapshots,
    )


def book_at(recording: Recording, row: int) -> np.ndarray:
    """Return the book after recorded row `row` as LIMIT messages int32[K, 8], best order first on each side."""
    return to_trading_stream(recording, (row,)).snapshots[row]


def _rows(buffer: array) -> np.ndarray:
    return np.array(buffer, np.int32).reshape(-1, spec.NUM_MESSAGE_COLUMNS)
