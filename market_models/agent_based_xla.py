"""The agent-based sampler in JAX: the twin of `agent_based_numba.py`, bit for bit.

32-bit integers only. Every branch is computed and one is selected, which is what `vmap` would do anyway.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.lob import spec
from market_models import agent_based as ab
from market_models.philox_xla import multiply_high, philox4x32
from market_models.zero_intelligence_xla import (
    alias_column,
    background_message,
    exponential_q16,
    side_reference,
    signed,
    unsigned,
    waiting_time_us,
)

_U = np.uint32
_SIDES = np.arange(2, dtype=np.int32)
_TYPES = ab.TYPES + ab.TYPE_WORDS * np.arange(ab.NUM_TYPES)


class _Book(NamedTuple):
    """A book of both sides and what distances of each count from."""

    price_tick: jax.Array
    order_id: jax.Array
    owner: jax.Array
    num_orders: jax.Array
    reference: jax.Array  # int32[2]


class _Answer(NamedTuple):
    """What one kind of event would be; fields of a message that is 0 unless it happens."""

    happens: jax.Array
    msg: jax.Array


def _away(value: jax.Array, origin: jax.Array, most: int) -> jax.Array:
    """Return value - origin within -most..most, for any two int32."""
    up, down = unsigned(value) - unsigned(origin), unsigned(origin) - unsigned(value)
    return jnp.where(value >= origin, signed(jnp.minimum(up, _U(most))), -signed(jnp.minimum(down, _U(most))))


def _with_sign(magnitude: jax.Array, negative: jax.Array) -> jax.Array:
    return jnp.where(negative, -signed(magnitude), signed(magnitude))


def _part_of(value: jax.Array, fraction: jax.Array, word: jax.Array) -> jax.Array:
    """Return value x fraction / 2^32, rounded up with the probability of what is lost; away from 0."""
    size = unsigned(jnp.abs(value))
    low = size * fraction
    return _with_sign(multiply_high(size, fraction) + ((low + word) < low).astype(jnp.uint32), value < 0)


def _weighed(value: jax.Array, word: jax.Array, twice_mean: jax.Array) -> jax.Array:
    """Return value times a weight uniform below `twice_mean` x 2^-WEIGHT_BITS; |value| is at most MAX_GAP."""
    size = unsigned(jnp.abs(value)) << _U(32 - ab.WEIGHT_BITS)
    return _with_sign(multiply_high(size, multiply_high(word, unsigned(twice_mean))), value < 0)


def _laplace(word: jax.Array, negative: jax.Array, size: jax.Array) -> jax.Array:
    """Return a Laplace number of mean size `size`, at most 2^20; exponentials stay below 2^21."""
    return _with_sign(multiply_high(unsigned(size) << _U(8), exponential_q16(word) << _U(8)), negative)


def _started(words: jax.Array, reference: jax.Array) -> jax.Array:
    """Return the flow's words, those of a fresh market taken from the first mid."""
    buy, sell = reference[0], reference[1]
    first = jnp.zeros_like(words).at[ab.STARTED].set(1).at[ab.ANCHOR].set((buy & sell) + ((buy ^ sell) >> 1))
    first = first.at[ab.FUNDAMENTAL : ab.QUOTES].set(128 * ((buy ^ sell) & 1))
    first = first.at[ab.QUOTES :].set(words[ab.QUOTES :])
    return jnp.where(words[ab.STARTED] == 0, first, words)


def _news(params: jax.Array, words: jax.Array, mid: jax.Array, place: jax.Array, extra: jax.Array) -> jax.Array:
    """Return the words with the fundamental value and the smoothed mids moved."""
    value, smoothed = words[ab.FUNDAMENTAL], words[ab.SMOOTHED : ab.QUOTES]
    jump = _laplace(extra, (place & _U(1)) == 1, params[ab.NEWS_SIZE])
    most = ab.MAX_TICK << ab.PRICE_BITS
    moved = value - _part_of(value, unsigned(params[ab.REVERSION]), place) + jump
    fractions = unsigned(params[ab.SMOOTHING : ab.SMOOTHING + ab.MAX_HORIZONS])
    words = words.at[ab.FUNDAMENTAL].set(jnp.clip(moved, -most, most))
    return words.at[ab.SMOOTHED : ab.QUOTES].set(smoothed + _part_of(mid - smoothed, fractions, place))


