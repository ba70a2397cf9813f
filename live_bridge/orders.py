"""The life of an order as data: one transition table, and the few rules that a table cannot say.

Rules: fills book in every state, terminal ones included; UNKNOWN keeps the whole remainder reserved until evidence
comes; a cancel that the venue refuses leaves UNKNOWN (a fill may have come first, or the order may never have been
there), never OPEN by assumption. A transition that the table does not hold changes nothing and is reported.

Client order ids: 32 lowercase hexadecimal characters, instance (48 bits of a hash), epoch (32 bits), intent number
(48 bits), so no two intents of any process of an instance share one, without any randomness.
"""

from enum import IntEnum
from hashlib import blake2b
from typing import Final, NamedTuple

from live_bridge.types import OrderKind, OrderState, OrderView, Origin

CLIENT_ORDER_ID_LENGTH: Final = 32
_INSTANCE_BYTES: Final = 6


class OrderEvent(IntEnum):
    """What can happen to an order."""

    SEND = 1  # handed to the venue
    ACK = 2
    REJECT = 3
    PARTIAL_FILL = 4
    FULL_FILL = 5
    CANCEL_REQUEST = 6
    CANCEL_ACK = 7
    CANCEL_REJECT = 8
    EXPIRE = 9
    LOSE = 10  # timeout, reset, restart: the outcome is not known
    FIND_OPEN = 11  # a query found it resting
    FIND_SENT = 16  # a query found it on its way, not answered yet
    NOT_SENT = 12  # its intent never became durable
    REPLACE_REQUEST = 13
    REPLACE_ACK = 14
    REPLACE_REJECT = 15


_S = OrderState
_E = OrderEvent
TERMINAL: Final = frozenset({_S.FILLED, _S.CANCELED, _S.EXPIRED, _S.REJECTED})
LIVE: Final = frozenset(_S) - TERMINAL
UNDER_WAY: Final = frozenset({_S.INTENT, _S.SENT, _S.UNKNOWN, _S.PENDING_CANCEL, _S.PENDING_REPLACE})

# (state, event) -> state. OPEN stands for OPEN or, once lots have filled, PARTIALLY_FILLED (`_settled`).
TRANSITIONS: Final[dict[tuple[OrderState, OrderEvent], OrderState]] = {
    (_S.INTENT, _E.SEND): _S.SENT,
    (_S.INTENT, _E.CANCEL_REQUEST): _S.PENDING_CANCEL,
    (_S.INTENT, _E.LOSE): _S.UNKNOWN,
    (_S.INTENT, _E.NOT_SENT): _S.CANCELED,
    (_S.SENT, _E.ACK): _S.OPEN,
    (_S.SENT, _E.REJECT): _S.REJECTED,
    (_S.SENT, _E.PARTIAL_FILL): _S.PARTIALLY_FILLED,
    (_S.SENT, _E.FULL_FILL): _S.FILLED,
    (_S.SENT, _E.CANCEL_REQUEST): _S.PENDING_CANCEL,
    (_S.SENT, _E.CANCEL_ACK): _S.CANCELED,
    (_S.SENT, _E.EXPIRE): _S.EXPIRED,
    (_S.SENT, _E.LOSE): _S.UNKNOWN,
    (_S.UNKNOWN, _E.ACK): _S.OPEN,
    (_S.UNKNOWN, _E.REJECT): _S.REJECTED,
    (_S.UNKNOWN, _E.PARTIAL_FILL): _S.UNKNOWN,
    (_S.UNKNOWN, _E.FULL_FILL): _S.FILLED,
    (_S.UNKNOWN, _E.CANCEL_REQUEST): _S.UNKNOWN,
    (_S.UNKNOWN, _E.CANCEL_ACK): _S.CANCELED,
    (_S.UNKNOWN, _E.CANCEL_REJECT): _S.UNKNOWN,
    (_S.UNKNOWN, _E.EXPIRE): _S.EXPIRED,
    (_S.UNKNOWN, _E.LOSE): _S.UNKNOWN,
    (_S.UNKNOWN, _E.FIND_OPEN): _S.OPEN,
    (_S.UNKNOWN, _E.FIND_SENT): _S.SENT,
    (_S.UNKNOWN, _E.NOT_SENT): _S.CANCELED,
    (_S.OPEN, _E.ACK): _S.OPEN,
    (_S.OPEN, _E.PARTIAL_FILL): _S.PARTIALLY_FILLED,
    (_S.OPEN, _E.FULL_FILL): _S.FILLED,
    (_S.OPEN, _E.CANCEL_REQUEST): _S.PENDING_CANCEL,
    (_S.OPEN, _E.CANCEL_ACK): _S.CANCELED,
    (_S.OPEN, _E.EXPIRE): _S.EXPIRED,
    (_S.OPEN, _E.LOSE): _S.UNKNOWN,
    (_S.OPEN, _E.FIND_OPEN): _S.OPEN,
    (_S.OPEN, _E.REPLACE_REQUEST): _S.PENDING_REPLACE,
    (_S.PARTIALLY_FILLED, _E.ACK): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _E.PARTIAL_FILL): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _E.FULL_FILL): _S.FILLED,
    (_S.PARTIALLY_FILLED, _E.CANCEL_REQUEST): _S.PENDING_CANCEL,
    (_S.PARTIALLY_FILLED, _E.CANCEL_ACK): _S.CANCELED,
    (_S.PARTIALLY_FILLED, _E.EXPIRE): _S.EXPIRED,
    (_S.PARTIALLY_FILLED, _E.LOSE): _S.UNKNOWN,
    (_S.PARTIALLY_FILLED, _E.FIND_OPEN): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _E.REPLACE_REQUEST): _S.PENDING_REPLACE,
    (_S.PENDING_CANCEL, _E.SEND): _S.PENDING_CANCEL,
    (_S.PENDING_CANCEL, _E.ACK): _S.PENDING_CANCEL,
    (_S.PENDING_CANCEL, _E.REJECT): _S.REJECTED,
    (_S.PENDING_CANCEL, _E.PARTIAL_FILL): _S.PENDING_CANCEL,
    (_S.PENDING_CANCEL, _E.FULL_FILL): _S.FILLED,
    (_S.PENDING_CANCEL, _E.CANCEL_REQUEST): _S.PENDING_CANCEL,
    (_S.PENDING_CANCEL, _E.CANCEL_ACK): _S.CANCELED,
    (_S.PENDING_CANCEL, _E.CANCEL_REJECT): _S.UNKNOWN,
    (_S.PENDING_CANCEL, _E.EXPIRE): _S.EXPIRED,
    (_S.PENDING_CANCEL, _E.LOSE): _S.UNKNOWN,
    (_S.PENDING_REPLACE, _E.REPLACE_ACK): _S.OPEN,
    (_S.PENDING_REPLACE, _E.REPLACE_REJECT): _S.UNKNOWN,
    (_S.PENDING_REPLACE, _E.PARTIAL_FILL): _S.PENDING_REPLACE,
    (_S.PENDING_REPLACE, _E.FULL_FILL): _S.FILLED,
    (_S.PENDING_REPLACE, _E.CANCEL_REQUEST): _S.PENDING_CANCEL,
    (_S.PENDING_REPLACE, _E.CANCEL_ACK): _S.CANCELED,
    (_S.PENDING_REPLACE, _E.EXPIRE): _S.EXPIRED,
    (_S.PENDING_REPLACE, _E.LOSE): _S.UNKNOWN,
    # A terminal order keeps its state at a late fill, unless the fill completes it.
    **{(state, _E.PARTIAL_FILL): state for state in TERMINAL},
    **{(state, _E.FULL_FILL): _S.FILLED for state in TERMINAL},
    # The refusal of a cancel that came after the end says nothing new.
    **{(state, _E.CANCEL_REJECT): state for state in TERMINAL},
}

