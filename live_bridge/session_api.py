"""What a session answers to its servers, from any thread: snapshots, and requests that go through the inbox."""

import json
from concurrent.futures import Future
from dataclasses import dataclass

from kernels.lob import spec
from kernels.risk.spec import RiskLimits
from live_bridge.bus import Bus
from live_bridge.control import EventBus
from live_bridge.core import Core
from live_bridge.core_state import CoreState
from live_bridge.inbox import Inbox
from live_bridge.journal import Journal
from live_bridge.risk_types import in_e8
from live_bridge.types import (
    BookEvent,
    CancelRequest,
    Command,
    CommandResult,
    Control,
    Decision,
    HoldingMark,
    LimitsChange,
    OrderRequest,
    OrderState,
    OrderView,
    Refusal,
    SessionView,
)


@dataclass(frozen=True)
class SessionConfig:
    """Who the session is and how it keeps its record. ValueError at construction names the field."""

    instance: str
    run_id: str
    source: str = "paper"  # "paper" or "live"
    strategy: str = "ensemble"
    fsync: str = "intents"
    snapshot_records: int = 20_000  # records between snapshots, 0 for none
    segment_bytes: int = 64 * 2**20
    inbox_capacity: int = 1_024
    subscriber_capacity: int = 4_096
    probe_after_s: tuple[float, ...] = (
        0.0,
        0.25,
        0.5,
        1.0,
        2.0,
        5.0,
    )  # between queries of an unknown order; last repeats
    stop_rounds: int = 1_000  # market events after a stop within which every order must be gone

    def __post_init__(self) -> None:
        if not self.instance or not self.run_id:
            raise ValueError("instance and run_id must not be empty")
        if self.source not in ("paper", "live"):
            raise ValueError(f"source {self.source!r} is neither 'paper' nor 'live'")
        if not self.probe_after_s or min(self.probe_after_s) < 0:
            raise ValueError(f"probe_after_s {self.probe_after_s} must be delays of at least 0 s")
        for name in ("segment_bytes", "inbox_capacity", "subscriber_capacity", "stop_rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} is below 1")
        if self.snapshot_records < 0:
            raise ValueError(f"snapshot_records {self.snapshot_records} is below 0")


class SessionApi:
    """See live_bridge/control.py `SessionControl`. The core's state is immutable, so reading it takes no lock."""

    config: SessionConfig
    core: Core
    _state: CoreState
    _bus: Bus
    _inbox: Inbox
    _journal: Journal
    _stop_reason: str

    @property
    def bus(self) -> EventBus:
        """The event bus."""
        return self._bus

    @property
    def core_state(self) -> CoreState:
        """The core's state; immutable, so any thread may read it."""
        return self._state

    def state(self) -> SessionView:
        """Return the latest consistent snapshot."""
        state, session = self._state, self._state.session
        live = state.live_orders()
        return SessionView(
            instance=self.config.instance,
            run_id=self.config.run_id,
            epoch=session.epoch if session else 0,
            sequence=self._journal.next_sequence - 1,
            trading=state.trading,
            phase=state.phase,
            event_ns=state.now_ns,
            decisions=state.decisions,
            refusals=state.refusals,
            position_lots=state.account.position_lots,
            cash_e8=state.account.cash_e8,
            fees_e8=state.account.fees_e8,
            pnl_e8=state.equity_e8(self.core.config.limits.tick_value_e8),
            mark_tick_x2=state.mark_tick_x2(),
            open_orders=tuple(order.view() for order in live),
            unknown_orders=sum(order.state == OrderState.UNKNOWN for order in live),
        )

    def orders(self, open_only: bool = True) -> tuple[OrderView, ...]:
        """Return the session's orders, oldest first."""
        state = self._state
        if open_only:
            return tuple(order.view() for order in state.live_orders())
        return tuple(order.view() for _, order in sorted(state.orders.items()))

    def kill(self, actor: str, reason: str) -> Future[CommandResult]:
        """Cancel everything, unacknowledged orders too, and halt; goes before everything that waits."""
        return self._inbox.put(Control(Command.KILL, actor, reason, 0, 0), urgent=True)

    def flatten(self, actor: str, reason: str) -> Future[CommandResult]:
        """Cancel everything, trade the position to zero, halt."""
        return self._inbox.put(Control(Command.FLATTEN, actor, reason, 0, 0))

    def resume(self, actor: str, reason: str) -> Future[CommandResult]:
        """Go back to ACTIVE."""
        return self._inbox.put(Control(Command.RESUME, actor, reason, 0, 0))

    def reduce_only(self, actor: str, reason: str) -> Future[CommandResult]:
        """Accept only orders that bring the position nearer to zero."""
        return self._inbox.put(Control(Command.REDUCE_ONLY, actor, reason, 0, 0))

    def stop(self, actor: str, reason: str) -> Future[CommandResult]:
        """Drain and end the session."""
        return self._inbox.put(Control(Command.STOP, actor, reason, 0, 0), urgent=True)

    def limits(self) -> tuple[RiskLimits, ...]:
        """Return the limits in force of strategy, venue and firm."""
        return self._state.limits or self.core.config.limits_by_scope()

    def set_limits(self, scope: str, changes: dict[str, int], actor: str, reason: str) -> Future[CommandResult]:
        """Change limits from the next order on; on record, and refused whole where one is wrong."""
        return self._inbox.put(LimitsChange(scope, json.dumps(changes, sort_keys=True), actor, reason))

    def mark_holding(self, asset: str, quantity: float | None, mark: float | None, actor: str) -> Future[CommandResult]:
        """Say what is held of an asset beside the session's own (signed units) and its price (quote units a unit).

        What is missing, not finite or too large is on record as unknown, and the portfolio's limits fail closed.
        """
        words = [in_e8(quantity), in_e8(mark)]
        known = None not in words
        return self._inbox.put(HoldingMark(asset, words[0] or 0, words[1] or 0, known, actor))

    def submit(self, request: OrderRequest) -> Future[CommandResult]:
        """Send an order through the same gate as the policy's."""
        return self._inbox.put(request)

    def cancel(self, request: CancelRequest) -> Future[CommandResult]:
        """Cancel an order by its client order id."""
        return self._inbox.put(request)

    def decide(self, book: BookEvent) -> Future[Decision | Refusal]:
        """Ask for a decision on a book from outside; nothing is placed for it.

        ValueError if its arrays cannot be a book; what is merely wrong for this session is refused by the core.
        """
        shapes = (book.depth.shape[::2], book.summary.shape, book.own.shape)
        if book.depth.ndim != 3 or shapes != ((2, 2), (spec.NUM_SUMMARY,), (2, spec.NUM_OWN_COLUMNS)):
            raise ValueError(
                f"depth {book.depth.shape}, summary {book.summary.shape}, own {book.own.shape} are no book"
            )
        return self._inbox.put(book)

    def request_stop(self, reason: str) -> None:
        """Ask for a drain from a signal handler: takes no lock."""
        self._stop_reason = reason
