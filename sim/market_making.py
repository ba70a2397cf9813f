"""Market making in an order book as a gymnax environment. One market; `vmap` outside (sim/vector.py).

action       `Discrete(36)`: a row of the quote table (bid code, ask code) of kernels/execution/quotes.py;
             `step_quotes` takes native prices instead
observation  float32[D]: the columns of kernels/features/table.py (int32[D]) through the normaliser
step         `horizon` background events (or microseconds); our messages arrive `latency_ns` and a draw from
             `entry_quantiles_ns` after the decision, in the order they were sent, and never before one more event has
             happened; queue position is that of the real book
mark         mid of the book without our own orders, so that quoting does not move our own valuation
reward       `reward_scale` x (PnL against the mark - fees - `inventory_penalty` x inventory^2 / quote_lots), tick-lots;
             of the mark's move on inventory held before the step it counts the share `held_mark_share`: at 1 the PnL
             itself, below 1 damped noise in exchange for bias (Spooner et al. 2018, "Market making via reinforcement
             learning", section 4.2); info and evaluation always count all of it
end          after `max_steps_in_episode` decisions, or where a recording ends
             `liquidate` = 1: the inventory is closed against the visible depth at taker fees, within the last reward
             (lots beyond the depth lose `liquidation_beyond_tick` against its deepest level); terminated
             `liquidate` = 0: the inventory stays at the mark and a learner bootstraps; truncated
start        a book of the pool, drawn among `num_starts` from `first_start`, with a fresh seed; no inventory, no orders
info         of the episode so far: pnl_tick_lots (fees included), fees_tick_lots, num_fills, traded_lots,
             drawdown_tick_lots, overflows (0 unless a capacity is too small); inventory; own_rejects of the step

Randomness: the Philox seed of the background and of latencies is drawn at the reset; a step uses no key.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import environment, spaces

from kernels.execution import quotes
from kernels.execution.quotes import QuoteLimits, Quotes, TargetQuotes
from kernels.features.columns import AccountView, columns
from kernels.features.market import advance_history, elapsed_us, start_history, strip_own
from kernels.features.normalise import Normaliser, check_normaliser, default_normaliser, normalise
from kernels.features.table import NUM_FEATURES
from kernels.lob import spec
from market_models.flow import Flow
from market_models.latency import arrival
from sim import accounts
from sim.engine import api
from sim.engine.types import MarketState
from sim.latency import delay_messages, entry_latency_ns
from sim.market_making_types import (
    OWNER,
    EnvParams,
    EnvState,
    MarketMakingConfig,
    StartPool,
    View,
    scalar,
    validate_market_making,
    validate_params,
)


class MarketMaking(environment.Environment[EnvState, EnvParams]):
    """The environment; the table in this module's head is its specification.

    Raises ValueError at construction if configuration, pool, parameters or normaliser do not fit together.
    """

    def __init__(
        self,
        config: MarketMakingConfig,
        flow: Flow,
        pool: StartPool,
        params: EnvParams,
        *,
        backend: str = "cpu",
        normaliser: Normaliser | None = None,
        background: np.ndarray | None = None,
    ):
        self.config = validate_market_making(config)
        self.flow = flow
        self.backend = backend
        self.pool = _check_pool(pool, config)
        self.normaliser = check_normaliser(normaliser or default_normaliser())
        self._params = validate_params(params, pool.size)
        self._market_step = api.make_market_step(config.market, flow, backend)
        if self._params.flow_params.shape[-1] != flow.num_params:
            raise ValueError(
                f"flow_params has {self._params.flow_params.shape[-1]} words, {flow.name} {flow.num_params}"
            )
        self._num_rows = 0 if background is None else int(background.shape[0])
        self._background = _pad_background(background, config.background_rows)

    @property
    def default_params(self) -> EnvParams:
        """The parameters that the environment was made with (NumPy scalars and arrays)."""
        return self._params

    @property
    def name(self) -> str:
        """Name of the environment."""
        return "market_making"

    @property
    def num_actions(self) -> int:
        """Rows of the quote table."""
        return quotes.NUM_ACTIONS

    def action_space(self, params: EnvParams | None = None) -> spaces.Discrete:
        """Return `Discrete(36)`."""
        return spaces.Discrete(self.num_actions)

    def observation_space(self, params: EnvParams | None = None) -> spaces.Box:
        """Return the box that the normaliser clips to."""
        clip = jnp.asarray(self.normaliser.clip, jnp.float32)
        return spaces.Box(-clip, clip, (NUM_FEATURES,), jnp.float32)

    def reset_env(self, key: jax.Array, params: EnvParams) -> tuple[jax.Array, EnvState]:
        """Return (obs, state) of a new episode: a book of the pool with a fresh seed."""
        key_start, key_seed = jax.random.split(key)
        start = params.first_start + jax.random.randint(key_start, (), 0, params.num_starts)
        pool = jax.tree.map(lambda leaf: jnp.asarray(leaf)[start], self.pool)
        seed = jax.random.bits(key_seed, (2,), jnp.uint32)
        market = api.init_market(
            self.config.market,
            pool.book,
            seed[0],
            seed[1],
            pool.clock[0],
            pool.clock[1],
            pool.next_order_id,
            pool.reference_tick,
        )
        history = start_history(jnp, pool.depth)
        view = View(
            depth=pool.depth,
            summary=jnp.zeros(spec.NUM_SUMMARY, jnp.int32),
            own=jnp.zeros((2, spec.NUM_OWN_COLUMNS), jnp.int32),
            history=history,
        )
        state = EnvState(
            time=scalar(0),
            market=market,
            account=accounts.open_account(history.mid_half_tick),
            view=view,
            next_order_id=scalar(spec.FIRST_AGENT_ORDER_ID),
            row=pool.row,
        )
        return self.observe(key, state, None, params), state

    def step_env(
        self, key: jax.Array, state: EnvState, action: int | float | jax.Array, params: EnvParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Quote by a row of the table, int32[], for one decision interval."""
        target = quotes.target_quotes(
            jnp, jnp.asarray(action), self.net_depth(state), state.account.inventory_lots, _limits(params)
        )
        return self._step(key, state, target, params)

    def step_quotes(
        self, key: jax.Array, state: EnvState, wanted: Quotes, params: EnvParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Quote native prices (limits apply) for one decision interval; returns what `step_env` returns."""
        target = quotes.limit_quotes(jnp, wanted, self.net_depth(state), state.account.inventory_lots, _limits(params))
        return self._step(key, state, target, params)

    def observe(self, key: jax.Array, state: EnvState, action: Any, params: EnvParams) -> jax.Array:
        """Return the observation float32[D]; neither key nor action matter."""
        return normalise(jnp, self.columns(state, params), self.normaliser)

    def columns(self, state: EnvState, params: EnvParams) -> jax.Array:
        """Return the integer feature columns int32[D] that the observation is made of."""
        account = AccountView(
            inventory_lots=state.account.inventory_lots,
            inventory_cap_lots=scalar(params.inventory_cap_lots),
            steps_left=params.max_steps_in_episode - state.time,
            pending=pending(state.market),
        )
        view = state.view
        return columns(jnp, view.depth, view.summary, view.history, view.own, account)

    def net_depth(self, state: EnvState) -> jax.Array:
        """Return the book of others, int32[2, L, 2]."""
        return strip_own(jnp, state.view.depth, state.view.own)

    def is_truncated(self, state: EnvState, params: EnvParams) -> jax.Array:
        """Return whether the episode was cut off with its inventory open."""
        return self._ended(state, params) & (jnp.asarray(params.liquidate) == 0)

    def is_terminated(self, state: EnvState, params: EnvParams) -> jax.Array:
        """Return whether the episode ended with its inventory closed."""
        return self._ended(state, params) & (jnp.asarray(params.liquidate) != 0)

    def _ended(self, state: EnvState, params: EnvParams) -> jax.Array:
        exhausted = state.view.summary[spec.SUM_EXHAUSTED] > 0
        if self._num_rows:
            exhausted = exhausted | (state.row >= self._num_rows)
        return (state.time >= params.max_steps_in_episode) | exhausted

    def _step(
        self, key: jax.Array, state: EnvState, target: TargetQuotes, params: EnvParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        before = state.account
        state, earned = self._trade(state, target, params)
        move_half_tick = (state.account.mark_half_tick - before.mark_half_tick).astype(jnp.float32)
        undamped = 0.5 * (1.0 - params.held_mark_share) * move_half_tick * before.inventory_lots.astype(jnp.float32)
        terminated = self.is_terminated(state, params)
        held = state.account.inventory_lots.astype(jnp.float32)
        penalty = params.inventory_penalty * held * held / jnp.asarray(params.quote_lots, jnp.float32)
        closed, closing = accounts.liquidate(
            state.account, self.net_depth(state), scalar(params.liquidation_beyond_tick), params.fees
        )
        account = jax.tree.map(lambda a, b: jnp.where(terminated, a, b), closed, state.account)
        closing_gain = jnp.where(terminated, closing.pnl_tick_lots - closing.fees_tick_lots, 0.0)
        gain = earned.pnl_tick_lots - earned.fees_tick_lots + closing_gain
        reward = params.reward_scale * (gain - penalty - undamped)
        state = state.replace(account=account)  # pyright: ignore[reportAttributeAccessIssue]
        return self.observe(key, state, None, params), state, reward, terminated, _info(state)

    def _trade(self, state: EnvState, target: TargetQuotes, params: EnvParams) -> tuple[EnvState, accounts.Settlement]:
        clock = _clock(state.market)
        plan = quotes.plan_quotes(jnp, target, state.view.own, pending(state.market))
        arrives = arrival(jnp, *clock, scalar(params.latency_ns))  # a table of one word is folded into it
        messages = quotes.quote_messages(jnp, plan, state.next_order_id, arrives, OWNER)
        table = jnp.asarray(params.entry_quantiles_ns)
        if table.shape[-1] > 1:
            number = state.time * quotes.MESSAGES_PER_DECISION
            drawn_ns = entry_latency_ns(state.market.seed, number, quotes.MESSAGES_PER_DECISION, table, OWNER)
            messages = delay_messages(messages, state.market, scalar(params.latency_ns), drawn_ns, OWNER)
        rows = jax.lax.dynamic_slice_in_dim(self._background, state.row, self.config.background_rows)
        market, out = self._market_step(state.market, messages, jnp.asarray(params.flow_params), rows, params.horizon)
        own = out.own[OWNER - 1]
        history = advance_history(
            jnp, state.view.history, strip_own(jnp, out.depth, own), out.summary, elapsed_us(jnp, clock, _clock(market))
        )
        account, earned = accounts.settle(
            state.account, out.fills, out.num_fills, history.mid_half_tick, OWNER, params.fees
        )
        row = state.row + market.meta[spec.META_CURSOR] if self._num_rows else state.row
        state = EnvState(
            time=state.time + 1,
            market=market,
            account=account,
            view=View(out.depth, out.summary, own, history),
            next_order_id=state.next_order_id + quotes.IDS_PER_DECISION,
            row=row,
        )
        return state, earned


def pending(market: MarketState) -> jax.Array:
    """Return int32[2]: 1 where a message of ours about that side has not arrived yet."""
    inbox = market.inbox
    ours = (inbox[:, spec.KIND] != spec.NOP) & (inbox[:, spec.OWNER] == OWNER)
    about = inbox[:, spec.SIDE, None] == jnp.arange(2)
    return jnp.any(ours[:, None] & about, axis=0).astype(jnp.int32)


def _clock(market: MarketState) -> tuple[jax.Array, jax.Array]:
    return market.meta[spec.META_CLOCK_S], market.meta[spec.META_CLOCK_NS]


def _limits(params: EnvParams) -> QuoteLimits:
    return QuoteLimits(scalar(params.quote_lots), scalar(params.inventory_cap_lots))


def _info(state: EnvState) -> dict[str, jax.Array]:
    account = state.account
    dropped = state.market.book.counters[spec.NUM_FILLS_DROPPED] + state.market.meta[spec.META_INBOX_DROPPED]
    return {
        "pnl_tick_lots": accounts.pnl_tick_lots(account),
        "fees_tick_lots": account.fees_tick_lots,
        "inventory": account.inventory_lots,
        "num_fills": account.num_fills,
        "traded_lots": account.traded_lots,
        "drawdown_tick_lots": account.drawdown_tick_lots,
        "own_rejects": state.view.summary[spec.SUM_OWN_REJECTS],
        "overflows": account.num_overflows + dropped,
    }


def _check_pool(pool: StartPool, config: MarketMakingConfig) -> StartPool:
    lob = config.market.lob
    size = pool.size
    if size < 1:
        raise ValueError("the pool of start states is empty")
    expected = {"price_tick": (size, 2, lob.capacity), "num_orders": (size, 2)}
    for field, shape in expected.items():
        if getattr(pool.book, field).shape != shape:
            raise ValueError(f"pool.book.{field} has shape {getattr(pool.book, field).shape}, expected {shape}")
    if pool.depth.shape != (size, 2, lob.depth_levels, 2):
        raise ValueError(f"pool.depth has shape {pool.depth.shape}, expected {(size, 2, lob.depth_levels, 2)}")
    if np.asarray(pool.book.owner).any():
        raise ValueError("pool.book holds an order of an agent: start states are background only")
    return pool


def _pad_background(background: np.ndarray | None, rows: int) -> np.ndarray:
    # `dynamic_slice` moves a start near the end back; NOP rows behind the last one keep it where it is.
    padding = np.zeros((rows, spec.NUM_MESSAGE_COLUMNS), np.int32)
    if background is None:
        return padding
    if background.ndim != 2 or background.shape[1] != spec.NUM_MESSAGE_COLUMNS:
        raise ValueError(f"background has shape {background.shape}, expected (N, {spec.NUM_MESSAGE_COLUMNS})")
    return np.concatenate([background.astype(np.int32), padding])
