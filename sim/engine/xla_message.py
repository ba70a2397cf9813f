"""One message in the XLA backend: check, decide, match, then one pass over the orders. No branches."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels.lob import spec
from sim.engine import xla_change, xla_level, xla_match
from sim.engine.xla_book import ANY_KEY, KEY, LOTS, NO_KEY, OWNER, SortedBook
from sim.engine.xla_change import Named


class Message(NamedTuple):
    """The words of a message, int32[] each, with side forced to 0 or 1 and the key of its price."""

    kind: jax.Array  # NOP where the message is refused
    side: jax.Array
    lots: jax.Array
    key: jax.Array
    order_id: jax.Array
    owner: jax.Array
    reason: jax.Array  # as far as it is known
    counts_as_own: jax.Array  # bool[], a reject of it is counted in OWN_REJECTS


class Effect(NamedTuple):
    """What one message did beside changing the book, int32[] each."""

    reason: jax.Array
    filled_lots: jax.Array
    evicted: jax.Array  # 0 or 1
    evicted_lots: jax.Array
    rejected_lots: jax.Array  # for which a side had no room
    own_reject: jax.Array  # 0 or 1
    taker_side: jax.Array
    walk: xla_match.Walk


def _is(kind: jax.Array, *kinds: int) -> jax.Array:
    """Say whether kind, 0..31, is one of kinds: one bit test."""
    return (sum(1 << k for k in kinds) >> kind) & 1 == 1


def read(row: jax.Array) -> Message:
    """Check message row int32[8] by itself: every reason but UNKNOWN_ORDER and those that matching finds.

    It asks nothing of the book, so a call checks all its messages at once, before its loop.
    """
    kind, side, lots, price, order_id, owner = (row[word] for word in range(6))
    bad_kind = (kind < 0) | (kind > spec.EXECUTE)
    kind = jnp.where(bad_kind, spec.NOP, kind)
    sets = kind == spec.LEVEL_SET
    bad_lots = (kind != spec.DELETE) & ((lots < jnp.where(sets, 0, 1)) | (lots > spec.MAX_LOTS))
    priced = _is(kind, spec.LIMIT, spec.IOC, spec.FOK, spec.POST_ONLY, spec.REPLACE, spec.LEVEL_SET)
    bad_price = priced & ((price > spec.MAX_ABS_PRICE_TICK) | (price < -spec.MAX_ABS_PRICE_TICK))
    owned = _is(kind, spec.LIMIT, spec.MARKET, spec.IOC, spec.FOK, spec.POST_ONLY)
    reasons = (
        ((side < 0) | (side > 1), spec.BAD_SIDE),
        (bad_lots, spec.BAD_LOTS),
        (bad_price, spec.BAD_PRICE),
        (~sets & (order_id < 1), spec.BAD_ORDER_ID),
        (owned & (owner < 0), spec.BAD_OWNER),
    )
    bad = jnp.int32(spec.OK)
    for failed, reason in reversed(reasons):
        bad = jnp.where(failed, reason, bad)
    bad = jnp.where(bad_kind, spec.BAD_KIND, jnp.where(kind == spec.NOP, spec.OK, bad))
    kind = jnp.where(bad == spec.OK, kind, spec.NOP)
    side = (side == 1).astype(jnp.int32)
    key = jnp.where(side == 1, -price, price)
    named_id, named_owner = jnp.where(sets, 0, order_id), jnp.where(sets, 0, owner)
    return Message(kind, side, lots, key, named_id, named_owner, bad, owner != 0)


def apply(
    book: SortedBook,
    best_key: jax.Array,
    message: Message,
    log: xla_match.FillLog,
    terms: xla_match.Terms,
) -> tuple[SortedBook, xla_match.FillLog, Effect]:
    """Apply one message to a book with the best keys `best_key` int32[2] (NO_KEY where a side is empty)."""
    sets = message.kind == spec.LEVEL_SET
    level = xla_level.LevelSet(sets, message.side, message.key, message.lots)
    book, joins = xla_level.apply(book, level, terms.config.queue_model)
    named = xla_change.find(book, message.side, message.order_id)
    message = _admit(message, named)
    keeps = (message.key == named.order[KEY]) & (message.lots <= named.order[LOTS])
    enters = (message.kind == spec.REPLACE) & ~keeps
    taker = _taker(book, message, named, enters)
    walk, fills = xla_match.walk(book.orders, taker, log, terms)
    unfilled = (message.kind == spec.FOK) & (walk.lots_left + walk.lots_lost > 0)
    walk, fills = _undo(unfilled, walk, taker, fills, log, terms.config.self_trade)
    stopped = _is_stopped(walk, terms.config.self_trade)
    opposite = jnp.where(message.side == 1, best_key[0], best_key[1])
    would_cross = (message.kind == spec.POST_ONLY) & (opposite != NO_KEY) & (opposite >= -message.key)
    posts = (message.kind == spec.POST_ONLY) & ~would_cross
    rests = jnp.where(_is(message.kind, spec.LIMIT) | enters, walk.lots_left, jnp.where(posts, message.lots, joins))
    room = xla_change.make_room(book, message.side, message.key, (rests > 0) & ~enters)
    rejected = jnp.where(room.full, rests, 0)
    rests = rests - rejected
    order = jnp.stack([message.key, rests, message.order_id, taker.owner])
    own = xla_change.own_change(book, message.side, named, _lots_after(message, named, walk, enters), room, order)
    book = xla_change.apply(book, message.side, own, walk, message.kind == spec.EXECUTE)
    reason = message.reason
    for failed, why in (
        (would_cross, spec.WOULD_CROSS),
        (unfilled, spec.FOK_UNFILLED),
        (stopped, spec.SELF_TRADE),
        (room.full, spec.SIDE_FULL),
    ):
        reason = jnp.where(failed, why, reason)
    return book, fills, _effect(reason, message, taker, walk, room, rejected)


def _is_stopped(walk: xla_match.Walk, self_trade: int) -> jax.Array:
    """Say whether self-trade prevention ended the walk."""
    if walk.prevented is None or self_trade != spec.SELF_TRADE_CANCEL_TAKER:
        return jnp.bool_(False)
    return walk.prevented.num_meetings > 0


def _effect(
    reason: jax.Array,
    message: Message,
    taker: xla_match.Taker,
    walk: xla_match.Walk,
    room: xla_change.Room,
    rejected_lots: jax.Array,
) -> Effect:
    return Effect(
        reason=reason,
        filled_lots=taker.lots - walk.lots_left - walk.lots_lost,
        evicted=room.evicts.astype(jnp.int32),
        evicted_lots=jnp.where(room.evicts, room.order[LOTS], 0),
        rejected_lots=rejected_lots,
        own_reject=(message.counts_as_own & (reason != spec.OK)).astype(jnp.int32),
        taker_side=1 - taker.maker_side,
        walk=walk,
    )


def _admit(message: Message, named: Named) -> Message:
    """Refuse a message that names an order which does not rest."""
    names = _is(message.kind, spec.REDUCE, spec.DELETE, spec.REPLACE, spec.EXECUTE)
    unknown = names & (named.slot < 0)
    return message._replace(
        kind=jnp.where(unknown, spec.NOP, message.kind),
        reason=jnp.where(unknown, spec.UNKNOWN_ORDER, message.reason),
    )


def _taker(book: SortedBook, message: Message, named: Named, enters: jax.Array) -> xla_match.Taker:
    """Return the walk that the message asks for; lots 0 where it asks for none."""
    executes = message.kind == spec.EXECUTE
    takes = _is(message.kind, spec.LIMIT, spec.MARKET, spec.IOC, spec.FOK) | enters
    lots = jnp.where(executes, jnp.minimum(message.lots, named.order[LOTS]), jnp.where(takes, message.lots, 0))
    owner = jnp.where(message.kind == spec.REPLACE, named.order[OWNER], message.owner)
    count = jnp.where(message.side == 1, book.num_orders[0], book.num_orders[1])
    return xla_match.Taker(
        maker_side=jnp.where(executes, message.side, 1 - message.side),
        first_slot=jnp.where(executes, named.slot, count - 1),
        threshold=jnp.where(_is(message.kind, spec.MARKET, spec.EXECUTE), ANY_KEY, -message.key),
        lots=lots,
        order_id=jnp.where(executes, 0, message.order_id),
        owner=jnp.where(executes, 0, owner),
    )


def _undo(
    undone: jax.Array,
    walk: xla_match.Walk,
    taker: xla_match.Taker,
    fills: xla_match.FillLog,
    log: xla_match.FillLog,
    self_trade: int,
) -> tuple[xla_match.Walk, xla_match.FillLog]:
    """Forget the walk of a FOK that found too little: the orders have not changed yet, only the log's length has."""
    nothing = xla_match.no_walk(taker.lots, self_trade)
    walk = jax.tree.map(lambda kept, blank: jnp.where(undone, blank, kept), walk, nothing)
    num_fills = jnp.where(undone, log.num_fills, fills.num_fills)
    num_dropped = jnp.where(undone, log.num_dropped, fills.num_dropped)
    return walk, xla_match.FillLog(fills.rows, num_fills, num_dropped)


def _lots_after(message: Message, named: Named, walk: xla_match.Walk, enters: jax.Array) -> jax.Array:
    """Return the lots that the named order keeps in its place, 0 where it leaves, -1 where nothing is done to it."""
    before = named.order[LOTS]
    lots = jnp.where(_is(message.kind, spec.REPLACE), jnp.where(enters, 0, message.lots), -1)
    lots = jnp.where(message.kind == spec.REDUCE, before - jnp.minimum(message.lots, before), lots)
    lots = jnp.where(message.kind == spec.EXECUTE, walk.maker_lots, lots)
    return jnp.where(message.kind == spec.DELETE, 0, lots)
