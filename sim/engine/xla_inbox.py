"""Agents' messages under way and the market's clock, in the XLA backend. Semantics: docs/engine.md, the market step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from kernels.lob import spec

_NS_PER_S = 1_000_000_000
_US_PER_S = 1_000_000


class Time(NamedTuple):
    """A time, int32[] each, 0 <= ns < 10^9."""

    s: jax.Array
    ns: jax.Array


def is_after(time: Time, other: Time) -> jax.Array:
    """Say whether `time` is strictly later than `other`."""
    return (time.s > other.s) | ((time.s == other.s) & (time.ns > other.ns))


def add_us(time: Time, us: jax.Array) -> Time:
    """Return `time` plus `us` microseconds, int32 or uint32 and not negative."""
    us = us.astype(jnp.uint32)
    ns = time.ns + 1000 * (us % _US_PER_S).astype(jnp.int32)  # below 2 x 10^9 < 2^31
    carried = ns >= _NS_PER_S
    return Time(time.s + (us // _US_PER_S).astype(jnp.int32) + carried, jnp.where(carried, ns - _NS_PER_S, ns))


def clock(meta: jax.Array) -> Time:
    """Return the clock in meta int32[8]."""
    return Time(meta[spec.META_CLOCK_S], meta[spec.META_CLOCK_NS])


def set_word(meta: jax.Array, word: int, value: jax.Array | int) -> jax.Array:
    """Return meta int32[8] with one word replaced: a select, which fuses; `.at[].set` does not."""
    return jnp.where(jnp.arange(spec.NUM_META) == word, value, meta)


def set_clock(meta: jax.Array, time: Time) -> jax.Array:
    """Return meta int32[8] with the clock at `time`."""
    return set_word(set_word(meta, spec.META_CLOCK_S, time.s), spec.META_CLOCK_NS, time.ns)


def accept(inbox: jax.Array, meta: jax.Array, messages: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Put every message of messages[K, 8] but NOP into inbox[I, 8]: sorted by arrival, ties in order of entry."""

    def put(carry: tuple[jax.Array, jax.Array], row: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
        return _put(*carry, row), None

    return lax.scan(put, (inbox, meta), jnp.asarray(messages, jnp.int32))[0]


def _put(inbox: jax.Array, meta: jax.Array, row: jax.Array) -> tuple[jax.Array, jax.Array]:
    size, count = inbox.shape[0], meta[spec.META_NUM_INBOX]
    place = jnp.arange(size, dtype=jnp.int32)
    arrives = Time(row[spec.TIME_S], row[spec.TIME_NS])
    stays_before = ~is_after(Time(inbox[:, spec.TIME_S], inbox[:, spec.TIME_NS]), arrives) & (place < count)
    rank = jnp.sum(stays_before, dtype=jnp.int32)
    wanted = row[spec.KIND] != spec.NOP
    enters, dropped = wanted & (count < size), wanted & (count == size)
    pushed = jnp.concatenate([inbox[:1], inbox[:-1]])
    longer = jnp.where((place == rank)[:, None], row, jnp.where((place > rank)[:, None], pushed, inbox))
    meta = set_word(meta, spec.META_NUM_INBOX, count + enters)
    meta = set_word(meta, spec.META_INBOX_DROPPED, meta[spec.META_INBOX_DROPPED] + dropped)
    return jnp.where(enters, longer, inbox), meta


def is_due(inbox: jax.Array, meta: jax.Array) -> jax.Array:
    """Say whether the first message under way has arrived by the clock."""
    arrives = Time(inbox[0, spec.TIME_S], inbox[0, spec.TIME_NS])
    return (meta[spec.META_NUM_INBOX] > 0) & ~is_after(arrives, clock(meta))


def drop_first(inbox: jax.Array, meta: jax.Array, dropped: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Take the first message out where `dropped`, bool[]."""
    shorter = jnp.concatenate([inbox[1:], jnp.zeros_like(inbox[:1])])
    meta = set_word(meta, spec.META_NUM_INBOX, meta[spec.META_NUM_INBOX] - dropped)
    return jnp.where(dropped, shorter, inbox), meta
