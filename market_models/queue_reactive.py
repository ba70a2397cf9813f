"""Queue-reactive order flow: intensities of limit, cancel and market orders depend on the queue where they happen.

Model. Distances are ticks from the opposite best background quote, as in `zero_intelligence.py`. The first e_K of them
are cut into K bands, band k holding the distances e_(k-1) + 1 .. e_k with e_0 = 0. The state of a band is the bucket
c = min(ceil(lots in the band / event_lots), C) of its queue, and the bucket s of the spread. In continuous time, on
each side:
- limit orders join band k at rate lambda[s, k, c], uniformly over the distances of the band;
- one order of band k, each as likely as the other, is cancelled at rate theta[s, k, c]; none where c = 0;
- market orders take from the side at rate mu[s, c], c the bucket of the lots at or before its best background price;
- beyond e_K the flow has zero intelligence: limit orders at distance e_K + j at rate far(j), every order cancelled at
  one rate. Sizes come from quantile tables, independent of everything. Both sides share the rates.
With bands of one tick and one spread bucket the rates are those of model I of the source.

Source: Huang, Lehalle, Rosenbaum, "Simulating and analyzing order book data: the queue-reactive model", JASA 110
(2015). What differs, for stocks with a wide spread (AMZN 2012: 13 ticks, most queues empty): the source counts
distances from a reference price close to the mid and moves it with a fitted probability when a queue empties; here
they count from the opposite best, so that the price moves where a band inside the spread is joined or the touch is
emptied, and the spread bucket says where in the spread a band lies. Queues are bands of ticks, not single ticks. The
book is never drawn anew at a price change.

Assumptions and the direction of their bias: no memory beyond the book (real flow clusters and its signs persist, so
adverse selection of a maker is too mild and its profits are overstated); queues of one side do not see those of the
other beyond the spread (no imbalance effect: a maker that leans on imbalance gains too little); cancels take whole
orders; no hidden orders; market orders walk the book at any price. Agents' orders count in the queues, which the flow
reacts to, but move no reference (docs/decisions/0004-reference-price.md) and are never cancelled: such a proposal is
NULL. Where a side has no background order the spread counts as the widest.

Sampling. Exact: all rates of a state are integers, summed in a fixed order (bids, then asks; in a side, for each band
limit and cancel, then far limit, far cancel, market). One word of the one Philox block picks among them; the others
give time, place and size. Resolution as in `zero_intelligence.py`. One order counts for at most 2^21 lots in a queue.
"""

from typing import Final, NamedTuple

import numpy as np

from kernels.lob.spec import CAPACITIES
from market_models.zero_intelligence import MAX_DISTANCES, MIN_CLOCK_RATE, NUM_SIZES, alias_table, rate_shift

MAX_BANDS: Final = 8
MAX_SPREADS: Final = 4
MAX_BUCKETS: Final = 16  # C is at most 15
CLIP_LOTS: Final = 2**21  # what one order counts for at most: 512 of them fit int32
UNUSED_EDGE: Final = 2**31 - 1

# Packed parameters, int32[NUM_PARAMS]. Rates in units of 2^-(8 + RATE_SHIFT) per second.
RATE_SHIFT: Final = 0
NUM_BANDS: Final = 1  # K
NUM_SPREADS: Final = 2
TOP_BUCKET: Final = 3  # C, 0 in parameters that were never packed
EVENT_LOTS: Final = 4
NUM_FAR: Final = 5  # distances beyond e_K that limit orders reach
FAR_LIMIT_RATE: Final = 6  # sum of far(j), one side
FAR_CANCEL_RATE: Final = 7  # per order
BAND_EDGES: Final = 8  # e_1..e_K, then UNUSED_EDGE
SPREAD_EDGES: Final = BAND_EDGES + MAX_BANDS  # bucket s holds spreads above edge s and up to edge s + 1; UNUSED_EDGE
LIMIT_RATES: Final = SPREAD_EDGES + MAX_SPREADS  # [MAX_SPREADS][MAX_BANDS][MAX_BUCKETS]
CANCEL_RATES: Final = LIMIT_RATES + MAX_SPREADS * MAX_BANDS * MAX_BUCKETS
MARKET_RATES: Final = CANCEL_RATES + MAX_SPREADS * MAX_BANDS * MAX_BUCKETS  # [MAX_SPREADS][MAX_BUCKETS]
FAR_DISTANCES: Final = MARKET_RATES + MAX_SPREADS * MAX_BUCKETS  # alias table of far(j)
LIMIT_LOTS: Final = FAR_DISTANCES + MAX_DISTANCES
MARKET_LOTS: Final = LIMIT_LOTS + NUM_SIZES
NUM_PARAMS: Final = MARKET_LOTS + NUM_SIZES


class Rates(NamedTuple):
    """Parameters of one side per second, S spread buckets, K bands, C + 1 queue buckets."""

    band_edge_tick: np.ndarray  # int[K] increasing, from 1
    spread_edge_tick: np.ndarray  # int[S - 1] increasing, from 1
    event_lots: int  # lots that one bucket is wide
    limit_rate: np.ndarray  # float64[S, K, C + 1]
    cancel_rate: np.ndarray  # float64[S, K, C + 1], of the whole queue; 0 at c = 0
    market_rate: np.ndarray  # float64[S, C + 1]; 0 at c = 0
    far_limit_rate: np.ndarray  # float64[F] at distances e_K + 1 ..
    far_cancel_rate: float  # of each order beyond e_K
    limit_lots: np.ndarray  # int[128] equally likely sizes
    market_lots: np.ndarray  # int[128]


