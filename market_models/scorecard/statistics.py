"""What is measured of a market: one value a message, an order, or an interval of time, with its market time.

All functions take a stretch of N rows and give (values, market times in seconds) of those that exist. Book statistics
are taken after each message, as LOB-Bench does, not weighted by time. `before` is the book that a message met, the one
after the row above it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from kernels.lob.spec import BUY, SELL
from market_models.datasets.recording import FULL_CANCEL, NEW, PARTIAL_CANCEL, VISIBLE_EXECUTION
from market_models.microstructure.order_flow import order_flow_terms
from market_models.scorecard.tape import NS_PER_S, Stretch

Values = tuple[np.ndarray, np.ndarray]
CANCELS = (PARTIAL_CANCEL, FULL_CANCEL)
VOLUME_BIN_S, FLOW_BIN_S = 60, 10
NUM_LEVELS = 5
_SIDES = {"bid": BUY, "ask": SELL}


class Statistic(NamedTuple):
    """One row of the scorecard."""

    name: str
    unit: str
    measure: Callable[[Stretch], Values]
    levels: int = 1  # that a book must have


def spread(s: Stretch) -> Values:
    """Return best ask less best bid, ticks, where both are there."""
    both = ~np.isnan(s.mid_tick)
    return (s.book[:, SELL, 0, 0] - s.book[:, BUY, 0, 0])[both].astype(np.float64), s.at_s[both]


def imbalance(s: Stretch) -> Values:
    """Return (bid lots - ask lots) / (bid lots + ask lots) at the touch, in [-1, 1]."""
    both = ~np.isnan(s.mid_tick)
    bid, ask = (s.book[both, side, 0, 1].astype(np.float64) for side in (BUY, SELL))
    return (bid - ask) / (bid + ask), s.at_s[both]


def level_lots(side: int, level: int) -> Callable[[Stretch], Values]:
    """Return the measure of the lots at a level, 1 the best; rows without that level are left out."""

    def measure(s: Stretch) -> Values:
        lots = s.book[:, side, level - 1, 1]
        return lots[lots > 0].astype(np.float64), s.at_s[lots > 0]

    return measure


def depth_lots(side: int) -> Callable[[Stretch], Values]:
    """Return the measure of the lots of the first NUM_LEVELS levels of a side together."""

    def measure(s: Stretch) -> Values:
        return s.book[:, side, :NUM_LEVELS, 1].sum(1).astype(np.float64), s.at_s

    return measure


def inter_arrival(s: Stretch) -> Values:
    """Return log10 of the seconds since the message before, those of the same nanosecond as 1 ns."""
    return np.log10(np.maximum(np.diff(s.at_ns), 1) / NS_PER_S), s.at_s[1:]


def sizes(kinds: tuple[int, ...]) -> Callable[[Stretch], Values]:
    """Return the measure of the lots of messages of some kinds."""

    def measure(s: Stretch) -> Values:
        mine = np.isin(s.kind, kinds)
        return s.lots[mine].astype(np.float64), s.at_s[mine]

    return measure


def time_to_cancel(s: Stretch) -> Values:
    """Return log10 of the seconds from an order's entry to its first cancel, at the cancel; orders filled before count.

    Orders that entered before the stretch, or were not cancelled in it, are left out on both sides of a comparison.
    """
    rows = np.flatnonzero(np.isin(s.kind, (NEW, *CANCELS)) & (s.order_id > 0))
    rows = rows[np.argsort(s.order_id[rows], kind="stable")]
    first, second = rows[:-1], rows[1:]
    pair = (s.order_id[first] == s.order_id[second]) & (s.kind[first] == NEW) & (s.kind[second] != NEW)
    wait_ns = s.at_ns[second[pair]] - s.at_ns[first[pair]]
    return np.log10(np.maximum(wait_ns, 1) / NS_PER_S), s.at_s[second[pair]]


def order_depth(kinds: tuple[int, ...], side: int) -> Callable[[Stretch], Values]:
    """Return the measure of how far an order's price lies from the mid before it, ticks, positive away from it."""

    def measure(s: Stretch) -> Values:
        row = _acting(s, kinds, side)
        away = (s.price_tick[row] - s.mid_tick[row - 1]) * (1 if side == SELL else -1)
        return away[~np.isnan(away)], s.at_s[row][~np.isnan(away)]

    return measure


