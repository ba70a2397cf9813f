"""What the gRPC servicer may ask of a running session, and how it listens to it.

`Session` (live_bridge/session.py) implements `SessionControl`, `Bus` (live_bridge/bus.py) implements `EventBus`.
Every call may be made from any thread: commands go through the session's inbox to its single writer thread and the
future resolves after the command's records are durable. A full inbox refuses at once (`CommandResult.accepted` False,
reason `INBOX_FULL`), except for kill, which always enters.
"""

from concurrent.futures import Future
from typing import Protocol

from kernels.risk.spec import RiskLimits
from live_bridge.types import (
    BookEvent,
    CancelRequest,
    CommandResult,
    Decision,
    Envelope,
    OrderRequest,
    OrderView,
    Refusal,
    SessionView,
    SubscriptionDropped,
)


class Subscription(Protocol):
    """A bounded stream of envelopes in sequence order without holes."""

    def get(self, timeout_s: float | None = None) -> Envelope | SubscriptionDropped | None:
        """Return the next envelope; None when the time is over or, with `ended`, when the session has ended.

        `SubscriptionDropped` is returned once, as the last item, to a reader that fell too far behind.
        """
        ...

    @property
    def ended(self) -> bool:
        """Whether nothing will ever follow."""
        ...

    def close(self) -> None:
        """Stop receiving; safe to call twice."""
        ...


class EventBus(Protocol):
    """Publishes every journalled record, in order, to any number of bounded subscribers."""

    def subscribe(self, from_sequence: int = 0) -> Subscription:
        """Start at `from_sequence` (1 is the journal's first record; 0 means from now on).

        Raises ValueError if `from_sequence` is negative or beyond the next record.
        """
        ...


class SessionControl(Protocol):
    """The session as its servers see it."""

    @property
    def bus(self) -> EventBus:
        """The event bus of this session."""
        ...

    def state(self) -> SessionView:
        """Return the latest consistent snapshot; never blocks."""
        ...

    def orders(self, open_only: bool = True) -> tuple[OrderView, ...]:
        """Return the session's orders; never blocks."""
        ...

    def kill(self, actor: str, reason: str) -> Future[CommandResult]:
        """Cancel everything, unacknowledged orders too, and halt."""
        ...

    def flatten(self, actor: str, reason: str) -> Future[CommandResult]:
        """Cancel everything, trade the position to zero, halt."""
        ...

    def resume(self, actor: str, reason: str) -> Future[CommandResult]:
        """Go back to ACTIVE; only a person may, whatever it was that stopped the trading."""
        ...

    def reduce_only(self, actor: str, reason: str) -> Future[CommandResult]:
        """Accept only orders that bring the position nearer to zero."""
        ...

    def stop(self, actor: str, reason: str) -> Future[CommandResult]:
        """Drain and end the session."""
        ...

    def limits(self) -> tuple[RiskLimits, ...]:
        """Return the limits in force of strategy, venue and firm; never blocks."""
        ...

    def set_limits(self, scope: str, changes: dict[str, int], actor: str, reason: str) -> Future[CommandResult]:
        """Change limits of "strategy", "venue" or "firm" from the next order on."""
        ...

    def submit(self, request: OrderRequest) -> Future[CommandResult]:
        """Send an order through the same gate as the policy's."""
        ...

    def cancel(self, request: CancelRequest) -> Future[CommandResult]:
        """Cancel an order by its client order id."""
        ...

    def decide(self, book: BookEvent) -> Future[Decision | Refusal]:
        """Resolve with the core's answer to a book from outside (gRPC Decisions); nothing is placed for it.

        ValueError if its arrays cannot be a book.
        """
        ...
