"""Orders and account followed through a journal without the policy: for exports and audits.

The journal holds every event and every output, so the transition table alone gives each order's life; the core, which
would need the policy's weights, is not run.
"""

from live_bridge import order_events
from live_bridge.core_state import CoreState, Turn
from live_bridge.orders import Order, OrderEvent
from live_bridge.records import Body, is_event
from live_bridge.types import (
    CancelAck,
    CancelIntent,
    CancelReject,
    Fill,
    NewIntent,
    OrderAck,
    OrderReject,
    OrderState,
    OutcomeUnknown,
    Resolution,
    SessionStart,
)

_HANDLERS = {
    OrderAck: order_events.order_ack,
    OrderReject: order_events.order_reject,
    CancelAck: order_events.cancel_ack,
    CancelReject: order_events.cancel_reject,
    OutcomeUnknown: order_events.outcome_unknown,
    Resolution: order_events.resolution,
}


class Tracker(Turn):
    """A working copy that is never frozen; `changed` holds the orders that the last record moved, in order."""

    def __init__(self, tick_value_e8: int) -> None:
        super().__init__(CoreState())
        self._tick_value_e8 = tick_value_e8
        self.changed: dict[tuple[str, OrderState], Order] = {}
        self.booked = False  # whether the last record was a fill that counted

    def put(self, order: Order) -> None:
        """Write an order back and note that it moved."""
        before = self.orders.get(order.client_order_id)
        super().put(order)
        if before is None or (before.state, before.filled_lots) != (order.state, order.filled_lots):
            self.changed[(order.client_order_id, order.state)] = order

    def take(self, body: Body) -> None:
        """Follow one record."""
        self.changed.clear()
        self.outputs.clear()
        self.booked = False
        if isinstance(body, SessionStart):
            self.session = body
            for order in self.live_orders():
                self.transition(order, OrderEvent.LOSE)
            return
        if is_event(body):
            order_events.mark_sent(self)
        if isinstance(body, NewIntent):
            self.put(_order(body))
        elif isinstance(body, CancelIntent):
            order = self.orders.get(body.client_order_id)
            if order is not None:
                self.transition(order, OrderEvent.CANCEL_REQUEST)
        elif isinstance(body, Fill):
            before = self.account.num_fills
            order_events.fill(self, body, self._tick_value_e8)
            self.booked = self.account.num_fills > before
        elif type(body) in _HANDLERS:
            _HANDLERS[type(body)](self, body)  # type: ignore[operator]


def _order(intent: NewIntent) -> Order:
    return Order(
        client_order_id=intent.client_order_id,
        venue_order_id="",
        instrument=intent.instrument,
        side=intent.side,
        price_tick=intent.price_tick,
        lots=intent.lots,
        filled_lots=0,
        kind=intent.kind,
        state=OrderState.INTENT,
        origin=intent.origin,
        reduce_only=intent.reduce_only,
        reason="",
        event_ns=intent.event_ns,
        request_id=intent.request_id,
    )
