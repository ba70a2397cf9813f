"""Matching in the XLA backend: a taker walks the makers from the touch, a window of them at a time.

The best maker has the highest slot, so a sweep takes a contiguous run of slots downwards and moves nothing. A turn
reads a few makers and writes the rows of their fills; the orders change once a message, afterwards, in `xla_change`.
The first turn runs for everybody, further ones in a `while_loop`, which a batch enters only where some taker meets
more makers.
"""

from typing import Final, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from kernels.lob import spec
from sim.engine.xla_book import KEY, LOTS, ORDER_ID, OWNER

WINDOW: Final = 4  # makers a turn


class Taker(NamedTuple):
    """What walks, int32[] each. EXECUTE is a walk over the one order that it names."""

    maker_side: jax.Array
    first_slot: jax.Array  # best maker; the walk goes down from here
    threshold: jax.Array  # makers with at least this key trade
    lots: jax.Array  # 0: no walk
    order_id: jax.Array
    owner: jax.Array


class FillLog(NamedTuple):
    """The fills of a call so far, int32."""

    rows: jax.Array  # [F, 8] FILL_* columns; rows from num_fills on hold anything
    num_fills: jax.Array  # []
    num_dropped: jax.Array  # []


class Prevented(NamedTuple):
    """What self-trade prevention did in a walk, int32[] each."""

    num_meetings: jax.Array
    lots: jax.Array  # cancelled, modulo 2^32
    taker_lots: jax.Array  # that the taker lost


class Walk(NamedTuple):
    """What a walk did, int32[] each."""

    lots_left: jax.Array  # of the taker
    num_taken: jax.Array  # makers taken whole
    maker_lots: jax.Array  # left of the maker where the walk ended, 0 if it ended between two
    notional: jax.Array  # sum lots x (price - reference), modulo 2^32
    last_price: jax.Array  # valid where a maker traded
    num_trades: jax.Array
    prevented: Prevented | None  # None without a policy: a program without one carries nothing for it

    @property
    def lots_lost(self) -> jax.Array | int:
        """The taker's lots that self-trade prevention cancelled."""
        return 0 if self.prevented is None else self.prevented.taker_lots


class Terms(NamedTuple):
    """What every fill of a walk shares."""

    message: jax.Array  # int32[] label of the fills
    reference_tick: jax.Array  # int32[]
    config: spec.LobConfig  # static


def empty_log(max_fills: int, zero: jax.Array) -> FillLog:
    """Return a log without fills; `zero` as of `xla_book.zero_of`."""
    return FillLog(jnp.zeros((max_fills, spec.NUM_FILL_COLUMNS), jnp.int32) + zero, zero, zero)


def finish_log(log: FillLog) -> jax.Array:
    """Return the fills [F, 8] with zeros past the last."""
    rows = jnp.arange(log.rows.shape[0], dtype=jnp.int32)
    return jnp.where((rows < log.num_fills)[:, None], log.rows, 0)


def no_walk(lots: jax.Array, self_trade: int) -> Walk:
    """Return the walk of a taker that has matched nothing yet, under a static policy SELF_TRADE_*."""
    zero = jnp.zeros_like(lots)
    prevented = None if self_trade == spec.SELF_TRADE_NONE else Prevented(zero, zero, zero)
    return Walk(lots, zero, zero, zero, zero, zero, prevented)


def walk(orders: jax.Array, taker: Taker, log: FillLog, terms: Terms) -> tuple[Walk, FillLog]:
    """Match `taker` against orders[4, 2, O]; return what happened and the longer log. The orders stay."""

    def turn(carry: tuple[Walk, FillLog, jax.Array]) -> tuple[Walk, FillLog, jax.Array]:
        return _turn(orders, taker, carry[0], carry[1], terms)

    first = _turn(orders, taker, no_walk(taker.lots, terms.config.self_trade), log, terms)
    walked, log, _ = lax.while_loop(lambda carry: carry[2], turn, first)
    return walked, log


