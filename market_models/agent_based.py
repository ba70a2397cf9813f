"""Agent-based order flow: fundamentalists, chartists, noise traders and market makers meet in the order book.

Model, in continuous time, prices in ticks; m is the mid of the best background orders (docs/decisions/0004).
- News come at rate nu: the fundamental value moves, V += J - a (V - V_0), J Laplace with mean size `news_tick` (a = 0:
  a random walk; else the discrete Ornstein-Uhlenbeck process around the mid V_0 of the first draw), and with it each
  smoothed mid, E_h += b_h (m - E_h). A chartist's trend is m - E_h, the exponentially weighted sum of mid changes.
- Traders of type c (noise, fundamentalist, chartist) arrive at rate lambda_c. Each draws weights g1, g2, uniform from 0
  to twice its type's mean, a horizon h, each as likely, and a Laplace n of mean size `noise_tick`, and expects the move
      Delta = g1 (V - m) + g2 (m - E_h) + n.
  It stays out where |Delta| < `edge_tick`, buys where Delta > 0, sells where Delta < 0, and tosses a coin at 0. If
  m + Delta reaches the opposite best it takes, by an IOC order at the price that it expects, at most `max_walk_tick`
  beyond that best. Else it is impatient with probability `impatience_frac` (a market order), or posts a limit order k
  ticks from the opposite best, k from the placement table that all types share.
- Each order at distance i from the opposite best is cancelled at rate theta(i), beyond D at theta(D).
- Each market maker looks at either of its quotes at rate `maker_rate`: without a quote it posts `maker_lots` at half
  the target spread from the mid, outwards; a quote more than the tolerance from there is stale and cancelled.

An agent's trade moves the mid: chartists follow it, fundamentalists lean against it, makers move their quotes. That
reaction is what the model is for. Agents' resting orders move no reference and are never cancelled (NULL).

Sources: Chiarella, Iori, Perello, "The impact of heterogeneous trading rules on the limit order book and order flows",
Journal of Economic Dynamics and Control 33 (2009), whose expected return is the weighted mean of the three parts; Byrd,
Hybinette, Balch, "ABIDES", 2019, for the populations. What differs: the weights are not normalised, so that a larger
deviation is a stronger belief and no division is needed; orders have quantiles of recorded sizes, not a utility's
demand; the book's own cancel rates replace the life time of an order; placement is a table, not a premium on Delta.

Assumptions and the direction of their bias: traders carry no inventory and no budget (a bubble lasts longer than real
wealth would let it, so trend following looks too profitable); reaction has no delay beyond the Poisson clock (real
traders see late: a fast agent's advantage is understated); rates do not rise with activity (too calm in bursts, adverse
selection of a maker too mild, its profits overstated); sizes and placement do not depend on beliefs; no hidden orders.

Fixed point: prices in 1/256 tick from the mid of the first draw, which must stay within 2^18 ticks of there (values
beyond count as 2^18; 16,384 ticks of V - m or of a trend); weights 2^-28 and finer, fractions 2^-32, rounded at random
so that no small step is lost. Bounds: |V - m| and trends 2^22, weights below 8, noise at most 22 x 2^20, hence |Delta|
below 2^27 and every sum below 2^28: int32 throughout. Rates and time as in `zero_intelligence.py`. One event takes two
Philox blocks: which event, time, place, size; and weights, noise, horizon with signs.
"""

from typing import Final, NamedTuple

import numpy as np

from kernels.lob.spec import CAPACITIES
from market_models.zero_intelligence import (
    ACCEPT_BITS,
    MAX_DISTANCES,
    MIN_CLOCK_RATE,
    NUM_SIZES,
    alias_table,
    rate_shift,
)

NUM_TYPES: Final = 3
NOISE, FUNDAMENTALIST, CHARTIST = 0, 1, 2
MAX_HORIZONS: Final = 3
MAX_MAKERS: Final = 8
PRICE_BITS: Final = 8  # 1/256 tick
MAX_TICK: Final = 2**18  # from the mid of the first draw
MAX_GAP: Final = 2**22  # of V - m and of trends, in 1/256 tick
WEIGHT_BITS: Final = 28
CHANCE_BITS: Final = 25

# Words of the flow, from META_FLOW on; prices in 1/256 tick from ANCHOR.
STARTED: Final = 0
ANCHOR: Final = 1  # tick
FUNDAMENTAL: Final = 2
SMOOTHED: Final = 3  # [MAX_HORIZONS]
QUOTES: Final = 6  # [MAX_MAKERS][2] order id of each maker's bid and ask, 0 for none

