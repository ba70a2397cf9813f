"""What the XLA backend reports of a book: levels and the learners' own orders."""

import jax
import jax.numpy as jnp
from jax import lax

from sim.engine.xla_book import (
    ANY_KEY,
    KEY,
    LOTS,
    NO_KEY,
    ORDER_ID,
    OWNER,
    SortedBook,
    level_lots,
    reduce_slots,
    saturated_sum,
    side_signs,
    slots,
)


def depth(book: SortedBook, levels: int) -> jax.Array:
    """Return int32[2, L, 2]: (price_tick, lots) by level, best first, (0, 0) past the last level."""
    book_keys = book.orders[KEY]

    def next_level(previous: jax.Array, _: None) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        key = reduce_slots("max", jnp.where(book_keys < previous[:, None], book_keys, ANY_KEY))
        return key, (key, level_lots(book, key))

    _, (keys, lots) = lax.scan(next_level, 0 * book.num_orders + NO_KEY, None, length=levels)
    price_tick = jnp.where(keys == ANY_KEY, 0, keys * side_signs())
    return jnp.stack([price_tick, lots], axis=-1).swapaxes(0, 1)


def own_orders(book: SortedBook, num_learners: int) -> jax.Array:
    """Return int32[A, 2, 6], the OWN_* columns of owners 1..A on both sides."""
    return jax.vmap(lambda owner: _own(book, owner))(1 + jnp.arange(num_learners, dtype=jnp.int32))


def _own(book: SortedBook, owner: jax.Array) -> jax.Array:
    """Return int32[2, 6] of one owner, which is not 0: empty slots are 0."""
    slot = slots(book.orders.shape[-1])
    is_mine = book.orders[OWNER] == owner
    best = reduce_slots("max", jnp.where(is_mine, slot, -1))  # [2], the highest slot has the best priority
    order = book.orders[:, jnp.arange(2), jnp.maximum(best, 0)]  # [4, 2]
    ahead = (slot > best[:, None]) & (book.orders[KEY] == order[KEY][:, None])
    columns = [
        jnp.ones(2, jnp.int32),
        order[KEY] * side_signs(),
        order[LOTS],
        order[ORDER_ID],
        saturated_sum(jnp.where(ahead, book.orders[LOTS], 0)),
        reduce_slots("sum", is_mine.astype(jnp.int32)),
    ]
    return jnp.where((best >= 0)[:, None], jnp.stack(columns, axis=-1), 0)