def _turn(orders: jax.Array, taker: Taker, state: Walk, log: FillLog, terms: Terms) -> tuple[Walk, FillLog, jax.Array]:
    """Meet the next WINDOW makers; the last result says whether the walk goes on."""
    best_slot = taker.first_slot - state.num_taken
    low = jnp.clip(best_slot - (WINDOW - 1), 0, orders.shape[-1] - WINDOW)
    block = lax.dynamic_slice(orders, (0, taker.maker_side, low), (4, 1, WINDOW))[:, 0]
    sign = 1 - 2 * taker.maker_side
    done, meets = [], jnp.bool_(True)
    for column in reversed(range(WINDOW)):  # best first
        # Near slot 0 the block reaches above the best slot left: those makers are gone.
        meets = (low + column <= best_slot) & (block[KEY, column] >= taker.threshold)
        trades = meets & (state.lots_left > 0)
        if terms.config.self_trade != spec.SELF_TRADE_NONE:
            state, trades = _prevent(state, block[:, column], trades, taker, terms.config.self_trade)
        lots = jnp.where(trades, jnp.minimum(state.lots_left, block[LOTS, column]), 0)
        state = _advance(state, block[:, column], trades, lots, sign, terms)
        done.append((trades, lots))
    goes_on = meets & (low > 0) & (state.lots_left > 0)
    trades, lots = (jnp.stack(values) for values in zip(*done, strict=True))
    return state, _append(log, block[:, ::-1], trades, lots, taker, terms), goes_on


def _advance(state: Walk, maker: jax.Array, trades: jax.Array, lots: jax.Array, sign: jax.Array, terms: Terms) -> Walk:
    # A maker that keeps lots ends the walk by itself: then the taker has none left.
    price = maker[KEY] * sign
    return Walk(
        lots_left=state.lots_left - lots,
        num_taken=state.num_taken + (trades & (lots == maker[LOTS])),
        maker_lots=jnp.where(trades, maker[LOTS] - lots, state.maker_lots),
        notional=state.notional + lots * (price - terms.reference_tick),
        last_price=jnp.where(trades, price, state.last_price),
        num_trades=state.num_trades + trades,
        prevented=state.prevented,
    )


def _prevent(state: Walk, maker: jax.Array, meets: jax.Array, taker: Taker, self_trade: int) -> tuple[Walk, jax.Array]:
    """Apply the policy where the taker meets an order of its own; return whether it still trades with this maker."""
    assert state.prevented is not None
    own = meets & (maker[OWNER] != 0) & (maker[OWNER] == taker.owner)
    smaller = jnp.minimum(state.lots_left, maker[LOTS])
    from_maker, from_taker = {
        spec.SELF_TRADE_CANCEL_RESTING: (maker[LOTS], 0 * smaller),
        spec.SELF_TRADE_CANCEL_TAKER: (0 * smaller, state.lots_left),
        spec.SELF_TRADE_DECREMENT: (smaller, smaller),
    }[self_trade]
    counted = jnp.maximum(from_maker, from_taker)  # where both lose, the same lots
    lost = jnp.where(own, from_taker, 0)
    prevented = Prevented(
        num_meetings=state.prevented.num_meetings + own,
        lots=state.prevented.lots + jnp.where(own, counted, 0),
        taker_lots=state.prevented.taker_lots + lost,
    )
    loses = own & (from_maker > 0)
    return state._replace(
        lots_left=state.lots_left - lost,
        num_taken=state.num_taken + (loses & (from_maker == maker[LOTS])),
        maker_lots=jnp.where(loses, maker[LOTS] - from_maker, state.maker_lots),
        prevented=prevented,
    ), meets & ~own


def _append(log: FillLog, makers: jax.Array, trades: jax.Array, lots: jax.Array, taker: Taker, terms: Terms) -> FillLog:
    """Write the fills of a turn: makers[4, WINDOW], trades and lots [WINDOW], best first."""
    max_fills = log.rows.shape[0]
    sign = 1 - 2 * taker.maker_side
    shared = (terms.message, taker.order_id, taker.owner, 1 - taker.maker_side)
    message, taker_id, taker_owner, taker_side = (jnp.full(WINDOW, word, jnp.int32) for word in shared)
    makers_first = (message, makers[KEY] * sign, lots, makers[ORDER_ID], taker_id, makers[OWNER])
    rows = jnp.stack([*makers_first, taker_owner, taker_side], axis=-1)
    reported = trades
    if terms.config.fills_mode == spec.FILLS_OWNED:
        reported = trades & ((makers[OWNER] != 0) | (taker.owner != 0))
    ranks, total = [], jnp.int32(0)
    for turn in range(WINDOW):
        ranks.append(total)
        total = total + reported[turn]
    place = jnp.where(reported, log.num_fills + jnp.stack(ranks), max_fills)
    written = jnp.minimum(total, max_fills - log.num_fills)
    return FillLog(
        rows=log.rows.at[place].set(rows, mode="drop"),  # past the end nothing is written
        num_fills=log.num_fills + written,
        num_dropped=log.num_dropped + (total - written),
    )
