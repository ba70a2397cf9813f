"""Maximum-likelihood fit of the queue-reactive model to a recording.

Estimators, both sides pooled, for spread bucket s, band k, queue bucket c: a rate is events / side-seconds spent in the
cell with the whole band visible and both sides there, the state being that of the book just before; standard error
sqrt(events) / seconds. A cancel counts once, a partial one too (the model then takes a whole order: queues come out a
little too short); executions of the same time and side are one market order. Beyond e_K the estimators are those of
`zero_intelligence_fit.py`, the cancel rate that of all lots resting there.
Thin counts: in a row of buckets neighbours are pooled from c = 0 (1 for removals) on until a pool holds `min_count`
events, and share one rate. A pool that was never visited takes the rate of its band over all cells.
Bands hold about equally many of the limit orders, spread buckets equal times; e_K is the last of the distances that
`zero_intelligence_fit.py` would take of which `min_seen_frac` of the time shows the whole band.
Of a level recording cells count as `level_fit.py` says.
Source: Huang, Lehalle, Rosenbaum, JASA 110 (2015), section 2.3.
"""

from typing import Any, NamedTuple

import numpy as np

from market_models import queue_reactive as qr
from market_models import zero_intelligence as zi
from market_models.calibration import Calibration
from market_models.datasets import recording as rec
from market_models.datasets.recording import Recording
from market_models.exposure import (
    Events,
    Exposure,
    collect_events,
    durations,
    market_order_starts,
    measure_exposure,
    quotes,
)
from market_models.fees import Fees
from market_models.level_fit import bucket_lots, row_weights
from market_models.zero_intelligence_fit import ASSUMED_FEES, MIN_COUNT, MIN_SEEN_FRAC, pools, size_table

WHOLE_BAND_FRAC = 0.25  # bands end where they could be seen whole for less of the time
_RATES = ("limit_rate_per_s", "cancel_rate_per_s", "market_rate_per_s", "far_limit_rate_per_s", "far_cancel_rate_per_s")
NOTE = "Fees are our assumption, not the venue's schedule; rates pool both sides; see queue_reactive_fit.py."


