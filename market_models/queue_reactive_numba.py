"""The queue-reactive sampler for the CPU kernel; model and parameters in `queue_reactive.py`.

Cost: two walks over the orders up to e_K (the sum of the rates, then the pick), no floats, no allocation; one Philox
block and one division for the time, one division for each band's bucket.
"""

from pathlib import Path

import numpy as np
from numba import njit

from kernels.lob import spec
from kernels.lob.philox import philox4x32
from market_models import queue_reactive as qr
from market_models.flow import Flow
from market_models.zero_intelligence_numba import best_background_slot, reference_price, scale, waiting_time_us

_NEVER = 1 << 62  # a pick beyond every sum
_NONE, _LIMIT, _CANCEL, _MARKET = 0, 1, 2, 3


@njit(inline="always")
def spread_bucket(flow_params, price_tick, owner, num_orders):
    """Return the bucket of the background's spread; the widest where a side has no background order."""
    bid, ask = best_background_slot(0, owner, num_orders), best_background_slot(1, owner, num_orders)
    if bid < 0 or ask < 0:
        return np.int64(flow_params[qr.NUM_SPREADS]) - 1
    spread = min(np.int64(price_tick[1, ask]) - np.int64(price_tick[0, bid]), qr.UNUSED_EDGE)
    bucket = np.int64(0)
    for edge in range(qr.MAX_SPREADS):
        bucket += spread > flow_params[qr.SPREAD_EDGES + edge]
    return bucket


