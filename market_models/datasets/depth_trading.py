"""A level recording as background rows that agents can trade in: depth batches, trade prints and quotes through us.

Order of rows: by exchange time; of equal times prints come before the depth event, which tells their effect. Before the
first row of every distinct time stands a NOP with that time, so that agents' messages that arrived by then are served
before the batch and never within it.
- **Depth event**: one batch, levels that shrink before levels that grow. LEVEL_SET makes the anonymous liquidity what
  the feed says, whatever agents did; where cancelled lots stood in the queue is `LobConfig.queue_model`.
- **Trade print**: a background IOC of the taker at the print's price and size. It meets the anonymous queue ahead of an
  order of ours first, then us. The next depth event restates every level up to that price, so that liquidity
  that a print took here but not there comes back (behind us).
- **Quoted through**: where a batch sets a level with lots, the market would have met an order of ours at or beyond that
  price. Between what shrinks and what grows stands a background IOC of MAX_LOTS at the best price that the batch sets
  on that side, but beyond the recorded opposite best, so that it meets agents' orders only. Its id is THROUGH_ORDER_ID.

Bias. Nobody reacts to us: fills of ours take volume that others had in the recording. An order that the market is
quoted through is filled in full, whatever was shown there (too good for large orders). Prints and depth events of one
millisecond have no recorded order: a print that came after the event is applied before it, which restores what it took
behind us (too good by that print). A level that leaves the window of the engine and comes back stands behind our order
(too good for orders deeper than the window). Between a print and the next depth event a level is what the print left.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

import numpy as np

from kernels.lob import spec
from market_models.datasets.binance_raw import DepthEvent, Print, Session, Snapshot
from market_models.datasets.depth_book import Change
from market_models.datasets.depth_replay import NS_PER_S, Sides, apply_batch, make_sides, to_messages, write_levels
from market_models.datasets.depth_session import DepthChain
from market_models.datasets.steps import Lots
from market_models.instrument import Instrument

THROUGH_ORDER_ID: Final = spec.FIRST_AGENT_ORDER_ID - 1
LAST_PRINT_ID: Final = THROUGH_ORDER_ID - 1  # prints are numbered from 1 and begin anew after it

ApplyBatch: TypeAlias = Callable[[Sides], tuple[Change, Change]]


@dataclass(frozen=True, eq=False)
class DepthTradingStream:
    """Background rows of the replay flow, and the recorded touch to measure divergence by."""

    instrument: Instrument
    window: int  # levels a side that the rows keep in the engine: the capacity must be larger by the agents' room
    messages: np.ndarray  # int32[M, 8]; time columns are the exchange time, UTC
    time_ns: np.ndarray  # int64[M]
    ends: np.ndarray  # int64[N] rows up to and with each batch
    touch: np.ndarray  # int64[N, 2, 2] recorded (price_tick, lots) of best bid and ask after each batch
    prints: int
    throughs: int  # IOCs for orders that are quoted through
    gaps: int
    revealed: int
    purged: int
    rounded: int = 0  # sizes of depth events and bookTickers that are no multiple of the lot


def to_trading_stream(session: Session, window: int) -> DepthTradingStream:
    """Return a Binance session as background rows that keep the best `window` levels a side in the engine."""
    prints = sorted((event for event in session.events() if isinstance(event, Print)), key=lambda event: event.time_ns)
    chain, lots = DepthChain(session), session.make_lots()
    stream = write_stream(session.instrument, _depth_batches(session, chain, lots), prints, window)
    return replace(stream, gaps=chain.gaps, rounded=lots.rounded)


def _depth_batches(session: Session, chain: DepthChain, lots: Lots) -> Iterator[tuple[int, ApplyBatch]]:
    for event in session.events(lots):
        if isinstance(event, DepthEvent | Snapshot):
            for batch in chain.feed(event):
                yield batch.time_ns, partial(apply_batch, batch=batch)


def write_stream(
    instrument: Instrument,
    batches: Iterable[tuple[int, ApplyBatch]],
    prints: Iterable[Print],
    window: int,
) -> DepthTradingStream:
    """Merge batches (exchange time, what they do to the book) and prints, both in order of time, into rows.

    Prints before the first batch and after the last are left out: no book is known there.
    """
    writer = _Writer(window)
    waiting = iter(prints)
    trade = next(waiting, None)
    for time_ns, apply in batches:
        writer.clock_ns = max(writer.clock_ns, time_ns)
        while trade is not None and trade.time_ns <= writer.clock_ns:
            if writer.ends:
                writer.trade(trade)
            trade = next(waiting, None)
        writer.batch(apply)
    bids, asks = writer.sides
    messages = to_messages(writer.buffer)
    times = messages[:, spec.TIME_S].astype(np.int64) * NS_PER_S + messages[:, spec.TIME_NS]
    return DepthTradingStream(
        instrument=instrument,
        window=window,
        messages=messages,
        time_ns=times,
        ends=np.array(writer.ends, np.int64),
        touch=np.array(writer.touch, np.int64).reshape(-1, 2, 2),
        prints=writer.prints,
        throughs=writer.throughs,
        gaps=0,
        revealed=bids.revealed + asks.revealed,
        purged=bids.purged + asks.purged,
    )


class _Writer:
    """Writes rows and keeps the recorded book that they follow from."""

    def __init__(self, window: int) -> None:
        self.sides = make_sides(window)
        self.buffer = array("i")
        self.ends = array("q")
        self.touch = array("q")
        self.clock_ns = 0  # of the next batch
        self.shown_ns = -1  # of the last row
        self.prints = self.throughs = 0

    def row(self, kind: int, side: int, lots: int, price_tick: int, order_id: int) -> None:
        self.buffer.extend((kind, side, lots, price_tick, order_id, 0, *divmod(self.shown_ns, NS_PER_S)))

    def show_clock(self, time_ns: int) -> None:
        """Move to a time, with a NOP if it is a new one."""
        if time_ns > self.shown_ns:
            self.shown_ns = time_ns
            self.row(spec.NOP, 0, 0, 0, 0)

    def trade(self, trade: Print) -> None:
        """Write the taker of a print."""
        self.show_clock(trade.time_ns)
        self.row(spec.IOC, trade.taker_side, trade.lots, trade.price_tick, self.prints % LAST_PRINT_ID + 1)
        self.prints += 1
        self.sides[1 - trade.taker_side].trade_through(trade.price_tick)

    def batch(self, apply: ApplyBatch) -> None:
        """Write what a batch does to the book."""
        self.show_clock(self.clock_ns)
        changes = apply(self.sides)
        s, ns = divmod(self.shown_ns, NS_PER_S)
        for side, change in enumerate(changes):
            write_levels(self.buffer, side, change.shrink, s, ns)
        for side, change in enumerate(changes):
            self._quote_through(side, change)
        for side, change in enumerate(changes):
            write_levels(self.buffer, side, change.grow, s, ns)
        self.ends.append(len(self.buffer) // spec.NUM_MESSAGE_COLUMNS)
        for own in self.sides:
            self.touch.extend(own.best() or (0, 0))

    def _quote_through(self, side: int, change: Change) -> None:
        own, other = self.sides[side], self.sides[1 - side]
        ranks = [own.sign * price_tick for level in (change.shrink, change.grow) for price_tick, lots in level if lots]
        if not ranks:
            return
        rank = min(ranks)
        opposite = other.best()
        if opposite is not None:  # in a locked or crossed recording the recorded orders must not meet it
            rank = max(rank, own.sign * opposite[0] + 1)
        self.row(spec.IOC, side, spec.MAX_LOTS, own.sign * rank, THROUGH_ORDER_ID)
        self.throughs += 1
