"""The zero-intelligence sampler in JAX: the twin of `zero_intelligence_numba.py`, bit for bit.

32-bit integers only. Every branch is computed and one is selected, which is what `vmap` would do anyway.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.lob import spec
from market_models import zero_intelligence as zi
from market_models.philox_xla import multiply_high, philox4x32

_U = np.uint32


class Side(NamedTuple):
    """The side an event is about, with what its distances count from; int32 scalars."""

    side: jax.Array
    sign: jax.Array  # +1 for SELL, -1 for BUY: price = reference + sign x distance
    reference: jax.Array


def unsigned(value: jax.Array) -> jax.Array:
    """Reinterpret int32 as uint32."""
    return jax.lax.bitcast_convert_type(value.astype(jnp.int32), jnp.uint32)


def signed(value: jax.Array) -> jax.Array:
    """Reinterpret uint32 as int32."""
    return jax.lax.bitcast_convert_type(value, jnp.int32)


def exponential_q16(word: jax.Array) -> jax.Array:
    """Return -ln(word / 2^32) x 2^16 as uint32; a word of 0 counts as 1."""
    table = jnp.asarray(zi.LN_TABLE)
    word = jnp.maximum(word, _U(1))
    zeros = jax.lax.clz(word)
    mantissa = word << zeros
    index = (mantissa >> _U(23)) & _U(0xFF)
    fraction = (mantissa & _U(0x7FFFFF)) >> _U(7)
    low, high = table[index.astype(jnp.int32)], table[index.astype(jnp.int32) + 1]
    logarithm = low + (((high - low) * fraction) >> _U(16))  # below 65,409 x 65,536 < 2^32
    return ((zeros + _U(1)) * _U(zi.LN_2) - logarithm + _U(128)) >> _U(8)


def waiting_time_us(word: jax.Array, total: jax.Array, shift: jax.Array) -> jax.Array:
    """Return an exponential time in microseconds, int32, for a total rate in units of 2^-(8 + shift) per second."""
    clock_rate = jnp.maximum((total + ((_U(1) << shift) >> _U(1))) >> shift, _U(zi.MIN_CLOCK_RATE))
    mean_q4_us, chance = _U(zi.MEAN_NUMERATOR) // clock_rate, exponential_q16(word)
    return signed((multiply_high(mean_q4_us, chance) << _U(12)) | ((mean_q4_us * chance) >> _U(20)))


def side_reference(
    side: jax.Array, price_tick: jax.Array, owner: jax.Array, num_orders: jax.Array, meta: jax.Array
) -> Side:
    """Return what distances of `side`, int32 of any shape, are counted from."""
    slots = jnp.arange(price_tick.shape[-1], dtype=jnp.int32)
    background = (owner == 0) & (slots < num_orders[:, None])
    best = jnp.max(jnp.where(background, slots, -1), axis=1)  # agents' orders move nobody's reference
    own, other = best[side], best[1 - side]
    sign = 2 * side - 1
    beyond_own = price_tick[side, jnp.maximum(own, 0)] - sign
    fallback = jnp.where(own >= 0, beyond_own, meta[spec.META_REFERENCE_TICK])
    reference = jnp.where(other >= 0, price_tick[1 - side, jnp.maximum(other, 0)], fallback)
    return Side(side, sign, reference)


def alias_column(params: jax.Array, first: int, count: jax.Array, place: jax.Array) -> jax.Array:
    """Return a column 0..count-1 drawn by the word `place` from the alias table at params[first:]; count is uint32."""
    column = signed(multiply_high(place, count))
    entry = unsigned(params[first + column])
    stays = ((place * count) >> _U(8)) < (entry >> _U(8))
    return jnp.where(stays, column, signed(entry & _U(0xFF)))


def _distance(params: jax.Array, place: jax.Array) -> jax.Array:
    """Return a distance 1..D drawn from the alias table."""
    return 1 + alias_column(params, zi.DISTANCES, unsigned(params[zi.NUM_DISTANCES]), place)


def background_message(
    kind: jax.Array, side: jax.Array, lots: jax.Array, price: jax.Array, order_id: jax.Array
) -> jax.Array:
    """Return a message int32[8] of owner 0 without a time."""
    zero = jnp.zeros_like(side)
    return jnp.stack([kind, side, lots, price, order_id, zero, zero, zero]).astype(jnp.int32)


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
    """Draw the next event of a canonical book: (status, dt_us, msg int32[8], meta int32[8]), all int32.

    Arguments as of the numba sampler: `price_tick` .. `owner` are [2, O], `num_orders` [2], `seed` uint32[2].
    `msg` is 0 where the status is not FLOW_EVENT.
    """
    del background, lots
    limit, market, cancel = (unsigned(flow_params[word]) for word in (zi.LIMIT_RATE, zi.MARKET_RATE, zi.CANCEL_RATE))
    count = unsigned(num_orders)
    market_buy, market_sell = jnp.where(count[1] > 0, market, _U(0)), jnp.where(count[0] > 0, market, _U(0))
    any_market = market_buy + market_sell
    total = _U(2) * limit + any_market + cancel * count[0] + cancel * count[1]
    which, when, place, extra = philox4x32(seed, unsigned(meta[spec.META_DRAW]), 0)

    pick = multiply_high(which, total)
    after_limit = pick - _U(2) * limit
    after_market = after_limit - any_market
    is_limit = pick < _U(2) * limit
    is_market = ~is_limit & (after_limit < any_market)
    is_sell = jnp.where(
        is_limit, pick >= limit, jnp.where(is_market, after_limit >= market_buy, after_market >= cancel * count[0])
    )
    side = side_reference(is_sell.astype(jnp.int32), price_tick, owner, num_orders, meta)

    slot = signed(multiply_high(place, count[side.side]))
    price = price_tick[side.side, slot]
    away = unsigned(side.sign * (price - side.reference))  # up to 2^31 behind the reference: wraps into uint32
    behind = jnp.where(side.sign > 0, price > side.reference, price < side.reference)  # else LEVEL_SET crossed the book
    away = signed(jnp.where(behind, jnp.clip(away, _U(1), unsigned(flow_params[zi.NUM_DISTANCES])), _U(1)))
    accepted = signed(extra >> _U(2)) < flow_params[zi.ACCEPT + away - 1]
    cancels = ~is_limit & ~is_market & accepted & (owner[side.side, slot] == 0)

    size = signed(extra >> _U(25))
    order_lots = flow_params[jnp.where(is_limit, zi.LIMIT_LOTS, zi.MARKET_LOTS) + size]
    happens = is_limit | is_market | cancels
    msg = background_message(
        jnp.where(is_limit, spec.LIMIT, jnp.where(is_market, spec.MARKET, spec.DELETE)),
        side.side,
        jnp.where(cancels, 0, order_lots),
        jnp.where(is_limit, side.reference + side.sign * _distance(flow_params, place), 0),
        jnp.where(cancels, order_id[side.side, slot], 0),
    )
    alive = flow_params[zi.LIMIT_RATE] > 0
    status = jnp.where(happens, spec.FLOW_EVENT, spec.FLOW_NULL)
    status = jnp.where(alive, status, spec.FLOW_EXHAUSTED).astype(jnp.int32)
    dt_us = jnp.where(alive, waiting_time_us(when, total, unsigned(flow_params[zi.RATE_SHIFT])), 0)
    return status, dt_us, jnp.where(happens & alive, msg, 0), meta
