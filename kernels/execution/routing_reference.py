"""Routing in plain Python: exact fractions, every subset of venues; the judge of `routing_cpu.py`, for small orders.

Cost: O(2^V lots V L). Formulas and columns: routing.py.
"""

from fractions import Fraction
from itertools import product
from typing import Any

from kernels.execution.routing import (
    NO_MINIMUM,
    VENUE_LATENCY_NS,
    VENUE_LOT_STEP,
    VENUE_MIN_LOTS,
    VENUE_MIN_NOTIONAL,
    all_in_e8,
)


def allocate(
    side: int, lots: int, limit_tick: int, levels: Any, venues: Any, latency_cost_e8: int, allocated: Any
) -> None:
    """Write the best allocation into `allocated` int64[V]: every subset of venues, each venue in it at its minimum."""
    best, best_key = None, None
    usable = _usable_lots(side, limit_tick, levels)
    minimum = [_minimum_lots(side, levels[v], usable[v], venues[v]) for v in range(len(levels))]
    for chosen in product((False, True), repeat=len(levels)):
        taken = _greedy(side, lots, levels, venues, latency_cost_e8, usable, minimum, chosen)
        if taken is not None:
            key = _key(side, levels, venues, latency_cost_e8, taken)
            if best_key is None or key < best_key:
                best, best_key = taken, key
    allocated[:] = best  # the empty subset is always possible


def _usable_lots(side: int, limit_tick: int, levels: Any) -> list[int]:
    sign = 1 - 2 * side
    return [sum(int(size) for price, size in venue if sign * (limit_tick - price) >= 0) for venue in levels]


def _minimum_lots(side: int, levels: Any, usable: int, venue: Any) -> int:
    """Return the lots from which on a venue accepts every order that its usable depth can fill."""
    step = int(venue[VENUE_LOT_STEP])
    needed = max(int(venue[VENUE_MIN_LOTS]), 1)
    before, accepted_from = 0, NO_MINIMUM
    spans = []
    for price, size in levels:
        upto = min(before + int(size), usable)
        if upto > before:
            spans.append((abs(int(price)), before + 1, upto))
        before = upto
    for price, first, last in reversed(spans):
        notional = int(venue[VENUE_MIN_NOTIONAL])
        least = -(-notional // price) if price else (NO_MINIMUM if notional else 0)
        if least > last:
            break
        accepted_from = max(least, first)
        if least > first:
            break
    return -(-max(needed, accepted_from) // step) * step


def _venue_cost(side: int, levels: Any, venue: Any, latency_cost_e8: int, lots: int) -> int:
    cost = 0
    for price, size in levels:
        taken = min(lots, int(size))
        cost, lots = cost + taken * all_in_e8(side, int(price), venue, latency_cost_e8), lots - taken
    return cost


def _greedy(side, lots, levels, venues, latency_cost_e8, usable, minimum, chosen) -> list[int] | None:
    """Return the cheapest allocation with every chosen venue at its minimum or above, None where there is none."""
    taken = [minimum[v] if chosen[v] else 0 for v in range(len(levels))]
    if sum(taken) > lots or any(taken[v] > usable[v] for v in range(len(levels))):
        return None
    while True:
        blocks = []
        for v in range(len(levels)):
            step = int(venues[v, VENUE_LOT_STEP])
            if chosen[v] and taken[v] + step <= usable[v] and sum(taken) + step <= lots:
                cost = [_venue_cost(side, levels[v], venues[v], latency_cost_e8, taken[v] + n) for n in (0, step)]
                # Compared a lot, as steps may differ.
                blocks.append((Fraction(cost[1] - cost[0], step), int(venues[v, VENUE_LATENCY_NS]), v, step))
        if not blocks:
            return taken
        _, _, v, step = min(blocks)
        taken[v] += step


def _key(side, levels, venues, latency_cost_e8, taken) -> tuple[Any, ...]:
    cost = sum(_venue_cost(side, levels[v], venues[v], latency_cost_e8, n) for v, n in enumerate(taken))
    wait = sum(int(venues[v, VENUE_LATENCY_NS]) * n for v, n in enumerate(taken))
    return (-sum(taken), cost, wait, [-n for n in taken])
