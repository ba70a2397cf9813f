"""A venue that tells the truth late: it knows what its orders and its position are, and its answers may wait.

It is the judge of the core after a kill: what an order may do is computed from what has happened at the venue, not from
what the core believes. Messages can be held back, swapped and repeated; none of them is false.
"""

from dataclasses import dataclass, field

from live_bridge.types import (
    CancelAck,
    CancelReject,
    Event,
    Fill,
    Liquidity,
    NewIntent,
    OrderAck,
    OrderReject,
    Outcome,
    Resolution,
)


@dataclass
class Held:
    """An order as the venue has it."""

    side: int
    lots: int
    price_tick: int
    filled: int = 0
    state: str = "travelling"  # then "open", and at its end one of CANCELED, REJECTED, FILLED, EXPIRED, NOT_SENT

    @property
    def left(self) -> int:
        return self.lots - self.filled if self.state in ("travelling", "open") else 0


@dataclass
class TrueVenue:
    """Orders, position, and answers that have not been delivered."""

    orders: dict[str, Held] = field(default_factory=dict)
    position: int = 0
    waiting: list[Event] = field(default_factory=list)
    cancels: list[str] = field(default_factory=list)  # requests under way
    trades: list[Fill] = field(default_factory=list)  # every fill that ever was
    now_ns: int = 0

    def alive(self) -> list[str]:
        return [name for name, order in self.orders.items() if order.state in ("travelling", "open")]

    def reducible(self, side: int) -> int:
        """Lots by which an order of `side` could still reduce the position, everything of that side filled first."""
        sign = 1 if side == 0 else -1
        return -sign * self.position - sum(order.left for order in self.orders.values() if order.side == side)

    def take(self, intent: NewIntent) -> None:
        assert intent.client_order_id not in self.orders, "an id was used twice"
        self.orders[intent.client_order_id] = Held(intent.side, intent.lots, intent.price_tick)

    def accept(self, name: str) -> None:
        if self.orders[name].state == "travelling":
            self.orders[name].state = "open"
            self.waiting.append(OrderAck(name, f"V{name[-4:]}", self.now_ns, 1))

    def refuse(self, name: str) -> None:
        if self.orders[name].state == "travelling":
            self.orders[name].state = "REJECTED"
            self.waiting.append(OrderReject(name, "X", self.now_ns, 1))

    def trade(self, name: str, lots: int) -> None:
        order = self.orders[name]
        lots = min(lots, order.left)
        if lots == 0:
            return
        self.accept(name)
        order.filled += lots
        order.state = "FILLED" if order.filled == order.lots else "open"
        self.position += lots if order.side == 0 else -lots
        trade = f"t{len(self.trades)}"
        fields = (0, 0, trade, name, f"V{name[-4:]}", order.side, order.price_tick, lots, 1, Liquidity.MAKER)
        self.trades.append(Fill(*fields, self.now_ns, 1))
        self.waiting.append(self.trades[-1])

    def end(self, name: str, expired: bool) -> None:
        """Take an order off the book, or refuse to where there is none."""
        order = self.orders.get(name)
        if order is None or order.state != "open":
            self.waiting.append(CancelReject(name, "UNKNOWN", self.now_ns, 1))
            return
        left, order.state = order.left, "EXPIRED" if expired else "CANCELED"
        self.waiting.append(CancelAck(name, f"V{name[-4:]}", left, expired, self.now_ns, 1))

    def drop_travelling(self) -> None:
        """A process died before it sent."""
        for order in self.orders.values():
            if order.state == "travelling":
                order.state = "NOT_SENT"

    def answer(self, name: str) -> Resolution:
        """Say what became of an order; one that is not known was never sent."""
        order = self.orders.get(name)
        words = {"travelling": Outcome.UNDER_WAY, "open": Outcome.OPEN}
        outcome = Outcome.NOT_SENT if order is None else words.get(order.state) or Outcome[order.state]
        filled = order.filled if order else 0
        return Resolution(name, outcome, f"V{name[-4:]}" if order else "", filled, "test", self.now_ns, 1)
