"""The agent-based sampler for the CPU kernel; model and parameters in `agent_based.py`.

Cost: no floats, no loop over orders but the search of a maker's quote when the maker looks at it; one Philox block, a
second for a trader's attributes, one division for the time.
"""

from pathlib import Path

import numpy as np
from numba import njit

from kernels.lob import spec
from kernels.lob.philox import philox4x32
from market_models import agent_based as ab
from market_models.flow import Flow
from market_models.zero_intelligence_numba import exponential_q16, reference_price, scale, waiting_time_us


@njit(inline="always")
def _clip(value, most):
    return min(max(np.int64(value), -most), most)


@njit(inline="always")
def _weighed(value, weight, bits):
    """Return value x weight / 2^bits towards 0, for |value| and weight below 2^32."""
    product = np.int64((np.uint64(abs(value)) * np.uint64(np.uint32(weight))) >> np.uint64(bits))
    return -product if value < 0 else product


@njit(inline="always")
def part_of(value, fraction, word):
    """Return value x fraction / 2^32, rounded up with the probability of what is lost; away from 0."""
    product = np.int64((np.uint64(abs(value)) * np.uint64(np.uint32(fraction)) + np.uint64(word)) >> np.uint64(32))
    return -product if value < 0 else product


@njit(inline="always")
def _laplace(word, negative, size):
    """Return a Laplace number of mean size `size`, int64: an exponential with a sign."""
    magnitude = (np.int64(size) * exponential_q16(word)) >> 16
    return -magnitude if negative else magnitude


@njit(inline="always")
def _start(words, buy, sell):
    """Take the first mid for the fundamental value and every smoothed mid."""
    words[ab.STARTED], words[ab.ANCHOR] = 1, (buy + sell) >> 1
    mid = 128 * ((buy + sell) - 2 * np.int64(words[ab.ANCHOR]))
    words[ab.FUNDAMENTAL] = mid
    for horizon in range(ab.MAX_HORIZONS):
        words[ab.SMOOTHED + horizon] = mid


@njit(inline="always")
def _news(flow_params, words, mid, place, extra):
    """Move the fundamental value and the smoothed mids."""
    value = np.int64(words[ab.FUNDAMENTAL])
    start = value - part_of(value, flow_params[ab.REVERSION], place)
    jump = _laplace(extra, place & np.uint32(1), flow_params[ab.NEWS_SIZE])
    words[ab.FUNDAMENTAL] = _clip(start + jump, ab.MAX_TICK << ab.PRICE_BITS)
    for horizon in range(ab.MAX_HORIZONS):
        smoothed = np.int64(words[ab.SMOOTHED + horizon])
        words[ab.SMOOTHED + horizon] = smoothed + part_of(mid - smoothed, flow_params[ab.SMOOTHING + horizon], place)


@njit(inline="always")
def expected_move(flow_params, kind, words, mid, first, second, third, fourth):
    """Return (Delta in 1/256 tick, side) of a trader of type `kind` with these four words for its attributes."""
    row = ab.TYPES + ab.TYPE_WORDS * kind
    horizon = scale(fourth, flow_params[ab.NUM_HORIZONS])
    gap = _clip(np.int64(words[ab.FUNDAMENTAL]) - mid, ab.MAX_GAP)
    trend = _clip(mid - np.int64(words[ab.SMOOTHED + horizon]), ab.MAX_GAP)
    move = _weighed(gap, scale(first, flow_params[row + ab.TYPE_FUNDAMENTAL]), ab.WEIGHT_BITS)
    move += _weighed(trend, scale(second, flow_params[row + ab.TYPE_TREND]), ab.WEIGHT_BITS)
    move += _laplace(third, fourth & np.uint32(1), flow_params[row + ab.TYPE_NOISE])
    coin = np.int64((fourth >> np.uint32(1)) & np.uint32(1))
    return move, np.int64(move < 0) if move != 0 else coin


@njit(inline="always")
def _trade(flow_params, kind, words, mid, buy, sell, place, extra, attributes, num_orders, msg):
    """Fill the order of a trader of type `kind`; return the status."""
    row = ab.TYPES + ab.TYPE_WORDS * kind
    move, side = expected_move(
        flow_params, kind, words, mid, attributes[0], attributes[1], attributes[2], attributes[3]
    )
    if abs(move) < flow_params[row + ab.TYPE_EDGE]:
        return spec.FLOW_NULL
    sign = 1 - 2 * side
    reference = sell if side == spec.SELL else buy
    anchor = np.int64(words[ab.ANCHOR])
    best = _clip(reference - anchor, ab.MAX_TICK)
    beyond = sign * (mid + move - (best << ab.PRICE_BITS))
    size = np.int64(extra) >> ab.CHANCE_BITS
    takes = beyond >= 0 and move != 0
    impatient = (np.int64(extra) & ((1 << ab.CHANCE_BITS) - 1)) < flow_params[row + ab.TYPE_IMPATIENCE]
    msg[spec.SIDE] = side
    if takes or impatient:
        if num_orders[1 - side] == 0:
            msg[spec.SIDE] = 0
            return spec.FLOW_NULL
        msg[spec.KIND], msg[spec.LOTS] = spec.MARKET, flow_params[ab.MARKET_LOTS + size]
        if takes:
            walk = min(beyond >> ab.PRICE_BITS, np.int64(flow_params[ab.MAX_WALK]))
            msg[spec.KIND], msg[spec.PRICE_TICK] = spec.IOC, reference + sign * walk
        return spec.FLOW_EVENT
    product = np.uint64(place) * np.uint64(flow_params[ab.NUM_DISTANCES])
    column = np.int64(product >> np.uint64(32))
    entry = np.int64(flow_params[ab.DISTANCES + column]) & 0xFFFFFFFF
    if np.int64((product & np.uint64(0xFFFFFFFF)) >> np.uint64(8)) >= (entry >> 8):
        column = entry & 0xFF
    msg[spec.KIND], msg[spec.LOTS] = spec.LIMIT, flow_params[ab.LIMIT_LOTS + size]
    msg[spec.PRICE_TICK] = reference - sign * (column + 1)
    return spec.FLOW_EVENT


