"""What the venue's answers do to our orders and account. Each function works on the turn of one core step.

Fills book once each, in every state of the order, and also where the order is none of ours. What does not fit our
record is booked or left alone, and said aloud; it is never coerced.
"""

from typing import Final

from kernels.risk.states import TradingEvent
from live_bridge.accounts import LedgerOverflowError, apply_fill
from live_bridge.core_state import Turn
from live_bridge.orders import TERMINAL, Order, OrderEvent, book_fill, trade_key
from live_bridge.types import (
    CancelAck,
    CancelReject,
    Fill,
    OrderAck,
    OrderReject,
    OrderState,
    Outcome,
    OutcomeUnknown,
    Resolution,
)

_RESOLUTIONS: Final = {
    Outcome.NOT_SENT: OrderEvent.NOT_SENT,
    Outcome.OPEN: OrderEvent.FIND_OPEN,
    Outcome.UNDER_WAY: OrderEvent.FIND_SENT,
    Outcome.CANCELED: OrderEvent.CANCEL_ACK,
    Outcome.REJECTED: OrderEvent.REJECT,
    Outcome.EXPIRED: OrderEvent.EXPIRE,
}


def mark_sent(turn: Turn) -> None:
    """Take every INTENT for sent: the next event proves that the session went past sending it."""
    for order in turn.live_orders():
        if order.state == OrderState.INTENT:
            turn.transition(order, OrderEvent.SEND)


def find(turn: Turn, client_order_id: str, what: str) -> Order | None:
    """Return our order, or None with an alert."""
    order = turn.orders.get(client_order_id)
    if order is None:
        turn.alert("UNKNOWN_ORDER", f"{what} for {client_order_id}, which is none of ours")
    return order


def order_ack(turn: Turn, event: OrderAck) -> None:
    """The venue holds the order; without an id of the venue that is no proof."""
    order = find(turn, event.client_order_id, "OrderAck")
    if order is None:
        return
    if not event.venue_order_id:
        if order.client_order_id in turn.live:
            turn.transition(order, OrderEvent.LOSE)
        turn.alert("ACK_WITHOUT_ID", order.client_order_id)
        return
    order = order._replace(venue_order_id=event.venue_order_id)
    turn.put(order)
    if order.client_order_id in turn.live:  # after its end an acknowledgement is late, not wrong
        turn.transition(order, OrderEvent.ACK)


def order_reject(turn: Turn, event: OrderReject) -> None:
    """The venue refused for certain."""
    order = find(turn, event.client_order_id, "OrderReject")
    if order is not None:
        turn.transition(order, OrderEvent.REJECT, event.code)


def cancel_ack(turn: Turn, event: CancelAck) -> None:
    """The order rests no longer; where lots are missing, a fill is on its way and its worst case stays reserved."""
    order = find(turn, event.client_order_id, "CancelAck")
    if order is None or order.client_order_id not in turn.live:
        return
    if event.lots + order.filled_lots != order.lots:
        turn.alert(
            "LOTS_DO_NOT_ADD_UP",
            f"{order.client_order_id}: {order.lots} sent, {order.filled_lots} filled, {event.lots} cancelled",
        )
    if event.lots + order.filled_lots < order.lots:
        turn.transition(order, OrderEvent.LOSE)
        return
    turn.transition(order, OrderEvent.EXPIRE if event.expired else OrderEvent.CANCEL_ACK)


def cancel_reject(turn: Turn, event: CancelReject) -> None:
    """The venue did not cancel: a fill may have come first, so nothing is known until a query."""
    order = find(turn, event.client_order_id, "CancelReject")
    if order is not None:
        turn.transition(order, OrderEvent.CANCEL_REJECT, event.code)


def outcome_unknown(turn: Turn, event: OutcomeUnknown) -> None:
    """A send was answered by nothing that proves anything."""
    order = find(turn, event.client_order_id, "OutcomeUnknown")
    if order is not None and order.client_order_id in turn.live:
        turn.transition(order, OrderEvent.LOSE)


def fill(turn: Turn, event: Fill, tick_value_e8: int) -> None:
    """Book a fill into account and order; a repeated one is nothing."""
    key = trade_key(event.venue, event.instrument, event.trade_id)
    if key in turn.trades:
        return
    turn.trades = turn.trades.set(key, True)
    try:
        turn.account = apply_fill(turn.account, event.side, event.price_tick, event.lots, event.fee_e8, tick_value_e8)
    except LedgerOverflowError as error:
        turn.alert("LEDGER_OVERFLOW", str(error))
        turn.stand(TradingEvent.FAIL, turn.phase, "ledger overflow")
        return
    order = turn.orders.get(event.client_order_id)
    if order is None:
        turn.alert("FILL_OF_UNKNOWN_ORDER", f"trade {event.trade_id} of order {event.client_order_id}")
        return
    if event.side != order.side:
        turn.alert("FILL_ON_WRONG_SIDE", f"trade {event.trade_id} of order {order.client_order_id}")
    if order.state in TERMINAL:
        turn.alert("LATE_FILL", f"trade {event.trade_id} of {order.client_order_id} in {order.state.name}")
    after = book_fill(order, event.lots)
    if event.venue_order_id:
        after = after._replace(venue_order_id=event.venue_order_id)
    turn.put(after)
    if after.filled_lots > after.lots:
        turn.alert("OVERFILL", f"{order.client_order_id}: {after.filled_lots} of {after.lots} lots")


def resolution(turn: Turn, event: Resolution) -> None:
    """A query answered. Evidence that disagrees with the booked fills resolves nothing: fills are fetched first."""
    order = find(turn, event.client_order_id, "Resolution")
    if order is None or order.client_order_id not in turn.live:
        return
    if event.outcome == Outcome.STILL_UNKNOWN:
        turn.alert("STILL_UNKNOWN", f"{order.client_order_id}: {event.evidence}")
        return
    if event.filled_lots != order.filled_lots or event.outcome == Outcome.FILLED:
        turn.alert(
            "MISSING_FILLS", f"{order.client_order_id}: {order.filled_lots} booked, {event.filled_lots} at the venue"
        )
        return
    if event.venue_order_id:
        order = order._replace(venue_order_id=event.venue_order_id)
        turn.put(order)
    turn.transition(order, _RESOLUTIONS[event.outcome], f"resolved by {event.evidence}")
