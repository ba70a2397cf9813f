"""The Hawkes sampler for the CPU kernel; model and parameters in `hawkes.py`.

Cost: one walk over the orders down to the window's end, twenty 64-bit products, no floats, no allocation; one Philox
block and one division for the time.
"""

from pathlib import Path

import numpy as np
from numba import njit

from kernels.lob import spec
from kernels.lob.philox import philox4x32
from market_models import hawkes as hk
from market_models.flow import Flow
from market_models.zero_intelligence_numba import best_background_slot, reference_price, scale, waiting_time_us

_EXP2_TABLE = hk.EXP2_TABLE.astype(np.int64)
_WORDS = hk.MAX_DECAYS * hk.NUM_TYPES
_NS_PER_S = 10**9
_ONE = 1 << hk.FRAC_BITS


@njit
def decay_factor(decay, dt_us):
    """Return (factor, shift): exp(-beta dt) is factor / 2^shift; `decay` is a DECAYS word, dt_us below 2^31."""
    halvings = np.int64(decay) * dt_us
    low = halvings & 0xFFFFFFFF
    above = _EXP2_TABLE[low >> 24]
    factor = above - (((above - _EXP2_TABLE[(low >> 24) + 1]) * ((low >> 8) & 0xFFFF)) >> 16)
    return factor, hk.EXP_BITS + min(halvings >> 32, 31)


@njit
def elapsed_us(meta):
    """Return the microseconds from the time of the excitation to the clock: 0 to 2,001 seconds."""
    seconds = np.int64(meta[spec.META_CLOCK_S]) - np.int64(meta[hk.TIME_S])
    ns = np.int64(meta[spec.META_CLOCK_NS]) - np.int64(meta[hk.TIME_NS])
    if ns < 0:
        seconds -= 1
        ns += _NS_PER_S
    return np.int64(0) if seconds < 0 else min(seconds, hk.MAX_ELAPSED_S) * 1_000_000 + ns // 1000


@njit
def decay_all(flow_params, meta, dt_us):
    """Let every excitation word decay for dt_us."""
    for k in range(hk.MAX_DECAYS):
        factor, shift = decay_factor(flow_params[hk.DECAYS + k], dt_us)
        first = hk.EXCITATION + k * hk.NUM_TYPES
        for word in range(first, first + hk.NUM_TYPES):
            meta[word] = (np.int64(meta[word]) * factor) >> shift


