"""A recording as a path of the Hawkes model's ten event types, with the state of the book between its rows."""

from typing import NamedTuple

import numpy as np

from market_models import hawkes as hk
from market_models.datasets import recording as rec
from market_models.datasets.recording import Recording
from market_models.exposure import Quotes, durations, market_order_starts, quotes

_CANCELS = (rec.PARTIAL_CANCEL, rec.FULL_CANCEL)


class Grid(NamedTuple):
    """Where buckets begin and end."""

    spread_edge_tick: np.ndarray  # int64[S - 1]
    depth_edge_lots: np.ndarray  # int64[Q - 1]
    window_tick: int

    @property
    def num_cells(self) -> int:
        """S x Q."""
        return (len(self.spread_edge_tick) + 1) * (len(self.depth_edge_lots) + 1)


class Path(NamedTuple):
    """N rows inside the window; the state of row i holds from its time to that of row i + 1."""

    time_s: np.ndarray  # float64[N + 1] from the window's start; the last is its end
    event: np.ndarray  # int64[N] type, -1 for a row that only changes the state
    lots: np.ndarray  # int64[N] of the event
    behind_tick: np.ndarray  # int64[N] price of the event behind its side's touch, negative inside the spread
    spread_tick: np.ndarray  # int64[N] spread just before
    cell: np.ndarray  # int64[N, 2] spread bucket x Q + depth bucket, by side
    possible: np.ndarray  # bool[N, 10]


def choose_grid(recording: Recording, from_s: float, to_s: float, *, spreads: int = 3, depths: int = 4) -> Grid:
    """Return the window that was visible half of the time, and buckets that each hold about as much of the time.

    Raises ValueError for numbers out of range and for a window of time without a book.
    """
    for name, value, most in (("spreads", spreads, hk.MAX_SPREADS), ("depths", depths, hk.MAX_DEPTHS)):
        if not 1 <= value <= most:
            raise ValueError(f"{name} is {value}, not 1..{most}")
    q, dt = quotes(recording), durations(recording, from_s, to_s)
    both = q.has_opposite.all(1) * dt
    if both.sum() <= 0:
        raise ValueError(f"{recording.path} shows no book with two sides in {from_s}..{to_s} s")
    weight = np.repeat(both, 2)
    reach = np.clip(q.reach - q.distance[:, :, 0], 1, hk.MAX_DISTANCES)
    window = int(_quantiles(reach.ravel(), weight, np.array([0.5]))[0])
    spread = q.opposite[:, 0] - q.opposite[:, 1]
    spread_edges = np.unique(_quantiles(spread, both, np.arange(1, spreads) / spreads))
    depth = _depth_lots(q, window).ravel()
    depth_edges = np.unique(_quantiles(depth, weight, np.arange(1, depths) / depths))
    return Grid(spread_edges[spread_edges >= 1], depth_edges, window)


def _quantiles(values: np.ndarray, weight: np.ndarray, share: np.ndarray) -> np.ndarray:
    order = np.argsort(values, kind="stable")
    whole = np.cumsum(weight[order])
    return values[order][np.minimum(np.searchsorted(whole, share * whole[-1]), len(order) - 1)]


def _behind_touch(q: Quotes) -> np.ndarray:
    """Return how far behind the touch each level stands, int64[N, 2, L]."""
    return q.distance - q.distance[:, :, :1]


def _depth_lots(q: Quotes, window_tick: int) -> np.ndarray:
    """Return the lots behind the touch within the window, int64[N, 2]."""
    away = _behind_touch(q)
    return np.where((away >= 1) & (away <= window_tick), q.lots, 0).sum(2)


