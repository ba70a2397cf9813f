"""Hawkes order flow: events excite one another, so that flow clusters, its signs persist and sides answer each other.

Model. Ten event types e = (side, kind); the side is that of the orders concerned, for a market order the side it takes
from. Kinds: a limit order inside the spread, one at or behind the touch, a cancel at the touch, a cancel behind it, a
market order. In continuous time, while e is possible,
    lambda_e(t) = mu_e(x(t)) + sum over k and past events i of
                  jump_k(kind i -> kind e, same or other side) m(lots_i) exp(-beta_k (t - t_i)),   k = 1..K, K <= 2.
x(t) is the bucket of the spread and that of the lots behind the touch of e's own side: base rates depend on the book,
excitation does not. m(lots) is the mark of a limit or market order, 1 for a cancel. Both sides share all parameters.
Branching matrix: n(i -> e) = sum_k jump_k(i -> e) E[m_i] / beta_k; `pack` refuses a spectral radius of 1 or more, where
bursts would not end. "Touch" is the best background order of the side (docs/decisions/0004-reference-price.md):
- inside: at touch + 1 + floor(f (spread - 1)) towards the opposite touch, f from a quantile table; NULL below 2 ticks;
- at or behind: d = 0.. ticks behind the touch, from an alias table. A side without background orders has its touch
  `empty_spread_tick` from what `zero_intelligence.py` would count from;
- cancel: one of the orders at the touch (or of those up to `window_tick` behind it), each as likely as the other; NULL
  where there is none or it is an agent's;
- market: sizes from a quantile table, NULL where nothing rests.
An order further than `window_tick` behind the touch leaves at a constant rate of its own, and excites nothing.

Sources: Bacry, Mastromatteo, Muzy, "Hawkes processes in finance", Market Microstructure and Liquidity 1 (2015);
Morariu-Patrichi, Pakkanen, "State-dependent Hawkes processes and their application to limit order book modelling",
Quantitative Finance 22 (2022) (theirs lets the state move the kernels too); Ogata, IEEE Trans. Inf. Theory 27 (1981).

Assumptions and the direction of their bias: two exponentials stand for a power law (memory beyond both is missing:
volatility clusters too little over minutes); agents' own orders excite nobody (their market orders have no echo: impact
is understated and a taker's profit overstated); excitation ignores the book (flow leans on imbalance too little);
impossible events are dropped, so that a stressed book has less flow than the recorded one; cancels take whole orders;
no hidden orders; market orders walk the book at any price.

Sampling. Exact, by Ogata's thinning: lambda only falls between events and the book stands still, so its present total R
bounds it. One proposal after an exponential time with rate R; one word picks a place in [0, R) on the decayed rates
(base rates, far cancels, then every excitation word); beyond them the proposal is NULL with its time, which the engine
repeats without bound. A step's horizon may cut a proposal off: the state has its own time, from which it decays.
Everything is integer. State: META_FLOW words TIME_S, TIME_NS, then excitation of (k, type), 0 in a fresh market (22 of
the 24 words: more than eleven types would leave no room for the time), in units of 2^-(8 + RATE_SHIFT + EXTRA_SHIFT_k)
per second, rounded down at each proposal; all words of k together stay below 2^30: a jump beyond is dropped. `pack`
chooses the units so that 2^30 is at least 32 times mean plus largest jump.
exp(-beta t) = 2^-y with y in 2^-32, by halvings and a 256-cell table with linear interpolation: relative error below
1.1e-6, that of beta below 0.5 / (6196 beta). A time is whole microseconds, rounded down: 0.1 % at 2,000 events/s.
"""

from decimal import Decimal, localcontext
from typing import Final, NamedTuple

import numpy as np

from kernels.lob.spec import CAPACITIES, META_FLOW
from market_models.zero_intelligence import MAX_DISTANCES, MAX_RATE_SHIFT, MIN_CLOCK_RATE, NUM_SIZES, alias_table

INSIDE: Final = 0  # kinds
BEHIND: Final = 1
CANCEL_TOUCH: Final = 2
CANCEL_BEHIND: Final = 3
TAKE: Final = 4
NUM_KINDS: Final = 5
NUM_TYPES: Final = 10  # side x kind
KIND_NAMES: Final = ("limit_inside", "limit_behind", "cancel_touch", "cancel_behind", "market")

MAX_DECAYS: Final = 2
MAX_SPREADS: Final = 4
MAX_DEPTHS: Final = 4
MIN_DECAY: Final = 0.05  # per second
MAX_DECAY: Final = 1e5
MAX_EXCITATION: Final = 2**30  # units, all words of one decay together
HEADROOM: Final = 32
MAX_EXTRA_SHIFT: Final = 16
CLIP_LOTS: Final = 2**21  # what one order counts for at most: 512 of them fit int32
UNUSED_EDGE: Final = 2**31 - 1
MIN_BASE: Final = (
    MIN_CLOCK_RATE / 512
)  # limit orders behind the touch, per side and second: the clock must not overflow
MAX_ELAPSED_S: Final = 2000  # e^-100 and less counts as 0
FRAC_BITS: Final = 16  # of marks and of places inside the spread