# After a restart, a refusal, or being found at rest, an order may be asked to cancel again.
_CANCEL_SENT: Final = {
    _E.CANCEL_REQUEST: True,
    _E.CANCEL_REJECT: False,
    _E.LOSE: False,
    _E.FIND_OPEN: False,
    _E.FIND_SENT: False,
}


class Order(NamedTuple):
    """One order as we know it."""

    client_order_id: str
    venue_order_id: str  # "" until the venue has proven that it holds the order
    instrument: int
    side: int
    price_tick: int
    lots: int
    filled_lots: int
    kind: OrderKind
    state: OrderState
    origin: Origin
    reduce_only: bool
    reason: str  # why it ended, "" while it lives
    event_ns: int  # of the intent
    request_id: str
    cancel_sent: bool = False  # a cancel has left since the order was last known to rest

    @property
    def left_lots(self) -> int:
        """Lots that may still fill, at least 0."""
        return max(self.lots - self.filled_lots, 0) if self.state in LIVE else 0

    def view(self) -> OrderView:
        """Return what servers may see of it."""
        return OrderView(
            client_order_id=self.client_order_id,
            venue_order_id=self.venue_order_id,
            instrument=self.instrument,
            side=self.side,
            price_tick=self.price_tick,
            lots=self.lots,
            filled_lots=self.filled_lots,
            kind=self.kind,
            state=self.state,
            origin=self.origin,
            reason=self.reason,
            event_ns=self.event_ns,
        )


def advance(order: Order, event: OrderEvent, reason: str = "") -> Order | None:
    """Return the order after `event`, or None if the table does not allow it."""
    state = TRANSITIONS.get((order.state, event))
    if state is None:
        return None
    if state is _S.OPEN and order.filled_lots > 0:
        state = _S.PARTIALLY_FILLED
    ended = state in TERMINAL and order.state not in TERMINAL
    return order._replace(
        state=state,
        reason=reason or event.name if ended else order.reason,
        cancel_sent=_CANCEL_SENT.get(event, order.cancel_sent),
    )


def book_fill(order: Order, lots: int) -> Order:
    """Return the order with `lots` more filled; every state takes a fill."""
    filled = order._replace(filled_lots=order.filled_lots + lots)
    event = OrderEvent.FULL_FILL if filled.filled_lots >= order.lots else OrderEvent.PARTIAL_FILL
    after = advance(filled, event)
    if after is None:  # INTENT alone: a fill proves that it was sent
        sent = filled._replace(state=_S.SENT)
        after = advance(sent, event)
        assert after is not None, "SENT takes every fill"
    return after


def client_order_id(instance: str, epoch: int, intent_number: int) -> str:
    """Return the id of an intent; ValueError if epoch or number do not fit."""
    if not 0 < epoch < 2**32 or not 0 < intent_number < 2**48:
        raise ValueError(f"epoch {epoch} is outside 1..2^32-1 or intent number {intent_number} outside 1..2^48-1")
    head = blake2b(instance.encode(), digest_size=_INSTANCE_BYTES).hexdigest()
    return f"{head}{epoch:08x}{intent_number:012x}"


def trade_key(venue: int, instrument: int, trade_id: str) -> str:
    """Return what makes a fill unique."""
    return f"{venue}:{instrument}:{trade_id}"