def _trade(
    params: jax.Array,
    row: jax.Array,
    words: jax.Array,
    mid: jax.Array,
    book: _Book,
    place: jax.Array,
    extra: jax.Array,
    attributes: tuple[jax.Array, jax.Array, jax.Array, jax.Array],
) -> _Answer:
    first, second, third, fourth = attributes
    horizon = signed(multiply_high(fourth, unsigned(params[ab.NUM_HORIZONS])))
    gap = jnp.clip(words[ab.FUNDAMENTAL] - mid, -ab.MAX_GAP, ab.MAX_GAP)
    trend = jnp.clip(mid - words[ab.SMOOTHED + horizon], -ab.MAX_GAP, ab.MAX_GAP)
    move = _weighed(gap, first, params[row + ab.TYPE_FUNDAMENTAL])
    move += _weighed(trend, second, params[row + ab.TYPE_TREND])
    move += _laplace(third, (fourth & _U(1)) == 1, params[row + ab.TYPE_NOISE])
    coin = signed((fourth >> _U(1)) & _U(1))
    side = jnp.where(move != 0, (move < 0).astype(jnp.int32), coin)
    sign, reference = 1 - 2 * side, book.reference[side]
    best = _away(reference, words[ab.ANCHOR], ab.MAX_TICK)
    beyond = sign * (mid + move - (best << ab.PRICE_BITS))
    takes = (beyond >= 0) & (move != 0)
    impatient = signed(extra & _U((1 << ab.CHANCE_BITS) - 1)) < params[row + ab.TYPE_IMPATIENCE]
    at_once = takes | impatient
    comes = (jnp.abs(move) >= params[row + ab.TYPE_EDGE]) & (~at_once | (book.num_orders[1 - side] > 0))
    size = signed(extra >> _U(ab.CHANCE_BITS))
    walk = jnp.minimum(beyond >> ab.PRICE_BITS, params[ab.MAX_WALK])
    away = 1 + alias_column(params, ab.DISTANCES, unsigned(params[ab.NUM_DISTANCES]), place)
    msg = background_message(
        jnp.where(takes, spec.IOC, jnp.where(impatient, spec.MARKET, spec.LIMIT)),
        side,
        params[jnp.where(at_once, ab.MARKET_LOTS, ab.LIMIT_LOTS) + size],
        jnp.where(takes, reference + sign * walk, jnp.where(impatient, 0, reference - sign * away)),
        jnp.zeros_like(side),
    )
    return _Answer(comes, msg)


def _look(
    params: jax.Array, words: jax.Array, mid: jax.Array, book: _Book, place: jax.Array, next_id: jax.Array
) -> tuple[_Answer, jax.Array]:
    """Return what a maker does at one of its quotes, and the words after it."""
    quote = signed(multiply_high(place, unsigned(2 * params[ab.NUM_MAKERS])))
    side, half = quote & 1, params[ab.HALF_SPREAD]
    ticks = jnp.where(
        side == spec.SELL, (mid + half + (1 << ab.PRICE_BITS) - 1) >> ab.PRICE_BITS, (mid - half) >> ab.PRICE_BITS
    )
    target, held = words[ab.ANCHOR] + ticks, words[ab.QUOTES + quote]
    slots = jnp.arange(book.price_tick.shape[-1], dtype=jnp.int32)
    named = (slots < book.num_orders[side]) & (book.order_id[side] == held)
    slot = jnp.max(jnp.where(named, slots, -1))
    rests = (held != 0) & (slot >= 0) & (book.owner[side, slot] == 0)
    stale = jnp.abs(_away(book.price_tick[side, slot], target, 2**30)) > params[ab.TOLERANCE]
    acts = ~rests | stale
    msg = background_message(
        jnp.where(rests, spec.DELETE, spec.LIMIT),
        side,
        jnp.where(rests, 0, params[ab.MAKER_LOTS]),
        jnp.where(rests, 0, target),
        jnp.where(rests, held, 0),
    )
    after = words.at[ab.QUOTES + quote].set(jnp.where(rests, jnp.where(stale, 0, held), next_id))
    return _Answer(acts, msg), after


