"""A book of price levels on the host, and the part of it that the engine holds: the best `window` levels a side.

Feeds publish thousands of levels, the engine holds 64 to 512 orders. `LevelSide` keeps every level of one side and
says, batch by batch, which levels of the engine change: those that the feed changed inside the window, those that are
*revealed* because better ones went, and those *purged* because better ones came. Cost of an update: a dictionary
look-up, and for a new or a gone level a binary search and a shift in a flat list.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from kernels.lob.spec import BUY

Level: TypeAlias = tuple[int, int]  # (price_tick, lots)

BEYOND_ALL = 2**31  # a rank that no valid price has


class Change(NamedTuple):
    """What the engine is to be told about one side: (price_tick, new lots) of levels."""

    shrink: list[Level]  # gone, purged or smaller; before
    grow: list[Level]  # new, revealed, larger, or restated after trades


class LevelSide:
    """One side. Prices are kept as `rank`, the better the lower (price for asks, -price for bids)."""

    def __init__(self, side: int, window: int) -> None:
        self.sign = -1 if side == BUY else 1
        self.window = window
        self.lots: dict[int, int] = {}  # rank -> lots, every level that the feed told of
        self.ranks: list[int] = []  # of all levels, best first
        self.held: dict[int, int] = {}  # rank -> lots that the engine was told, the best `window` levels
        self.edge = BEYOND_ALL  # rank of the worst level held, BEYOND_ALL while all are held
        self.unsure: dict[int, None] = {}  # held ranks from which trades may have taken since the last batch
        self.revealed = self.purged = self.most_levels = 0

    def best(self) -> Level | None:
        """Return (price_tick, lots) of the best level, or None."""
        return (self.sign * self.ranks[0], self.lots[self.ranks[0]]) if self.ranks else None

    def levels(self, count: int) -> list[Level]:
        """Return the best `count` levels."""
        return [(self.sign * rank, self.lots[rank]) for rank in self.ranks[:count]]

    def update(self, levels: Iterable[Level]) -> Change:
        """Set levels to new sizes, 0 for gone; of a price told twice the last word counts."""
        ranks, lots, sign = self.ranks, self.lots, self.sign
        touched: dict[int, None] = {}
        for price_tick, size in levels:
            rank = sign * price_tick
            touched[rank] = None
            if size:
                if rank not in lots:
                    insort(ranks, rank)
                lots[rank] = size
            elif rank in lots:
                del lots[rank]
                del ranks[bisect_left(ranks, rank)]
        self.most_levels = max(self.most_levels, len(ranks))
        return self._tell(touched)

    def replace(self, levels: Sequence[Level]) -> Change:
        """Make these levels, and no others, the side."""
        named = {self.sign * price_tick for price_tick, _ in levels}
        gone = [(self.sign * rank, 0) for rank in self.ranks if rank not in named]
        return self.update([*gone, *levels])

    def see(self, visible: Sequence[Level], whole: bool) -> Change:
        """Take the best levels as published, best first; nothing lies beyond them if `whole`.

        A level that the published ones leave out is gone where they would show it, and kept as last seen where it is
        beyond the worst of them.
        """
        sign = self.sign
        named = {sign * price_tick for price_tick, _ in visible}
        end = len(self.ranks) if whole or not visible else bisect_right(self.ranks, sign * visible[-1][0])
        gone = [(sign * rank, 0) for rank in self.ranks[:end] if rank not in named]
        changed = [level for level in visible if self.lots.get(sign * level[0]) != level[1]]
        return self.update([*gone, *changed])

    def trade_through(self, price_tick: int) -> None:
        """Note that trades up to `price_tick` may have taken from every level held up to there."""
        for rank in self.ranks[: bisect_right(self.ranks, min(self.sign * price_tick, self.edge))]:
            self.unsure[rank] = None

    def _tell(self, touched: dict[int, None]) -> Change:
        ranks, lots, held, unsure = self.ranks, self.lots, self.held, self.unsure
        edge = ranks[self.window - 1] if len(ranks) > self.window else BEYOND_ALL
        change = Change([], [])
        for rank in touched | unsure if unsure else touched:
            want = lots.get(rank, 0) if rank <= edge else 0
            have = held.get(rank, 0)
            if want == have and rank not in unsure:
                continue
            if want:
                held[rank] = want
            else:
                held.pop(rank, None)
            grows = want > have or (want > 0 and rank in unsure)
            (change.grow if grows else change.shrink).append((self.sign * rank, want))
        unsure.clear()
        self._move_edge(edge, change)
        return change

    def _move_edge(self, edge: int, change: Change) -> None:
        ranks, held, before = self.ranks, self.held, self.edge
        self.edge = edge
        if edge < before:
            for rank in ranks[self.window : bisect_right(ranks, before)]:
                if held.pop(rank, 0):
                    change.shrink.append((self.sign * rank, 0))
                    self.purged += 1
        elif edge > before:
            for rank in ranks[bisect_right(ranks, before) : self.window]:
                if rank not in held:
                    held[rank] = self.lots[rank]
                    change.grow.append((self.sign * rank, held[rank]))
                    self.revealed += 1
