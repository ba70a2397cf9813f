"""Routing in numba: branch and bound over the venues' minimums, the cheapest block of lots first in each branch.

A cost is a pair (ticks, 1e-8 ticks), the second in 0..1e8-1, so that nothing passes int64. Formulas and columns:
routing.py. Cost: O(L V^2) a branch, at most 2^V branches, one where no minimum binds. Allocates a few rows a call.
"""

import numpy as np
from numba import njit

from kernels.execution.routing import (
    NO_MINIMUM,
    NS_PER_MS,
    PRICE_ONE,
    VENUE_FEE_E8,
    VENUE_LATENCY_NS,
    VENUE_LOT_STEP,
    VENUE_MIN_LOTS,
    VENUE_MIN_NOTIONAL,
    VENUE_PER_LOT_FEE_E8,
)

_FREE, _OUT, _FORCED = 0, 1, 2


@njit(nogil=True, cache=True)
def allocate(side, lots, limit_tick, levels, venues, latency_cost_e8, allocated):
    """Write the best allocation into `allocated` int64[V] for checked inputs (`routing.check_routing`)."""
    count = levels.shape[0]
    usable, minimum = np.zeros(count, np.int64), np.zeros(count, np.int64)
    _bounds(side, limit_tick, levels, venues, usable, minimum)
    stack = np.zeros((2 * count + 2, count), np.int64)  # rows of modes still to be solved
    taken, best = np.zeros(count, np.int64), np.zeros(count, np.int64)
    best_key = (np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0))
    found, height = False, 1
    while height > 0:
        height -= 1
        modes = stack[height].copy()
        if not _greedy(side, lots, levels, venues, latency_cost_e8, usable, minimum, modes, taken):
            continue
        split = _short_venue(minimum, modes, taken)
        if split >= count:
            key = _key(side, levels, venues, latency_cost_e8, taken)
            if not found or _better(key, taken, best_key, best):
                found, best_key = True, key
                best[:] = taken
            continue
        for mode in (_FORCED, _OUT):
            stack[height] = modes
            stack[height, split] = mode
            height += 1
    allocated[:] = best


@njit(nogil=True, cache=True)
def _bounds(side, limit_tick, levels, venues, usable, minimum):
    """Write the lots within the limit price, and from how many lots on a venue takes every order, in whole steps."""
    sign = 1 - 2 * side
    for v in range(levels.shape[0]):
        depth = 0
        while depth < levels.shape[1] and levels[v, depth, 1] > 0 and sign * (limit_tick - levels[v, depth, 0]) >= 0:
            usable[v] += levels[v, depth, 1]
            depth += 1
        accepted_from, last = NO_MINIMUM, usable[v]
        # From the deepest level: an order that ends in a level is valued at that level's price.
        for level in range(depth - 1, -1, -1):
            first = last - levels[v, level, 1] + 1
            least = _lots_of(venues[v, VENUE_MIN_NOTIONAL], abs(levels[v, level, 0]))
            if least > last:
                break
            accepted_from = max(least, first)
            if least > first:
                break
            last = first - 1
        step = venues[v, VENUE_LOT_STEP]
        minimum[v] = (max(venues[v, VENUE_MIN_LOTS], 1, accepted_from) + step - 1) // step * step


@njit(nogil=True, cache=True)
def _lots_of(notional, price):
    if price > 0:
        return (notional + price - 1) // price
    return NO_MINIMUM if notional > 0 else 0


@njit(nogil=True, cache=True)
def _short_venue(minimum, modes, taken):
    """Return the first free venue whose allocation is below its minimum, the number of venues where there is none."""
    for v in range(modes.shape[0]):
        if modes[v] == _FREE and 0 < taken[v] < minimum[v]:
            return v
    return modes.shape[0]


