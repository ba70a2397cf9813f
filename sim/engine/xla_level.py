"""LEVEL_SET in the XLA backend: the anonymous liquidity of one level becomes a given number of lots.

It is the one message that changes many slots at once. What it does to resting orders happens before the pass over the
orders (`xla_change`), in loops of at most one turn, which a batch enters only where some market has such a message.
What it adds behind a level comes to rest like any other order.
Where nobody has one it still costs one copy of the orders, 5 % of a message on a CPU; a loop after the pass cost 15 %.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from kernels.lob import spec
from sim.engine.xla_book import (
    EMPTY_ORDER,
    KEY,
    LOTS,
    ORDER_ID,
    OWNER,
    SortedBook,
    one_side,
    reduce_slots,
    saturated_sum,
    slots,
)

_LOTS_BITS = 31  # of a saturated sum

_Value = TypeVar("_Value")
_Side = tuple[jax.Array, jax.Array]  # orders int32[4, O], num_orders int32[]


class LevelSet(NamedTuple):
    """What the message asks for."""

    wanted: jax.Array  # bool[] it is a LEVEL_SET
    side: jax.Array  # int32[]
    key: jax.Array  # int32[]
    lots: jax.Array  # int32[] 0..MAX_LOTS


def apply(book: SortedBook, level: LevelSet, queue_model: int) -> tuple[SortedBook, jax.Array]:
    """Return the book with the level's resting orders changed, and int32[] lots that join behind them as a new order.

    `queue_model` is static. Where the message is another one, nothing changes and 0 lots join.
    """

    # From the carry: a book closed over would be carried twice, which cost a third of the speed.
    def change(carry: tuple[SortedBook, jax.Array]) -> tuple[SortedBook, jax.Array]:
        return _change(carry[0], level, queue_model)

    return _once(level.wanted, change, (book, jnp.zeros_like(level.lots)))


def _once(wanted: jax.Array, change: Callable[[_Value], _Value], value: _Value) -> _Value:
    """Return change(value) where `wanted`, else value; a batch in which nobody wants it skips the work."""

    def turn(carry: tuple[jax.Array, _Value]) -> tuple[jax.Array, _Value]:
        return jnp.zeros_like(carry[0]), change(carry[1])

    return lax.while_loop(lambda carry: carry[0], turn, (wanted, value))[1]


def _change(book: SortedBook, level: LevelSet, queue_model: int) -> tuple[SortedBook, jax.Array]:
    orders = one_side(book.orders.swapaxes(0, 1), level.side)
    anonymous = (orders[KEY] == level.key) & (orders[OWNER] == 0)
    total = saturated_sum(jnp.where(anonymous, orders[LOTS], 0))
    added = jnp.maximum(level.lots - total, 0)
    back = reduce_slots("sum", (orders[KEY] < level.key).astype(jnp.int32))
    grows = anonymous & (orders[ORDER_ID] == 0) & (slots(orders.shape[1]) == back)
    joins = jnp.where(reduce_slots("max", grows.astype(jnp.int32)) == 1, 0, added)
    orders = orders.at[LOTS].add(jnp.where(grows, added, 0))

    def shrink(side: _Side) -> _Side:
        return _shrink(*side, anonymous, total, level.lots, queue_model)

    shrinks = level.wanted & (level.lots < total)
    orders, count = _once(shrinks, shrink, (orders, one_side(book.num_orders, level.side)))
    is_own = jnp.arange(2, dtype=jnp.int32) == level.side
    changed = jnp.where(is_own[:, None], orders[:, None], book.orders)
    return SortedBook(changed, jnp.where(is_own, count, book.num_orders)), joins


def _shrink(
    orders: jax.Array, count: jax.Array, anonymous: jax.Array, total: jax.Array, lots: jax.Array, queue_model: int
) -> _Side:
    """Leave `lots`, fewer than `total`, to the `anonymous` orders of a level; what keeps 0 leaves."""
    kept = _KEEP[queue_model](jnp.where(anonymous, orders[LOTS], 0), total, lots)
    leaves = anonymous & (kept == 0)
    orders = jnp.where(leaves, EMPTY_ORDER[:, None], orders.at[LOTS].set(jnp.where(anonymous, kept, orders[LOTS])))
    gone = leaves.astype(jnp.int32)
    return _close_gaps(orders, gone), count - reduce_slots("sum", gone)


# What each order of a queue int32[O], front last, keeps where `lots` of `total` stay: docs/engine.md.


def _keep_front(queue: jax.Array, total: jax.Array, lots: jax.Array) -> jax.Array:
    del total
    return jnp.minimum(queue, jnp.maximum(lots - _excluding(_running_sum(queue[::-1])), 0)[::-1])


def _keep_back(queue: jax.Array, total: jax.Array, lots: jax.Array) -> jax.Array:
    del total
    return jnp.minimum(queue, jnp.maximum(lots - _excluding(_running_sum(queue)), 0))


def _keep_proportion(queue: jax.Array, total: jax.Array, lots: jax.Array) -> jax.Array:
    marks = _ceil_of_fraction(_running_sum(queue[::-1]), lots, total)
    return (marks - _excluding(marks))[::-1]


_KEEP = {
    spec.QUEUE_BACK_FIRST: _keep_front,
    spec.QUEUE_PROPORTIONAL: _keep_proportion,
    spec.QUEUE_FRONT_FIRST: _keep_back,
}


def _shifted(values: jax.Array, by: int) -> jax.Array:
    """Return values[..., O] moved `by` slots up (or down, if negative), zeros where nothing came."""
    pad = [(0, 0)] * (values.ndim - 1)
    if by > 0:
        return jnp.pad(values[..., :-by], [*pad, (by, 0)])
    return jnp.pad(values[..., -by:], [*pad, (0, -by)])


def _excluding(running: jax.Array) -> jax.Array:
    return _shifted(running, 1)


def _running_sum(values: jax.Array) -> jax.Array:
    """Return the running sums int32[O] of values in 0..2^31 - 1, saturated at 2^31 - 1."""
    sums, step = values.astype(jnp.uint32), 1
    while step < values.shape[0]:
        sums = jnp.minimum(sums + _shifted(sums, step), jnp.uint32(spec.DEPTH_SATURATED))
        step *= 2
    return sums.astype(jnp.int32)


def _ceil_of_fraction(values: jax.Array, lots: jax.Array, total: jax.Array) -> jax.Array:
    """Return ceil(values x lots / total) for values int32[O] in 0..total and 0 <= lots < total < 2^31.

    The product needs 62 bits. Bit by bit of a value, from the highest, it is quotient x total + remainder with
    remainder < total: doubled, and `lots` added where the bit is set, so that no word exceeds 32 bits.
    """
    value, part, whole = (word.astype(jnp.uint32) for word in (values, lots, total))

    def turn(index: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        quotient, remainder = carry
        bit = (value >> (_LOTS_BITS - 1 - index).astype(jnp.uint32)) & 1
        quotient, remainder = _divided(2 * quotient, 2 * remainder, whole)
        return _divided(quotient, remainder + bit * part, whole)

    zero = value & 0
    quotient, remainder = lax.fori_loop(0, _LOTS_BITS, turn, (zero, zero))
    return (quotient + (remainder > 0)).astype(jnp.int32)


def _divided(quotient: jax.Array, remainder: jax.Array, whole: jax.Array) -> tuple[jax.Array, jax.Array]:
    fits = remainder >= whole
    return quotient + fits, jnp.where(fits, remainder - whole, remainder)


def _close_gaps(orders: jax.Array, gone: jax.Array) -> jax.Array:
    """Return orders[4, O] moved down over the slots that are `gone`, int32[O] 0 or 1, which hold EMPTY_ORDER.

    The distances never fall from slot to slot, so orders move by the powers of two in them, the smallest first,
    without meeting: the compress of Hacker's Delight (Warren 2012, 7-4) on whole columns.
    """
    capacity = orders.shape[1]
    far = jnp.where(gone == 1, 0, _running_sum(gone))
    step = 1
    while step < capacity:
        arriving = _shifted(far, -step)
        arrives, departs = (arriving & step) > 0, (far & step) > 0
        stays = jnp.where(departs, EMPTY_ORDER[:, None], orders)
        orders = jnp.where(arrives, _shifted(orders, -step), stays)
        far = jnp.where(arrives, arriving, jnp.where(departs, 0, far))
        step *= 2
    return orders
