"""Smart order routing: one order over several venues' visible levels, by price, fee, depth and latency, exactly.

Each lot of each level has an all-in price in 1e-8 tick, for a buyer (a seller's is mirrored):
    price x 1e8 + |price| x fee_e8 + per_lot_fee_e8 + latency_ns x latency_cost_e8 / 1e6
fee_e8 1e-8 of the notional (10,000 is one basis point), latency_cost_e8 what a millisecond is believed to cost a lot.
Marginal all-in prices ascend within a venue, so taking the cheapest lots first is optimal; equal prices go to the lower
latency, then to the earlier venue. A venue's minimum (lots, or notional at the price of the worst level taken) makes
the set of venues a choice: where the greedy answer gives a venue less than its minimum, both branches are solved, the
venue left out and the venue given its minimum first, to the end (branch and bound). The answer trades the most lots,
among those costs least, among those waits least (sum of lots x latency), among those prefers earlier venues.
Exact for equal lot steps; with unequal steps the last step's worth of lots may stay unplaced or cost a worse level.

`routing_reference.allocate` (plain Python, exact, every subset of venues) and `routing_cpu.allocate` (numba, branch and
bound) have one signature.
"""

from typing import Any, Final, NamedTuple

import numpy as np

from kernels.lob.spec import MAX_ABS_PRICE_TICK, MAX_LOTS

PRICE_ONE: Final = 10**8
MAX_VENUES: Final = 10
MAX_LEVELS: Final = 64
MAX_FEE_E8: Final = 10**7  # a tenth of the notional
NS_PER_MS: Final = 1_000_000
NO_MINIMUM: Final = 2**40  # a minimum that no depth reaches

# Venue columns, int64[V, NUM_VENUE_COLUMNS].
VENUE_FEE_E8: Final = 0  # 1e-8 of the notional, negative is a rebate
VENUE_PER_LOT_FEE_E8: Final = 1  # 1e-8 tick a lot
VENUE_LATENCY_NS: Final = 2
VENUE_LOT_STEP: Final = 3
VENUE_MIN_LOTS: Final = 4
VENUE_MIN_NOTIONAL: Final = 5  # tick-lots, 0 is none
NUM_VENUE_COLUMNS: Final = 6


class Route(NamedTuple):
    """An order's allocation."""

    lots: np.ndarray  # int64[V]
    worst_tick: np.ndarray  # int64[V] price of the worst level taken, the child's limit price; 0 where no lots
    cost_e8: int  # sum of lots x all-in price, 1e-8 tick-lots; a seller's proceeds negated
    unplaced_lots: int


def check_routing(side: int, lots: int, limit_tick: int, levels: Any, venues: Any, latency_cost_e8: int = 0) -> None:
    """Raise ValueError, naming the field and the venue, for an input that cannot be routed."""
    if levels.ndim != 3 or levels.shape[2] != 2 or levels.dtype != np.int64 or levels.shape[1] > MAX_LEVELS:
        raise ValueError(
            f"levels is {levels.dtype}{levels.shape}, expected int64[V, L <= {MAX_LEVELS}, 2] (price, lots)"
        )
    if venues.shape != (levels.shape[0], NUM_VENUE_COLUMNS) or venues.dtype != np.int64:
        raise ValueError(f"venues is {venues.dtype}{venues.shape}, expected int64[V, {NUM_VENUE_COLUMNS}]")
    if not 1 <= levels.shape[0] <= MAX_VENUES:
        raise ValueError(f"{levels.shape[0]} venues are outside 1..{MAX_VENUES}")
    for name, value, low, high in (
        ("side", side, 0, 1),
        ("lots", lots, 0, MAX_LOTS),
        ("limit_tick", limit_tick, -MAX_ABS_PRICE_TICK, MAX_ABS_PRICE_TICK),
        ("latency_cost_e8", latency_cost_e8, 0, 10**9),
    ):
        if not low <= value <= high:
            raise ValueError(f"{name} {value} is outside {low}..{high}")
    ranges = (
        ("fee_e8", -MAX_FEE_E8, MAX_FEE_E8),
        ("per_lot_fee_e8", -(2**50), 2**50),
        ("latency_ns", 0, 10**10),
        ("lot_step", 1, MAX_LOTS),
        ("min_lots", 0, MAX_LOTS),
        ("min_notional", 0, 2**61),
    )
    for column, (name, low, high) in enumerate(ranges):
        for venue, value in enumerate(venues[:, column].tolist()):
            if not low <= value <= high:
                raise ValueError(f"{name} {value} of venue {venue} is outside {low}..{high}")
    _check_levels(side, levels)


def _check_levels(side: int, levels: Any) -> None:
    price, size = levels[..., 0], levels[..., 1]
    worse = np.diff(price, axis=1) * (1 - 2 * side)
    broken = {
        "a level's lots outside 0..MAX_LOTS": (size < 0) | (size > MAX_LOTS),
        "a price beyond the engine's range": np.abs(price) > MAX_ABS_PRICE_TICK,
        "a level after an empty one": np.pad((size[:, 1:] > 0) & (size[:, :-1] == 0), ((0, 0), (1, 0))),
        "levels that are not best first": np.pad((worse <= 0) & (size[:, 1:] > 0), ((0, 0), (1, 0))),
    }
    for what, bad in broken.items():
        if bad.any():
            raise ValueError(f"levels of venue {int(np.argmax(bad.any(axis=1)))} have {what}")


def route(side: int, lots: int, limit_tick: int, levels: Any, venues: Any, latency_cost_e8: int = 0) -> Route:
    """Check and allocate `lots` of a BUY (0) or SELL (1) that takes no price beyond `limit_tick`.

    `levels` int64[V, L, 2] (price_tick, lots), the opposite side of each venue best first, (0, 0) past the last;
    `venues` int64[V, 6], VENUE_* columns. Cost: O(L V) a branch, one branch where no minimum binds.
    """
    check_routing(side, lots, limit_tick, levels, venues, latency_cost_e8)
    from kernels.execution.routing_cpu import allocate  # it takes its constants from here

    allocated = np.zeros(levels.shape[0], np.int64)
    allocate(side, lots, limit_tick, levels, venues, latency_cost_e8, allocated)
    return _summary(side, lots, levels, venues, latency_cost_e8, allocated)


def all_in_e8(side: int, price_tick: int, venue: Any, latency_cost_e8: int) -> int:
    """Return what one lot costs with everything, 1e-8 tick, a seller's proceeds negated; exact Python integers."""
    fees = abs(int(price_tick)) * int(venue[VENUE_FEE_E8]) + int(venue[VENUE_PER_LOT_FEE_E8])
    wait = int(venue[VENUE_LATENCY_NS]) * int(latency_cost_e8) // NS_PER_MS
    return (1 - 2 * side) * int(price_tick) * PRICE_ONE + fees + wait


def _summary(side: int, lots: int, levels: Any, venues: Any, latency_cost_e8: int, allocated: np.ndarray) -> Route:
    worst, cost = np.zeros(len(allocated), np.int64), 0
    for v, left in enumerate(allocated.copy()):
        for price, size in levels[v].tolist():
            taken = int(min(left, size))
            left -= taken  # noqa: PLW2901
            if taken:
                worst[v] = price
                cost += taken * all_in_e8(side, price, venues[v], latency_cost_e8)
    return Route(allocated, worst, cost, lots - int(allocated.sum()))