def order_level(kinds: tuple[int, ...], side: int) -> Callable[[Stretch], Values]:
    """Return the measure of the level that an order has: 1 + better levels before it; 0 where it improves the best."""

    def measure(s: Stretch) -> Values:
        row = _acting(s, kinds, side)
        price, lots = s.book[row - 1, side, :NUM_LEVELS, 0], s.book[row - 1, side, :NUM_LEVELS, 1]
        sign = 1 if side == SELL else -1
        ahead = sign * (s.price_tick[row][:, None] - price)
        better = ((ahead > 0) & (lots > 0)).sum(1)
        improves = (ahead[:, 0] < 0) | (lots[:, 0] == 0)
        return np.where(improves, 0, 1 + better).astype(np.float64), s.at_s[row]

    return measure


def _acting(s: Stretch, kinds: tuple[int, ...], side: int) -> np.ndarray:
    row = np.flatnonzero(np.isin(s.kind, kinds) & (s.side == side))
    return row[row > 0]


def binned(s: Stretch, bin_s: int, value: np.ndarray) -> Values:
    """Return sums of int64[N] over whole bins of market time from the stretch's start on, at the bins' middles."""
    slot = s.at_ns // (bin_s * NS_PER_S)
    count = int(slot[-1]) if len(slot) else 0  # the last one is cut short
    total = np.bincount(slot, value, count)[:count]
    start_s = s.at_s[0] - s.at_ns[0] / NS_PER_S if len(slot) else 0.0
    return total.astype(np.float64), start_s + (np.arange(count) + 0.5) * bin_s


def traded_lots(s: Stretch) -> np.ndarray:
    """Return the lots that each row trades, int64[N]."""
    return np.where(s.kind == VISIBLE_EXECUTION, s.lots, 0)


def volume(s: Stretch) -> Values:
    """Return lots traded in each whole minute."""
    return binned(s, VOLUME_BIN_S, traded_lots(s))


def order_flow(s: Stretch) -> Values:
    """Return the order-flow imbalance of Cont, Kukanov, Stoikov (2014) in each whole bin of ten seconds, lots."""
    flow = np.zeros(len(s.kind), np.int64)
    both = np.flatnonzero(~np.isnan(s.mid_tick))
    if len(both):
        touch = s.book[both, :, 0]
        flow[both] = order_flow_terms(touch[:, BUY, 0], touch[:, BUY, 1], touch[:, SELL, 0], touch[:, SELL, 1])
    return binned(s, FLOW_BIN_S, flow)


def _by_side() -> list[Statistic]:
    rows = []
    for name, side in _SIDES.items():
        rows += [Statistic(f"{name}_lots_{k}", "lots", level_lots(side, k), k) for k in range(1, NUM_LEVELS + 1)]
        rows.append(Statistic(f"{name}_depth_lots", "lots", depth_lots(side), NUM_LEVELS))
        for action, kinds in (("limit", (NEW,)), ("cancel", CANCELS)):
            rows.append(Statistic(f"{name}_{action}_depth_tick", "ticks from the mid", order_depth(kinds, side)))
            rows.append(Statistic(f"{name}_{action}_level", "level", order_level(kinds, side), NUM_LEVELS))
    return rows


STATISTICS = (
    Statistic("spread_tick", "ticks", spread),
    Statistic("imbalance", "fraction", imbalance),
    Statistic("inter_arrival_log10_s", "log10 s", inter_arrival),
    Statistic("time_to_cancel_log10_s", "log10 s", time_to_cancel),
    Statistic("limit_lots", "lots", sizes((NEW,))),
    Statistic("cancel_lots", "lots", sizes(CANCELS)),
    Statistic("execution_lots", "lots", sizes((VISIBLE_EXECUTION,))),
    Statistic("volume_per_minute_lots", "lots", volume),
    Statistic("order_flow_imbalance_10s_lots", "lots", order_flow),
    *_by_side(),
)
