"""Scalping: a short trade with the imbalance of the touch and the latest trend of the mid, and a tight stop.

Prices in ticks. Signal in -2..2: imbalance of the lots at the touch, (bid - ask) / (bid + ask), plus the trend over the
deviation of the mid, clipped to -1..1, each with its weight. Flat and |signal| above `entry`: improve the touch on the
signal's side. Holding: wait `target_tick` beyond the mid; after a loss of `stop_tick`, or where the signal has turned
against the position, quote as near to the opposite touch as rests, the nearest to a taker that the environment has.
Source: imbalance: Gould, Bonart, Market Microstructure and Liquidity 2(2) (2016).
"""

from types import ModuleType
from typing import Any, NamedTuple

Array = Any  # numpy or jax array


class Scalp(NamedTuple):
    """What scalping would quote, one market or a batch."""

    bid: Array  # bool[...]
    ask: Array  # bool[...]
    bid_price: Array  # float32[...] ticks
    ask_price: Array  # float32[...] ticks


def signal(xp: ModuleType, touch_lots: Array, trend: Array, variance: Array, weights: tuple[Array, Array]) -> Array:
    """Return the signal [...] of lots [..., 2] at the touch (bid, ask) and the trend [...] of the mid a decision.

    `weights` are those of imbalance and trend.
    """
    bid, ask = touch_lots[..., 0], touch_lots[..., 1]
    imbalance = (bid - ask) / xp.maximum(bid + ask, 1.0)
    drift = xp.clip(trend / xp.sqrt(xp.maximum(variance, 1e-6)), -1.0, 1.0)
    return weights[0] * imbalance + weights[1] * drift


def scalp(
    xp: ModuleType,
    best: tuple[Array, Array],
    signal: Array,
    inventory: Array,
    held_move: Array,
    thresholds: tuple[Array, Array, Array],
) -> Scalp:
    """Return the quotes on the book of others.

    `best` its bid and ask; `held_move` of the mid since the position was opened; `thresholds` entry, stop_tick and
    target_tick.
    """
    (bid, ask), (entry, stop, target) = best, thresholds
    mid, side = 0.5 * (bid + ask), xp.sign(inventory)
    leaves = (side * held_move <= -stop) | (side * signal < -entry)
    bid_price = xp.where(side == 0, bid + 1.0, xp.where(leaves, ask - 1.0, mid - target))
    ask_price = xp.where(side == 0, ask - 1.0, xp.where(leaves, bid + 1.0, mid + target))
    buys, sells = (side == 0) & (signal > entry), (side == 0) & (signal < -entry)
    return Scalp(buys | (side < 0), sells | (side > 0), bid_price, ask_price)