def event_path(recording: Recording, from_s: float, to_s: float, grid: Grid) -> Path:
    """Return the rows of the window; executions in a row with one time and side are one market order."""
    q = quotes(recording)
    time_s = recording.time_total_ns / 1e9
    row = np.nonzero((time_s >= from_s) & (time_s < to_s) & (np.arange(len(time_s)) > 0))[0]
    if not len(row):
        return _empty_path(grid)
    cell, possible = _states(q, grid)
    before, side, kind = row - 1, recording.side[row], recording.kind[row]
    away = (recording.price_tick[row].astype(np.int64) - q.opposite[before, side]) * np.where(side == 0, -1, 1)
    behind = away - q.distance[before, side, 0]
    known = q.has_opposite[before].all(1) & ~recording.quarantined[row]
    what = np.full(len(row), -1)
    new, cancel = kind == rec.NEW, np.isin(kind, _CANCELS)
    what[new & (behind < 0) & (away >= 1)] = hk.INSIDE
    what[new & (behind >= 0)] = hk.BEHIND
    what[cancel & (behind == 0)] = hk.CANCEL_TOUCH
    what[cancel & (behind >= 1) & (behind <= grid.window_tick)] = hk.CANCEL_BEHIND
    lots, takes = _market_orders(recording, row[kind == rec.VISIBLE_EXECUTION], row)
    what[takes] = hk.TAKE
    lots = np.where(takes, lots, recording.lots[row])
    event = np.where((what >= 0) & known, side * hk.NUM_KINDS + what, -1)
    event[~possible[before, np.maximum(event, 0)]] = -1
    spread = np.where(known, q.opposite[before, 0] - q.opposite[before, 1], 0)
    end_s = min(to_s, float(time_s[-1]))
    times = np.append(time_s[row], max(end_s, float(time_s[row[-1]]))) - from_s
    return Path(times, event, lots.astype(np.int64), behind, spread, cell[row], possible[row])


def _empty_path(grid: Grid) -> Path:
    none = np.zeros(0, np.int64)
    cell, possible = np.zeros((0, 2), np.int64), np.zeros((0, hk.NUM_TYPES), bool)
    return Path(np.zeros(1), none, none, none, none, cell, possible)


def _states(q: Quotes, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return the cell int64[N, 2] and the possible types bool[N, 10] of each recorded book."""
    both = np.asarray(q.has_opposite.all(1))
    spread = np.where(both, q.opposite[:, 0] - q.opposite[:, 1], 0)
    depth = _depth_lots(q, grid.window_tick)
    bucket = np.searchsorted(grid.spread_edge_tick, spread, side="left")
    cell = bucket[:, None] * (len(grid.depth_edge_lots) + 1) + np.searchsorted(grid.depth_edge_lots, depth, side="left")
    possible = np.repeat(both[:, None, None], 2 * hk.NUM_KINDS, 1).reshape(-1, 2, hk.NUM_KINDS)
    possible[:, :, hk.INSIDE] &= (spread >= 2)[:, None]
    possible[:, :, hk.CANCEL_BEHIND] &= depth > 0
    return cell, possible.reshape(-1, hk.NUM_TYPES)


def _market_orders(recording: Recording, taken: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return over the rows the lots of the market order that starts there, and whether one does."""
    lots, starts = np.zeros(len(row), np.int64), np.zeros(len(row), bool)
    if len(taken):
        first = market_order_starts(recording, taken)
        total = np.bincount(np.cumsum(first) - 1, recording.lots[taken].astype(np.float64)).astype(np.int64)
        at = np.searchsorted(row, taken[first])
        lots[at], starts[at] = total, True
    return lots, starts


def far_cancel_rate(recording: Recording, from_s: float, to_s: float, grid: Grid) -> tuple[float, float]:
    """Return the rate per second and order of cancels beyond the window, and its standard error."""
    q, dt = quotes(recording), durations(recording, from_s, to_s)
    beyond = _behind_touch(q) > grid.window_tick
    lot_s = float((np.where(beyond, q.lots, 0) * dt[:, None, None]).sum())
    time_s = recording.time_total_ns / 1e9
    row = np.nonzero((time_s >= from_s) & (time_s < to_s) & (np.arange(len(time_s)) > 0))[0]
    row = row[np.isin(recording.kind[row], _CANCELS) & ~recording.quarantined[row]]
    side, before = recording.side[row], row - 1
    away = (recording.price_tick[row].astype(np.int64) - q.opposite[before, side]) * np.where(side == 0, -1, 1)
    far = (away - q.distance[before, side, 0] > grid.window_tick) & q.has_opposite[before, side]
    lots = recording.lots[row][far].astype(np.float64)
    return float(lots.sum() / max(lot_s, 1e-9)), float(np.sqrt((lots**2).sum()) / max(lot_s, 1e-9))
