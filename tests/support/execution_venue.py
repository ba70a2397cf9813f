"""A small market for parent orders: a random walk, a tape, one child with latency, races and late fills.

It keeps the truth (what really filled, what is really on the tape) apart from what the order manager sees.
"""

from dataclasses import dataclass, field

import numpy as np

from kernels.execution.parent import (
    CANCEL,
    CHANGING,
    IN_FLIGHT,
    NO_CHILD,
    PLACE,
    REPLACE,
    RESTING,
    Observation,
    ParentOrder,
)
from kernels.lob.spec import IOC

STEP_NS = 100_000_000


@dataclass
class Faults:
    """Probabilities a step."""

    stale: float = 0.0
    crossed: float = 0.0
    late_fill: float = 0.0
    lost_tape: float = 0.0  # the tape is seen later than it happened
    reject: float = 0.0


@dataclass
class Venue:
    """One parent's child and the market around it."""

    parent: ParentOrder
    seed: int
    faults: Faults = field(default_factory=Faults)
    volume: float = 20.0  # mean lots traded by others a step
    fill: float = 0.5  # share of the touch's volume that reaches our resting child
    now_ns: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.mid, self.half_spread = 1000, 1
        self.tape = self.seen_tape = int(self.rng.integers(0, 10_000))
        self.filled = 0
        self.state, self.kind, self.price, self.left = NO_CHILD, 0, 0, 0
        self.late: list[int] = []

    @property
    def bid(self) -> int:
        return self.mid - self.half_spread

    @property
    def ask(self) -> int:
        return self.mid + self.half_spread

    def advance(self, others_lots: int | None = None) -> Observation:
        """Let a step of time pass and return what is then seen."""
        rng = self.rng
        self.now_ns += STEP_NS
        self.mid += int(rng.integers(-1, 2)) * int(rng.random() < 0.2)
        others = int(rng.poisson(self.volume)) if others_lots is None else others_lots
        self.tape += others
        self._answer(others)
        if self.late and rng.random() < 0.5:
            self._book(self.late.pop())
        if rng.random() >= self.faults.lost_tape:
            self.seen_tape = self.tape
        return self._observe()

    def take(self, request) -> None:
        """Send a request to the venue."""
        if request.action == PLACE:
            assert self.state == NO_CHILD
            self.state, self.kind, self.price, self.left = IN_FLIGHT, request.kind, request.price_tick, request.lots
        elif request.action == CANCEL:
            assert self.state == RESTING
            self.state = CHANGING
        elif request.action == REPLACE:
            assert self.state == RESTING
            self.price, self.left = request.price_tick, request.lots

    def _answer(self, others: int) -> None:
        rng = self.rng
        if self.state == IN_FLIGHT and rng.random() < 0.8:
            if rng.random() < self.faults.reject:
                self._end()
            elif self.kind == IOC:
                self._book(min(self.left, int(rng.integers(0, 2 * self.left + 1))))
                self._end()
            else:
                self.state = RESTING
        elif self.state == RESTING:
            self._book(min(self.left, int(rng.binomial(others, self.fill))))
            if self.left == 0:
                self._end()
        elif self.state == CHANGING and rng.random() < 0.7:
            if rng.random() < 0.3:  # a fill that raced with the cancel
                self._book(min(self.left, 1 + int(rng.integers(0, self.left + 1))))
            if self.left and rng.random() < self.faults.late_fill:
                self.late.append(int(rng.integers(1, self.left + 1)))
            self._end()

    def _book(self, lots: int) -> None:
        if lots <= 0:
            return
        self.filled += lots
        self.tape += lots
        self.left = max(self.left - lots, 0)

    def _end(self) -> None:
        self.state, self.left = NO_CHILD, 0

    def _observe(self) -> Observation:
        rng, faults = self.rng, self.faults
        bid, ask, book_ns = self.bid, self.ask, self.now_ns
        if rng.random() < faults.crossed:
            bid, ask = ask, bid
        if rng.random() < faults.stale:
            book_ns -= self.parent.max_age_ns + 1
        return Observation(
            self.now_ns, book_ns, 1, bid, ask, self.seen_tape, self.filled, self.left, self.state, self.price, self.left
        )
