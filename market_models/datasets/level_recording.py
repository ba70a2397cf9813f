"""A recording of levels and prints in the order-by-order form, so that every fit takes it as it takes LOBSTER's.

The book is kept by the venue's rule (`depth_session`); rows are, in order of exchange time, prints before the depth
event of the same time, since that tells their effect:
- a **print** is a VISIBLE_EXECUTION at its price and size, which takes from that level what is shown there;
- a **depth event** is one row for each level of which it tells something new: a level that is larger than the book
  after the prints is NEW with the growth, a smaller one a cancel with the loss (FULL where nothing is left).
  What shrinks comes first and from the deepest level on, then what grows, the best first: so no book between is
  crossed, and few rows see a spread that stood for no time.
Rows whose level is outside the best `levels` before and after are left out, as LOBSTER leaves them out; order ids are
0. Seconds are since the midnight (UTC) before the first row, so that a session over midnight counts on.

What that does to a fit, and the direction of the bias. An update interval (50 ms on Binance's futures, measured;
BTCUSDT 2024: 52,260 changes of the best quotes in 9,022 depth events) shows net changes: an order that comes and goes
within it is not seen, and of an arrival and a cancel at one level only the difference; so limit and cancel rates are
too low, most at the touch. Measured on a simulated flow: with 1.2, 2.4 and 9.7 events an interval the sums of both are
5, 10 and 31 % too low, the limit rate at the touch 6, 15 and 36 %, the market rate is exact. Orders of one interval,
price and direction are one row: rates of orders too low again, their sizes too large; lots per second keep only the
first bias. What a print takes beyond what was shown came within the interval: it counts as taken, not as a limit order.
Prints of one millisecond and side count as one market order. A print comes before a cancel at its level.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator

import numpy as np

from kernels.lob.spec import BUY, MAX_LOTS, SELL
from market_models.datasets.binance_raw import DepthEvent, Print, Session, Snapshot
from market_models.datasets.depth_book import Level, LevelSide
from market_models.datasets.depth_replay import Sides, apply_batch, make_sides
from market_models.datasets.depth_session import DepthChain
from market_models.datasets.errors import DataError
from market_models.datasets.recording import FULL_CANCEL, NEW, PARTIAL_CANCEL, VISIBLE_EXECUTION, Recording

DAY_NS = 86_400 * 10**9
NS_PER_S = 10**9
DEFAULT_LEVELS = 20  # visible levels a side


def to_recording(session: Session, levels: int = DEFAULT_LEVELS) -> Recording:
    """Return a Binance session as a Recording of the best `levels` levels a side.

    The first row is the first book with two sides. Raises ValueError for `levels` outside 1..512, and DataError where
    updates were lost (the rates would count the loss as events) or no book with two sides is shown.
    """
    if not 1 <= levels <= 512:
        raise ValueError(f"levels is {levels}, not 1..512")
    chain, writer = DepthChain(session), _Writer(levels)
    prints = sorted((event for event in session.events() if isinstance(event, Print)), key=lambda event: event.time_ns)
    waiting = iter(prints)
    trade = next(waiting, None)
    for batch in _batches(session, chain):
        while trade is not None and trade.time_ns <= batch.time_ns:
            writer.trade(trade)
            trade = next(waiting, None)
        writer.batch(batch)
    if chain.gaps:
        raise DataError(session.paths[0], 0, f"{chain.gaps} gaps in the updates: a fit would take them for events")
    if not writer.rows:
        raise DataError(session.paths[0], 0, "never shows a book with two sides")
    return writer.close(session)


def _batches(session: Session, chain: DepthChain) -> Iterator[DepthEvent | Snapshot]:
    for event in session.events():
        if isinstance(event, DepthEvent | Snapshot):
            yield from chain.feed(event)


class _Writer:
    """Rows and the book after each, once both sides are there."""

    def __init__(self, levels: int) -> None:
        self.levels = levels
        self.sides: Sides = make_sides(levels)
        self.rows = array("q")  # time_ns, kind, side, lots, price_tick
        self.books = array("i")
        self.shown: list[list[int]] = [[], []]
        self.clock_ns = 0

    def trade(self, trade: Print) -> None:
        """Take a print from its level."""
        self.clock_ns = max(self.clock_ns, trade.time_ns)
        side = 1 - trade.taker_side
        own = self.sides[side]
        have = own.lots.get(own.sign * trade.price_tick, 0)
        if have:
            own.update([(trade.price_tick, max(have - trade.lots, 0))])
        self._row(VISIBLE_EXECUTION, side, trade.lots, trade.price_tick, changed=bool(have))

    def batch(self, batch: DepthEvent | Snapshot) -> None:
        """Write what a batch says of the visible levels, what shrinks first."""
        self.clock_ns = max(self.clock_ns, batch.time_ns)
        if not self.rows or isinstance(batch, Snapshot):
            apply_batch(self.sides, batch)
            if all(own.ranks for own in self.sides):
                self._row(0, BUY, 0, 0, changed=True)
            return
        best = [own.ranks[0] if own.ranks else 0 for own in self.sides]
        told = [
            (self.sides[side].sign * level[0] - best[side], side, level)
            for side, of_side in ((BUY, batch.bids), (SELL, batch.asks))
            for level in of_side
        ]
        told.sort()
        for _, side, level in reversed(told):
            self._change(side, level, grows=False)
        for _, side, level in told:
            self._change(side, level, grows=True)

    def _change(self, side: int, level: Level, *, grows: bool) -> None:
        own, (price_tick, lots) = self.sides[side], level
        have = own.lots.get(own.sign * price_tick, 0)
        if lots == have or (lots > have) != grows:
            return
        place = bisect_left(own.ranks, own.sign * price_tick)
        own.update([level])
        if place < self.levels:
            kind = NEW if lots > have else PARTIAL_CANCEL if lots else FULL_CANCEL
            self._row(kind, side, abs(lots - have), price_tick, changed=True)

    def _row(self, kind: int, side: int, lots: int, price_tick: int, *, changed: bool) -> None:
        if not kind:
            self.shown[1 - side] = _flat(self.sides[1 - side], self.levels)
        elif not self.rows:
            return
        if changed:
            self.shown[side] = _flat(self.sides[side], self.levels)
        self.rows.extend((self.clock_ns, kind, side, lots, price_tick))
        self.books.extend(self.shown[BUY])
        self.books.extend(self.shown[SELL])

    def close(self, session: Session) -> Recording:
        """Return the rows as a Recording."""
        time_ns, kind, side, lots, price_tick = np.array(self.rows, np.int64).reshape(-1, 5).T
        since = time_ns - time_ns[0] // DAY_NS * DAY_NS
        return Recording(
            path=session.paths[0],
            digest=session.digest,
            instrument=session.instrument,
            time_s=(since // NS_PER_S).astype(np.int32),
            time_ns=(since % NS_PER_S).astype(np.int32),
            kind=kind.astype(np.int32),
            side=side.astype(np.int32),
            lots=np.minimum(lots, MAX_LOTS).astype(np.int32),
            price_tick=price_tick.astype(np.int32),
            order_id=np.zeros(len(kind), np.int32),
            book=np.array(self.books, np.int32).reshape(-1, 2, self.levels, 2),
            quarantined=kind == 0,
        )


def _flat(own: LevelSide, levels: int) -> list[int]:
    """Return the best levels as price_tick, lots, ..., zeros where there is none."""
    flat = [number for level in own.levels(levels) for number in level]
    return flat + [0] * (2 * levels - len(flat))