class Grid(NamedTuple):
    """Where cells begin and end."""

    band_edge_tick: np.ndarray  # int64[K]
    spread_edge_tick: np.ndarray  # int64[S - 1]
    event_lots: int
    top_bucket: int  # C

    def bucket(self, lots: np.ndarray) -> np.ndarray:
        """Return min(ceil(lots / event_lots), C)."""
        return np.minimum(-(-lots // self.event_lots), self.top_bucket)


class _States(NamedTuple):
    """The cell of each recorded row's book, by side."""

    spread: np.ndarray  # int64[N]
    queue: np.ndarray  # int64[N, 2, K] bucket
    seen: np.ndarray  # bool[N, 2, K]
    best: np.ndarray  # int64[N, 2] bucket of the best level
    both: np.ndarray  # bool[N] both sides are there


def _states(recording: Recording, grid: Grid) -> _States:
    q = quotes(recording)
    both = q.has_opposite[:, 0] & q.has_opposite[:, 1]
    spread = np.where(both, q.opposite[:, 0] - q.opposite[:, 1], 0)
    edges, lower = grid.band_edge_tick, np.append(0, grid.band_edge_tick[:-1])
    held = [np.where((q.distance > a) & (q.distance <= b), q.lots, 0).sum(2) for a, b in zip(lower, edges, strict=True)]
    return _States(
        spread=np.searchsorted(grid.spread_edge_tick, spread, side="left"),
        queue=grid.bucket(np.stack(held, 2)),
        seen=(q.reach[:, :, None] >= edges) & both[:, None, None],
        best=grid.bucket(q.lots[:, :, 0]),
        both=both,
    )


def choose_grid(
    recording: Recording, from_s: float, to_s: float, *, bands: int = 6, spreads: int = 3, top_bucket: int = 5
) -> Grid:
    """Return the grid that the module's rule gives; `event_lots` is the mean size of the window's limit orders.

    Raises ValueError for numbers out of range and for a window with fewer than two limit orders.
    """
    for name, value, most in (
        ("bands", bands, qr.MAX_BANDS),
        ("spreads", spreads, qr.MAX_SPREADS),
        ("top_bucket", top_bucket, qr.MAX_BUCKETS - 1),
    ):
        if not 1 <= value <= most:
            raise ValueError(f"{name} is {value}, not 1..{most}")
    dt, q = durations(recording, from_s, to_s), quotes(recording)
    events = collect_events(recording, from_s, to_s, zi.MAX_DISTANCES)
    if len(events.limit_lots) < 2 or dt.sum() <= 0:
        raise ValueError(
            f"{recording.path} has {len(events.limit_lots)} limit orders in {from_s}..{to_s} s: too little"
        )
    reach = np.clip(q.reach, 0, zi.MAX_DISTANCES)
    last = max(int(_weighted_quantile(reach.ravel(), np.repeat(dt, 2), np.array([1 - WHOLE_BAND_FRAC]))[0]), 1)
    inside = events.limit_distance[events.limit_distance <= last]
    shares = np.arange(1, bands) / bands
    edges = np.append(_weighted_quantile(inside, np.ones(len(inside)), shares), last) if len(inside) else [last]
    both = q.has_opposite[:, 0] & q.has_opposite[:, 1]
    gap = np.where(both, q.opposite[:, 0] - q.opposite[:, 1], 1)
    spread_edges = _weighted_quantile(gap, dt * both, np.arange(1, spreads) / spreads)
    event_lots = max(round(float(events.limit_lots.mean())), 1)
    if not recording.has_orders:
        event_lots = max(event_lots, bucket_lots(recording, from_s, to_s, top_bucket))
    return Grid(np.unique(edges).astype(np.int64), np.unique(spread_edges).astype(np.int64), event_lots, top_bucket)


def _weighted_quantile(values: np.ndarray, weight: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return the least values that hold the shares of the weight."""
    order = np.argsort(values, kind="stable")
    whole = np.cumsum(weight[order])
    return np.asarray(values)[order][np.minimum(np.searchsorted(whole, share * whole[-1]), len(order) - 1)]


def fit(
    recording: Recording,
    from_s: float,
    to_s: float,
    *,
    fees: Fees = ASSUMED_FEES,
    min_count: int = MIN_COUNT,
    min_seen_frac: float = MIN_SEEN_FRAC,
    grid: Grid | None = None,
    distances: int | None = None,
) -> Calibration:
    """Fit the model between `from_s` and `to_s`, seconds since midnight; `grid` and `distances` replace the rules.

    `distances` is the last one that limit orders reach. Raises ValueError if the window holds no time or too few
    events.
    """
    if not from_s < to_s:
        raise ValueError(f"window {from_s}..{to_s} s is empty")
    grid = grid or choose_grid(recording, from_s, to_s)
    if distances is None:
        seen_s = measure_exposure(recording, from_s, to_s, zi.MAX_DISTANCES).seen_s
        distances = int((seen_s >= min_seen_frac * seen_s.max()).sum())
    last = int(grid.band_edge_tick[-1])
    distances = max(distances, last + 1)
    events = collect_events(recording, from_s, to_s, distances)
    exposure = measure_exposure(recording, from_s, to_s, distances)
    needed = {"limit": len(events.limit_lots), "cancel": len(events.cancel_lots), "market": len(events.market_lots)}
    if min(needed.values()) < 2 or exposure.both_s <= 0:
        raise ValueError(f"{recording.path} has too little in {from_s}..{to_s} s for a fit: {needed} events")
    cells, cell_errors, log_likelihood = _cell_rates(recording, from_s, to_s, grid, min_count)
    far, far_errors = _far_rates(events, exposure, last, distances, min_count)
    params: dict[str, Any] = {
        "band_edge_tick": grid.band_edge_tick.tolist(),
        "spread_edge_tick": grid.spread_edge_tick.tolist(),
        "event_lots": grid.event_lots,
        **cells,
        **far,
        "limit_lots": size_table(events.limit_lots),
        "market_lots": size_table(events.market_lots),
        "mean_lots": (exposure.behind_lot_s / np.maximum(exposure.behind_s, 1e-9)).tolist(),
        "mean_spread_tick": exposure.spread_tick_s / exposure.both_s,
        "reference_tick": round(exposure.mid_tick_s / exposure.both_s),
    }
    return Calibration(
        model="queue_reactive",
        instrument=recording.instrument,
        params=params,
        standard_errors={**cell_errors, **far_errors},
        log_likelihood=log_likelihood,
        data_digest=recording.digest,
        from_s=from_s,
        to_s=to_s,
        fees=fees,
        counts={**needed, "limit_beyond": events.beyond},
        note=NOTE,
    )


def cell_counts(
    recording: Recording, from_s: float, to_s: float, grid: Grid, weight: np.ndarray | None = None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return events and side-seconds by cell: limit and cancel float64[S, K, C + 1], market float64[S, C + 1].

    weight: float64[N], what a limit order or a cancel in each row counts; 1 where not given.
    """
    state, dt = _states(recording, grid), durations(recording, from_s, to_s)
    K, S, buckets = len(grid.band_edge_tick), len(grid.spread_edge_tick) + 1, grid.top_bucket + 1
    cell = (state.spread[:, None, None] * K + np.arange(K)) * buckets + state.queue
    touch = state.spread[:, None] * buckets + state.best
    size, touch_size = S * K * buckets, S * buckets
    band_s = np.bincount(cell.ravel(), (state.seen * dt[:, None, None]).ravel(), size).reshape(S, K, buckets)
    touch_s = np.bincount(touch.ravel(), np.repeat(state.both * dt, 2), touch_size).reshape(S, buckets)
    row = np.arange(1, len(recording.kind))
    time_s = recording.time_total_ns[1:] / 1e9
    row = row[(time_s >= from_s) & (time_s < to_s) & ~recording.quarantined[1:]]
    kind, q = recording.kind, quotes(recording)
    counts = {}
    for name, kinds in (("limit", (rec.NEW,)), ("cancel", (rec.PARTIAL_CANCEL, rec.FULL_CANCEL))):
        mine = row[np.isin(kind[row], kinds)]
        before, side = mine - 1, recording.side[mine]
        away = (recording.price_tick[mine].astype(np.int64) - q.opposite[before, side]) * np.where(side == 0, -1, 1)
        band = np.searchsorted(grid.band_edge_tick, away, side="left")
        inside = (away >= 1) & (band < K) & state.seen[before, side, np.minimum(band, K - 1)]
        at = cell[before[inside], side[inside], band[inside]]
        worth = np.ones(len(at)) if weight is None else weight[mine[inside]]
        counts[name] = np.bincount(at, worth, size).reshape(S, K, buckets)
    taken = row[kind[row] == rec.VISIBLE_EXECUTION]
    taken = taken[market_order_starts(recording, taken)]
    taken = taken[state.both[taken - 1]]
    counts["market"] = np.bincount(touch[taken - 1, recording.side[taken]], minlength=touch_size).reshape(S, buckets)
    return counts, {"limit": band_s, "cancel": band_s, "market": touch_s}


def _cell_rates(
    recording: Recording, from_s: float, to_s: float, grid: Grid, min_count: int
) -> tuple[dict[str, Any], dict[str, Any], float]:
    """Return rates, standard errors and the log-likelihood of the events in the cells."""
    counts, seconds = cell_counts(recording, from_s, to_s, grid)
    lots, squares, thin = counts, counts, counts
    if not recording.has_orders:
        weight = row_weights(recording)
        lots, squares = (cell_counts(recording, from_s, to_s, grid, weight**power)[0] for power in (1, 2))
        both = np.minimum(counts["limit"], counts["cancel"])
        thin = {**counts, "limit": both, "cancel": both}
    rates: dict[str, Any] = {"top_bucket": grid.top_bucket}
    errors: dict[str, Any] = {}
    log_likelihood = 0.0
    for name, count in counts.items():
        first = 0 if name == "limit" else 1
        rate, error = np.zeros(count.shape), np.zeros(count.shape)
        tables = [table[name][..., first:] for table in (thin, lots, squares, seconds)]
        rate[..., first:], error[..., first:] = _pooled(*tables, min_count=min_count)
        expected = (rate * seconds[name]).sum()
        log_likelihood += float((lots[name] * np.log(np.where(count > 0, rate, 1) + (rate <= 0))).sum() - expected)
        rates[f"{name}_rate_per_s"], errors[f"{name}_rate_per_s"] = rate.tolist(), error.tolist()
    return rates, errors, log_likelihood


def _pooled(
    count: np.ndarray, worth: np.ndarray, square: np.ndarray, seconds: np.ndarray, min_count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return rate and error [S, ..., B] with neighbours of the last axis pooled where `count` is thin.

    worth, square: what the events of each cell count, and the sum of the squares of it.
    """
    rate, error = np.zeros(count.shape), np.zeros(count.shape)
    for place in np.ndindex(count.shape[:-1]):
        label = pools(count[place], min_count)
        band = (slice(None), *place[1:])
        time = np.bincount(label, seconds[place])
        visited = time > 0
        events, spread = (
            np.where(visited, np.bincount(label, table[place]), table[band].sum()) for table in (worth, square)
        )
        time = np.where(visited, time, max(seconds[band].sum(), 1e-9))
        rate[place], error[place] = (events / time)[label], (np.sqrt(spread) / time)[label]
    return rate, error


def _far_rates(
    events: Events, exposure: Exposure, last: int, distances: int, min_count: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    beyond = events.limit_distance[events.limit_distance > last] - last - 1
    count = np.bincount(beyond, minlength=distances - last).astype(np.float64)
    label = pools(count, min_count)
    seconds = np.maximum(np.bincount(label, exposure.seen_s[last:]), 1e-9)
    total = np.bincount(label, count)
    lots = events.cancel_lots[events.cancel_distance > last].astype(np.float64)
    lot_s = max(float(exposure.lot_s[last:].sum()), 1e-9)
    rates = {
        "far_limit_rate_per_s": (total / seconds)[label].tolist(),
        "far_cancel_rate_per_s": float(lots.sum() / lot_s),
    }
    errors = {
        "far_limit_rate_per_s": (np.sqrt(total) / seconds)[label].tolist(),
        "far_cancel_rate_per_s": float(np.sqrt((lots**2).sum()) / lot_s),
    }
    return rates, errors


def pack_params(calibration: Calibration) -> np.ndarray:
    """Return the sampler's int32[NUM_PARAMS]; ValueError names what the calibration lacks."""
    p = calibration.params
    keys = ("band_edge_tick", "spread_edge_tick", "event_lots", *_RATES, "limit_lots", "market_lots")
    missing = [key for key in keys if key not in p]
    if missing:
        raise ValueError(f"calibration of {calibration.instrument.name} lacks params {missing}")
    rates = [np.asarray(p[key]) if isinstance(p[key], list) else p[key] for key in keys]
    return qr.pack(qr.Rates._make(rates))