# The flow's own words of META.
TIME_S: Final = META_FLOW
TIME_NS: Final = META_FLOW + 1
EXCITATION: Final = META_FLOW + 2  # [MAX_DECAYS][NUM_TYPES]

# Packed parameters, int32[NUM_PARAMS]. Rates in units of 2^-(8 + RATE_SHIFT) per second.
RATE_SHIFT: Final = 0
NUM_SPREADS: Final = 1  # 0 in parameters that were never packed
WINDOW_TICK: Final = 2
NUM_DISTANCES: Final = 3
EMPTY_SPREAD_TICK: Final = 4
FAR_CANCEL_RATE: Final = 5  # per order
# Words 6, 7 are 0.
DECAYS: Final = 8  # beta_k log2(e) x 2^32 per microsecond; 0 for a decay that is not used
EXTRA_SHIFTS: Final = DECAYS + MAX_DECAYS
SPREAD_EDGES: Final = EXTRA_SHIFTS + MAX_DECAYS  # bucket s holds spreads above s edges; then UNUSED_EDGE
DEPTH_EDGES: Final = SPREAD_EDGES + MAX_SPREADS
BASE_RATES: Final = DEPTH_EDGES + MAX_DEPTHS  # [MAX_SPREADS][MAX_DEPTHS][NUM_KINDS]
JUMPS: Final = BASE_RATES + MAX_SPREADS * MAX_DEPTHS * NUM_KINDS  # [MAX_DECAYS][same, other][source][target]
DISTANCES: Final = JUMPS + MAX_DECAYS * 2 * NUM_KINDS * NUM_KINDS  # alias table of d
INSIDE_FRACS: Final = DISTANCES + MAX_DISTANCES  # f x 2^16
LIMIT_LOTS: Final = INSIDE_FRACS + NUM_SIZES
MARKET_LOTS: Final = LIMIT_LOTS + NUM_SIZES
LIMIT_MARKS: Final = MARKET_LOTS + NUM_SIZES  # m x 2^16 of the size of the same place
MARKET_MARKS: Final = LIMIT_MARKS + NUM_SIZES
NUM_PARAMS: Final = MARKET_MARKS + NUM_SIZES

EXP_BITS: Final = 24


def _exp2_table() -> np.ndarray:
    with localcontext() as context:
        context.prec = 40
        exact = [Decimal(2) ** (EXP_BITS - Decimal(j) / 256) for j in range(257)]
    return np.array([int(value.to_integral_value()) for value in exact], np.uint32)


EXP2_TABLE: Final = _exp2_table()  # uint32[257]: 2^-(j/256) x 2^24


class Rates(NamedTuple):
    """Parameters, S spread buckets, Q depth buckets, K decays; kinds in the order of KIND_NAMES."""

    spread_edge_tick: np.ndarray  # int[S - 1] increasing, from 1
    depth_edge_lots: np.ndarray  # int[Q - 1] increasing, from 0
    base_rate: np.ndarray  # float64[S, Q, 5] per second and side
    decay_rate: np.ndarray  # float64[K] beta_k per second
    jump_rate: np.ndarray  # float64[K, 2, 5, 5] per second: [same, other side][source kind][target kind]
    far_cancel_rate: float  # per second, of each order beyond the window
    window_tick: int  # >= 1
    empty_spread_tick: int  # >= 1
    behind_weight: np.ndarray  # float64[D] of 0.. ticks behind the touch
    inside_frac: np.ndarray  # float64[128] in [0, 1), equally likely
    limit_lots: np.ndarray  # int[128] equally likely sizes
    market_lots: np.ndarray  # int[128]
    limit_mark: np.ndarray  # float64[128] of those sizes
    market_mark: np.ndarray  # float64[128]


def branching_matrix(rates: Rates) -> np.ndarray:
    """Return n float64[2, 5, 5]: mean number of direct offspring, [same, other side][source kind][target kind]."""
    mark = np.ones(NUM_KINDS)
    mark[[INSIDE, BEHIND]], mark[TAKE] = np.mean(rates.limit_mark), np.mean(rates.market_mark)
    per_decay = np.asarray(rates.jump_rate) / np.asarray(rates.decay_rate)[:, None, None, None]
    return per_decay.sum(0) * mark[:, None]