def _cancel(params: jax.Array, side: jax.Array, book: _Book, place: jax.Array, extra: jax.Array) -> _Answer:
    slot = signed(multiply_high(place, unsigned(book.num_orders[side])))
    away = _away(book.price_tick[side, slot], book.reference[side], 2**30) * (2 * side - 1)
    away = jnp.clip(away, 1, params[ab.NUM_DISTANCES])
    accepted = signed(extra >> _U(2)) < params[ab.ACCEPT + away - 1]
    zero = jnp.zeros_like(side)
    msg = background_message(zero + spec.DELETE, side, zero, zero, book.order_id[side, slot])
    return _Answer(accepted & (book.owner[side, slot] == 0), msg)


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
    del background, lots
    reference = side_reference(jnp.asarray(_SIDES), price_tick, owner, num_orders, meta).reference
    book = _Book(price_tick, order_id, owner, num_orders, reference)
    words = _started(meta[spec.META_FLOW :], reference)
    mid = 128 * _away(reference, words[ab.ANCHOR], ab.MAX_TICK).sum(dtype=jnp.int32)
    looks = unsigned(flow_params[ab.NUM_MAKERS] * flow_params[ab.MAKER_RATE])
    cancels = unsigned(flow_params[ab.CANCEL_RATE] * num_orders)
    parts = [unsigned(flow_params[ab.NEWS_RATE]), looks, cancels[0], cancels[1]]
    ends = jnp.cumsum(jnp.stack([*parts, *unsigned(flow_params[_TYPES])]), dtype=jnp.uint32)
    draw = unsigned(meta[spec.META_DRAW])
    which, when, place, extra = philox4x32(seed, draw, 0)
    event = jnp.minimum((multiply_high(which, ends[-1]) >= ends).sum(dtype=jnp.int32), len(parts) + ab.NUM_TYPES - 1)

    row = ab.TYPES + ab.TYPE_WORDS * jnp.maximum(event - len(parts), 0)
    trade = _trade(flow_params, row, words, mid, book, place, extra, philox4x32(seed, draw, 1))
    look, after_look = _look(flow_params, words, mid, book, place, meta[spec.META_NEXT_ORDER_ID])
    cancel = _cancel(flow_params, (event == 3).astype(jnp.int32), book, place, extra)
    is_news, is_look, is_trade = event == 0, event == 1, event >= len(parts)
    after_news = _news(flow_params, words, mid, place, extra)
    words = jnp.where(is_news, after_news, jnp.where(is_look, after_look, words))
    happens = jnp.where(is_trade, trade.happens, jnp.where(is_look, look.happens, cancel.happens & ~is_news))
    msg = jnp.where(is_trade, trade.msg, jnp.where(is_look, look.msg, cancel.msg))

    alive = flow_params[ab.NUM_DISTANCES] > 0
    status = jnp.where(alive, jnp.where(happens, spec.FLOW_EVENT, spec.FLOW_NULL), spec.FLOW_EXHAUSTED)
    dt_us = jnp.where(alive, waiting_time_us(when, ends[-1], unsigned(flow_params[ab.RATE_SHIFT])), 0)
    after = meta.at[spec.META_FLOW :].set(jnp.where(alive, words, meta[spec.META_FLOW :]))
    return status.astype(jnp.int32), dt_us, jnp.where(happens & alive, msg, 0), after