# Packed parameters, int32[NUM_PARAMS]. Rates in units of 2^-(8 + RATE_SHIFT) per second.
RATE_SHIFT: Final = 0
NUM_DISTANCES: Final = 1  # D, 0 in parameters that were never packed
NUM_MAKERS: Final = 2
NUM_HORIZONS: Final = 3
NEWS_RATE: Final = 4
MAKER_RATE: Final = 5  # looks of one maker
CANCEL_RATE: Final = 6  # theta_max per order
NEWS_SIZE: Final = 7  # 1/256 tick
REVERSION: Final = 8  # uint32, 2^-32
HALF_SPREAD: Final = 9  # 1/256 tick
TOLERANCE: Final = 10  # tick
MAKER_LOTS: Final = 11
MAX_WALK: Final = 12  # tick
SMOOTHING: Final = 13  # [MAX_HORIZONS] uint32, 2^-32
TYPES: Final = 16  # [NUM_TYPES][TYPE_WORDS]
TYPE_WORDS: Final = 6
TYPE_RATE: Final = 0
TYPE_FUNDAMENTAL: Final = 1  # twice the mean weight, 2^-28
TYPE_TREND: Final = 2
TYPE_NOISE: Final = 3  # 1/256 tick
TYPE_EDGE: Final = 4  # 1/256 tick
TYPE_IMPATIENCE: Final = 5  # 2^-25
DISTANCES: Final = 40  # alias table of the placement
ACCEPT: Final = DISTANCES + MAX_DISTANCES  # theta(i) / theta_max x 2^30
LIMIT_LOTS: Final = ACCEPT + MAX_DISTANCES
MARKET_LOTS: Final = LIMIT_LOTS + NUM_SIZES
NUM_PARAMS: Final = MARKET_LOTS + NUM_SIZES


class AgentParams(NamedTuple):
    """The populations; [3] is noise traders, fundamentalists, chartists."""

    arrival_rate: np.ndarray  # float64[3] per second, both sides; noise traders at least 1/64
    fundamental_weight: np.ndarray  # float64[3] mean g1, below 4
    trend_weight: np.ndarray  # float64[3] mean g2, below 4
    noise_tick: np.ndarray  # float64[3] mean size of n, up to 4096
    edge_tick: np.ndarray  # float64[3] up to 4096
    impatience_frac: np.ndarray  # float64[3] in 0..1
    placement: np.ndarray  # float64[D] weights of k = 1..D
    cancel_rate: np.ndarray  # float64[D] per order and second
    limit_lots: np.ndarray  # int[128] equally likely sizes
    market_lots: np.ndarray  # int[128]
    news_rate: float  # per second
    news_tick: float  # mean size of a jump, up to 4096
    smoothing_frac: np.ndarray  # float64[1..3] b_h in 0..1
    reversion_frac: float = 0.0  # a in 0..1
    max_walk_tick: int = 64  # 0..2^16
    makers: int = 0  # 0..8
    maker_rate: float = 0.0  # looks per second of each
    maker_spread_tick: float = 2.0  # target, 0..4096
    maker_tolerance_tick: int = 1  # 0..2^16
    maker_lots: int = 1


_BOUNDS = {
    "fundamental_weight": (0, 4 - 1e-6),
    "trend_weight": (0, 4 - 1e-6),
    "noise_tick": (0, 4096),
    "edge_tick": (0, 4096),
    "impatience_frac": (0, 1),
    "news_tick": (0, 4096),
    "smoothing_frac": (0, 1),
    "reversion_frac": (0, 1),
    "max_walk_tick": (0, 2**16),
    "makers": (0, MAX_MAKERS),
    "maker_spread_tick": (0, 4096),
    "maker_tolerance_tick": (0, 2**16),
    "maker_lots": (1, 2**30),
    "limit_lots": (1, 2**30),
    "market_lots": (1, 2**30),
    "arrival_rate": (0, 2**24),
    "cancel_rate": (0, 2**24),
    "news_rate": (0, 2**24),
    "maker_rate": (0, 2**24),
    "placement": (0, 1e12),
}
_WHOLE = ("max_walk_tick", "makers", "maker_tolerance_tick", "maker_lots", "limit_lots", "market_lots")


