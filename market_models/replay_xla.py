"""The replay sampler in JAX: the twin of `kernels.lob.step.replay_sampler`."""

import jax
import jax.numpy as jnp

from kernels.lob import spec


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
    """Take the next row of `background` int32[H, 8] and set the clock to its time, unless that is earlier.

    Returns (status, dt_us = 0, msg int32[8], meta int32[8]); exhausted after H rows, with meta as it was.
    """
    del flow_params, price_tick, lots, order_id, owner, num_orders, seed
    cursor, H = meta[spec.META_CURSOR], background.shape[0]
    if H == 0:
        row, left = jnp.zeros(spec.NUM_MESSAGE_COLUMNS, jnp.int32), jnp.bool_(False)
    else:
        row, left = background[jnp.clip(cursor, 0, H - 1)], cursor < H
    s, ns, clock_s, clock_ns = row[spec.TIME_S], row[spec.TIME_NS], meta[spec.META_CLOCK_S], meta[spec.META_CLOCK_NS]
    later = (clock_s < s) | ((clock_s == s) & (clock_ns < ns))
    moved = meta.at[spec.META_CURSOR].add(1)
    moved = moved.at[spec.META_CLOCK_S].set(jnp.where(later, s, clock_s))
    moved = moved.at[spec.META_CLOCK_NS].set(jnp.where(later, ns, clock_ns))
    status = jnp.where(left, spec.FLOW_EVENT, spec.FLOW_EXHAUSTED).astype(jnp.int32)
    return status, jnp.zeros_like(status), jnp.where(left, row, 0), jnp.where(left, moved, meta)
