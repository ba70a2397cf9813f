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
from kernels.execution.quotes import Quotes, TargetQuotes
from kernels.features.market import strip_own
from kernels.features.normalise import Normaliser, check_normaliser, default_normaliser, normalise
from kernels.features.table import NUM_FEATURES
from kernels.lob import spec
from market_models.flow import Flow
from sim import accounts
from sim.book_venue import BookVenue, look, num_dropped
from sim.maker import close_maker, maker_columns, maker_messages, quote_limits, settle_maker
from sim.market_making_types import (
    OWNER,
    EnvParams,
    EnvState,
    MarketMakingConfig,
    StartPool,
    scalar,
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
        self.venue = BookVenue(config, flow, pool, backend=backend, background=background)
        self.config, self.flow, self.backend, self.pool = self.venue.config, flow, backend, pool
        self.normaliser = check_normaliser(normaliser or default_normaliser())
        self._params = validate_params(params, pool.size)
        self.venue.check_flow_params(self._params.flow_params)

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
        market, view, row = self.venue.open(key, params)
        state = EnvState(
            time=scalar(0),
            market=market,
            account=accounts.open_account(view.history.mid_half_tick),
            view=view,
            next_order_id=scalar(spec.FIRST_AGENT_ORDER_ID),
            row=row,
        )
        return self.observe(key, state, None, params), state

    def step_env(
        self, key: jax.Array, state: EnvState, action: int | float | jax.Array, params: EnvParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Quote by a row of the table, int32[], for one decision interval."""
        target = quotes.target_quotes(
            jnp, jnp.asarray(action), self.net_depth(state), state.account.inventory_lots, quote_limits(params)
        )
        return self._step(key, state, target, params)

    def step_quotes(
        self, key: jax.Array, state: EnvState, wanted: Quotes, params: EnvParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        """Quote native prices (limits apply) for one decision interval; returns what `step_env` returns."""
        target = quotes.limit_quotes(
            jnp, wanted, self.net_depth(state), state.account.inventory_lots, quote_limits(params)
        )
        return self._step(key, state, target, params)

    def observe(self, key: jax.Array, state: EnvState, action: Any, params: EnvParams) -> jax.Array:
        """Return the observation float32[D]; neither key nor action matter."""
        return normalise(jnp, self.columns(state, params), self.normaliser)

    def columns(self, state: EnvState, params: EnvParams) -> jax.Array:
        """Return the integer feature columns int32[D] that the observation is made of."""
        left = params.max_steps_in_episode - state.time
        return maker_columns(state.view, state.account, state.market, left, params, OWNER)

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
        return (state.time >= params.max_steps_in_episode) | self.venue.is_over(state.view.summary, state.row)

    def _step(
        self, key: jax.Array, state: EnvState, target: TargetQuotes, params: EnvParams
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[Any, Any]]:
        before = state.account
        own, ids = state.view.own, state.next_order_id
        messages = maker_messages(target, own, state.market, state.time, ids, params, OWNER)
        market, out, row = self.venue.advance(state.market, messages, state.row, params)
        view = look(state.view.history, state.market, market, out, out.own[OWNER - 1])
        account, earned = settle_maker(before, out, view, params, OWNER)
        state = EnvState(
            time=state.time + 1,
            market=market,
            account=account,
            view=view,
            next_order_id=ids + quotes.IDS_PER_DECISION,
            row=row,
        )
        terminated = self.is_terminated(state, params)
        account, reward = close_maker(before, account, earned, view, terminated, params)
        state = state.replace(account=account)  # pyright: ignore[reportAttributeAccessIssue]
        return self.observe(key, state, None, params), state, reward, terminated, _info(state)


def _info(state: EnvState) -> dict[str, jax.Array]:
    account = state.account
    return {
        "pnl_tick_lots": accounts.pnl_tick_lots(account),
        "fees_tick_lots": account.fees_tick_lots,
        "inventory": account.inventory_lots,
        "num_fills": account.num_fills,
        "traded_lots": account.traded_lots,
        "drawdown_tick_lots": account.drawdown_tick_lots,
        "own_rejects": state.view.summary[spec.SUM_OWN_REJECTS],
        "overflows": account.num_overflows + num_dropped(state.market),
    }