def pack(params: AgentParams) -> np.ndarray:
    """Pack the populations into the sampler's int32[NUM_PARAMS].

    ValueError names the field that is out of range: shapes, bounds, finiteness, whole numbers, and noise traders who
    arrive less than 1/64 times a second, where the clock would overflow.
    """
    _check(params)
    p = AgentParams(*(np.asarray(value, np.float64) for value in params))  # pyright: ignore
    theta = float(p.cancel_rate.max())
    top = p.arrival_rate.sum() + p.news_rate + p.makers * p.maker_rate + 2 * max(CAPACITIES) * theta
    shift = rate_shift(float(top))
    unit, tick = 2.0 ** (8 + shift), 2.0**PRICE_BITS
    out = np.zeros(NUM_PARAMS, np.int64)
    out[[RATE_SHIFT, NUM_DISTANCES, NUM_MAKERS, NUM_HORIZONS]] = (
        *(shift, len(p.placement)),
        *(params.makers, len(p.smoothing_frac)),
    )
    out[[NEWS_RATE, MAKER_RATE, CANCEL_RATE]] = np.rint(np.array([p.news_rate, p.maker_rate, theta]) * unit)
    out[[NEWS_SIZE, HALF_SPREAD]] = round(params.news_tick * tick), round(params.maker_spread_tick / 2 * tick)
    out[[TOLERANCE, MAKER_LOTS, MAX_WALK]] = p.maker_tolerance_tick, p.maker_lots, p.max_walk_tick
    out[REVERSION] = _fraction(p.reversion_frac)
    out[SMOOTHING : SMOOTHING + len(p.smoothing_frac)] = _fraction(p.smoothing_frac)
    types = out[TYPES : TYPES + NUM_TYPES * TYPE_WORDS].reshape(NUM_TYPES, TYPE_WORDS)
    types[:, TYPE_RATE] = np.rint(p.arrival_rate * unit)
    types[:, TYPE_FUNDAMENTAL] = np.rint(p.fundamental_weight * 2.0 ** (WEIGHT_BITS + 1))
    types[:, TYPE_TREND] = np.rint(p.trend_weight * 2.0 ** (WEIGHT_BITS + 1))
    types[:, TYPE_NOISE], types[:, TYPE_EDGE] = np.rint(p.noise_tick * tick), np.rint(p.edge_tick * tick)
    types[:, TYPE_IMPATIENCE] = np.rint(p.impatience_frac * 2.0**CHANCE_BITS)
    out[DISTANCES : DISTANCES + len(p.placement)] = alias_table(p.placement).view(np.int32)
    out[ACCEPT : ACCEPT + len(p.placement)] = np.rint(p.cancel_rate / max(theta, 1e-300) * 2.0**ACCEPT_BITS)
    out[LIMIT_LOTS:MARKET_LOTS], out[MARKET_LOTS:] = p.limit_lots, p.market_lots
    return out.astype(np.uint32).view(np.int32)


def _fraction(value: np.ndarray | float) -> np.ndarray:
    """Return fractions as 32 bits of them."""
    return np.minimum(np.rint(value * 2.0**32), 2.0**32 - 1)


def _check(params: AgentParams) -> None:
    shapes = dict.fromkeys(AgentParams._fields[:6], (NUM_TYPES,))
    shapes |= {"limit_lots": (NUM_SIZES,), "market_lots": (NUM_SIZES,), "cancel_rate": np.shape(params.placement)}
    for name, value in params._asdict().items():
        values = np.asarray(value, np.float64)
        low, high = _BOUNDS[name]
        if name in ("placement", "smoothing_frac"):
            most = MAX_DISTANCES if name == "placement" else MAX_HORIZONS
            if values.ndim != 1 or not 1 <= len(values) <= most:
                raise ValueError(f"{name} has shape {values.shape}, expected [1..{most}]")
        elif values.shape != shapes.get(name, ()):
            raise ValueError(f"{name} has shape {values.shape}, expected {shapes.get(name, ())}")
        if not np.isfinite(values).all() or (values < low).any() or (values > high).any():
            raise ValueError(f"{name} holds a value that is not finite or outside {low}..{high}")
        if name in _WHOLE and (values != np.rint(values)).any():
            raise ValueError(f"{name} is not a whole number")
    if np.sum(params.placement) < 1e-12:
        raise ValueError("placement sums to nothing: no distance can be drawn")
    if params.arrival_rate[NOISE] < MIN_CLOCK_RATE / 256:
        raise ValueError("arrival_rate of noise traders is below 1/64 per second: the clock would overflow")
