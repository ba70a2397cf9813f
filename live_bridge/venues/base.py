"""What the session asks of a venue. A venue translates; it decides nothing and keeps no secrets from the journal.

Times of events are the venue's (`event_ns`); `recv_ns` comes from the clock that the session injects.
"""

from typing import NamedTuple, Protocol

from live_bridge.types import CancelIntent, Event, Fill, NewIntent, OrderState


class VenueOrder(NamedTuple):
    """An order as the venue's records have it."""

    client_order_id: str
    venue_order_id: str  # "" while it is on its way
    side: int
    price_tick: int
    lots: int
    filled_lots: int
    state: OrderState  # SENT (on its way), OPEN, PARTIALLY_FILLED, or terminal


class VenueAccount(NamedTuple):
    """The venue's own books."""

    position_lots: int
    cash_e8: int
    fees_e8: int
    num_fills: int


class Venue(Protocol):
    """A venue. Every call may raise OSError: then the outcome of a send is unknown."""

    @property
    def name(self) -> str:
        """Name in the journal's table of venues."""
        ...

    @property
    def absence_is_proof(self) -> bool:
        """Whether "no such order" proves that an order never arrived (a ledger written before `submit` returns)."""
        ...

    @property
    def ended(self) -> bool:
        """Whether no market event will ever come again."""
        ...

    def now_ns(self) -> int:
        """Return the venue's clock, event time."""
        ...

    def submit(self, intent: NewIntent) -> list[Event]:
        """Send an order; return what is known at once (an acknowledgement, a definite reject, an unknown outcome)."""
        ...

    def cancel(self, intent: CancelIntent) -> list[Event]:
        """Send a cancel."""
        ...

    def poll(self) -> list[Event]:
        """Let the market go on to the next decision; return what happened in order, the book last."""
        ...

    def drain(self) -> list[Event]:
        """Let everything under way arrive, without a market event; return what happened."""
        ...

    def order(self, client_order_id: str) -> VenueOrder | None:
        """Return what the venue's records hold of an order, on its way or ended too; None if they have none."""
        ...

    def open_orders(self) -> list[VenueOrder]:
        """Return the orders that rest or are on their way."""
        ...

    def fills(self, since: int) -> list[Fill]:
        """Return our fills in the venue's order, from number `since` (0 is the first)."""
        ...

    def account(self) -> VenueAccount:
        """Return the venue's books."""
        ...

    def close(self) -> None:
        """Release files and connections."""
        ...
