"""The zero-intelligence sampler for the CPU kernel; model and parameters in `zero_intelligence.py`.

Cost: no loop over orders, no floats, no allocation; one Philox block, one division and a few table look-ups an event.
"""

from pathlib import Path

import numpy as np
from numba import njit

from kernels.lob import spec
from kernels.lob.philox import philox4x32
from market_models import zero_intelligence as zi
from market_models.flow import Flow

_LN_TABLE = zi.LN_TABLE.astype(np.int64)
_LN_2 = zi.LN_2


@njit(inline="always")
def scale(word, bound):
    """Return an integer in 0..bound-1 from a uint32 word: the high half of the product. int64 in and out."""
    return np.int64((np.uint64(word) * np.uint64(bound)) >> np.uint64(32))


@njit(inline="always")
def exponential_q16(word):
    """Return -ln(word / 2^32) x 2^16 as int64: mean 1 over uniform words (0 counts as 1)."""
    mantissa = np.int64(word) if word > 0 else np.int64(1)
    zeros = 0
    for bits in (16, 8, 4, 2, 1):
        if mantissa < (1 << (32 - bits)):
            mantissa <<= bits
            zeros += bits
    index = (mantissa >> 23) & 0xFF
    fraction = (mantissa & 0x7FFFFF) >> 7  # 16 bits
    low = _LN_TABLE[index]
    logarithm = low + (((_LN_TABLE[index + 1] - low) * fraction) >> 16)
    return ((zeros + 1) * _LN_2 - logarithm + 128) >> 8


@njit(inline="always")
def waiting_time_us(word, total, shift):
    """Return an exponential time in microseconds for a total rate in units of 2^-(8 + shift) per second."""
    clock_rate = max((total + ((1 << shift) >> 1)) >> shift, zi.MIN_CLOCK_RATE)
    mean_q4_us = np.int64(np.uint32(zi.MEAN_NUMERATOR) // np.uint32(clock_rate))
    return (mean_q4_us * exponential_q16(word)) >> 20


@njit(inline="always")
def best_background_slot(side, owner, num_orders):
    """Return the slot of the best background order of a side, or -1: agents' orders move nobody's reference."""
    slot = np.int64(num_orders[side]) - 1
    while slot >= 0 and owner[side, slot] != 0:
        slot -= 1
    return slot


@njit(inline="always")
def reference_price(side, price_tick, owner, num_orders, meta):
    """Return the tick that distances of `side` are counted from."""
    opposite = best_background_slot(1 - side, owner, num_orders)
    if opposite >= 0:
        return np.int64(price_tick[1 - side, opposite])
    own = best_background_slot(side, owner, num_orders)
    if own >= 0:
        return np.int64(price_tick[side, own]) + (1 - 2 * side)
    return np.int64(meta[spec.META_REFERENCE_TICK])


@njit(inline="always")
def _limit(flow_params, side, place, size, price_tick, owner, num_orders, meta, msg):
    count = np.int64(flow_params[zi.NUM_DISTANCES])
    product = np.uint64(place) * np.uint64(count)
    column = np.int64(product >> np.uint64(32))
    entry = np.int64(flow_params[zi.DISTANCES + column]) & 0xFFFFFFFF
    if np.int64((product & np.uint64(0xFFFFFFFF)) >> np.uint64(8)) >= (entry >> 8):
        column = entry & 0xFF
    away = column + 1
    msg[spec.KIND] = spec.LIMIT
    msg[spec.SIDE] = side
    msg[spec.LOTS] = flow_params[zi.LIMIT_LOTS + (np.int64(size) >> 25)]
    reference = reference_price(side, price_tick, owner, num_orders, meta)
    msg[spec.PRICE_TICK] = reference + away if side == spec.SELL else reference - away


@njit(inline="always")
def _cancel(flow_params, side, place, chance, price_tick, order_id, owner, num_orders, meta, msg):
    slot = scale(place, num_orders[side])
    if owner[side, slot] != 0:
        return spec.FLOW_NULL
    away = np.int64(price_tick[side, slot]) - reference_price(side, price_tick, owner, num_orders, meta)
    if side == spec.BUY:
        away = -away
    away = min(max(away, 1), np.int64(flow_params[zi.NUM_DISTANCES]))
    if (np.int64(chance) >> 2) >= flow_params[zi.ACCEPT + away - 1]:
        return spec.FLOW_NULL
    msg[spec.KIND] = spec.DELETE
    msg[spec.SIDE] = side
    msg[spec.ORDER_ID] = order_id[side, slot]
    return spec.FLOW_EVENT


@njit
def sample(flow_params, background, price_tick, lots, order_id, owner, num_orders, meta, seed, msg):
    """Draw the next event of a canonical book: fill `msg` int32[8], all 0 before; return (status, dt_us)."""
    limit, market = np.int64(flow_params[zi.LIMIT_RATE]), np.int64(flow_params[zi.MARKET_RATE])
    if limit <= 0:
        return spec.FLOW_EXHAUSTED, np.int64(0)
    market_buy = market if num_orders[1] > 0 else np.int64(0)
    market_sell = market if num_orders[0] > 0 else np.int64(0)
    cancel = np.int64(flow_params[zi.CANCEL_RATE])
    cancel_buy = cancel * num_orders[0]
    total = 2 * limit + market_buy + market_sell + cancel_buy + cancel * num_orders[1]
    which, when, place, extra = philox4x32(seed[0], seed[1], meta[spec.META_DRAW], 0)
    dt_us = waiting_time_us(when, total, np.int64(flow_params[zi.RATE_SHIFT]))
    pick = scale(which, total)
    if pick < 2 * limit:
        _limit(flow_params, np.int64(pick >= limit), place, extra, price_tick, owner, num_orders, meta, msg)
        return spec.FLOW_EVENT, dt_us
    pick -= 2 * limit
    if pick < market_buy + market_sell:
        msg[spec.KIND] = spec.MARKET
        msg[spec.SIDE] = spec.BUY if pick < market_buy else spec.SELL
        msg[spec.LOTS] = flow_params[zi.MARKET_LOTS + (np.int64(extra) >> 25)]
        return spec.FLOW_EVENT, dt_us
    pick -= market_buy + market_sell
    side = np.int64(pick >= cancel_buy)
    status = _cancel(flow_params, side, place, extra, price_tick, order_id, owner, num_orders, meta, msg)
    return status, dt_us


FLOW = Flow(
    "zero_intelligence",
    sample,
    "market_models.zero_intelligence_xla:sample",
    zi.NUM_PARAMS,
    str(Path(__file__).with_name("zero_intelligence.cuh")),
)
