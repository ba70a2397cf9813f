"""Message streams for the differential soak: every kind, int32 extremes, made by the array, not by the message.

A stream is int32[calls, books, messages, 8]. Profiles differ in what they press on; each is a mixture of kinds, a span
of prices, a span of lots, how far back a named order lies, and the share of agents' messages.
"""

from typing import Final, NamedTuple

import numpy as np

from kernels.lob import spec

INT32_EDGES: Final = np.array(
    [-(2**31), -(2**30) - 1, -(2**30), -1, 0, 1, 2, 9, 11, 2**30 - 1, 2**30, 2**30 + 1, 2**31 - 1], np.int64
)
NAMING: Final = (spec.REDUCE, spec.DELETE, spec.REPLACE, spec.EXECUTE)


class Profile(NamedTuple):
    """What a stream is made of."""

    kinds: tuple[int, ...]  # relative weight of each kind, NOP..EXECUTE
    span_tick: int  # prices lie within this of the reference
    apart_tick: int  # how far bids and asks are pushed apart, negative: into each other
    max_lots: int
    lag: int  # a named order was sent up to this many orders ago
    agents: float  # share of messages with an owner other than 0
    owners: int  # owners 1..this
    edge: float = 0.002  # share of words that are replaced by an int32 edge
    huge: float = 0.0  # share of orders near MAX_LOTS


PROFILES: Final = {
    "mixed": Profile((1, 12, 3, 3, 2, 3, 4, 5, 4, 3, 3), 12, -2, 50, 60, 0.4, 3),
    "filling": Profile((0, 30, 1, 1, 1, 4, 1, 2, 2, 1, 0), 40, 3, 20, 400, 0.3, 2),
    "touch": Profile((0, 10, 4, 4, 2, 3, 3, 6, 6, 0, 3), 2, -1, 9, 25, 0.3, 4),
    "own": Profile((0, 12, 4, 4, 4, 2, 2, 2, 6, 1, 1), 5, -3, 30, 40, 0.9, 2),
    "levels": Profile((0, 6, 2, 2, 1, 1, 1, 1, 1, 14, 1), 9, -1, 60, 30, 0.5, 3),
    "huge": Profile((0, 12, 3, 3, 3, 2, 3, 3, 3, 6, 3), 4, -1, 50, 40, 0.4, 3, 0.002, 0.4),
    "words": Profile((2, 10, 3, 3, 2, 3, 4, 5, 4, 3, 3), 8, -2, 50, 40, 0.4, 3, 0.08),
}


def make_stream(seed: int, profile: Profile, calls: int, books: int, messages: int) -> np.ndarray:
    """Return int32[calls, books, messages, 8] for `seed`; the same arguments give the same words."""
    rng = np.random.default_rng([0x50AC, seed])
    shape = (books, calls * messages)
    weights = np.array(profile.kinds, np.float64)
    kind = rng.choice(len(weights), shape, p=weights / weights.sum()).astype(np.int32)
    side = rng.integers(0, 2, shape, np.int32)
    away = np.where(side == spec.BUY, -1, 1).astype(np.int32)
    offset = rng.integers(profile.apart_tick, profile.apart_tick + profile.span_tick + 1, shape, np.int32)
    lots = rng.integers(1, profile.max_lots + 1, shape, np.int32)
    lots[(kind == spec.LEVEL_SET) & (rng.random(shape) < 0.2)] = 0
    if profile.huge:
        near = spec.MAX_LOTS - rng.integers(0, 3, shape, np.int32)
        lots = np.where(rng.random(shape) < profile.huge, near, lots)
    owner = (rng.random(shape) < profile.agents) * rng.integers(1, profile.owners + 1, shape, np.int32)
    out = np.zeros((*shape, spec.NUM_MESSAGE_COLUMNS), np.int32)
    out[..., spec.KIND], out[..., spec.SIDE], out[..., spec.LOTS] = kind, side, lots
    out[..., spec.PRICE_TICK] = away * offset + _reference(rng, shape)
    out[..., spec.ORDER_ID] = _order_ids(rng, kind, profile.lag)
    out[..., spec.OWNER] = owner
    _put_edges(rng, out, profile.edge)
    return np.ascontiguousarray(out.reshape(books, calls, messages, -1).swapaxes(0, 1))


def _reference(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return slow walks int32[books, N] that start below, at and above 0, so that prices change sign."""
    steps = rng.integers(-1, 2, shape, np.int32) * (rng.random(shape) < 0.05)
    return rng.integers(-40, 41, (shape[0], 1), np.int32) + np.cumsum(steps, axis=1, dtype=np.int32)


def _order_ids(rng: np.random.Generator, kind: np.ndarray, lag: int) -> np.ndarray:
    """Return new ids for what enters and recent ids for what names an order."""
    names = np.isin(kind, NAMING)
    entered = np.cumsum(~names, axis=1, dtype=np.int32)
    back = rng.integers(0, lag, kind.shape, np.int32)
    return np.where(names, np.maximum(entered - back, 1), entered)


def _put_edges(rng: np.random.Generator, out: np.ndarray, share: float) -> None:
    words = out[..., : spec.OWNER + 1]
    count = int(words.size * share)
    at = np.unravel_index(rng.integers(0, words.size, count), words.shape)
    words[at] = rng.choice(INT32_EDGES, count).astype(np.int32)
