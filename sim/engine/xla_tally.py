"""The sums that a call of the XLA backend reports: trades, order-flow imbalance, rejects, counters."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels.lob import spec
from sim.engine import xla_book, xla_match, xla_message
from sim.engine.xla_book import SortedBook


class Tally(NamedTuple):
    """The sums of a call, int32."""

    best_key: jax.Array  # [2] when last observed, NO_KEY where a side is empty and before the first observation
    best_lots: jax.Array  # [2] saturated level sums, likewise
    traded_lots: jax.Array  # [2] by the taker's side
    notional: jax.Array  # [2] by the taker's side
    last_price: jax.Array  # []
    num_trades: jax.Array  # []
    ofi_lots: jax.Array  # []
    own_rejects: jax.Array  # []
    counters: jax.Array  # [8] the book's


def start_tally(counters: jax.Array, zero: jax.Array) -> Tally:
    """Return the sums before the first message; `zero` as of `xla_book.zero_of`."""
    pair = jnp.zeros(2, jnp.int32) + zero
    return Tally(pair + xla_book.NO_KEY, pair, pair, pair, zero, zero, zero, zero, counters + zero)


def observe(tally: Tally, book: SortedBook) -> Tally:
    """Add the order-flow imbalance between the last observation and `book`.

    It is called before each message and once after the last: looking at the book that a loop carries, not at the one
    that it is about to carry, keeps XLA from computing the new orders twice.
    """
    key = xla_book.best_keys(book)
    lots = xla_book.level_lots(book, key)
    both = (key != xla_book.NO_KEY) & (tally.best_key != xla_book.NO_KEY)
    flow = jnp.where(key >= tally.best_key, lots, 0) - jnp.where(key <= tally.best_key, tally.best_lots, 0)
    flow = jnp.where(both, flow, 0)
    return tally._replace(best_key=key, best_lots=lots, ofi_lots=tally.ofi_lots + flow[0] - flow[1])


def count(tally: Tally, effect: xla_message.Effect) -> Tally:
    """Add what a message did."""
    by_side = jnp.arange(2, dtype=jnp.int32) == effect.taker_side
    walk = effect.walk
    return tally._replace(
        traded_lots=tally.traded_lots + jnp.where(by_side, effect.filled_lots, 0),
        notional=tally.notional + jnp.where(by_side, walk.notional, 0),
        last_price=jnp.where(walk.num_trades > 0, walk.last_price, tally.last_price),
        num_trades=tally.num_trades + walk.num_trades,
        own_rejects=tally.own_rejects + effect.own_reject,
        counters=tally.counters + _counted(effect),
    )


def _counted(effect: xla_message.Effect) -> jax.Array:
    """Return what the message adds to the counters, int32[8]; the log counts the fills that it drops itself."""
    words = [jnp.int32(0)] * spec.NUM_COUNTERS
    words[spec.NUM_REJECTED_FULL] = effect.reason == spec.SIDE_FULL
    words[spec.NUM_EVICTED] = effect.evicted
    words[spec.NUM_UNKNOWN_CANCEL] = effect.reason == spec.UNKNOWN_ORDER
    words[spec.LOTS_REJECTED_FULL] = effect.rejected_lots
    words[spec.LOTS_EVICTED] = effect.evicted_lots
    prevented = effect.walk.prevented
    if prevented is not None:
        words[spec.NUM_SELF_TRADES] = prevented.num_meetings
        words[spec.LOTS_SELF_TRADE] = prevented.lots
    return jnp.stack([word.astype(jnp.int32) for word in words])


def counters(tally: Tally, log: xla_match.FillLog) -> jax.Array:
    """Return the book's counters int32[8] after the call."""
    return tally.counters.at[spec.NUM_FILLS_DROPPED].add(log.num_dropped)


def summarise(tally: Tally, log: xla_match.FillLog, events: jax.Array, exhausted: jax.Array) -> jax.Array:
    """Return the summary int32[16] of a call."""
    has_best = tally.best_key != xla_book.NO_KEY
    best_tick = jnp.where(has_best, tally.best_key * xla_book.side_signs(), 0)
    words = [
        events,
        log.num_fills,
        *tally.traded_lots,
        *tally.notional,
        tally.last_price,
        tally.num_trades > 0,
        best_tick[0],
        has_best[0],
        best_tick[1],
        has_best[1],
        tally.ofi_lots,
        tally.own_rejects,
        tally.num_trades,
        exhausted,
    ]
    return jnp.stack([jnp.asarray(word, jnp.int32) for word in words])