@njit(inline="always")
def _look(flow_params, words, mid, place, price_tick, order_id, owner, num_orders, next_id, msg):
    """Let a maker look at one of its quotes: post it, cancel it, or leave it (NULL); return the status."""
    quote = scale(place, 2 * np.int64(flow_params[ab.NUM_MAKERS]))
    side, half = quote & 1, np.int64(flow_params[ab.HALF_SPREAD])
    below = (mid - half) >> ab.PRICE_BITS
    above = (mid + half + (1 << ab.PRICE_BITS) - 1) >> ab.PRICE_BITS
    target = np.int64(words[ab.ANCHOR]) + (above if side == spec.SELL else below)
    held = np.int64(words[ab.QUOTES + quote])
    slot = np.int64(num_orders[side]) - 1
    while held != 0 and slot >= 0 and order_id[side, slot] != held:
        slot -= 1
    if held != 0 and slot >= 0 and owner[side, slot] == 0:
        if abs(np.int64(price_tick[side, slot]) - target) <= flow_params[ab.TOLERANCE]:
            return spec.FLOW_NULL
        words[ab.QUOTES + quote] = 0
        msg[spec.KIND], msg[spec.SIDE], msg[spec.ORDER_ID] = spec.DELETE, side, held
        return spec.FLOW_EVENT
    words[ab.QUOTES + quote] = next_id  # that the engine will give
    msg[spec.KIND], msg[spec.SIDE], msg[spec.LOTS] = spec.LIMIT, side, flow_params[ab.MAKER_LOTS]
    msg[spec.PRICE_TICK] = target
    return spec.FLOW_EVENT


@njit(inline="always")
def _cancel(flow_params, side, reference, place, chance, price_tick, order_id, owner, num_orders, msg):
    slot = scale(place, num_orders[side])
    if owner[side, slot] != 0:
        return spec.FLOW_NULL
    away = np.int64(price_tick[side, slot]) - reference
    away = min(max(away if side == spec.SELL else -away, 1), np.int64(flow_params[ab.NUM_DISTANCES]))
    if (np.int64(chance) >> 2) >= flow_params[ab.ACCEPT + away - 1]:
        return spec.FLOW_NULL
    msg[spec.KIND], msg[spec.SIDE], msg[spec.ORDER_ID] = spec.DELETE, side, order_id[side, slot]
    return spec.FLOW_EVENT


@njit
def sample(flow_params, background, price_tick, lots, order_id, owner, num_orders, meta, seed, msg):
    """Draw the next event of a canonical book: fill `msg` int32[8], all 0 before; return (status, dt_us)."""
    if flow_params[ab.NUM_DISTANCES] <= 0:
        return spec.FLOW_EXHAUSTED, np.int64(0)
    words = meta[spec.META_FLOW :]
    buy = reference_price(0, price_tick, owner, num_orders, meta)
    sell = reference_price(1, price_tick, owner, num_orders, meta)
    if words[ab.STARTED] == 0:
        _start(words, buy, sell)
    anchor = np.int64(words[ab.ANCHOR])
    mid = 128 * (_clip(buy - anchor, ab.MAX_TICK) + _clip(sell - anchor, ab.MAX_TICK))
    rate = np.int64(flow_params[ab.CANCEL_RATE])
    news, cancel_buy = np.int64(flow_params[ab.NEWS_RATE]), rate * num_orders[0]
    looks = np.int64(flow_params[ab.NUM_MAKERS]) * flow_params[ab.MAKER_RATE]
    before = news + looks + cancel_buy + rate * num_orders[1]
    total = before
    for kind in range(ab.NUM_TYPES):
        total += flow_params[ab.TYPES + ab.TYPE_WORDS * kind]
    which, when, place, extra = philox4x32(seed[0], seed[1], meta[spec.META_DRAW], 0)
    dt_us = waiting_time_us(when, total, np.int64(flow_params[ab.RATE_SHIFT]))
    pick = scale(which, total)
    if pick >= before:
        kind, pick = np.int64(0), pick - before
        while kind < ab.NUM_TYPES - 1 and pick >= flow_params[ab.TYPES + ab.TYPE_WORDS * kind]:
            pick -= flow_params[ab.TYPES + ab.TYPE_WORDS * kind]
            kind += 1
        attributes = philox4x32(seed[0], seed[1], meta[spec.META_DRAW], 1)
        status = _trade(flow_params, kind, words, mid, buy, sell, place, extra, attributes, num_orders, msg)
        return status, dt_us
    if pick < news:
        _news(flow_params, words, mid, place, extra)
        return spec.FLOW_NULL, dt_us
    if pick < news + looks:
        next_id = meta[spec.META_NEXT_ORDER_ID]
        status = _look(flow_params, words, mid, place, price_tick, order_id, owner, num_orders, next_id, msg)
        return status, dt_us
    side = np.int64(pick - news - looks >= cancel_buy)
    reference = sell if side == spec.SELL else buy
    return _cancel(flow_params, side, reference, place, extra, price_tick, order_id, owner, num_orders, msg), dt_us


FLOW = Flow(
    "agent_based",
    sample,
    "market_models.agent_based_xla:sample",
    ab.NUM_PARAMS,
    str(Path(__file__).with_name("agent_based.cuh")),
)
