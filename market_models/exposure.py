"""What a recording exposes to a fit: how long each distance could be seen, with how many lots, and what happened there.

Distances are ticks from the opposite best quote. A distance counts only while it lies inside the visible levels: an
order beyond the deepest one would not have been recorded.
"""

from typing import NamedTuple

import numpy as np

from kernels.lob.spec import BUY, SELL
from market_models.datasets import recording as rec
from market_models.datasets.recording import Recording


class Exposure(NamedTuple):
    """Both sides pooled. Index d - 1 stands for distance d; the last one of cancels and lots for D and beyond."""

    seen_s: np.ndarray  # float64[D] side-seconds during which the distance was visible
    behind_s: np.ndarray  # float64[D] of these, at or behind the side's own best quote
    lot_s: np.ndarray  # float64[D] integral of the lots resting there
    behind_lot_s: np.ndarray  # float64[D] the same without what lies beyond D
    takable_s: float  # side-seconds during which a market order had something to take
    total_s: float  # length of the window that the recording covers
    spread_tick_s: float  # integral of the spread, over `both_s`
    both_s: float  # seconds during which both sides were there
    mid_tick_s: float  # integral of the mid, over `both_s`


class Events(NamedTuple):
    """What happened inside the window."""

    limit_distance: np.ndarray  # int64[n]
    limit_lots: np.ndarray  # int64[n]
    cancel_distance: np.ndarray  # int64[m]
    cancel_lots: np.ndarray  # int64[m]
    cancel_level_lots: np.ndarray  # int64[m] lots at that distance (clipped at D as in Exposure) just before
    market_lots: np.ndarray  # int64[k] lots of each market order
    beyond: int  # limit orders further away than D


class Quotes(NamedTuple):
    """Per recorded row and side: the opposite best, and how far the side can be seen; int64[N, 2] (+ levels)."""

    opposite: np.ndarray
    has_opposite: np.ndarray
    distance: np.ndarray  # [N, 2, L] of each level
    lots: np.ndarray  # [N, 2, L], 0 where there is no level
    reach: np.ndarray  # deepest distance that is visible; beyond any where the side shows fewer than L levels


_EVERYTHING = 2**40


def quotes(recording: Recording) -> Quotes:
    """Return what each recorded book shows of both sides."""
    tick, lots = recording.book[..., 0].astype(np.int64), recording.book[..., 1].astype(np.int64)
    present = lots > 0
    sign = np.array([-1, 1])
    opposite = tick[:, ::-1, 0]
    distance = (tick - opposite[:, :, None]) * sign[None, :, None]
    reach = np.where(present[:, :, -1], distance[:, :, -1], _EVERYTHING)
    has_opposite = present[:, ::-1, 0]
    return Quotes(opposite, has_opposite, distance, np.where(has_opposite[:, :, None], lots, 0), reach)


def durations(recording: Recording, from_s: float, to_s: float) -> np.ndarray:
    """Return how long the book after each row lasted inside the window, float64[N] seconds."""
    time_s = recording.time_total_ns / 1e9
    edges = np.clip(np.append(time_s, time_s[-1]), from_s, to_s)
    return np.diff(edges)


def measure_exposure(recording: Recording, from_s: float, to_s: float, distances: int) -> Exposure:
    """Integrate the recorded book over the window."""
    q, dt = quotes(recording), durations(recording, from_s, to_s)
    weight = dt[:, None] * q.has_opposite
    own_best = np.where(q.lots[:, :, 0] > 0, q.distance[:, :, 0], _EVERYTHING)
    seen = _time_at_or_beyond(q.reach, weight, distances)
    nearer = _time_at_or_beyond(own_best - 1, weight, distances)  # side-seconds with the distance nearer than the best
    lot_s = q.lots * weight[:, :, None]
    at = np.clip(q.distance, 1, distances + 1).ravel()
    by_distance = np.bincount(at, lot_s.ravel(), distances + 2)[1:]
    both = q.has_opposite.all(1) * dt
    best = recording.book[:, :, 0, 0].astype(np.int64)
    return Exposure(
        seen_s=seen,
        behind_s=np.maximum(seen - nearer, 0.0),
        lot_s=np.append(by_distance[: distances - 1], by_distance[distances - 1 :].sum()),
        behind_lot_s=by_distance[:distances],
        takable_s=float(weight.sum()),
        total_s=float(dt.sum()),
        spread_tick_s=float(((best[:, SELL] - best[:, BUY]) * both).sum()),
        both_s=float(both.sum()),
        mid_tick_s=float(((best[:, SELL] + best[:, BUY]) * 0.5 * both).sum()),
    )


def _time_at_or_beyond(reach: np.ndarray, weight: np.ndarray, distances: int) -> np.ndarray:
    """Return for d = 1..distances the total weight of states whose reach is at least d."""
    at = np.bincount(np.clip(reach, 0, distances).ravel(), weight.ravel(), distances + 1)
    return np.cumsum(at[::-1])[::-1][1:]


def collect_events(recording: Recording, from_s: float, to_s: float, distances: int) -> Events:
    """Return the events of the window with the distances that they had in the book just before."""
    q = quotes(recording)
    row = np.arange(1, len(recording.kind))
    time_s = recording.time_total_ns[1:] / 1e9
    row = row[(time_s >= from_s) & (time_s < to_s) & ~recording.quarantined[1:]]
    side, kind, before = recording.side[row], recording.kind[row], row - 1
    known = q.has_opposite[before, side]
    sign = np.where(side == BUY, -1, 1)
    distance = (recording.price_tick[row].astype(np.int64) - q.opposite[before, side]) * sign
    lots = recording.lots[row].astype(np.int64)
    limit = (kind == rec.NEW) & known & (distance >= 1)
    near = limit & (distance <= distances)
    cancel = ((kind == rec.PARTIAL_CANCEL) | (kind == rec.FULL_CANCEL)) & known & (distance >= 1)
    clipped = np.minimum(distance[cancel], distances)
    same = np.minimum(q.distance[before[cancel], side[cancel]], distances) == clipped[:, None]
    return Events(
        limit_distance=distance[near],
        limit_lots=lots[near],
        cancel_distance=clipped,
        cancel_lots=lots[cancel],
        cancel_level_lots=(q.lots[before[cancel], side[cancel]] * same).sum(1),
        market_lots=_market_orders(recording, row[kind == rec.VISIBLE_EXECUTION]),
        beyond=int((limit & (distance > distances)).sum()),
    )


def _market_orders(recording: Recording, rows: np.ndarray) -> np.ndarray:
    """Return the lots of market orders: executions in a row with the same time and side are one."""
    if not len(rows):
        return np.zeros(0, np.int64)
    first = market_order_starts(recording, rows)
    return np.bincount(np.cumsum(first) - 1, recording.lots[rows].astype(np.float64)).astype(np.int64)


def market_order_starts(recording: Recording, rows: np.ndarray) -> np.ndarray:
    """Return bool[n]: whether each of the execution rows is the first of its market order."""
    time_ns, side = recording.time_total_ns[rows], recording.side[rows]
    return np.append(True, (np.diff(time_ns) != 0) | (np.diff(side) != 0))[: len(rows)]
