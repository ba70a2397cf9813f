"""Integer feature columns from what a policy may know at a decision; formulas stand in `table.FEATURES`."""

from types import ModuleType
from typing import Final, NamedTuple

from kernels.features.market import (
    AVERAGE_LIMIT,
    FEATURE_LEVELS,
    LIMIT,
    MAX_FEATURE_PRICE_TICK,
    Array,
    History,
    strip_own,
    touch,
)
from kernels.features.table import FRACTION_ONE, NUM_FEATURES
from kernels.lob import spec

RATIO_LIMIT: Final = 2**20  # lots enter a ratio clipped here, so that 1024 * lots holds in int32


class AccountView(NamedTuple):
    """What a policy knows of its own account, int32; batch axes as in the book."""

    inventory_lots: Array  # [...]
    inventory_cap_lots: Array  # [...] at least 1
    steps_left: Array  # [...] decisions left in the episode or session
    pending: Array  # [..., 2] 1 while a message of ours about that side is under way


def columns(xp: ModuleType, depth: Array, summary: Array, history: History, own: Array, account: AccountView) -> Array:
    """Return the feature columns int32[..., D] in the order of `table.FEATURE_NAMES`.

    `depth` int32[..., 2, L, 2] is the book with our orders in it, L at least 5 (6 to see five levels beside ours);
    `summary` int32[..., 16] the words since the last decision; `history` the memory already advanced to this decision;
    `own` int32[..., 2, 6] our best order on each side. Values saturate at 2^24 (fractions at their one), so float32
    holds them. Every argument must have the same batch axes. Raises ValueError if the book has too few levels.
    """
    if depth.shape[-2] < FEATURE_LEVELS:
        raise ValueError(f"depth has {depth.shape[-2]} levels a side, features need at least {FEATURE_LEVELS}")
    net = strip_own(xp, depth, own)[..., :FEATURE_LEVELS, :]
    parts = [
        *_book(xp, net),
        *_interval(xp, summary, history),
        *_own(xp, net, own, account.pending, spec.BUY),
        *_own(xp, net, own, account.pending, spec.SELL),
        account.inventory_lots,
        _fraction(xp, account.inventory_lots, account.inventory_cap_lots),
        account.steps_left,
    ]
    if len(parts) != NUM_FEATURES:
        raise ValueError(f"{len(parts)} columns for a table of {NUM_FEATURES}: table and columns disagree")
    return xp.clip(xp.stack(parts, axis=-1).astype(xp.int32), -LIMIT, LIMIT)


def _book(xp: ModuleType, net: Array) -> list[Array]:
    bid_tick, ask_tick, both = touch(xp, net)
    spread = xp.where(both, _clip(xp, ask_tick - bid_tick), 0)
    gaps = _gaps(xp, net[..., spec.BUY, :, :], -1) + _gaps(xp, net[..., spec.SELL, :, :], 1)
    lots = xp.minimum(net[..., 1], RATIO_LIMIT)  # [..., 2, L]
    total = xp.minimum(xp.sum(lots, axis=-1, dtype=xp.int32), RATIO_LIMIT)
    imbalance = _imbalance(xp, lots[..., spec.BUY, 0], lots[..., spec.SELL, 0])
    microprice = xp.minimum(spread, RATIO_LIMIT) * xp.where(both, imbalance, 0)
    return [
        spread,
        *gaps,
        *(net[..., spec.BUY, i, 1] for i in range(FEATURE_LEVELS)),
        *(net[..., spec.SELL, i, 1] for i in range(FEATURE_LEVELS)),
        imbalance,
        _imbalance(xp, total[..., spec.BUY], total[..., spec.SELL]),
        microprice,
    ]


