"""What all venue books share: two sides of levels, and the outcome of a message."""

import enum
import heapq
from collections.abc import Iterable

BID, ASK = 0, 1
Levels = list[tuple[int, int]]  # (price, size), size 0 removes


class Outcome(enum.Enum):
    """What a message did to the book."""

    APPLIED = "applied"
    STALE = "stale"  # older than the snapshot: nothing to do
    WAITING = "waiting"  # applied to a book that began without a snapshot: complete only where it was touched
    GAP = "gap"  # messages were lost, repeated or reordered; the book is not synced until the next snapshot
    CHECKSUM = "checksum"  # the venue's checksum is not ours; as a gap

    @property
    def broke(self) -> bool:
        """Whether the book can no longer be trusted."""
        return self in (Outcome.GAP, Outcome.CHECKSUM)


class LevelBook:
    """Sizes by price on both sides, with the best price at hand."""

    def __init__(self) -> None:
        self.sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
        # Heaps of ranks (price for asks, -price for bids); a price that was removed stays until it comes to the top.
        self._heaps: tuple[list[int], list[int]] = ([], [])

    def clear(self) -> None:
        """Forget all levels."""
        for side in (BID, ASK):
            self.sides[side].clear()
            self._heaps[side].clear()

    def apply(self, bids: Levels, asks: Levels) -> None:
        """Set the sizes of levels; 0 removes."""
        for side, levels in ((BID, bids), (ASK, asks)):
            own, heap, sign = self.sides[side], self._heaps[side], -1 if side == BID else 1
            for price, size in levels:
                if size:
                    if price not in own:
                        heapq.heappush(heap, sign * price)
                    own[price] = size
                else:
                    own.pop(price, None)

    def best(self, side: int) -> int | None:
        """Return the best price, or None."""
        heap, own, sign = self._heaps[side], self.sides[side], -1 if side == BID else 1
        while heap and sign * heap[0] not in own:
            heapq.heappop(heap)
        return sign * heap[0] if heap else None

    def top(self, side: int, count: int) -> list[int]:
        """Return the best prices, best first."""
        own = self.sides[side]
        return heapq.nlargest(count, own) if side == BID else heapq.nsmallest(count, own)

    def beyond(self, side: int, depth: int) -> list[int]:
        """Return the prices behind the `depth` best ones."""
        excess = len(self.sides[side]) - depth
        if excess <= 0:
            return []
        return (heapq.nsmallest if side == BID else heapq.nlargest)(excess, self.sides[side])

    @property
    def touch(self) -> tuple[int | None, int | None]:
        """Return (best bid, best ask)."""
        return self.best(BID), self.best(ASK)


class VenueBook:
    """A book and whether it is in step with the venue."""

    def __init__(self) -> None:
        self.book = LevelBook()
        self.synced = False
        self._started = False  # whether a snapshot was seen, or its absence was told

    def start(self, bids: Levels, asks: Levels) -> Outcome:
        """Begin anew from a snapshot."""
        self.book.clear()
        self.book.apply(bids, asks)
        self.synced = self._started = True
        return Outcome.APPLIED

    def lose(self, outcome: Outcome = Outcome.GAP) -> Outcome:
        """Give the book up until the next snapshot."""
        self.book.clear()
        self.synced = False
        return outcome

    def change(self, bids: Levels, asks: Levels) -> Outcome:
        """Apply a change that is in sequence."""
        self.book.apply(bids, asks)
        return Outcome.APPLIED if self.synced else Outcome.WAITING

    def missed_start(self) -> bool:
        """Return True once if the venue begins with a snapshot and a change came first."""
        missed, self._started = not self._started, True
        return missed


class SequenceChain:
    """A counter that must rise by one a message; the first one is taken as it comes."""

    def __init__(self) -> None:
        self.last: int | None = None

    def follow(self, number: int) -> bool:
        """Return whether this message follows the last one; it is the last one afterwards either way."""
        follows = self.last is None or number == self.last + 1
        self.last = number
        return follows

    def reset(self) -> None:
        """Take the next number as it comes: a new connection."""
        self.last = None


def is_valid(levels: Iterable[tuple[int, int]]) -> bool:
    """Return whether every price is positive and no size is negative, as on every venue of currencies."""
    return all(price > 0 and size >= 0 for price, size in levels)
