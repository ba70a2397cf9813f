"""The order book as the XLA backend holds it inside one call: prices as keys, so that both sides sort alike.

A bid's key is its price, an ask's key is minus its price: on both sides the best order has the largest key, keys ascend
towards the last slot, and an order with key `k` meets the opposite orders with a key of at least `-k`. Slots past
`num_orders` hold the key `NO_KEY`, above every real one, so that counting keys below `k` needs no mask. Sentinels live
only here: a book that leaves (`to_book`) is canonical.
"""

import functools
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.lob import spec

NO_KEY: Final = 2**31 - 1  # key of an empty slot
ANY_KEY: Final = -(2**31)  # a threshold that every key reaches

# Columns of `SortedBook.orders`.
KEY: Final = 0
LOTS: Final = 1
ORDER_ID: Final = 2
OWNER: Final = 3

EMPTY_ORDER: Final = np.array([NO_KEY, 0, 0, 0], np.int32)


_LANES: Final = 32
_REDUCTIONS: Final = {
    "sum": (jnp.add, jnp.sum),
    "max": (jnp.maximum, jnp.max),
    "min": (jnp.minimum, jnp.min),
}


class SortedBook(NamedTuple):
    """One market's orders, int32. Slots past num_orders hold EMPTY_ORDER."""

    orders: jax.Array  # [4, 2, O] KEY, LOTS, ORDER_ID, OWNER columns of each side, best order last
    num_orders: jax.Array  # [2]


def zero_of(*inputs: Any) -> jax.Array:
    """Return int32[] 0, derived from every array in `inputs`.

    A loop that starts from it is typed, under `shard_map`, as varying over the mesh axes that any input varies over;
    one that starts from a constant would be refused. XLA folds it away.
    """
    nothing = [jnp.sum(leaf.ravel()[:0], dtype=jnp.int32) for leaf in jax.tree.leaves(inputs)]
    return functools.reduce(jnp.add, nothing)


def side_signs() -> jax.Array:
    """Return int32[2]: +1 for bids, -1 for asks; a key is sign x price."""
    return jnp.array([1, -1], jnp.int32)


def slots(capacity: int) -> jax.Array:
    """Return int32[O], the slot numbers."""
    return jnp.arange(capacity, dtype=jnp.int32)


def resting_mask(num_orders: jax.Array, capacity: int) -> jax.Array:
    """Return bool[2, O], true where an order rests."""
    return slots(capacity) < num_orders[:, None]


def from_book(book: spec.Book, zero: jax.Array) -> SortedBook:
    """Return the orders of `book` keyed for one call; `zero` as of `zero_of`."""
    price_tick, lots, order_id, owner, num_orders, _ = (jnp.asarray(field, jnp.int32) for field in book)
    resting = resting_mask(num_orders, price_tick.shape[-1])
    key = jnp.where(resting, price_tick * side_signs()[:, None], NO_KEY)
    return SortedBook(jnp.stack([key, lots, order_id, owner]) + zero, num_orders + zero)


def to_prices(book: SortedBook) -> jax.Array:
    """Return int32[2, O] prices in ticks, 0 in empty slots."""
    resting = resting_mask(book.num_orders, book.orders.shape[-1])
    return jnp.where(resting, book.orders[KEY] * side_signs()[:, None], 0)


def to_book(book: SortedBook, counters: jax.Array) -> spec.Book:
    """Return the canonical book."""
    _, lots, order_id, owner = book.orders
    return spec.Book._make((to_prices(book), lots, order_id, owner, book.num_orders, counters))


def one_side(column: jax.Array, side: jax.Array) -> jax.Array:
    """Return column[side] of column[2, ...] by a select, which fuses with what follows; a gather would not."""
    return jnp.where(side == 1, column[1], column[0])


def reduce_slots(reduction: str, values: jax.Array) -> jax.Array:
    """Reduce the last axis [O] by "sum", "max" or "min".

    The slots are first folded into 32 lanes by whole-vector operations: XLA's own reduction over a row of 128 took 2 to
    4 times as long on a CPU (measured in batches of 64 and 1,024).
    """
    fold, reduce = _REDUCTIONS[reduction]
    width = values.shape[-1]
    if width % _LANES:
        return reduce(values, axis=-1)
    parts = [values[..., start : start + _LANES] for start in range(0, width, _LANES)]
    return reduce(functools.reduce(fold, parts), axis=-1)


def best_keys(book: SortedBook) -> jax.Array:
    """Return int32[2], the best key of each side; NO_KEY where a side is empty."""
    last = jnp.maximum(book.num_orders - 1, 0)
    return book.orders[KEY][jnp.arange(2), last]


def saturated_sum(lots: jax.Array) -> jax.Array:
    """Return the sum over the last axis [O] of lots in 0..MAX_LOTS, saturated at DEPTH_SATURATED.

    512 orders of 2^30 lots need 40 bits: high and low 15 bits are summed apart, each below 2^25.
    """
    low = reduce_slots("sum", lots & 0x7FFF)
    high = reduce_slots("sum", lots >> 15) + (low >> 15)
    return jnp.where(high > 0xFFFF, spec.DEPTH_SATURATED, (high << 15) | (low & 0x7FFF))


def level_lots(book: SortedBook, key: jax.Array) -> jax.Array:
    """Return int32[2], the saturated lots at `key[2]` on each side; 0 where no order has that key."""
    return saturated_sum(jnp.where(book.orders[KEY] == key[:, None], book.orders[LOTS], 0))
