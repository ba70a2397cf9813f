"""The simulator's market step on the host, with the outcome of each of our messages.

The rule is that of docs/engine.md: a background message happens, then every message of ours whose arrival is at or
before its time is applied, in order of arrival; so ours never comes earlier than one event after the decision. The
kernel's market step reports no outcome per message, which a venue must; so this walks the same rule with
`HostBook.apply`, in runs of background messages between our arrivals. A differential test holds it to the kernel.
"""

from typing import NamedTuple

import numpy as np

from kernels.lob import spec
from kernels.lob.host import Backend, HostBook
from kernels.lob.spec import LobConfig

NS_PER_S = 1_000_000_000
OWNER = 1
_WRAP = 2**32


class OwnOutcome(NamedTuple):
    """What the engine did with one of our messages."""

    message: np.ndarray  # int32[8]
    reason: int  # reject reason, spec.OK where accepted
    filled_lots: int


class OwnFill(NamedTuple):
    """One execution that touched an order of ours."""

    price_tick: int
    lots: int
    maker_id: int
    taker_id: int
    maker_is_ours: bool
    taker_is_ours: bool
    taker_side: int


class Happening(NamedTuple):
    """One thing that concerns us, in the order in which the engine did it."""

    event_ns: int
    outcome: OwnOutcome | None
    fills: tuple[OwnFill, ...]


class StepView(NamedTuple):
    """What the market shows after a step."""

    happenings: list[Happening]
    summary: np.ndarray  # int32[16] SUM_* words over the step
    depth: np.ndarray  # int32[2, L, 2]
    own: np.ndarray  # int32[2, 6] OWN_* columns


class MarketCapacityError(RuntimeError):
    """An engine capacity was passed and something of ours would go unreported."""


class HostMarket:
    """A recorded market with our orders in it. `background` int32[N, 8] in order of time; `seed` int32[K, 8] LIMITs."""

    def __init__(
        self,
        config: LobConfig,
        seed: np.ndarray,
        background: np.ndarray,
        start_ns: int,
        backend: Backend = "cpu",
    ) -> None:
        self._config = spec.validate_config(config._replace(fills_mode=spec.FILLS_OWNED))
        self._book = HostBook(self._config, backend)
        self._background = np.ascontiguousarray(background, np.int32)
        self._times = _times(self._background)
        if self._times.size and (np.diff(self._times) < 0).any():
            raise ValueError("background messages are not in order of time")
        self._inbox: list[np.ndarray] = []  # by arrival, ties in order of entry
        self.cursor = 0
        self.clock_ns = start_ns
        seeded = self._book.apply(seed)
        if (seeded.reason != spec.OK).any():
            row = int(np.flatnonzero(seeded.reason)[0])
            name = spec.REASON_NAMES[int(seeded.reason[row])]
            raise ValueError(f"seed order {row} was refused: {name}; capacity is {config.capacity} a side")
        self._book.reference_tick = int(seeded.depth[:, 0, 0].sum()) // 2

    @property
    def exhausted(self) -> bool:
        """Whether every background message has happened."""
        return self.cursor >= len(self._background)

    def enqueue(self, message: np.ndarray) -> None:
        """Put one of our messages int32[8] under way; its time columns are its arrival."""
        arrival = _time(message)
        place = len(self._inbox)
        while place and _time(self._inbox[place - 1]) > arrival:
            place -= 1
        self._inbox.insert(place, np.array(message, np.int32))

    def step(self, num_events: int) -> StepView:
        """Let `num_events` background messages happen, fewer at the end of the recording."""
        stop = min(self.cursor + num_events, len(self._background))
        happenings: list[Happening] = []
        summary = np.zeros(spec.NUM_SUMMARY, np.int64)
        summary[spec.SUM_EXHAUSTED] = int(self.cursor + num_events > stop)
        while self.cursor < stop:
            run = self._run_until_arrival(stop)
            out = self._book.apply(self._background[self.cursor : run])
            _accumulate(summary, out.summary, run - self.cursor)
            happenings += self._background_fills(out, self._times[self.cursor : run])
            self.clock_ns = max(self.clock_ns, int(self._times[run - 1]))
            self.cursor = run
            happenings += self._serve(summary, self.clock_ns)
        return self._view(happenings, summary)

    def drain(self) -> StepView:
        """Apply everything under way at its arrival, with no background message; the clock follows."""
        happenings: list[Happening] = []
        summary = np.zeros(spec.NUM_SUMMARY, np.int64)
        while self._inbox:
            self.clock_ns = max(self.clock_ns, _time(self._inbox[0]))
            happenings += self._serve(summary, self.clock_ns)
        return self._view(happenings, summary)

    def _run_until_arrival(self, stop: int) -> int:
        """Return the end of the run of background messages after which our next message is due."""
        if not self._inbox:
            return stop
        due = int(np.searchsorted(self._times[self.cursor : stop], _time(self._inbox[0]))) + self.cursor
        return min(due + 1, stop)

    def _serve(self, summary: np.ndarray, clock_ns: int) -> list[Happening]:
        happenings = []
        while self._inbox and _time(self._inbox[0]) <= clock_ns:
            message = self._inbox.pop(0)
            out = self._book.apply(message[None])
            _accumulate(summary, out.summary, 0)
            outcome = OwnOutcome(message, int(out.reason[0]), int(out.filled_lots[0]))
            happenings.append(Happening(clock_ns, outcome, tuple(_own_fills(out.fills[: int(out.num_fills)]))))
        return happenings

    def _background_fills(self, out: spec.LobOutput, times: np.ndarray) -> list[Happening]:
        rows = out.fills[: int(out.num_fills)]
        return [Happening(int(times[row[spec.FILL_MESSAGE]]), None, tuple(_own_fills(row[None]))) for row in rows]

    def _view(self, happenings: list[Happening], summary: np.ndarray) -> StepView:
        book = self._book.book
        if book.counters[spec.NUM_FILLS_DROPPED]:
            raise MarketCapacityError(f"more than {self._config.max_fills} of our fills in one call were not reported")
        shown = self._book.apply(np.zeros((0, spec.NUM_MESSAGE_COLUMNS), np.int32))
        for word in (spec.SUM_BEST_BID_TICK, spec.SUM_HAS_BID, spec.SUM_BEST_ASK_TICK, spec.SUM_HAS_ASK):
            summary[word] = shown.summary[word]
        wrapped = (summary + 2**31) % _WRAP - 2**31
        return StepView(happenings, wrapped.astype(np.int32), shown.depth, self._book.own(OWNER))


