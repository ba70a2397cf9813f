"""When agents' messages reach the venue inside a JAX program: drawn latencies, first in first out for each agent."""

import jax
import jax.numpy as jnp

from kernels.lob import spec
from market_models.latency import arrival, latency_block, later, sample_ns
from market_models.philox_xla import philox4x32
from sim.engine.types import MarketState


def entry_latency_ns(seed: jax.Array, first_number: jax.Array, count: int, table: jax.Array, owner: int) -> jax.Array:
    """Return int32[count] entry latencies of messages first_number, first_number + 1, .. of `owner` in a market.

    `seed` uint32[2] is the market's (run seed, market number), `table` int32[K] quantiles; any message can be drawn
    again alone. A table of one word is constant and draws nothing.
    """
    if table.shape[-1] == 1:
        return jnp.broadcast_to(table, (count,))
    numbers = jnp.asarray(first_number).astype(jnp.uint32) + jnp.arange(count, dtype=jnp.uint32)
    words = philox4x32(seed, numbers, latency_block("entry", owner))[0]
    return sample_ns(jnp, table, words)


def delay_messages(
    messages: jax.Array, market: MarketState, base_ns: jax.Array, drawn_ns: jax.Array, owner: int
) -> jax.Array:
    """Return messages int32[K, 8] of `owner`, sent now in this order, with their arrival in the time columns.

    arrival = clock + base_ns + drawn_ns[K] (their sum 0..2e9), but not before an earlier message of the owner. What is
    no longer in the inbox arrived by the clock, so the inbox alone says when the last one arrives.
    """
    clock = market.meta[spec.META_CLOCK_S], market.meta[spec.META_CLOCK_NS]
    inbox = market.inbox
    ours = (inbox[:, spec.KIND] != spec.NOP) & (inbox[:, spec.OWNER] == owner)
    last = clock
    for row in range(inbox.shape[0]):
        at = later(jnp, (inbox[row, spec.TIME_S], inbox[row, spec.TIME_NS]), last)
        last = jnp.where(ours[row], at[0], last[0]), jnp.where(ours[row], at[1], last[1])
    rows = []
    for row in range(messages.shape[0]):
        used = messages[row, spec.KIND] != spec.NOP
        at = later(jnp, arrival(jnp, *clock, base_ns + drawn_ns[row]), last)
        last = jnp.where(used, at[0], last[0]), jnp.where(used, at[1], last[1])
        rows.append(jnp.where(used, jnp.stack(at), messages[row, spec.TIME_S : spec.TIME_NS + 1]))
    return messages.at[:, spec.TIME_S : spec.TIME_NS + 1].set(jnp.stack(rows))
