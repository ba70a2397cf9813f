"""One calibrated market without agents, drawn block by block as the rows of a recording."""

from typing import Final, NamedTuple

import numpy as np

from kernels.lob import row_spec, spec
from kernels.lob import rows as kernel
from kernels.lob.host import HostBook
from kernels.lob.spec import LobConfig
from kernels.lob.step import new_market
from market_models.calibration import Calibration, pack_params, start_messages
from market_models.registry import get_flow

NS_PER_S: Final = 1_000_000_000
BURN_IN_EVENTS: Final = 4000
PROPOSALS_A_CALL: Final = 1 << 18  # between two calls of the kernel progress moves and an interrupt is heard
MAX_IDLE_PROPOSALS: Final = 1 << 24  # without one visible row: the flow never shows anything
LAST_SAFE_ID: Final = spec.FIRST_AGENT_ORDER_ID - 2 * PROPOSALS_A_CALL


class RowBlock(NamedTuple):
    """Rows of a recording in order; views that the next block overwrites."""

    time_ns: np.ndarray  # int64[n] nanoseconds since midnight
    rows: np.ndarray  # int32[n, 5] kernels.lob.row_spec.ROW_* columns
    depth: np.ndarray  # int32[n, 2, L, 2] (price_tick, lots) after the row, best first, (0, 0) where there is no level


class MarketRows:
    """Sequence `number` of a seed: the market after its burn-in, whose recording starts at `start_s`.

    Draws have Philox key (seed, number), so sequences are independent and each is the same alone.
    Raises ValueError for a calibration whose flow cannot run alone, or a capacity or level count out of range.
    """

    def __init__(
        self,
        calibration: Calibration,
        seed: int,
        number: int = 0,
        *,
        levels: int = 5,
        capacity: int = 128,
        start_s: int = 34_200,
        block_rows: int = 8192,
        burn_in_events: int = BURN_IN_EVENTS,
    ) -> None:
        config = spec.validate_config(LobConfig(capacity=capacity, depth_levels=levels))
        host = HostBook(config, "oracle", calibration.reference_tick)  # a few messages: not worth a compilation
        opening = start_messages(calibration, seed + (number << 32))
        host.apply(opening)
        self.market = new_market(
            config,
            host.book,
            seed=seed,
            market_number=number,
            clock_s=start_s,
            next_order_id=len(opening) + 1,
            reference_tick=calibration.reference_tick,
        )
        self._model = calibration.model
        self._run = kernel.rows_kernel(get_flow(calibration.model).numba_sampler)
        self._params = np.ascontiguousarray(pack_params(calibration), np.int32)
        self._allocate(block_rows, capacity, levels)
        self._burn_in(start_s, burn_in_events)

    def _allocate(self, block_rows: int, capacity: int, levels: int) -> None:
        room = block_rows + capacity + 2
        self.block_rows = block_rows
        self.max_block_rows = room  # the last event of a block is whole
        self._time_ns = np.zeros(room, np.int64)
        self._rows = np.zeros((room, row_spec.NUM_ROW_COLUMNS), np.int32)
        self._depth = np.zeros((room, 2, levels, 2), np.int32)
        self._visible = np.zeros((2, levels, 2), np.int32)
        self._state = np.zeros(row_spec.NUM_STATE, np.int64)
        self._summary = np.zeros(spec.NUM_SUMMARY, np.int32)
        own = (self._time_ns, self._rows, self._depth, self._visible, self._state, self._summary)
        arrays = (*self.market.book, self.market.meta, self.market.seed, self._params, *own)
        sizes = (capacity, len(self._params), room, levels, 0, PROPOSALS_A_CALL, 0, 0)
        self._call = np.array([*(array.ctypes.data for array in arrays), *sizes], np.int64)

    def _burn_in(self, start_s: int, events: int) -> None:
        self._advance(events, record=False)
        meta = self.market.meta
        clock_ns = int(meta[spec.META_CLOCK_S]) * NS_PER_S + int(meta[spec.META_CLOCK_NS])
        # The flow's own clock never goes back; only the times that are written start anew.
        self._call[kernel.CALL_SHIFT_NS] = start_s * NS_PER_S - clock_ns
        self._state[:] = 0
        self.events = self.proposals = 0

    def next_block(self, max_rows: int) -> RowBlock:
        """Return the next rows, at least 1 and at most `max_rows` (which ends the recording where it cuts a block)."""
        self._state[row_spec.STATE_ROWS] = 0
        self._advance(min(max_rows, self.block_rows), record=True)
        count = min(int(self._state[row_spec.STATE_ROWS]), max_rows)
        self.events, self.proposals = (int(self._state[i]) for i in (row_spec.STATE_EVENTS, row_spec.STATE_PROPOSALS))
        return RowBlock(self._time_ns[:count], self._rows[:count], self._depth[:count])

    @property
    def counters(self) -> dict[str, int]:
        """What the book's capacity cost so far, burn-in included: 0 everywhere where it was large enough."""
        words = self.market.book.counters
        names = {
            "evicted": spec.NUM_EVICTED,
            "evicted_lots": spec.LOTS_EVICTED,
            "rejected": spec.NUM_REJECTED_FULL,
            "rejected_lots": spec.LOTS_REJECTED_FULL,
            "unknown_cancels": spec.NUM_UNKNOWN_CANCEL,
        }
        return {name: int(words[word]) for name, word in names.items()}

    def _advance(self, goal: int, *, record: bool) -> None:
        self._call[kernel.CALL_GOAL] = goal
        self._call[kernel.CALL_RECORD] = record
        counted = row_spec.STATE_ROWS if record else row_spec.STATE_EVENTS
        idle = 0
        while (before := int(self._state[counted])) < goal:
            self._run(self._call.ctypes.data)
            self._check()
            idle = 0 if self._state[counted] > before else idle + PROPOSALS_A_CALL
            if idle >= MAX_IDLE_PROPOSALS:
                raise ValueError(f"the calibrated flow of {self._model} drew {idle:,} proposals without a visible row")

    def _check(self) -> None:
        status = int(self._state[row_spec.STATE_STATUS])
        if status == row_spec.RUN_EXHAUSTED:
            raise ValueError(f"the calibrated flow of {self._model} is exhausted: its limit rate is zero")
        if status == row_spec.RUN_UNSUPPORTED:
            raise ValueError(f"the flow of {self._model} sends messages that order-level rows cannot say")
        if int(self.market.meta[spec.META_NEXT_ORDER_ID]) > LAST_SAFE_ID:
            raise ValueError("a sequence has used up its order ids: ask for fewer messages and more sequences")
