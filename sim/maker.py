"""A market maker among the learners of a book: its messages, and what a decision interval brought it."""

import jax
import jax.numpy as jnp

from kernels.execution import quotes
from kernels.execution.quotes import QuoteLimits, TargetQuotes
from kernels.features.columns import AccountView, columns
from kernels.features.market import strip_own
from sim import accounts
from sim.accounts import Account, Settlement
from sim.book_venue import pending, send, soonest
from sim.engine.types import MarketOutput, MarketState
from sim.market_making_types import EnvParams, View, scalar


def quote_limits(params: EnvParams) -> QuoteLimits:
    """Return what a quote may not exceed."""
    return QuoteLimits(scalar(params.quote_lots), scalar(params.inventory_cap_lots))


def maker_columns(
    view: View, account: Account, market: MarketState, steps_left: jax.Array, params: EnvParams, owner: int | jax.Array
) -> jax.Array:
    """Return the feature columns int32[D] of a maker."""
    known = AccountView(
        inventory_lots=account.inventory_lots,
        inventory_cap_lots=scalar(params.inventory_cap_lots),
        steps_left=steps_left,
        pending=pending(market, owner),
    )
    return columns(jnp, view.depth, view.summary, view.history, view.own, known)


def maker_messages(
    target: TargetQuotes,
    own: jax.Array,
    market: MarketState,
    time: jax.Array,
    next_order_id: jax.Array,
    params: EnvParams,
    owner: int,
) -> jax.Array:
    """Return the messages int32[4, 8] that make `target` rest, with their arrivals."""
    plan = quotes.plan_quotes(jnp, target, own, pending(market, owner))
    messages = quotes.quote_messages(jnp, plan, next_order_id, soonest(market, params.latency_ns), owner)
    return send(messages, market, time * quotes.MESSAGES_PER_DECISION, params, owner)


def settle_maker(
    account: Account, out: MarketOutput, view: View, params: EnvParams, owner: int | jax.Array
) -> tuple[Account, Settlement]:
    """Return (account, what it earned) after the fills of `out`, marked at the mid of others in `view`."""
    return accounts.settle(account, out.fills, out.num_fills, view.history.mid_half_tick, owner, params.fees)


def close_maker(
    before: Account, account: Account, earned: Settlement, view: View, closes: jax.Array, params: EnvParams
) -> tuple[Account, jax.Array]:
    """Return (account, reward float32[]) of an interval; where `closes` bool[] the inventory is sold into the book."""
    move_half_tick = (account.mark_half_tick - before.mark_half_tick).astype(jnp.float32)
    undamped = 0.5 * (1.0 - params.held_mark_share) * move_half_tick * before.inventory_lots.astype(jnp.float32)
    held = account.inventory_lots.astype(jnp.float32)
    penalty = params.inventory_penalty * held * held / jnp.asarray(params.quote_lots, jnp.float32)
    net_depth = strip_own(jnp, view.depth, view.own)
    closed, closing = accounts.liquidate(account, net_depth, scalar(params.liquidation_beyond_tick), params.fees)
    account = jax.tree.map(lambda a, b: jnp.where(closes, a, b), closed, account)
    closing_gain = jnp.where(closes, closing.pnl_tick_lots - closing.fees_tick_lots, 0.0)
    gain = earned.pnl_tick_lots - earned.fees_tick_lots + closing_gain
    return account, params.reward_scale * (gain - penalty - undamped)