def branching_ratio(rates: Rates) -> float:
    """Return the spectral radius of the branching matrix of all ten types: that of same plus other side."""
    return float(np.abs(np.linalg.eigvals(branching_matrix(rates).sum(0))).max())


def mean_rate(rates: Rates, base: np.ndarray) -> np.ndarray:
    """Return the stationary rate float64[5] of a side's kinds for base rates float64[5]: (I - n^T)^-1 mu."""
    return np.linalg.solve(np.eye(NUM_KINDS) - branching_matrix(rates).sum(0).T, base)


def pack(rates: Rates) -> np.ndarray:
    """Pack rates per second into the sampler's int32[NUM_PARAMS].

    ValueError names the field that is out of range: shapes, signs, finiteness, edges, sizes, a spectral radius of 1 or
    more, rates that the fixed-point words cannot hold, and base rates of limit orders behind the touch below 1/128 per
    second, where the clock would overflow.
    """
    from market_models.hawkes_checks import check_rates

    check_rates(rates)
    base, jump = np.asarray(rates.base_rate, np.float64), np.asarray(rates.jump_rate, np.float64)
    decay = np.asarray(rates.decay_rate, np.float64)
    shift, extra = _units(rates)
    unit = 2.0 ** (8 + shift)
    S, Q, _ = base.shape
    out = np.zeros(NUM_PARAMS, np.int32)
    out[[RATE_SHIFT, NUM_SPREADS, WINDOW_TICK]] = shift, S, rates.window_tick
    out[[NUM_DISTANCES, EMPTY_SPREAD_TICK]] = len(rates.behind_weight), rates.empty_spread_tick
    out[FAR_CANCEL_RATE] = round(rates.far_cancel_rate * unit)
    out[DECAYS : DECAYS + len(decay)] = np.rint(decay * (2.0**32 / np.log(2) / 1e6))
    out[EXTRA_SHIFTS : EXTRA_SHIFTS + len(decay)] = extra
    out[SPREAD_EDGES:BASE_RATES] = UNUSED_EDGE
    out[SPREAD_EDGES : SPREAD_EDGES + S - 1] = rates.spread_edge_tick
    out[DEPTH_EDGES : DEPTH_EDGES + Q - 1] = rates.depth_edge_lots
    out[BASE_RATES:JUMPS].reshape(MAX_SPREADS, MAX_DEPTHS, NUM_KINDS)[:S, :Q] = np.rint(base * unit)
    jumps = out[JUMPS:DISTANCES].reshape(MAX_DECAYS, 2, NUM_KINDS, NUM_KINDS)
    jumps[: len(decay)] = np.rint(jump * (unit * 2.0**extra)[:, None, None, None])
    weight = np.asarray(rates.behind_weight, np.float64)
    out[DISTANCES : DISTANCES + len(weight)] = alias_table(weight).view(np.int32)
    out[INSIDE_FRACS:LIMIT_LOTS] = np.floor(np.asarray(rates.inside_frac) * 2**FRAC_BITS)
    out[LIMIT_LOTS:MARKET_LOTS], out[MARKET_LOTS:LIMIT_MARKS] = rates.limit_lots, rates.market_lots
    out[LIMIT_MARKS:MARKET_MARKS] = np.rint(np.asarray(rates.limit_mark) * 2**FRAC_BITS)
    out[MARKET_MARKS:] = np.rint(np.asarray(rates.market_mark) * 2**FRAC_BITS)
    return out


def _units(rates: Rates) -> tuple[int, np.ndarray]:
    """Return RATE_SHIFT and EXTRA_SHIFT int[K]: the finest at which every sum fits."""
    base, jump = np.asarray(rates.base_rate, np.float64), np.asarray(rates.jump_rate, np.float64)
    largest = max(np.max(rates.limit_mark), np.max(rates.market_mark), 1.0)
    jumps = jump.sum((1, 3)) * largest  # [K, source]: what one event adds to all words of a decay
    rate = 2 * mean_rate(rates, base.max((0, 1)))
    scale = jumps.max(1) + (jumps * rate).sum(1) / np.asarray(rates.decay_rate)
    constant = 2 * base.max((0, 1)).sum() + 2 * max(CAPACITIES) * rates.far_cancel_rate
    sums = np.append(HEADROOM * scale, constant)
    if not np.isfinite(sums).all() or sums.max() * 2.0**8 > MAX_EXCITATION:
        raise ValueError(
            f"base_rate, jump_rate and far_cancel_rate sum to {sums.max():.3g} per second: too busy a flow"
        )
    bits = np.floor(np.log2(MAX_EXCITATION / np.maximum(sums, 2.0**-20))).astype(int)
    shift = int(min(bits.min() - 8, MAX_RATE_SHIFT))
    return shift, np.minimum(bits[:-1] - 8 - shift, MAX_EXTRA_SHIFT)
