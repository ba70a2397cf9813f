"""How the XLA backend changes a book: one pass over the orders.

Every change to a side is at most one slot removed, one slot written and the slots between them moved by one, so
the pass reads each order and its two neighbours and selects: no sorting, no data-dependent gather.
"""

from typing import Final, NamedTuple

import jax
import jax.numpy as jnp

from sim.engine import xla_match
from sim.engine.xla_book import EMPTY_ORDER, KEY, LOTS, ORDER_ID, OWNER, SortedBook, one_side, reduce_slots, slots

BEYOND: Final = 2**30  # a slot number past every book: nowhere


class Named(NamedTuple):
    """The resting order that a message names; slot -1 where there is none."""

    slot: jax.Array  # int32[]
    order: jax.Array  # int32[4]


class Room(NamedTuple):
    """Whether a new order finds room on its side."""

    full: jax.Array  # bool[] it does not
    evicts: jax.Array  # bool[] it does, in place of the order below
    slot: jax.Array  # int32[]
    order: jax.Array  # int32[4]


class Change(NamedTuple):
    """What happens to the message's own side.

    Slot `removed` goes and `order` comes to slot `placed` of what is left; where both are the same slot, an order is
    edited in place. BEYOND stands for nowhere.
    """

    placed: jax.Array  # int32[]
    removed: jax.Array  # int32[]
    num_orders: jax.Array  # int32[] afterwards
    order: jax.Array  # int32[4]


def find(book: SortedBook, side: jax.Array, order_id: jax.Array) -> Named:
    """Return the order with this id on `side`, the one with the best priority if there are several."""
    ids = one_side(book.orders[ORDER_ID], side)
    slot = reduce_slots("max", jnp.where(ids == order_id, slots(ids.shape[0]), -1))
    return Named(slot, book.orders[:, side, jnp.maximum(slot, 0)])


def make_room(book: SortedBook, side: jax.Array, key: jax.Array, wanted: jax.Array) -> Room:
    """Look for room for an order with this key: on a full side the lowest background order, if it is worse."""
    capacity = book.orders.shape[-1]
    needed = wanted & (one_side(book.num_orders, side) == capacity)
    background = one_side(book.orders[OWNER], side) == 0
    slot = reduce_slots("min", jnp.where(background, slots(capacity), capacity))
    worst = book.orders[:, side, jnp.minimum(slot, capacity - 1)]
    better = (slot < capacity) & (key > worst[KEY])
    return Room(needed & ~better, needed & better, slot, worst)


def own_change(
    book: SortedBook, side: jax.Array, named: Named, lots_after: jax.Array, room: Room, order: jax.Array
) -> Change:
    """Return the change of the message's own side.

    `lots_after`: lots that the named order keeps in place, 0 it leaves, -1 it stays as it is; `order` int32[4]: what
    comes to rest, if it has lots.
    """
    edits, leaves = lots_after > 0, (lots_after == 0) | room.evicts
    removed = jnp.where(room.evicts, room.slot, named.slot)
    removed_key = jnp.where(room.evicts, room.order[KEY], named.order[KEY])
    keys = one_side(book.orders[KEY], side)
    rank = reduce_slots("sum", (keys < order[KEY]).astype(jnp.int32))
    rank = rank - (leaves & (removed_key < order[KEY]))
    rests = order[LOTS] > 0
    return Change(
        placed=jnp.where(edits, named.slot, jnp.where(rests, rank, BEYOND)),
        removed=jnp.where(edits | leaves, removed, BEYOND),
        num_orders=one_side(book.num_orders, side) - leaves + rests,
        order=jnp.where(edits, named.order.at[LOTS].set(lots_after), order),
    )


def apply(book: SortedBook, side: jax.Array, own: Change, walk: xla_match.Walk, executes: jax.Array) -> SortedBook:
    """Change `side` as `own` says; from the other side, take what `walk` took, unless it walked on `side`."""
    sides = jnp.arange(2, dtype=jnp.int32)
    is_own = sides == side
    left = book.num_orders - jnp.where(executes, 0, walk.num_taken)
    count = jnp.where(is_own, own.num_orders, left)
    placed, removed = jnp.where(is_own, own.placed, BEYOND), jnp.where(is_own, own.removed, BEYOND)
    # The maker where the walk ended stays in its slot with fewer lots; its other columns are not written.
    partly = jnp.where((walk.maker_lots > 0) & ~executes, left - 1, BEYOND)
    is_lots = (jnp.arange(4) == LOTS)[:, None]
    written = jnp.where(is_own, placed, jnp.where(is_lots, partly, BEYOND))
    value = jnp.where(is_own, own.order[:, None], walk.maker_lots)
    return SortedBook(_pass(book.orders, placed, removed, written, value, count), count)


def _pass(
    orders: jax.Array,
    placed: jax.Array,
    removed: jax.Array,
    written: jax.Array,
    value: jax.Array,
    count: jax.Array,
) -> jax.Array:
    """Return the new orders[4, 2, O]; placed, removed, count are [2], written and value [4, 2]."""
    slot = slots(orders.shape[-1])
    placed, removed, count = placed[:, None], removed[:, None], count[:, None]
    below = jnp.pad(orders[..., :-1], ((0, 0), (0, 0), (1, 0)))
    above = jnp.pad(orders[..., 1:], ((0, 0), (0, 0), (0, 1)))
    moved = jnp.where((slot > placed) & (slot <= removed), below, orders)
    moved = jnp.where((slot >= removed) & (slot < placed), above, moved)
    moved = jnp.where(slot == written[..., None], value[..., None], moved)
    return jnp.where(slot < count, moved, EMPTY_ORDER[:, None, None])
