"""What a book must hold according to the engine's own answers: a ledger of orders.

It takes one message a call with its reason, filled lots and fills, checks that they agree with each other and with
price-time priority, keeps the account of every lot, and then compares itself with the book.
"""

from dataclasses import dataclass, field

import numpy as np

from kernels.lob import spec
from kernels.lob.spec import Book, LobOutput

TAKERS = (spec.LIMIT, spec.MARKET, spec.IOC, spec.FOK)
PRICED = (spec.LIMIT, spec.IOC, spec.FOK, spec.REPLACE)


@dataclass
class Resting:
    """An order that should rest."""

    side: int
    price: int
    lots: int
    owner: int
    arrival: int = 0

    def rank(self) -> tuple[int, int]:
        """Sort key: smaller is better."""
        return (self.price if self.side == spec.SELL else -self.price, self.arrival)


@dataclass
class Ledger:
    """Orders by id, and where all submitted lots went. Ids of entering messages must be new."""

    orders: dict[int, Resting] = field(default_factory=dict)
    submitted: int = 0
    filled: int = 0  # counted on both sides of a trade
    cancelled: int = 0
    rejected: int = 0  # refused messages, and remainders that nothing kept
    evicted: int = 0
    num_evicted: int = 0
    arrivals: int = 0

    def post(self, row: list[int], out: LobOutput) -> None:
        """Book one message with the output of its call."""
        kind, side, lots, price, order_id, owner = row[:6]
        reason, filled = int(out.reason[0]), int(out.filled_lots[0])
        fills = np.asarray(out.fills)[: int(out.num_fills)]
        assert filled == fills[:, spec.FILL_LOTS].sum(), "filled lots differ from the sum of the fills"
        entering = Resting(side, price, lots, owner) if kind in (*TAKERS, spec.POST_ONLY) else None
        rests = kind in (spec.LIMIT, spec.POST_ONLY)
        if kind in (spec.REDUCE, spec.DELETE, spec.REPLACE) and reason == spec.OK:
            entering, rests = self._edit(kind, lots, price, order_id), True
        limit = price if kind in PRICED else None
        for fill in fills.tolist():
            self._fill(fill, None if kind == spec.EXECUTE else side, limit)
        if entering is None:
            return
        self.submitted += entering.lots
        self.filled += filled
        left = entering.lots - filled
        if rests and reason == spec.OK:
            self._rest(order_id, entering, left)
        else:
            self.rejected += left

    def _edit(self, kind: int, lots: int, price: int, order_id: int) -> Resting | None:
        """Change a resting order; return what REPLACE enters anew."""
        order = self.orders[order_id]
        keeps = kind == spec.REPLACE and price == order.price and lots <= order.lots
        left = lots if keeps else max(order.lots - lots, 0) if kind == spec.REDUCE else 0
        self.cancelled += order.lots - left
        self._leave(order_id, left)
        return Resting(order.side, price, lots, order.owner) if kind == spec.REPLACE and not keeps else None

    def _leave(self, order_id: int, lots: int) -> None:
        self.orders[order_id].lots = lots
        if lots == 0:
            del self.orders[order_id]

    def _rest(self, order_id: int, order: Resting, lots: int) -> None:
        if lots:
            self.arrivals += 1
            assert order_id not in self.orders, "an id rests twice"
            self.orders[order_id] = Resting(order.side, order.price, lots, order.owner, self.arrivals)

    def _fill(self, fill: list[int], side: int | None, limit: int | None) -> None:
        """Take a fill off its maker; `side` is the taker's, None for EXECUTE, which names its maker."""
        _, price, lots, maker_id, _, maker_owner, _, taker_side = fill
        maker = self.orders[maker_id]
        assert (price, maker_owner, taker_side) == (maker.price, maker.owner, 1 - maker.side), "a fill misreports"
        assert 1 <= lots <= maker.lots, "a maker filled more than it had"
        if side is not None:
            assert taker_side == side
            rivals = [order.rank() for order in self.orders.values() if order.side == maker.side]
            assert maker.rank() == min(rivals), "a fill passes over an order with better priority"
        if side is not None and limit is not None:
            assert price <= limit if side == spec.BUY else price >= limit, "a fill is worse than the taker's limit"
        self.filled += lots
        self._leave(maker_id, maker.lots - lots)

    def compare(self, book: Book) -> None:
        """Compare with a canonical book; at most one background order may be missing there: it was evicted."""
        held: dict[int, tuple[int, ...]] = {}
        for side in (spec.BUY, spec.SELL):
            count = int(book.num_orders[side])
            price, lots, ids, owner = (np.asarray(column)[side, :count].tolist() for column in book[:4])
            held |= {ids[slot]: (side, price[slot], lots[slot], owner[slot]) for slot in range(count)}
            assert not any(np.asarray(column)[side, count:].any() for column in book[:4]), "an empty slot is not 0"
            ranks = [self.orders[order_id].rank() for order_id in ids]
            assert ranks == sorted(ranks, reverse=True), "slots are not in order of priority, best last"
        assert len(held) == int(np.sum(book.num_orders))
        self._evict([order_id for order_id in self.orders if order_id not in held], book)
        expected = {key: (order.side, order.price, order.lots, order.owner) for key, order in self.orders.items()}
        assert held == expected, "the book holds other orders than its answers say"
        resting = sum(order.lots for order in self.orders.values())
        accounted = self.filled + self.cancelled + self.rejected + self.evicted + resting
        assert self.submitted == accounted, f"{self.submitted} lots were submitted, {accounted} are accounted for"

    def _evict(self, missing: list[int], book: Book) -> None:
        for order_id in missing:
            order = self.orders.pop(order_id)
            assert order.owner == 0, "an agent's order was evicted"
            self.evicted += order.lots
            self.num_evicted += 1
        assert self.num_evicted == int(book.counters[spec.NUM_EVICTED])