_SUMMED = (
    spec.SUM_NUM_FILLS,
    spec.SUM_TRADED_BUY_LOTS,
    spec.SUM_TRADED_SELL_LOTS,
    spec.SUM_NOTIONAL_BUY,
    spec.SUM_NOTIONAL_SELL,
    spec.SUM_OFI_LOTS,
    spec.SUM_OWN_REJECTS,
    spec.SUM_NUM_TRADES,
)


def _accumulate(total: np.ndarray, part: np.ndarray, events: int) -> None:
    """Add one call's summary; lots and notional are int64 here and wrap once, at the end, as the engine's do."""
    for word in _SUMMED:
        total[word] += int(part[word])
    total[spec.SUM_EVENTS] += events
    if part[spec.SUM_HAS_LAST]:
        total[spec.SUM_HAS_LAST] = 1
        total[spec.SUM_LAST_PRICE_TICK] = part[spec.SUM_LAST_PRICE_TICK]


def _own_fills(rows: np.ndarray) -> list[OwnFill]:
    return [
        OwnFill(
            price_tick=int(row[spec.FILL_PRICE_TICK]),
            lots=int(row[spec.FILL_LOTS]),
            maker_id=int(row[spec.FILL_MAKER_ID]),
            taker_id=int(row[spec.FILL_TAKER_ID]),
            maker_is_ours=int(row[spec.FILL_MAKER_OWNER]) == OWNER,
            taker_is_ours=int(row[spec.FILL_TAKER_OWNER]) == OWNER,
            taker_side=int(row[spec.FILL_TAKER_SIDE]),
        )
        for row in rows
    ]


def _times(messages: np.ndarray) -> np.ndarray:
    return messages[:, spec.TIME_S].astype(np.int64) * NS_PER_S + messages[:, spec.TIME_NS]


def _time(message: np.ndarray) -> int:
    return int(message[spec.TIME_S]) * NS_PER_S + int(message[spec.TIME_NS])
