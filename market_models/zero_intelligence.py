"""Zero-intelligence order flow: independent Poisson streams by distance to the touch.

Model. Each side, in continuous time: limit orders arrive at i = 1..D ticks from the opposite best quote at rate
lambda(i); market orders arrive at rate mu where there is something to take; every resting background order at distance
i from the opposite best quote is cancelled at rate theta(i), beyond D at theta(D). "Best quote" means that of
background orders: distances are not counted from agents' orders (docs/decisions/0004-reference-price.md). Both sides
share the rates, so that the model has no drift. Sizes are drawn independently of everything from quantile tables.
Where the opposite side is empty, distances count from one tick beyond the own best quote, and with both sides empty
from META_REFERENCE_TICK.

Sources: Cont, Stoikov, Talreja, "A stochastic model for order book dynamics", Operations Research 58 (2010); Smith,
Farmer, Gillemot, Krishnamurthy, "Statistical theory of the continuous double auction", Quantitative Finance 3 (2003).

Assumptions and the direction of their bias: no memory (real flow clusters and its signs persist, so the model is calmer
in bursts, and adverse selection of a maker is too mild: profits from making are overstated); rates do not depend on
queue sizes or on the spread beyond the distance; sizes do not depend on the distance; no hidden orders; cancels take
whole orders; market orders walk the book at any price, so that a side is empty for a moment every few hours. Flow
reacts to agents' quotes only because distances are measured from the touch.

Sampling. Exact, by thinning: events are proposed at a total rate R with every order cancelled at the bound theta_max; a
proposed cancel of an order at distance i is accepted with probability theta(i) / theta_max, else the event is NULL and
only time passes. Agents' orders are never cancelled (NULL). One event takes one Philox block of four words: which
event, time, distance or slot, size or acceptance. Integers throughout, so the numba sampler and its XLA twin give the
same bits. Resolution: rates 2^-(8 + RATE_SHIFT) per second, the clock's total rate 1/256 per second, probabilities
2^-24 and finer, time one microsecond (rounded down, half a microsecond on average).
"""

from decimal import Decimal, localcontext
from typing import Final

import numpy as np

from kernels.lob.spec import CAPACITIES

# Packed parameters, int32[NUM_PARAMS].
LIMIT_RATE: Final = 0  # sum of lambda(i) over i, one side, in rate units
MARKET_RATE: Final = 1  # mu, one side, in rate units
CANCEL_RATE: Final = 2  # theta_max per resting order, in rate units
RATE_SHIFT: Final = 3  # a rate unit is 2^-(8 + RATE_SHIFT) per second
NUM_DISTANCES: Final = 4  # D
# Words 5..7 are 0.
DISTANCES: Final = (
    8  # D words of Walker's alias table: probability of staying x 2^24 in the high 24 bits, alias in the low 8
)
ACCEPT: Final = DISTANCES + 128  # D words: theta(i) / theta_max x 2^30
LIMIT_LOTS: Final = ACCEPT + 128  # 128 equally likely sizes of limit orders
MARKET_LOTS: Final = LIMIT_LOTS + 128  # 128 equally likely sizes of market orders
NUM_PARAMS: Final = MARKET_LOTS + 128

MAX_DISTANCES: Final = 128
NUM_SIZES: Final = 128
ACCEPT_BITS: Final = 30
ALIAS_BITS: Final = 24
MAX_RATE_SHIFT: Final = 8
MIN_CLOCK_RATE: Final = 4  # 1/256 per second: the slowest clock whose longest step fits int32 microseconds
MEAN_NUMERATOR: Final = 4_096_000_000  # 16 x 256 x 1e6: divided by a rate in 1/256 per second it is the mean in 1/16 us

# 24-bit logarithms, rounded from exact decimals so that every machine has the same table.
LN_BITS: Final = 24


def _ln_table() -> np.ndarray:
    with localcontext() as context:
        context.prec = 40
        exact = [(Decimal(1) + Decimal(j) / 256).ln() * 2**LN_BITS for j in range(257)]
    return np.array([int(value.to_integral_value()) for value in exact], np.uint32)


LN_TABLE: Final = _ln_table()  # uint32[257]: ln(1 + j/256) x 2^24
LN_2: Final = int(LN_TABLE[256])


