"""A parent order worked in a book: its messages, what a decision interval cost, and what it sees of itself.

The account holds the lots still to trade as an inventory to be closed (below 0 while there is something to buy), marked
at the arrival mid for good, so its PnL is minus the implementation shortfall:

    shortfall = sum over fills of s lots (price - arrival mid) + fees        s = 1 buys, -1 sells, tick-lots
"""

from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment

from kernels.execution import child
from kernels.execution.child import Child, ParentView
from kernels.features.columns import AccountView, columns
from kernels.features.market import strip_own
from kernels.lob import spec
from sim import accounts
from sim.accounts import Account, FeeRates
from sim.book_venue import pending, send, soonest
from sim.engine.types import MarketOutput, MarketState
from sim.market_making_types import View, check_fields, scalar

SIDE_DRAWN: Final = 2
CLIP: Final = 5.0  # of the parent's columns
PARENT_COLUMNS: Final = (
    "side",  # 1 buys, -1 sells
    "left",  # share of the parent that is left
    "time",  # share of the decisions that is left
    "behind",  # left - time: above 0 behind TWAP
    "working",  # share of what is left that rests in the book
    "queue",  # share of the lots at our price, up to our order, that are ahead of it
    "moved",  # log1p of the ticks that the mid went against us since arrival, signed, / 3
    "cost",  # log1p of the shortfall so far in ticks a lot of the parent, signed, / 3
)
NUM_PARENT_COLUMNS: Final = len(PARENT_COLUMNS)


@struct.dataclass
class ExecutorParams(environment.EnvParams):
    """Traced parameters; a population may sweep every one. Scalars unless an axis is given."""

    max_steps_in_episode: int = 64  # decisions that the parent order has
    flow_params: jax.Array | np.ndarray = struct.field(default_factory=lambda: np.zeros(1, np.int32))  # int32[P]
    horizon: jax.Array | np.ndarray = struct.field(default_factory=lambda: np.array([20, 0], np.int32))
    # ^ int32[2] a decision's length: background events, and microseconds (0: no limit in time)
    latency_ns: int = 1_000_000  # decision to venue, 0..2e9; at least one event passes in any case
    entry_quantiles_ns: jax.Array | np.ndarray = struct.field(default_factory=lambda: np.zeros(1, np.int32))
    # ^ int32[K] quantiles of what a message takes beyond latency_ns (market_models/latency.py); [0]: nothing
    side: int = SIDE_DRAWN  # 0 buys, 1 sells, 2: drawn at every reset
    parent_lots: int = 2000  # at most child.MAX_PARENT_LOTS
    cross_tick: int = 5  # how far an IOC may go beyond the opposite best price
    fees: FeeRates = FeeRates()
    risk_penalty: float = 0.0  # ticks a lot and decision while the whole parent is left; falls with its square
    liquidation_beyond_tick: int = 20  # what the last market order pays for lots beyond the visible depth
    reward_scale: float = 0.1  # reward per tick of shortfall a lot of the parent
    first_start: int = 0  # a reset draws its start state from first_start ..
    num_starts: int = 1  # .. first_start + num_starts - 1 of the pool


class ParentState(NamedTuple):
    """One parent order under way."""

    account: Account
    side: jax.Array  # int32[] 0 BUY, 1 SELL
    market_lots: jax.Array  # int32[] traded by anybody since arrival, saturated at 2^30
    swept_lots: jax.Array  # int32[] that the market order at the end took


def validate_executor(params: ExecutorParams, pool_size: int) -> ExecutorParams:
    """Return concrete `params` with scalars as NumPy arrays, or raise ValueError with the field and its range."""
    whole = {
        "side": (spec.BUY, SIDE_DRAWN),
        "parent_lots": (1, child.MAX_PARENT_LOTS),
        "cross_tick": (0, 2**20),
    }
    fields = check_fields(params, pool_size, whole, ("risk_penalty", "reward_scale"))
    if (fields["risk_penalty"] < 0).any():
        raise ValueError(f"risk_penalty {fields['risk_penalty']} is below 0")
    return params.replace(**fields)  # pyright: ignore[reportAttributeAccessIssue]


def open_parent(key: jax.Array, arrival_half_tick: jax.Array, params: ExecutorParams) -> ParentState:
    """Return a parent order that arrives at the mid `arrival_half_tick` / 2, int32[]; `key` draws a side."""
    drawn = jax.random.bernoulli(key).astype(jnp.int32)
    side = jnp.where(scalar(params.side) == SIDE_DRAWN, drawn, scalar(params.side))
    to_trade = jnp.where(side == spec.BUY, -1, 1) * scalar(params.parent_lots)
    account = accounts.open_account(arrival_half_tick)._replace(inventory_lots=to_trade)
    return ParentState(account, side, scalar(0), scalar(0))


def left_lots(parent: ParentState) -> jax.Array:
    """Return the lots still to trade, int32[]."""
    return jnp.abs(parent.account.inventory_lots)


def parent_view(parent: ParentState, steps_left: jax.Array, params: ExecutorParams) -> ParentView:
    """Return what the rules of children need to know."""
    return ParentView(parent.side, left_lots(parent), steps_left, scalar(params.cross_tick))


