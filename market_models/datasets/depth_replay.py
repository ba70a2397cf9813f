"""A level recording as engine messages, to prove the engine with: every depth event one batch of LEVEL_SET.

The engine holds the best `window` levels a side (`depth_book`). Within a batch levels shrink before others grow, so
that no state in between is crossed and no side overflows. Blocks are streamed: memory does not grow with the recording.
For trading in a recording see `depth_trading`.
"""

from array import array
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kernels.lob import spec
from market_models.datasets.binance_raw import DepthEvent, Session, Snapshot, Ticker
from market_models.datasets.depth_book import Change, LevelSide
from market_models.datasets.depth_session import Batch, DepthChain

BLOCK_MESSAGES = 65_536  # a block ends with the first batch that reaches it
AGENT_ROOM = 16  # orders a side that a window leaves free: an agent's order takes up to two (it parts a level in two)
NS_PER_S = 1_000_000_000

Sides = tuple[LevelSide, LevelSide]


class VerifyBlock(NamedTuple):
    """Messages of some depth events in a row, and what the tape says about the touch."""

    messages: np.ndarray  # int32[M, 8]
    ends: np.ndarray  # int64[N]: depth event i is applied after messages[: ends[i]]
    last_id: np.ndarray  # int64[N] update id of each depth event
    place: np.ndarray  # int64[N, 2] file and line
    two_sided: np.ndarray  # bool[N]: both sides of the book are known
    tickers: np.ndarray  # int64[T, 5] update id, bid price_tick and lots, ask price_tick and lots


def check_window(capacity: int, room: int) -> int:
    """Return how many levels a side the engine is to hold, or raise ValueError."""
    if not 0 <= room < capacity:
        raise ValueError(f"room {room} is outside 0..{capacity - 1}, the capacity but one level")
    return capacity - room


def make_sides(window: int) -> Sides:
    """Return an empty book of which the engine holds `window` levels a side."""
    return LevelSide(spec.BUY, window), LevelSide(spec.SELL, window)


def apply_batch(sides: Sides, batch: Batch) -> tuple[Change, Change]:
    """Apply a depth event, or a snapshot in place of the book; return the engine's changes, bids first."""
    bids, asks = sides
    if isinstance(batch, Snapshot):
        return bids.replace(batch.bids), asks.replace(batch.asks)
    return bids.update(batch.bids), asks.update(batch.asks)


def write_levels(buffer: array, side: int, levels: list[tuple[int, int]], s: int, ns: int) -> None:
    """Append one LEVEL_SET a level."""
    for price_tick, lots in levels:
        buffer.extend((spec.LEVEL_SET, side, lots, price_tick, 0, 0, s, ns))


def write_batch(buffer: array, changes: tuple[Change, Change], time_ns: int) -> None:
    """Append a batch: on both sides first what shrinks, then what grows."""
    s, ns = divmod(time_ns, NS_PER_S)
    for side, change in enumerate(changes):
        write_levels(buffer, side, change.shrink, s, ns)
    for side, change in enumerate(changes):
        write_levels(buffer, side, change.grow, s, ns)


def to_messages(buffer: array) -> np.ndarray:
    """Return the buffer as int32[M, 8]."""
    return np.array(buffer, np.int32).reshape(-1, spec.NUM_MESSAGE_COLUMNS)


class DepthReplay:
    """One run over a Binance session. `blocks` streams it; the counters are whole when it has ended."""

    def __init__(self, session: Session, window: int) -> None:
        self.session = session
        self.chain = DepthChain(session)
        self.lots = session.make_lots()
        self.sides = make_sides(window)
        self.applied = 0  # depth events
        self.crossed = 0  # depth events after which the recorded best bid was not below the best ask

    def blocks(self) -> Iterator[VerifyBlock]:
        """Yield the session block by block."""
        block = _Block()
        for event in self.session.events(self.lots):
            if isinstance(event, Ticker):
                block.tickers.extend((event.last_id, *event.bid, *event.ask))
            elif isinstance(event, DepthEvent | Snapshot):
                for batch in self.chain.feed(event):
                    self._apply(block, batch)
                if len(block.messages) >= BLOCK_MESSAGES * spec.NUM_MESSAGE_COLUMNS:
                    yield block.close()
                    block = _Block()
        yield block.close()

    def _apply(self, block: "_Block", batch: Batch) -> None:
        write_batch(block.messages, apply_batch(self.sides, batch), batch.time_ns)
        if isinstance(batch, Snapshot):
            return
        bids, asks = self.sides
        two_sided = bool(bids.ranks and asks.ranks)
        self.applied += 1
        self.crossed += two_sided and -bids.ranks[0] >= asks.ranks[0]
        block.events.extend(
            (len(block.messages) // spec.NUM_MESSAGE_COLUMNS, batch.last_id, batch.file, batch.line, two_sided)
        )

    @property
    def counts(self) -> dict[str, int]:
        """What happened so far, in the words of the command line."""
        chain, (bids, asks) = self.chain, self.sides
        most = max(bids.most_levels, asks.most_levels)
        return {
            "gaps": chain.gaps,
            "crossed": self.crossed,
            "depth_events": self.applied,
            "tickers": self.session.tickers,
            "stale": chain.stale,
            "before_snapshot": chain.dropped,
            "rounded": self.lots.rounded,
            "revealed": bids.revealed + asks.revealed,
            "purged": bids.purged + asks.purged,
            "most_levels": most,
            "beyond_capacity": max(most - bids.window, 0),
        }


class _Block:
    def __init__(self) -> None:
        self.messages = array("i")
        self.events = array("q")
        self.tickers = array("q")

    def close(self) -> VerifyBlock:
        events = np.array(self.events, np.int64).reshape(-1, 5)
        return VerifyBlock(
            messages=to_messages(self.messages),
            ends=events[:, 0],
            last_id=events[:, 1],
            place=events[:, 2:4],
            two_sided=events[:, 4] != 0,
            tickers=np.array(self.tickers, np.int64).reshape(-1, 5),
        )
