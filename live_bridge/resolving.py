"""Finding out what became of orders: after a restart, after a lost answer, after a refused cancel, and at the end.

Only evidence resolves. "Not found" counts where the venue's ledger is written before `submit` returns
(`Venue.absence_is_proof`); elsewhere the order stays UNKNOWN, its worst case reserved, and is asked for again.
"""

from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING, Final

from live_bridge.orders import Order, trade_key
from live_bridge.types import (
    CancelIntent,
    Event,
    OrderState,
    Origin,
    Outcome,
    OutcomeUnknown,
    Reconciled,
    Resolution,
)
from live_bridge.venues.base import Venue, VenueOrder

if TYPE_CHECKING:
    from live_bridge.session import Session

_OUTCOMES: Final = {
    OrderState.SENT: Outcome.UNDER_WAY,
    OrderState.OPEN: Outcome.OPEN,
    OrderState.PARTIALLY_FILLED: Outcome.OPEN,
    OrderState.FILLED: Outcome.FILLED,
    OrderState.CANCELED: Outcome.CANCELED,
    OrderState.EXPIRED: Outcome.EXPIRED,
    OrderState.REJECTED: Outcome.REJECTED,
}


class Resolver:
    """Asks the venue and feeds the answers to the session as events."""

    def __init__(self, session: "Session", venue: Venue, never_sent: frozenset[str]) -> None:
        self._session, self._venue, self._never_sent = session, venue, never_sent
        self._asked: dict[str, tuple[int, float]] = {}  # order -> (times asked, when to ask again)
        self.resolved = 0
        self.found_fills = 0  # fills that only a query brought

    def unknown(self) -> list[Order]:
        """Return our orders of unknown outcome."""
        return [order for order in self._session.core_state.live_orders() if order.state == OrderState.UNKNOWN]

    def lost(self, client_order_id: str, detail: str) -> list[Event]:
        """Return the event of a send that proved nothing."""
        return [OutcomeUnknown(client_order_id, detail, self._venue.now_ns(), self._session.receive_ns())]

    def resolve_all(self) -> None:
        """After a restart: bring in every fill we missed, then ask for each order of unknown outcome."""
        self._fetch_fills()
        self._resolve(self.unknown())

    def probe(self) -> None:
        """Ask again for what is still unknown, at growing intervals."""
        unknown = self.unknown()
        if not unknown:
            self._asked.clear()
            return
        now = monotonic()
        due = [order for order in unknown if self._asked.get(order.client_order_id, (0, 0.0))[1] <= now]
        if due:
            self._fetch_fills()
            self._resolve(due)

    def reconcile(self) -> int:
        """Compare with the venue's books; return how many orders the venue holds open."""
        missing = self._fetch_fills()
        ours, theirs = self._session.core_state, self._venue.account()
        open_there = {order.client_order_id for order in self._venue.open_orders()}
        same_account = tuple(ours.account[:4]) == tuple(theirs)
        self._session.dispatch(
            Reconciled(
                position_lots=theirs.position_lots,
                open_orders=len(open_there),
                missing_fills=missing,
                equal=same_account and open_there == set(ours.live),
                event_ns=self._venue.now_ns(),
                recv_ns=self._session.receive_ns(),
            )
        )
        return len(open_there)

    def _fetch_fills(self) -> int:
        """Deliver the venue's fills that we have not booked; return how many."""
        known = self._session.core_state.trades
        missing = [
            fill for fill in self._venue.fills(0) if trade_key(fill.venue, fill.instrument, fill.trade_id) not in known
        ]
        for fill in missing:
            self._session.dispatch(fill)
        self.found_fills += len(missing)
        return len(missing)

    def _resolve(self, orders: Iterable[Order]) -> None:
        for order in orders:
            current = self._session.core_state.orders.get(order.client_order_id)
            if current is None or current.state != OrderState.UNKNOWN:  # a fetched fill has ended it
                self.resolved += 1
                continue
            resolution = self._ask(current)
            self._session.dispatch(resolution)
            if resolution.outcome == Outcome.STILL_UNKNOWN:
                times = self._asked.get(order.client_order_id, (0, 0.0))[0] + 1
                delays = self._session.config.probe_after_s
                again = delays[min(times, len(delays) - 1)]
                self._asked[order.client_order_id] = (times, monotonic() + again)
            else:
                self.resolved += 1

    def _ask(self, order: Order) -> Resolution:
        name = order.client_order_id
        if name in self._never_sent:
            return self._answer(name, Outcome.NOT_SENT, None, "journal: its intent was never written")
        try:
            found = self._venue.order(name)
        except OSError as error:
            return self._answer(name, Outcome.STILL_UNKNOWN, None, f"query failed: {error}")
        if found is not None:
            return self._answer(name, _OUTCOMES[found.state], found, f"{self._venue.name}: order by client id")
        if self._venue.absence_is_proof:
            return self._answer(name, Outcome.NOT_SENT, None, f"{self._venue.name}: not in its ledger")
        return self._answer(name, Outcome.STILL_UNKNOWN, None, f"{self._venue.name}: not found, which proves nothing")

    def _answer(self, name: str, outcome: Outcome, found: VenueOrder | None, evidence: str) -> Resolution:
        return Resolution(
            client_order_id=name,
            outcome=outcome,
            venue_order_id=found.venue_order_id if found else "",
            filled_lots=found.filled_lots if found else 0,
            evidence=evidence,
            event_ns=self._venue.now_ns(),
            recv_ns=self._session.receive_ns(),
        )


def cancel_at_venue(venue: Venue, rounds: int) -> int:
    """Cancel everything at the venue without a record, and let it arrive; return how many orders are still open."""
    for order in venue.open_orders():
        try:
            venue.cancel(CancelIntent(order.client_order_id, 0, 0, Origin.KILL, "", venue.now_ns()))
        except OSError:
            continue
    for _ in range(rounds):
        if not venue.open_orders():
            return 0
        venue.drain() if venue.ended else venue.poll()
    return len(venue.open_orders())