def executor_messages(
    order: Child,
    known: ParentView,
    own: jax.Array,
    market: MarketState,
    time: jax.Array,
    next_order_id: jax.Array,
    params: ExecutorParams,
    owner: int,
) -> jax.Array:
    """Return the messages int32[2, 8] that lead to the child `order`, with their arrivals."""
    plan = child.plan_child(jnp, order, known, own, pending(market, owner))
    arrives = soonest(market, params.latency_ns)
    messages = child.child_messages(jnp, plan, known.side, next_order_id, arrives, owner)
    return send(messages, market, time * child.MESSAGES_PER_DECISION, params, owner)


def settle_parent(
    parent: ParentState, out: MarketOutput, params: ExecutorParams, owner: int | jax.Array
) -> tuple[ParentState, jax.Array]:
    """Return (parent, what the fills of `out` cost against the arrival mid and in fees, float32[] tick-lots)."""
    account, earned = accounts.settle(
        parent.account, out.fills, out.num_fills, parent.account.mark_half_tick, owner, params.fees
    )
    bought = jnp.clip(out.summary[spec.SUM_TRADED_BUY_LOTS], 0, 2**29)
    sold = jnp.clip(out.summary[spec.SUM_TRADED_SELL_LOTS], 0, 2**29)
    market_lots = jnp.where(left_lots(parent) > 0, jnp.minimum(bought + sold, 2**30 - parent.market_lots), 0)
    parent = parent._replace(account=account, market_lots=parent.market_lots + market_lots)
    return parent, earned.fees_tick_lots - earned.pnl_tick_lots


def close_parent(
    parent: ParentState, cost: jax.Array, view: View, ends: jax.Array, params: ExecutorParams
) -> tuple[ParentState, jax.Array]:
    """Return (parent, reward float32[]) of an interval; where `ends` bool[] a market order takes what is left.

    reward = -reward_scale x (cost + risk_penalty x left^2 / parent_lots) / parent_lots, the market order included.
    """
    net_depth = strip_own(jnp, view.depth, view.own)
    beyond = scalar(params.liquidation_beyond_tick)
    closed, closing = accounts.liquidate(parent.account, net_depth, beyond, params.fees)
    account = jax.tree.map(lambda a, b: jnp.where(ends, a, b), closed, parent.account)
    swept = jnp.where(ends, left_lots(parent), 0)
    cost = cost + jnp.where(ends, closing.fees_tick_lots - closing.pnl_tick_lots, 0.0)
    parent = parent._replace(account=account, swept_lots=parent.swept_lots + swept)
    left = left_lots(parent).astype(jnp.float32)
    lots = jnp.asarray(params.parent_lots, jnp.float32)
    return parent, -params.reward_scale * (cost + params.risk_penalty * left * left / lots) / lots


def executor_columns(
    parent: ParentState,
    view: View,
    market: MarketState,
    steps_left: jax.Array,
    params: ExecutorParams,
    owner: int | jax.Array,
) -> jax.Array:
    """Return the feature columns int32[D]; the inventory is what has been traded, its cap the parent."""
    sign = jnp.where(parent.side == spec.BUY, 1, -1)
    known = AccountView(
        inventory_lots=sign * (scalar(params.parent_lots) - left_lots(parent)),
        inventory_cap_lots=scalar(params.parent_lots),
        steps_left=steps_left,
        pending=pending(market, owner),
    )
    return columns(jnp, view.depth, view.summary, view.history, view.own, known)


def parent_columns(parent: ParentState, view: View, steps_left: jax.Array, params: ExecutorParams) -> jax.Array:
    """Return PARENT_COLUMNS float32[8], within -CLIP..CLIP."""
    own = jnp.where(parent.side == spec.SELL, view.own[spec.SELL], view.own[spec.BUY]).astype(jnp.float32)
    sign = jnp.where(parent.side == spec.BUY, 1.0, -1.0)
    lots = left_lots(parent).astype(jnp.float32)
    left = lots / params.parent_lots
    time = steps_left / jnp.asarray(params.max_steps_in_episode, jnp.float32)
    moved = 0.5 * sign * (view.history.mid_half_tick - parent.account.mark_half_tick).astype(jnp.float32)
    cost = -accounts.pnl_tick_lots(parent.account) / params.parent_lots
    ahead = own[spec.OWN_LOTS_AHEAD]
    values = [
        sign,
        left,
        time,
        left - time,
        own[spec.OWN_LOTS] / jnp.maximum(lots, 1.0),
        ahead / jnp.maximum(ahead + own[spec.OWN_LOTS], 1.0),
        jnp.sign(moved) * jnp.log1p(jnp.abs(moved)) / 3.0,
        jnp.sign(cost) * jnp.log1p(jnp.abs(cost)) / 3.0,
    ]
    return jnp.clip(jnp.stack(values), -CLIP, CLIP).astype(jnp.float32)


def parent_info(parent: ParentState) -> dict[str, Any]:
    """Return what the parent order came to so far; `pnl_tick_lots` is minus its shortfall, fees included."""
    account = parent.account
    pnl = accounts.pnl_tick_lots(account)
    worked = (account.traded_lots - parent.swept_lots).astype(jnp.float32)
    return {
        "pnl_tick_lots": pnl,
        "shortfall_tick_lots": -pnl,
        "fees_tick_lots": account.fees_tick_lots,
        "lots_left": left_lots(parent),
        "swept_lots": parent.swept_lots,
        "num_fills": account.num_fills,
        "traded_lots": account.traded_lots,
        "participation_frac": worked / jnp.maximum(parent.market_lots, 1).astype(jnp.float32),
    }
