"""The visible part of a recorded book, order by order, as a LOBSTER recording lets one know it.

It shares no code with the engines and matches nothing: it says which order a recorded event acts on, which levels
leave the visible depth and which come back. Orders whose arrival was never seen form one anonymous block a level.
"""

from bisect import insort
from collections.abc import Iterator


class SideTracker:
    """One side's visible levels. Prices are kept as `rank` = the better the lower (price for asks, -price for bids)."""

    def __init__(self, sign: int) -> None:
        self.sign = sign  # +1 asks, -1 bids
        self.ranks: list[int] = []  # best first
        self.orders: dict[int, dict[int, int]] = {}  # rank -> id -> lots, in order of arrival
        self.anonymous: dict[int, int] = {}  # rank -> id of its anonymous block

    def add(self, price_tick: int, order_id: int, lots: int, anonymous: bool = False) -> None:
        """Rest an order at the back of its level."""
        rank = self.sign * price_tick
        if rank not in self.orders:
            insort(self.ranks, rank)
            self.orders[rank] = {}
        self.orders[rank][order_id] = lots
        if anonymous:
            self.anonymous[rank] = order_id

    def find(self, price_tick: int, order_id: int) -> tuple[int, int] | None:
        """Return (id, lots) of the order at that level: itself, else the level's anonymous block, else None."""
        rank = self.sign * price_tick
        level = self.orders.get(rank)
        if level is None:
            return None
        if order_id not in level:
            order_id = self.anonymous.get(rank, 0)
        return (order_id, level[order_id]) if order_id in level else None

    def take(self, price_tick: int, order_id: int, lots: int) -> bool:
        """Take lots off a resting order; return whether its level is empty now."""
        rank = self.sign * price_tick
        level = self.orders[rank]
        level[order_id] -= lots
        if level[order_id] > 0:
            return False
        del level[order_id]
        if self.anonymous.get(rank) == order_id:
            del self.anonymous[rank]
        if level:
            return False
        self._drop(rank)
        return True

    def purge(self, levels: int) -> list[int]:
        """Forget the levels beyond the deepest of `levels`; return the ids of the orders forgotten."""
        gone: list[int] = []
        while len(self.ranks) > levels:
            rank = self.ranks[-1]
            gone.extend(self.orders[rank])
            self.anonymous.pop(rank, None)
            self._drop(rank)
        return gone

    def crosses(self, rank: int) -> bool:
        """Return whether an order of the other side at `rank` (of this side's sign) would match."""
        return bool(self.ranks) and rank >= self.ranks[0]

    def in_priority(self) -> Iterator[tuple[int, int, int]]:
        """Yield (price_tick, id, lots) from the best order to the worst."""
        for rank in self.ranks:
            for order_id, lots in self.orders[rank].items():
                yield self.sign * rank, order_id, lots

    def num_orders(self) -> int:
        """Return how many orders rest, anonymous blocks included."""
        return sum(len(level) for level in self.orders.values())

    def _drop(self, rank: int) -> None:
        del self.orders[rank]
        self.ranks.remove(rank)
