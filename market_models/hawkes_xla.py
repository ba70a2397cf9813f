"""The Hawkes sampler in JAX: the twin of `hawkes_numba.py`, bit for bit.

32-bit integers only, no loop: all excitation words decay at once, every rate stands in one row in the order of the
sums, and one is selected.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.lob import spec
from market_models import hawkes as hk
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
_KINDS = np.arange(hk.NUM_KINDS, dtype=np.int32)
_WORDS = slice(hk.EXCITATION, hk.EXCITATION + hk.MAX_DECAYS * hk.NUM_TYPES)
_NS_PER_S = 10**9


class _Sides(NamedTuple):
    """The book as the flow sees it, int32[2] by side."""

    reference: Side
    best: jax.Array  # 1 + slot of the best background order, 0 where there is none
    level: jax.Array  # lowest slot at the touch
    window: jax.Array  # lowest slot within the window
    held: jax.Array  # lots behind the touch within the window
    touch: jax.Array  # tick, of an empty side the one that its limit orders take for it
    spread: jax.Array  # int32[] bucket


def _sides(
    params: jax.Array, price: jax.Array, lots: jax.Array, owner: jax.Array, num_orders: jax.Array, meta: jax.Array
) -> _Sides:
    slots = jnp.arange(price.shape[-1], dtype=jnp.int32)
    here = slots < num_orders[:, None]
    best = 1 + jnp.max(jnp.where(here & (owner == 0), slots, -1), axis=1)
    tick = price[_SIDES, jnp.maximum(best - 1, 0)]
    sign = jnp.asarray([[-1], [1]], jnp.int32)
    below = slots < best[:, None]
    away = unsigned(sign * (price - tick[:, None]))  # behind the touch, up to 2^31
    at_touch = below & (away == 0)
    near = below & ~at_touch & (away <= unsigned(params[hk.WINDOW_TICK]))
    level = best - at_touch.sum(1, dtype=jnp.int32)
    held = jnp.where(near, jnp.minimum(lots, hk.CLIP_LOTS), 0).sum(1, dtype=jnp.int32)
    reference = side_reference(jnp.asarray(_SIDES), price, owner, num_orders, meta)
    touch = jnp.where(best > 0, tick, reference.reference + reference.sign * params[hk.EMPTY_SPREAD_TICK])
    gap = jnp.where(tick[1] > tick[0], jnp.minimum(unsigned(tick[1] - tick[0]), _U(hk.UNUSED_EDGE)), _U(0))
    spread = jnp.where((best > 0).all(), _bucket(params, hk.SPREAD_EDGES, gap), params[hk.NUM_SPREADS] - 1)
    return _Sides(reference, best, level, level - near.sum(1, dtype=jnp.int32), held, touch, spread)


def _bucket(params: jax.Array, first: int, value: jax.Array) -> jax.Array:
    """Return how many of the four edges from word `first` on lie below the uint32 value."""
    return (value[..., None] > unsigned(params[first : first + hk.MAX_SPREADS])).sum(-1, dtype=jnp.int32)


def _decayed(params: jax.Array, words: jax.Array, dt_us: jax.Array) -> jax.Array:
    """Return the excitation int32[2, 10] after dt_us."""
    table = jnp.asarray(hk.EXP2_TABLE)
    decay, dt = unsigned(params[hk.DECAYS : hk.DECAYS + hk.MAX_DECAYS]), unsigned(dt_us)
    halvings, low = multiply_high(decay, dt), decay * dt
    above, index = table[(low >> _U(24)).astype(jnp.int32)], (low >> _U(24)).astype(jnp.int32)
    factor = above - (((above - table[index + 1]) * ((low >> _U(8)) & _U(0xFFFF))) >> _U(16))
    whole = multiply_high(unsigned(words) << _U(1), (factor << _U(7))[:, None])
    return signed(whole >> jnp.minimum(halvings, _U(31))[:, None])


def _elapsed_us(meta: jax.Array) -> jax.Array:
    later = meta[spec.META_CLOCK_S] >= meta[hk.TIME_S]
    whole = jnp.minimum(unsigned(meta[spec.META_CLOCK_S] - meta[hk.TIME_S]), _U(hk.MAX_ELAPSED_S + 1))
    ns = meta[spec.META_CLOCK_NS] - meta[hk.TIME_NS]
    borrow = ns < 0
    seconds = signed(whole) - borrow
    us = jnp.minimum(seconds, hk.MAX_ELAPSED_S) * 1_000_000 + jnp.where(borrow, ns + _NS_PER_S, ns) // 1000
    return jnp.where(later & (seconds >= 0), us, 0)


def _time_after(meta: jax.Array, dt_us: jax.Array) -> jax.Array:
    """Return the words TIME_S and TIME_NS of the clock and dt_us."""
    ns = meta[spec.META_CLOCK_NS] + (dt_us % 1_000_000) * 1000
    carry = (ns >= _NS_PER_S).astype(jnp.int32)
    return jnp.stack([meta[spec.META_CLOCK_S] + dt_us // 1_000_000 + carry, ns - carry * _NS_PER_S])


def _constant_rates(params: jax.Array, sides: _Sides) -> jax.Array:
    """Return uint32[12]: base rates of the types, then far cancels by side."""
    cell = sides.spread * hk.MAX_DEPTHS + _bucket(params, hk.DEPTH_EDGES, unsigned(sides.held))
    base = params[hk.BASE_RATES + cell[:, None] * hk.NUM_KINDS + _KINDS]
    return unsigned(jnp.append(base.reshape(-1), params[hk.FAR_CANCEL_RATE] * sides.window))


def _excitation_rates(params: jax.Array, words: jax.Array) -> jax.Array:
    extra = params[hk.EXTRA_SHIFTS : hk.EXTRA_SHIFTS + hk.MAX_DECAYS]
    return unsigned(words >> extra[:, None]).reshape(-1)


def _excited(params: jax.Array, words: jax.Array, side: jax.Array, kind: jax.Array, mark_q16: jax.Array) -> jax.Array:
    """Return the words after an event; those of a decay that would exceed MAX_EXCITATION stay."""
    shape = (hk.MAX_DECAYS, 2, hk.NUM_KINDS, hk.NUM_KINDS)
    jumps = params[hk.JUMPS : hk.DISTANCES].reshape(shape)[:, :, kind]
    by_side = unsigned(jnp.stack([jumps[:, side], jumps[:, 1 - side]], 1).reshape(hk.MAX_DECAYS, hk.NUM_TYPES))
    mark = unsigned(mark_q16)
    marked = (multiply_high(by_side, mark) << _U(16)) | ((by_side * mark) >> _U(16))
    after = unsigned(words) + marked
    fits = after.sum(1, dtype=jnp.uint32) <= _U(hk.MAX_EXCITATION)
    return jnp.where(fits[:, None], signed(after), words)


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
    sides = _sides(flow_params, price_tick, lots, owner, num_orders, meta)
    words = meta[_WORDS].reshape(hk.MAX_DECAYS, hk.NUM_TYPES)
    words = _decayed(flow_params, words, _elapsed_us(meta))
    constant = _constant_rates(flow_params, sides)
    total = jnp.append(constant, _excitation_rates(flow_params, words)).sum(dtype=jnp.uint32)
    which, when, place, extra = philox4x32(seed, unsigned(meta[spec.META_DRAW]), 0)
    dt_us = waiting_time_us(when, total, unsigned(flow_params[hk.RATE_SHIFT]))
    words = _decayed(flow_params, words, dt_us)

    ends = jnp.cumsum(jnp.append(constant, _excitation_rates(flow_params, words)), dtype=jnp.uint32)
    cell = (multiply_high(which, total) >= ends).sum(dtype=jnp.int32)
    is_null, is_far = cell >= len(ends), (cell >= hk.NUM_TYPES) & (cell < hk.NUM_TYPES + 2)
    event = jnp.where(is_far | (cell < hk.NUM_TYPES), cell, (cell - hk.NUM_TYPES - 2) % hk.NUM_TYPES)
    side = jnp.where(is_far, cell - hk.NUM_TYPES, event // hk.NUM_KINDS)
    kind = jnp.where(is_far, hk.NUM_KINDS, event % hk.NUM_KINDS)
    is_limit, is_market = kind <= hk.BEHIND, kind == hk.TAKE

    sign, touch = sides.reference.sign[side], sides.touch[side]
    room = sign * (touch - sides.reference.reference[side]) - 1
    inside_q16 = flow_params[hk.INSIDE_FRACS + signed(place >> _U(25))]
    better = 1 + ((inside_q16 * jnp.clip(room, 0, 0x7FFF)) >> hk.FRAC_BITS)
    behind = alias_column(flow_params, hk.DISTANCES, unsigned(flow_params[hk.NUM_DISTANCES]), place)
    price = touch + sign * jnp.where(kind == hk.INSIDE, -better, behind)

    at_touch = kind == hk.CANCEL_TOUCH
    top = jnp.where(is_far, sides.window[side], jnp.where(at_touch, sides.best[side], sides.level[side]))
    lowest = jnp.where(is_far, 0, jnp.where(at_touch, sides.level[side], sides.window[side]))
    slot = lowest + signed(multiply_high(place, unsigned(top - lowest)))
    cancels = ~is_limit & ~is_market & (top > lowest) & (owner[side, slot] == 0)
    limits = is_limit & ((kind == hk.BEHIND) | (room > 0))
    takes = is_market & (num_orders[side] > 0)
    happens = ~is_null & (cancels | limits | takes)

    size = signed(extra >> _U(25))
    mark = jnp.where(is_limit, flow_params[hk.LIMIT_MARKS + size], flow_params[hk.MARKET_MARKS + size])
    mark = jnp.where(is_limit | is_market, mark, 1 << hk.FRAC_BITS)
    excited = _excited(flow_params, words, side, jnp.minimum(kind, hk.NUM_KINDS - 1), mark)
    words = jnp.where(happens & ~is_far, excited, words)
    order_lots = flow_params[jnp.where(is_limit, hk.LIMIT_LOTS, hk.MARKET_LOTS) + size]
    msg = background_message(
        jnp.where(is_limit, spec.LIMIT, jnp.where(is_market, spec.MARKET, spec.DELETE)),
        jnp.where(is_market, 1 - side, side),
        jnp.where(cancels, 0, order_lots),
        jnp.where(is_limit, price, 0),
        jnp.where(cancels, order_id[side, slot], 0),
    )
    alive = flow_params[hk.NUM_SPREADS] > 0
    after = meta.at[hk.TIME_S : hk.EXCITATION].set(_time_after(meta, dt_us)).at[_WORDS].set(words.reshape(-1))
    status = jnp.where(alive, jnp.where(happens, spec.FLOW_EVENT, spec.FLOW_NULL), spec.FLOW_EXHAUSTED)
    return (
        status.astype(jnp.int32),
        jnp.where(alive, dt_us, 0),
        jnp.where(happens & alive, msg, 0),
        jnp.where(alive, after, meta),
    )