@njit
def excitation_total(flow_params, meta):
    """Return the sum of all excitation in rate units."""
    total = np.int64(0)
    for word in range(_WORDS):
        extra = np.int64(flow_params[hk.EXTRA_SHIFTS + word // hk.NUM_TYPES])
        total += np.int64(meta[hk.EXCITATION + word]) >> extra
    return total


@njit
def side_state(flow_params, side, price_tick, lots, owner, num_orders):
    """Return slots (best + 1, lowest at the touch, lowest in the window) and the lots behind the touch within it."""
    best = best_background_slot(side, owner, num_orders)
    if best < 0:
        return np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    touch = np.int64(price_tick[side, best])
    slot = best
    while slot >= 0 and price_tick[side, slot] == touch:
        slot -= 1
    level, held = slot + 1, np.int64(0)
    while slot >= 0 and abs(touch - np.int64(price_tick[side, slot])) <= flow_params[hk.WINDOW_TICK]:
        held += min(np.int64(lots[side, slot]), hk.CLIP_LOTS)
        slot -= 1
    return best + 1, level, slot + 1, held


@njit
def bucket(flow_params, first, value):
    """Return how many of the four edges from word `first` on lie below the value."""
    number = np.int64(0)
    for edge in range(hk.MAX_SPREADS):
        number += value > flow_params[first + edge]
    return number


@njit
def spread_bucket(flow_params, price_tick, bid, ask):
    """Return the bucket of the background's spread, `bid` and `ask` being best slots + 1; the widest without a side."""
    if bid == 0 or ask == 0:
        return np.int64(flow_params[hk.NUM_SPREADS]) - 1
    spread = np.int64(price_tick[1, ask - 1]) - np.int64(price_tick[0, bid - 1])
    return bucket(flow_params, hk.SPREAD_EDGES, min(spread, hk.UNUSED_EDGE))


@njit
def touch_tick(flow_params, side, best, reference, price_tick):
    """Return the tick of the touch; of an empty side the one that its limit orders take for it."""
    if best > 0:
        return np.int64(price_tick[side, best - 1])
    empty = np.int64(flow_params[hk.EMPTY_SPREAD_TICK])
    return reference + empty if side == spec.SELL else reference - empty


@njit
def limit_price(flow_params, side, kind, place, touch, reference):
    """Return (whether there is room, price) of a limit order."""
    sign = np.int64(2 * side - 1)
    if kind == hk.INSIDE:
        room = sign * (touch - reference) - 1
        place_q16 = np.int64(flow_params[hk.INSIDE_FRACS + (np.int64(place) >> 25)])
        # Beyond 2^15 ticks the place would not fit 32 bits on the other backends.
        return room > 0, touch - sign * (1 + ((place_q16 * min(room, 0x7FFF)) >> hk.FRAC_BITS))
    product = np.uint64(place) * np.uint64(flow_params[hk.NUM_DISTANCES])
    column = np.int64(product >> np.uint64(32))
    entry = np.int64(flow_params[hk.DISTANCES + column]) & 0xFFFFFFFF
    if np.int64((product & np.uint64(0xFFFFFFFF)) >> np.uint64(8)) >= (entry >> 8):
        column = entry & 0xFF
    return True, touch + sign * column


@njit
def excite(flow_params, meta, side, kind, mark_q16):
    """Add an event's jumps to all types; those of a decay whose words would exceed MAX_EXCITATION are dropped."""
    for k in range(hk.MAX_DECAYS):
        first = hk.EXCITATION + k * hk.NUM_TYPES
        total = np.int64(0)
        for target in range(hk.NUM_TYPES):
            total += np.int64(meta[first + target]) + _jump(flow_params, k, side, kind, target, mark_q16)
        if total <= hk.MAX_EXCITATION:
            for target in range(hk.NUM_TYPES):
                meta[first + target] += np.int32(_jump(flow_params, k, side, kind, target, mark_q16))


@njit
def _jump(flow_params, k, side, kind, target, mark_q16):
    other = np.int64(target // hk.NUM_KINDS != side)
    cell = ((2 * k + other) * hk.NUM_KINDS + kind) * hk.NUM_KINDS + target % hk.NUM_KINDS
    return (np.int64(flow_params[hk.JUMPS + cell]) * mark_q16) >> hk.FRAC_BITS


@njit
def _keep_time(meta, dt_us):
    ns = np.int64(meta[spec.META_CLOCK_NS]) + (dt_us % 1_000_000) * 1000
    carry = np.int64(ns >= _NS_PER_S)
    meta[hk.TIME_S] = np.int32(np.int64(meta[spec.META_CLOCK_S]) + dt_us // 1_000_000 + carry)
    meta[hk.TIME_NS] = np.int32(ns - carry * _NS_PER_S)


@njit
def _cancel(side, lowest, count, place, order_id, owner, msg):
    if count <= 0:
        return False
    slot = lowest + scale(place, count)
    if owner[side, slot] != 0:
        return False
    msg[spec.KIND], msg[spec.SIDE], msg[spec.ORDER_ID] = spec.DELETE, side, order_id[side, slot]
    return True


@njit
def sample(flow_params, background, price_tick, lots, order_id, owner, num_orders, meta, seed, msg):
    """Draw the next event of a canonical book: fill `msg` int32[8], all 0 before; return (status, dt_us)."""
    if flow_params[hk.NUM_SPREADS] <= 0:
        return spec.FLOW_EXHAUSTED, np.int64(0)
    elapsed = elapsed_us(meta)
    if elapsed > 0:
        decay_all(flow_params, meta, elapsed)
    bid, bid_level, bid_far, bid_lots = side_state(flow_params, 0, price_tick, lots, owner, num_orders)
    ask, ask_level, ask_far, ask_lots = side_state(flow_params, 1, price_tick, lots, owner, num_orders)
    cell = spread_bucket(flow_params, price_tick, bid, ask) * hk.MAX_DEPTHS
    bid_base = hk.BASE_RATES + (cell + bucket(flow_params, hk.DEPTH_EDGES, bid_lots)) * hk.NUM_KINDS
    ask_base = hk.BASE_RATES + (cell + bucket(flow_params, hk.DEPTH_EDGES, ask_lots)) * hk.NUM_KINDS
    far = np.int64(flow_params[hk.FAR_CANCEL_RATE])
    constant = far * (bid_far + ask_far)
    for kind in range(hk.NUM_KINDS):
        constant += np.int64(flow_params[bid_base + kind]) + np.int64(flow_params[ask_base + kind])
    total = constant + excitation_total(flow_params, meta)

    which, when, place, extra = philox4x32(seed[0], seed[1], meta[spec.META_DRAW], 0)
    dt_us = waiting_time_us(when, total, np.int64(flow_params[hk.RATE_SHIFT]))
    decay_all(flow_params, meta, dt_us)
    _keep_time(meta, dt_us)
    event = _picked(flow_params, meta, bid_base, ask_base, far * bid_far, far * ask_far, scale(which, total))
    if event < 0:
        return spec.FLOW_NULL, dt_us
    is_far = event >= hk.NUM_TYPES
    side = event - hk.NUM_TYPES if is_far else event // hk.NUM_KINDS
    kind = np.int64(hk.NUM_KINDS) if is_far else event % hk.NUM_KINDS
    best, level, window = (ask, ask_level, ask_far) if side == spec.SELL else (bid, bid_level, bid_far)

    mark = np.int64(_ONE)
    size = np.int64(extra) >> 25
    happens = False
    if kind <= hk.BEHIND:
        reference = reference_price(side, price_tick, owner, num_orders, meta)
        touch = touch_tick(flow_params, side, best, reference, price_tick)
        happens, price = limit_price(flow_params, side, kind, place, touch, reference)
        if happens:
            msg[spec.KIND], msg[spec.SIDE], msg[spec.PRICE_TICK] = spec.LIMIT, side, price
            msg[spec.LOTS] = flow_params[hk.LIMIT_LOTS + size]
            mark = np.int64(flow_params[hk.LIMIT_MARKS + size])
    elif kind == hk.TAKE:
        happens = num_orders[side] > 0
        if happens:
            msg[spec.KIND], msg[spec.SIDE], msg[spec.LOTS] = spec.MARKET, 1 - side, flow_params[hk.MARKET_LOTS + size]
            mark = np.int64(flow_params[hk.MARKET_MARKS + size])
    else:
        top, lowest = (best, level) if kind == hk.CANCEL_TOUCH else (level, window)
        if is_far:
            top, lowest = window, np.int64(0)
        happens = _cancel(side, lowest, top - lowest, place, order_id, owner, msg)
    if not happens:
        return spec.FLOW_NULL, dt_us
    if not is_far:
        excite(flow_params, meta, side, kind, mark)
    return spec.FLOW_EVENT, dt_us


@njit
def _picked(flow_params, meta, bid_base, ask_base, bid_far, ask_far, pick):
    """Return the type that `pick` falls on, NUM_TYPES + side for a far cancel, -1 beyond the decayed rates."""
    for event in range(hk.NUM_TYPES):
        base = bid_base + event if event < hk.NUM_KINDS else ask_base + event - hk.NUM_KINDS
        pick -= flow_params[base]
        if pick < 0:
            return np.int64(event)
    pick -= bid_far
    if pick < 0:
        return np.int64(hk.NUM_TYPES)
    pick -= ask_far
    if pick < 0:
        return np.int64(hk.NUM_TYPES + 1)
    for word in range(_WORDS):
        extra = np.int64(flow_params[hk.EXTRA_SHIFTS + word // hk.NUM_TYPES])
        pick -= np.int64(meta[hk.EXCITATION + word]) >> extra
        if pick < 0:
            return np.int64(word % hk.NUM_TYPES)
    return np.int64(-1)


FLOW = Flow(
    "hawkes",
    sample,
    "market_models.hawkes_xla:sample",
    hk.NUM_PARAMS,
    str(Path(__file__).with_name("hawkes.cuh")),
)