def rate_shift(total_rate_per_s: float) -> int:
    """Return the finest RATE_SHIFT in 0..8 at which `total_rate_per_s` and twice as much stay below 2^32 units."""
    shift = MAX_RATE_SHIFT
    while shift and total_rate_per_s * 2 ** (9 + shift) >= 2**32:
        shift -= 1
    if total_rate_per_s * 2 ** (9 + shift) >= 2**32:
        raise ValueError(f"a total rate of {total_rate_per_s:.0f} events per second does not fit the sampler")
    return shift


def alias_table(weight: np.ndarray) -> np.ndarray:
    """Return Walker's alias table of `weight` float64[D] (non-negative, not all 0) as uint32[D] words.

    A draw picks a column uniformly and stays with probability (word >> 8) / 2^24, else takes column word & 255.
    Source: Vose, "A linear algorithm for generating random numbers with a given distribution", 1991.
    """
    count = len(weight)
    scaled = np.asarray(weight, np.float64) * count / np.sum(weight)
    small = [i for i in range(count) if scaled[i] < 1]
    large = [i for i in range(count) if scaled[i] >= 1]
    stay, alias = np.ones(count), np.arange(count)
    while small and large:
        low, high = small.pop(), large.pop()
        stay[low], alias[low] = scaled[low], high
        scaled[high] -= 1 - scaled[low]
        (small if scaled[high] < 1 else large).append(high)
    # What is left over in either list is 1 up to rounding: it stays.
    threshold = np.minimum(np.rint(stay * 2**ALIAS_BITS), 2**ALIAS_BITS - 1).astype(np.uint32)
    return (threshold << np.uint32(8)) | alias.astype(np.uint32)


def pack(
    limit_rate: np.ndarray, market_rate: float, cancel_rate: np.ndarray, limit_lots: np.ndarray, market_lots: np.ndarray
) -> np.ndarray:
    """Pack rates per second into the sampler's int32[NUM_PARAMS].

    limit_rate, cancel_rate: float64[D], lambda(i) and theta(i) of one side for i = 1..D; market_rate: mu of one side;
    limit_lots, market_lots: int[128] equally likely sizes. ValueError names the field that is out of range.
    """
    limit, cancel = np.asarray(limit_rate, np.float64), np.asarray(cancel_rate, np.float64)
    _check_rates(limit, market_rate, cancel)
    theta_max = float(cancel.max())
    top = 2 * (limit.sum() + market_rate) + 2 * max(CAPACITIES) * theta_max
    shift = rate_shift(float(top))
    out = np.zeros(NUM_PARAMS, np.int32)
    unit = 2.0 ** (8 + shift)
    out[LIMIT_RATE] = max(round(limit.sum() * unit), MIN_CLOCK_RATE << shift)
    out[MARKET_RATE], out[CANCEL_RATE] = round(market_rate * unit), round(theta_max * unit)
    out[RATE_SHIFT], out[NUM_DISTANCES] = shift, len(limit)
    out[DISTANCES : DISTANCES + len(limit)] = alias_table(limit).view(np.int32)
    accepted = cancel / theta_max if theta_max else cancel
    out[ACCEPT : ACCEPT + len(limit)] = np.rint(accepted * 2**ACCEPT_BITS)
    for start, name, lots in ((LIMIT_LOTS, "limit_lots", limit_lots), (MARKET_LOTS, "market_lots", market_lots)):
        if len(lots) != NUM_SIZES or np.min(lots) < 1 or np.max(lots) > 2**30:
            raise ValueError(f"{name} is not {NUM_SIZES} sizes in 1..2^30")
        out[start : start + NUM_SIZES] = lots
    return out


def _check_rates(limit: np.ndarray, market_rate: float, cancel: np.ndarray) -> None:
    if not 1 <= len(limit) <= MAX_DISTANCES or len(cancel) != len(limit):
        raise ValueError(
            f"limit_rate has {len(limit)} and cancel_rate {len(cancel)} distances, 1..{MAX_DISTANCES} of each"
        )
    for name, values in (("limit_rate", limit), ("market_rate", np.array([market_rate])), ("cancel_rate", cancel)):
        if not np.isfinite(values).all() or values.min() < 0:
            raise ValueError(f"{name} holds a rate that is negative or not finite")
    if limit.sum() < MIN_CLOCK_RATE / 256:
        raise ValueError(f"limit_rate sums to {limit.sum()}, below 1/64 per second: the clock would overflow")