@njit(inline="always")
def queue_bucket(flow_params, lots):
    """Return min(ceil(lots / event_lots), C)."""
    event_lots = np.int64(flow_params[qr.EVENT_LOTS])
    return min((lots + event_lots - 1) // event_lots, np.int64(flow_params[qr.TOP_BUCKET]))


@njit(inline="always")
def _away(side, price, reference):
    away = np.int64(price) - reference
    return min(max(away if side == spec.SELL else -away, 1), qr.UNUSED_EDGE)


@njit(inline="always")
def _best_lots(side, price_tick, lots, owner, num_orders):
    """Return the lots at or before the best background price; of the whole side where it has no background order."""
    last = max(best_background_slot(side, owner, num_orders), 0)
    slot, held = np.int64(num_orders[side]) - 1, np.int64(0)
    while slot >= 0 and (slot >= last or price_tick[side, slot] == price_tick[side, last]):
        held += min(np.int64(lots[side, slot]), qr.CLIP_LOTS)
        slot -= 1
    return held


@njit
def side_event(flow_params, side, spread, reference, price_tick, lots, owner, num_orders, pick):
    """Return (kind, band, lowest slot, number of slots, sum of rates before) of the rate that `pick` falls in.

    Kind 0 where the pick lies beyond the side's rates: the sum is then that of all of them.
    """
    slot, before = np.int64(num_orders[side]) - 1, np.int64(0)
    bands = np.int64(flow_params[qr.NUM_BANDS])
    for band in range(bands):
        top, held = slot, np.int64(0)
        while slot >= 0 and _away(side, price_tick[side, slot], reference) <= flow_params[qr.BAND_EDGES + band]:
            held += min(np.int64(lots[side, slot]), qr.CLIP_LOTS)
            slot -= 1
        cell = (spread * qr.MAX_BANDS + band) * qr.MAX_BUCKETS + queue_bucket(flow_params, held)
        limit, cancel = np.int64(flow_params[qr.LIMIT_RATES + cell]), np.int64(flow_params[qr.CANCEL_RATES + cell])
        if pick < before + limit:
            return _LIMIT, band, slot, slot, before
        before += limit
        if pick < before + cancel:
            return _CANCEL, band, slot + 1, top - slot, before
        before += cancel
    if pick < before + flow_params[qr.FAR_LIMIT_RATE]:
        return _LIMIT, bands, slot, slot, before
    before += flow_params[qr.FAR_LIMIT_RATE]
    cancel = np.int64(flow_params[qr.FAR_CANCEL_RATE]) * (slot + 1)
    if pick < before + cancel:
        return _CANCEL, bands, np.int64(0), slot + 1, before
    before += cancel
    bucket = queue_bucket(flow_params, _best_lots(side, price_tick, lots, owner, num_orders))
    market = np.int64(flow_params[qr.MARKET_RATES + spread * qr.MAX_BUCKETS + bucket])
    kind = _MARKET if pick < before + market else _NONE
    return kind, bands, slot, slot, before + (0 if kind == _MARKET else market)


@njit(inline="always")
def limit_distance(flow_params, band, place):
    """Return the distance of a limit order in `band`: uniform in it, beyond the last from the alias table."""
    last = np.int64(flow_params[qr.BAND_EDGES + band - 1]) if band > 0 else np.int64(0)
    if band < flow_params[qr.NUM_BANDS]:
        return last + 1 + scale(place, np.int64(flow_params[qr.BAND_EDGES + band]) - last)
    product = np.uint64(place) * np.uint64(flow_params[qr.NUM_FAR])
    column = np.int64(product >> np.uint64(32))
    entry = np.int64(flow_params[qr.FAR_DISTANCES + column]) & 0xFFFFFFFF
    if np.int64((product & np.uint64(0xFFFFFFFF)) >> np.uint64(8)) >= (entry >> 8):
        column = entry & 0xFF
    return last + 1 + column


@njit
def sample(flow_params, background, price_tick, lots, order_id, owner, num_orders, meta, seed, msg):
    """Draw the next event of a canonical book: fill `msg` int32[8], all 0 before; return (status, dt_us)."""
    if flow_params[qr.TOP_BUCKET] <= 0:
        return spec.FLOW_EXHAUSTED, np.int64(0)
    spread = spread_bucket(flow_params, price_tick, owner, num_orders)
    buy = reference_price(0, price_tick, owner, num_orders, meta)
    sell = reference_price(1, price_tick, owner, num_orders, meta)
    buy_total = side_event(flow_params, 0, spread, buy, price_tick, lots, owner, num_orders, _NEVER)[4]
    sell_total = side_event(flow_params, 1, spread, sell, price_tick, lots, owner, num_orders, _NEVER)[4]
    total = buy_total + sell_total
    which, when, place, extra = philox4x32(seed[0], seed[1], meta[spec.META_DRAW], 0)
    dt_us = waiting_time_us(when, total, np.int64(flow_params[qr.RATE_SHIFT]))
    pick = scale(which, total)
    side = np.int64(pick >= buy_total)
    reference = sell if side == spec.SELL else buy
    pick -= buy_total * side
    kind, band, lowest, count, _ = side_event(
        flow_params, side, spread, reference, price_tick, lots, owner, num_orders, pick
    )
    size = np.int64(extra) >> 25
    if kind == _LIMIT:
        away = limit_distance(flow_params, band, place)
        msg[spec.KIND], msg[spec.SIDE], msg[spec.LOTS] = spec.LIMIT, side, flow_params[qr.LIMIT_LOTS + size]
        msg[spec.PRICE_TICK] = reference + away if side == spec.SELL else reference - away
        return spec.FLOW_EVENT, dt_us
    if kind == _MARKET:
        msg[spec.KIND], msg[spec.SIDE], msg[spec.LOTS] = spec.MARKET, 1 - side, flow_params[qr.MARKET_LOTS + size]
        return spec.FLOW_EVENT, dt_us
    slot = lowest + scale(place, count)
    if owner[side, slot] != 0:
        return spec.FLOW_NULL, dt_us
    msg[spec.KIND], msg[spec.SIDE], msg[spec.ORDER_ID] = spec.DELETE, side, order_id[side, slot]
    return spec.FLOW_EVENT, dt_us


FLOW = Flow(
    "queue_reactive",
    sample,
    "market_models.queue_reactive_xla:sample",
    qr.NUM_PARAMS,
    str(Path(__file__).with_name("queue_reactive.cuh")),
)