@njit(nogil=True, cache=True)
def _greedy(side, lots, levels, venues, latency_cost_e8, usable, minimum, modes, taken):
    """Write the cheapest allocation of a branch into `taken`; False where its forced minimums do not fit."""
    left = lots
    for v in range(modes.shape[0]):
        taken[v] = minimum[v] if modes[v] == _FORCED else 0
        left -= taken[v]
        if left < 0 or taken[v] > usable[v]:
            return False
    while True:
        venue, blocks, price = modes.shape[0], np.int64(0), (np.int64(0), np.int64(0), 0.0)
        for v in range(modes.shape[0]):
            step = venues[v, VENUE_LOT_STEP]
            if modes[v] == _OUT or step > left or taken[v] + step > usable[v]:
                continue
            at, several = _next_block(side, levels[v], venues[v], latency_cost_e8, taken[v])
            # Strictly before only: among equals the earlier venue stays.
            if venue == modes.shape[0] or _before(at, venues[v], price, venues[venue]):
                venue, blocks, price = v, several, at
        if venue == modes.shape[0]:
            return True
        step = venues[venue, VENUE_LOT_STEP]
        quantity = min(blocks, left // step, (usable[venue] - taken[venue]) // step) * step
        taken[venue] += quantity
        left -= quantity


@njit(nogil=True, cache=True)
def _before(at, venue, other_at, other):
    if at[0] != other_at[0]:
        return at[0] < other_at[0]
    if at[1] != other_at[1]:
        return at[1] < other_at[1]
    if at[2] != other_at[2]:
        return at[2] < other_at[2]
    return venue[VENUE_LATENCY_NS] < other[VENUE_LATENCY_NS]


@njit(nogil=True, cache=True)
def _next_block(side, levels, venue, latency_cost_e8, taken):
    """Return (price a lot of the next step, how many steps cost the same); price as (ticks, 1e-8 ticks, the rest)."""
    step = venue[VENUE_LOT_STEP]
    level, inside = 0, taken
    while inside >= levels[level, 1]:
        inside -= levels[level, 1]
        level += 1
    room = levels[level, 1] - inside
    if room >= step:
        ticks, rest = _all_in(side, levels[level, 0], venue, latency_cost_e8)
        return (ticks, rest, 0.0), room // step
    before = _cost(side, levels, venue, latency_cost_e8, taken)
    after = _cost(side, levels, venue, latency_cost_e8, taken + step)
    ticks, rest = after[0] - before[0], after[1] - before[1]
    ticks, rest = ticks + rest // PRICE_ONE, rest % PRICE_ONE
    below = (ticks % step) * PRICE_ONE + rest
    return (ticks // step, below // step, (below % step) / step), np.int64(1)


@njit(nogil=True, cache=True)
def _all_in(side, price, venue, latency_cost_e8):
    """Return one lot's all-in price as (ticks, 1e-8 ticks)."""
    fees = abs(price) * venue[VENUE_FEE_E8] + venue[VENUE_PER_LOT_FEE_E8]
    fees += venue[VENUE_LATENCY_NS] * latency_cost_e8 // NS_PER_MS
    return (1 - 2 * side) * price + fees // PRICE_ONE, fees % PRICE_ONE


@njit(nogil=True, cache=True)
def _cost(side, levels, venue, latency_cost_e8, lots):
    ticks, rest = np.int64(0), np.int64(0)
    for level in range(levels.shape[0]):
        taken = min(lots, levels[level, 1])
        if taken <= 0:
            break
        lots -= taken
        each = _all_in(side, levels[level, 0], venue, latency_cost_e8)
        rest += taken * each[1]
        ticks += taken * each[0] + rest // PRICE_ONE
        rest %= PRICE_ONE
    return ticks, rest


@njit(nogil=True, cache=True)
def _key(side, levels, venues, latency_cost_e8, taken):
    """Return (-lots, cost in ticks, its 1e-8 ticks, waiting in lot-seconds, its nanoseconds); less is better."""
    ticks, rest, seconds, ns = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for v in range(taken.shape[0]):
        cost = _cost(side, levels[v], venues[v], latency_cost_e8, taken[v])
        ticks, rest = ticks + cost[0], rest + cost[1]
        seconds += taken[v] * (venues[v, VENUE_LATENCY_NS] // 10**9)
        ns += taken[v] * (venues[v, VENUE_LATENCY_NS] % 10**9)
    return -taken.sum(), ticks + rest // PRICE_ONE, rest % PRICE_ONE, seconds + ns // 10**9, ns % 10**9


@njit(nogil=True, cache=True)
def _better(key, taken, best_key, best):
    if key != best_key:
        return key < best_key
    for v in range(taken.shape[0]):
        if taken[v] != best[v]:
            return taken[v] > best[v]
    return False