def _gaps(xp: ModuleType, side: Array, sign: int) -> list[Array]:
    # A missing level repeats the last known distance: with 0 lots beside it that reads as "nothing further on".
    price_tick = xp.clip(side[..., 0], -MAX_FEATURE_PRICE_TICK, MAX_FEATURE_PRICE_TICK)
    gap = xp.zeros_like(price_tick[..., 0])
    gaps = []
    for i in range(1, FEATURE_LEVELS):
        gap = xp.where(side[..., i, 1] > 0, (price_tick[..., i] - price_tick[..., 0]) * sign, gap)
        gaps.append(gap)
    return gaps


def _imbalance(xp: ModuleType, bid_lots: Array, ask_lots: Array) -> Array:
    return (bid_lots - ask_lots) * FRACTION_ONE // xp.maximum(bid_lots + ask_lots, 1)


def _interval(xp: ModuleType, summary: Array, history: History) -> list[Array]:
    last_tick = xp.clip(summary[..., spec.SUM_LAST_PRICE_TICK], -MAX_FEATURE_PRICE_TICK, MAX_FEATURE_PRICE_TICK)
    # Halves first: 2 * last - mid could pass int32 where last and mid have different signs.
    half_mid = history.mid_half_tick >> 1
    last = _clip(xp, last_tick - half_mid) * 2 - (history.mid_half_tick - 2 * half_mid)
    return [
        history.mid_change_half_tick,
        summary[..., spec.SUM_OFI_LOTS],
        _traded(xp, summary[..., spec.SUM_TRADED_BUY_LOTS]),
        _traded(xp, summary[..., spec.SUM_TRADED_SELL_LOTS]),
        xp.where(summary[..., spec.SUM_HAS_LAST] > 0, last, 0),
        summary[..., spec.SUM_NUM_TRADES],
        summary[..., spec.SUM_EVENTS],
        history.elapsed_us,
        _average_clip(xp, history.trend),
        _average_clip(xp, history.volatility),
        _average_clip(xp, history.ofi),
        _average_clip(xp, history.trade_flow),
    ]


def _own(xp: ModuleType, net: Array, own: Array, pending: Array, side: int) -> list[Array]:
    present = own[..., side, spec.OWN_PRESENT] > 0
    best = net[..., side, 0, :]
    price_tick = xp.clip(own[..., side, spec.OWN_PRICE_TICK], -MAX_FEATURE_PRICE_TICK, MAX_FEATURE_PRICE_TICK)
    best_tick = xp.clip(best[..., 0], -MAX_FEATURE_PRICE_TICK, MAX_FEATURE_PRICE_TICK)
    behind = (best_tick - price_tick) * (1 if side == spec.BUY else -1)
    return [
        present.astype(xp.int32),
        xp.where(present & (best[..., 1] > 0), behind, 0),
        xp.where(present, own[..., side, spec.OWN_LOTS], 0),
        xp.where(present, own[..., side, spec.OWN_LOTS_AHEAD], 0),
        pending[..., side],
    ]


def _fraction(xp: ModuleType, inventory_lots: Array, cap_lots: Array) -> Array:
    # A cap above the ratio limit loses its last 10 bits with the inventory: 1024 * cap has to hold in int32.
    large = cap_lots > RATIO_LIMIT
    cap = xp.clip(xp.where(large, cap_lots >> 10, cap_lots), 1, RATIO_LIMIT)
    inventory = xp.clip(xp.where(large, inventory_lots >> 10, inventory_lots), -cap, cap)
    return inventory * FRACTION_ONE // cap


def _traded(xp: ModuleType, lots: Array) -> Array:
    # The engine's sums wrap modulo 2**32: a negative word means more than 2**31 lots.
    return xp.where(lots < 0, LIMIT, lots)


def _average_clip(xp: ModuleType, average: Array) -> Array:
    return xp.clip(average, -AVERAGE_LIMIT * 16, AVERAGE_LIMIT * 16)


def _clip(xp: ModuleType, value: Array) -> Array:
    return xp.clip(value, -LIMIT, LIMIT)
