"""The queue-reactive sampler in JAX: the twin of `queue_reactive_numba.py`, bit for bit.

32-bit integers only, no loop: every order gets its band, every rate of both sides stands in one row in the order of the
sums, and one is selected.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.lob import spec
from market_models import queue_reactive as qr
from market_models.philox_xla import multiply_high, philox4x32
from market_models.zero_intelligence_xla import (
    Side,
    alias_column,
    background_message,
    side_reference,
    signed,
    unsigned,
    waiting_time_us,
)

_U = np.uint32
_SIDES = np.arange(2, dtype=np.int32)
_BANDS = np.arange(qr.MAX_BANDS, dtype=np.int32)
_ROW = 2 * qr.MAX_BANDS + 3  # rates of a side: limit and cancel of each band, far limit, far cancel, market
_FAR = 2 * qr.MAX_BANDS


class _Queues(NamedTuple):
    """The book as the flow sees it, both sides."""

    reference: Side
    band: jax.Array  # int32[2, O] band of each order, MAX_BANDS beyond the last, -1 where there is no order
    lots: jax.Array  # int32[2, O] clipped at CLIP_LOTS
    best_lots: jax.Array  # int32[2]
    spread: jax.Array  # int32[] bucket


def _queues(
    params: jax.Array, price: jax.Array, lots: jax.Array, owner: jax.Array, num_orders: jax.Array, meta: jax.Array
) -> _Queues:
    reference = side_reference(jnp.asarray(_SIDES), price, owner, num_orders, meta)
    slots = jnp.arange(price.shape[-1], dtype=jnp.int32)
    here = slots < num_orders[:, None]
    sign, tick = reference.sign[:, None], reference.reference[:, None]
    behind = jnp.where(sign > 0, price > tick, price < tick)  # else LEVEL_SET crossed the book
    away = jnp.where(behind, jnp.minimum(unsigned(sign * (price - tick)), _U(qr.UNUSED_EDGE)), _U(1))
    edges = unsigned(params[qr.BAND_EDGES : qr.BAND_EDGES + qr.MAX_BANDS])
    number = (away[..., None] > edges).sum(-1, dtype=jnp.int32)
    band = jnp.where(number < params[qr.NUM_BANDS], number, qr.MAX_BANDS)
    clipped = jnp.where(here, jnp.minimum(lots, qr.CLIP_LOTS), 0)
    last = jnp.max(jnp.where(here & (owner == 0), slots, -1), axis=1)
    at = jnp.maximum(last, 0)
    best_price = jnp.take_along_axis(price, at[:, None], 1)
    first = (slots >= at[:, None]) | (price == best_price)
    best = price[_SIDES, at]
    gap = jnp.where(best[1] > best[0], jnp.minimum(unsigned(best[1] - best[0]), _U(qr.UNUSED_EDGE)), _U(0))
    above = gap > unsigned(params[qr.SPREAD_EDGES : qr.SPREAD_EDGES + qr.MAX_SPREADS])
    spread = jnp.where((last >= 0).all(), above.sum(dtype=jnp.int32), params[qr.NUM_SPREADS] - 1)
    return _Queues(reference, jnp.where(here, band, -1), clipped, jnp.where(first, clipped, 0).sum(1), spread)


def _bucket(params: jax.Array, lots: jax.Array) -> jax.Array:
    event_lots = jnp.maximum(params[qr.EVENT_LOTS], 1)
    return jnp.minimum((lots + event_lots - 1) // event_lots, params[qr.TOP_BUCKET])


def _rates(params: jax.Array, queues: _Queues) -> jax.Array:
    """Return the rates uint32[2 x _ROW] in the order of the sums."""
    in_band = queues.band[:, None] == _BANDS[:, None]
    held = jnp.where(in_band, queues.lots[:, None], 0).sum(-1)
    cell = (queues.spread * qr.MAX_BANDS + _BANDS) * qr.MAX_BUCKETS + _bucket(params, held)
    both = jnp.stack([params[qr.LIMIT_RATES + cell], params[qr.CANCEL_RATES + cell]], -1).reshape(2, _FAR)
    num_far = (queues.band == qr.MAX_BANDS).sum(1, dtype=jnp.int32)
    market = params[qr.MARKET_RATES + queues.spread * qr.MAX_BUCKETS + _bucket(params, queues.best_lots)]
    far = [jnp.broadcast_to(params[qr.FAR_LIMIT_RATE], (2,)), params[qr.FAR_CANCEL_RATE] * num_far, market]
    return unsigned(jnp.concatenate([both, jnp.stack(far, -1)], -1).reshape(-1))


def _distance(params: jax.Array, band: jax.Array, place: jax.Array) -> jax.Array:
    """Return the distance of a limit order in `band`, MAX_BANDS for beyond the last."""
    is_far = band == qr.MAX_BANDS
    number = jnp.where(is_far, params[qr.NUM_BANDS], band)
    last = jnp.where(number > 0, params[qr.BAND_EDGES + jnp.maximum(number, 1) - 1], 0)
    width = unsigned(params[qr.BAND_EDGES + jnp.minimum(number, qr.MAX_BANDS - 1)] - last)
    far = alias_column(params, qr.FAR_DISTANCES, unsigned(params[qr.NUM_FAR]), place)
    return last + 1 + jnp.where(is_far, far, signed(multiply_high(place, width)))


def sample(
    flow_params: jax.Array,
    background: jax.Array,
    price_tick: jax.Array,
    lots: jax.Array,
    order_id: jax.Array,
    owner: jax.Array,
    num_orders: jax.Array,
    meta: jax.Array,
    seed: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Draw the next event of a canonical book: (status, dt_us, msg int32[8], meta int32[32]), all int32.

    Arguments as of the numba sampler: `price_tick` .. `owner` are [2, O], `num_orders` [2], `seed` uint32[2].
    `msg` is 0 where the status is not FLOW_EVENT.
    """
    del background
    queues = _queues(flow_params, price_tick, lots, owner, num_orders, meta)
    ends = jnp.cumsum(_rates(flow_params, queues), dtype=jnp.uint32)
    which, when, place, extra = philox4x32(seed, unsigned(meta[spec.META_DRAW]), 0)
    event = jnp.minimum((multiply_high(which, ends[-1]) >= ends).sum(dtype=jnp.int32), 2 * _ROW - 1)
    side, column = event // _ROW, event % _ROW
    is_market = column == _ROW - 1
    is_limit = ~is_market & (column % 2 == 0)
    band = jnp.minimum(column // 2, qr.MAX_BANDS)

    count = (queues.band[side] == band).sum(dtype=jnp.int32)
    lowest = (queues.band[side] > band).sum(dtype=jnp.int32)
    slot = lowest + signed(multiply_high(place, unsigned(count)))
    cancels = ~is_limit & ~is_market & (owner[side, slot] == 0)
    happens = is_limit | is_market | cancels

    size = signed(extra >> _U(25))
    order_lots = flow_params[jnp.where(is_limit, qr.LIMIT_LOTS, qr.MARKET_LOTS) + size]
    away = queues.reference.sign[side] * _distance(flow_params, band, place)
    msg = background_message(
        jnp.where(is_limit, spec.LIMIT, jnp.where(is_market, spec.MARKET, spec.DELETE)),
        jnp.where(is_market, 1 - side, side),
        jnp.where(cancels, 0, order_lots),
        jnp.where(is_limit, queues.reference.reference[side] + away, 0),
        jnp.where(cancels, order_id[side, slot], 0),
    )
    alive = flow_params[qr.TOP_BUCKET] > 0
    status = jnp.where(alive, jnp.where(happens, spec.FLOW_EVENT, spec.FLOW_NULL), spec.FLOW_EXHAUSTED)
    dt_us = jnp.where(alive, waiting_time_us(when, ends[-1], unsigned(flow_params[qr.RATE_SHIFT])), 0)
    return status.astype(jnp.int32), dt_us, jnp.where(happens & alive, msg, 0), meta