def pack(rates: Rates) -> np.ndarray:
    """Pack rates per second into the sampler's int32[NUM_PARAMS].

    ValueError names the field that is out of range: shapes, signs, finiteness, edges, sizes, and limit rates that may
    sum to less than 1/64 per second in some state, where the clock would overflow.
    """
    _check_edges(rates)
    arrays = _checked_rates(rates)
    limit, cancel, market, far = arrays
    S, K, buckets = limit.shape
    queues = (limit + cancel).max((0, 2)).sum() + market.max()
    top = 2 * (queues + far.sum()) + 2 * max(CAPACITIES) * rates.far_cancel_rate
    shift = rate_shift(float(top))
    unit = 2.0 ** (8 + shift)
    out = np.zeros(NUM_PARAMS, np.int32)
    out[[RATE_SHIFT, NUM_BANDS, NUM_SPREADS, TOP_BUCKET]] = shift, K, S, buckets - 1
    out[[EVENT_LOTS, NUM_FAR]] = rates.event_lots, len(far)
    out[[FAR_LIMIT_RATE, FAR_CANCEL_RATE]] = round(far.sum() * unit), round(rates.far_cancel_rate * unit)
    out[BAND_EDGES:LIMIT_RATES] = UNUSED_EDGE
    out[BAND_EDGES : BAND_EDGES + K] = rates.band_edge_tick
    out[SPREAD_EDGES : SPREAD_EDGES + S - 1] = rates.spread_edge_tick
    for start, table in ((LIMIT_RATES, limit), (CANCEL_RATES, cancel)):
        cells = out[start : start + MAX_SPREADS * MAX_BANDS * MAX_BUCKETS].reshape(MAX_SPREADS, MAX_BANDS, MAX_BUCKETS)
        cells[:S, :K, :buckets] = np.rint(table * unit)
    cells = out[MARKET_RATES:FAR_DISTANCES].reshape(MAX_SPREADS, MAX_BUCKETS)
    cells[:S, :buckets] = np.rint(market * unit)
    if far.sum() > 0:
        out[FAR_DISTANCES : FAR_DISTANCES + len(far)] = alias_table(far).view(np.int32)
    out[LIMIT_LOTS:MARKET_LOTS], out[MARKET_LOTS:] = rates.limit_lots, rates.market_lots
    return out


def _check_edges(rates: Rates) -> None:
    for name, most, least in (("band_edge_tick", MAX_BANDS, 1), ("spread_edge_tick", MAX_SPREADS - 1, 0)):
        edges = np.asarray(getattr(rates, name))
        whole = edges.ndim == 1 and least <= len(edges) <= most and np.isfinite(edges).all()
        if not whole or (np.diff(edges, prepend=0) < 1).any() or (edges != np.rint(edges)).any():
            raise ValueError(f"{name} is not {least}..{most} increasing whole numbers of ticks from 1 on")
        if len(edges) and edges[-1] > 2**20:
            raise ValueError(f"{name} goes to {edges[-1]}, beyond 2^20 ticks")
    for name in ("limit_lots", "market_lots"):
        lots = np.asarray(getattr(rates, name))
        if lots.shape != (NUM_SIZES,) or not (lots >= 1).all() or not (lots <= 2**30).all():
            raise ValueError(f"{name} is not {NUM_SIZES} sizes in 1..2^30")


def _checked_rates(rates: Rates) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return limit, cancel, market and far rates as float64."""
    limit = np.asarray(rates.limit_rate, np.float64)
    S, K = len(rates.spread_edge_tick) + 1, len(rates.band_edge_tick)
    if limit.ndim != 3 or limit.shape[:2] != (S, K) or not 2 <= limit.shape[2] <= MAX_BUCKETS:
        raise ValueError(f"limit_rate has shape {limit.shape}, expected [{S}, {K}, 2..{MAX_BUCKETS}]")
    buckets = limit.shape[2]
    if not 1 <= rates.event_lots <= CLIP_LOTS // (buckets - 1):
        raise ValueError(f"event_lots is {rates.event_lots}, not 1..{CLIP_LOTS // (buckets - 1)}")
    cancel, market = (np.asarray(values, np.float64) for values in (rates.cancel_rate, rates.market_rate))
    far, far_cancel = np.asarray(rates.far_limit_rate, np.float64), np.array(rates.far_cancel_rate, np.float64)
    shapes = {"cancel_rate": (cancel, limit.shape), "market_rate": (market, (S, buckets))}
    for name, (values, shape) in shapes.items():
        if values.shape != shape:
            raise ValueError(f"{name} has shape {values.shape}, expected {shape}")
        if values[..., 0].any():
            raise ValueError(f"{name} is not 0 where the queue is empty (bucket 0)")
    if far.ndim != 1 or len(far) > MAX_DISTANCES:
        raise ValueError(f"far_limit_rate has shape {far.shape}, expected [0..{MAX_DISTANCES}]")
    every = {"limit_rate": limit, "cancel_rate": cancel, "market_rate": market, "far_limit_rate": far}
    for name, values in {**every, "far_cancel_rate": far_cancel}.items():
        if not np.isfinite(values).all() or (values < 0).any():
            raise ValueError(f"{name} holds a rate that is negative or not finite")
    if limit.min(2).sum(1).min() + far.sum() < MIN_CLOCK_RATE / 256:
        raise ValueError("limit_rate and far_limit_rate may sum to less than 1/64 per second: the clock would overflow")
    return limit, cancel, market, far
