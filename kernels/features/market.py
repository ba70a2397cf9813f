"""The market as our policy sees it: a book without our own orders, and a short integer memory.

Every function takes the array namespace `xp` (numpy or jax.numpy) first, any leading batch axes, and int32 arrays; both
namespaces give the same bits. Nothing wraps: what could pass int32 is clipped first, and the limits are named here.
"""

from types import ModuleType
from typing import Any, Final, NamedTuple

from kernels.lob import spec

Array = Any  # numpy.ndarray or jax.Array

FEATURE_LEVELS: Final = 5  # price levels a side in the features
DEPTH_LEVELS: Final = FEATURE_LEVELS + 1  # levels to ask of the book: one may consist of our own order alone

# Float32 holds integers up to 2**24, so columns are clipped there and lose nothing in `normalise`.
LIMIT: Final = 2**24
MAX_FEATURE_PRICE_TICK: Final = 2**29 - 1  # prices are clipped here, so that bid + ask and its changes hold in int32
AVERAGE_ONE: Final = 256  # fixed-point one of the moving averages
AVERAGE_SHIFT: Final = 4  # a moving average takes 1/16 of each new value
AVERAGE_LIMIT: Final = 2**20  # inputs are clipped here, so that value * 256 holds in int32


class History(NamedTuple):
    """Memory from one decision to the next, int32[...]."""

    mid_half_tick: Array  # best bid + best ask without our own orders [1/2 tick]; kept while a side is empty
    mid_change_half_tick: Array  # its change since the last decision [1/2 tick]
    elapsed_us: Array  # time since the last decision [us], saturated
    trend: Array  # moving average of the mid's change [1/512 tick a decision]
    volatility: Array  # moving average of the mid's absolute change [1/512 tick a decision]
    ofi: Array  # moving average of order-flow imbalance [1/256 lot a decision]
    trade_flow: Array  # moving average of bought minus sold lots [1/256 lot a decision]


def strip_own(xp: ModuleType, depth: Array, own: Array) -> Array:
    """Return `depth` int32[..., 2, L, 2] without our best order on each side (`own` int32[..., 2, 6], OWN_* columns).

    A level that consisted of our order alone disappears and the levels behind it move up, so the last one becomes
    (0, 0). A saturated level (2^31 - 1 lots) loses our lots like any other.
    """
    price_tick, lots = depth[..., 0], depth[..., 1]
    at_ours = (own[..., spec.OWN_PRESENT, None] > 0) & (price_tick == own[..., spec.OWN_PRICE_TICK, None]) & (lots > 0)
    left = xp.where(at_ours, xp.maximum(lots - own[..., spec.OWN_LOTS, None], 0), lots)
    gone = xp.cumsum((at_ours & (left == 0)).astype(xp.int32), axis=-1) > 0
    stripped = xp.stack([price_tick, left], axis=-1)
    behind = xp.concatenate([stripped[..., 1:, :], xp.zeros_like(stripped[..., :1, :])], axis=-2)
    return xp.where(gone[..., None], behind, stripped)


def touch(xp: ModuleType, depth: Array) -> tuple[Array, Array, Array]:
    """Return (best bid, best ask, both exist) of `depth` int32[..., 2, L, 2]; prices clipped, ticks."""
    best = xp.clip(depth[..., 0, 0], -MAX_FEATURE_PRICE_TICK, MAX_FEATURE_PRICE_TICK)
    present = depth[..., 0, 1] > 0
    return best[..., spec.BUY], best[..., spec.SELL], present[..., spec.BUY] & present[..., spec.SELL]


def elapsed_us(xp: ModuleType, start: tuple[Array, Array], end: tuple[Array, Array]) -> Array:
    """Return microseconds between two (s, ns) clocks, int32, saturated at 0 and 2^24 (16.8 s)."""
    seconds = xp.clip(end[0] - start[0], -20, 20)
    return xp.clip(seconds * 1_000_000 + (end[1] - start[1]) // 1000, 0, LIMIT)


def start_history(xp: ModuleType, depth: Array) -> History:
    """Return the memory at the first decision, from a book without our orders; an empty side gives a mid of 0."""
    bid_tick, ask_tick, both = touch(xp, depth)
    mid = xp.where(both, bid_tick + ask_tick, 0)
    zero = xp.zeros_like(mid)
    return History(mid, zero, zero, zero, zero, zero, zero)


def advance_history(xp: ModuleType, history: History, depth: Array, summary: Array, elapsed_us: Array) -> History:
    """Return the memory after one decision interval.

    `depth` is the stripped book, `summary` int32[..., 16] the SUM_* words of the interval (they include what our own
    messages did), `elapsed_us` its length in microseconds.
    """
    bid_tick, ask_tick, both = touch(xp, depth)
    mid = xp.where(both, bid_tick + ask_tick, history.mid_half_tick)
    change = _clip(xp, mid - history.mid_half_tick, LIMIT)
    bought = _clip(xp, summary[..., spec.SUM_TRADED_BUY_LOTS], LIMIT)
    sold = _clip(xp, summary[..., spec.SUM_TRADED_SELL_LOTS], LIMIT)
    return History(
        mid_half_tick=mid,
        mid_change_half_tick=change,
        elapsed_us=xp.clip(elapsed_us, 0, LIMIT),
        trend=_average(xp, history.trend, change),
        volatility=_average(xp, history.volatility, xp.abs(change)),
        ofi=_average(xp, history.ofi, summary[..., spec.SUM_OFI_LOTS]),
        trade_flow=_average(xp, history.trade_flow, bought - sold),
    )


def _average(xp: ModuleType, average: Array, value: Array) -> Array:
    # Fixed point, arithmetic shift: the same bits in both namespaces, which a float average would not give.
    return average + ((_clip(xp, value, AVERAGE_LIMIT) * AVERAGE_ONE - average) >> AVERAGE_SHIFT)


def _clip(xp: ModuleType, value: Array, limit: int) -> Array:
    return xp.clip(value, -limit, limit)
