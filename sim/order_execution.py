"""Execution of a parent order in an order book as a gymnax environment. One market; `vmap` outside (sim/vector.py).

action       `Discrete(17)`: a row of the child table (size, aggressiveness) of kernels/execution/child.py; with
             `continuous` `Box(-1, 1, (2,))` of the same two
observation  float32[D + 8]: the columns of kernels/features/table.py through the normaliser (the inventory is what has
             been traded, its cap the parent), then PARENT_COLUMNS of sim/executor.py
step         `horizon` background events (or microseconds); the child of before is kept, reduced or cancelled, a new one
             rests (POST_ONLY) or crosses (IOC with a price limit); messages arrive `latency_ns` and a draw from
             `entry_quantiles_ns` after the decision and never before one more event; queue position is that of the
             real book; the parent is never overfilled
arrival      the mid of the start state, in which none of our orders rests
reward       -`reward_scale` x (cost of the step's fills against the arrival mid + fees + `risk_penalty` x lots left^2 /
             parent_lots) / parent_lots: without a penalty an episode's sum is minus the implementation shortfall in
             ticks a lot
end          terminated when nothing is left, after `max_steps_in_episode` decisions, or where a recording ends; what is
             left is then taken from the visible depth by a market order at taker fees, within the last reward (lots
             beyond the depth pay `liquidation_beyond_tick` against its deepest level). Never truncated
start        a book of the pool, drawn among `num_starts` from `first_start`, with a fresh seed; `side` 2 is drawn too
info         of the episode so far: pnl_tick_lots (minus the shortfall), shortfall_tick_lots (fees included),
             fees_tick_lots, lots_left, swept_lots (by the last market order), num_fills, traded_lots,
             participation_frac (fills but the last market order over what anybody traded), overflows (0 unless a
             capacity is too small); own_rejects of the step

The risk penalty is Almgren and Chriss's (2000) lambda sigma^2 tau x^2 with lambda sigma^2 tau = risk_penalty /
parent_lots. Randomness as in sim/market_making.py: drawn at the reset, a step uses no key.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from kernels.execution import child
from kernels.execution.child import Child, ParentView
from kernels.features.market import strip_own
from kernels.features.normalise import Normaliser, check_normaliser, default_normaliser, normalise
from kernels.features.table import NUM_FEATURES
from kernels.lob import spec
from market_models.flow import Flow
from sim import executor
from sim.book_venue import BookVenue, look, num_dropped
from sim.engine.types import MarketState
from sim.executor import ExecutorParams, ParentState
from sim.market_making_types import OWNER, MarketMakingConfig, StartPool, View, scalar


@struct.dataclass
class OrderExecutionState(environment.EnvState):
    """One market with one parent order in it."""

    time: jax.Array  # int32[] decisions made
    market: MarketState
    parent: ParentState
    view: View
    next_order_id: jax.Array  # int32[] our next order id
    row: jax.Array  # int32[] next background row


class OrderExecution(environment.Environment[OrderExecutionState, ExecutorParams]):
    """The environment; the table in this module's head is its specification.

    Raises ValueError at construction if configuration, pool, parameters or normaliser do not fit together.
    """

    def __init__(
        self,
        config: MarketMakingConfig,
        flow: Flow,
        pool: StartPool,
        params: ExecutorParams,
        *,
        continuous: bool = False,
        backend: str = "cpu",
        normaliser: Normaliser | None = None,
        background: np.ndarray | None = None,
    ):
        self.venue = BookVenue(config, flow, pool, backend=backend, background=background)
        self.config, self.pool, self.continuous = self.venue.config, pool, continuous
        check_two_sided(pool)
        self.normaliser = check_normaliser(normaliser or default_normaliser())
        self._params = executor.validate_executor(params, pool.size)
        self.venue.check_flow_params(self._params.flow_params)

    @property
    def default_params(self) -> ExecutorParams:
        """The parameters that the environment was made with (NumPy scalars and arrays)."""
        return self._params

    @property
    def name(self) -> str:
        """Name of the environment."""
        return "execution"

    @property
    def num_actions(self) -> int:
        """Rows of the child table, or the length of a continuous action, 2."""
        return 2 if self.continuous else child.NUM_ACTIONS

    def action_space(self, params: ExecutorParams | None = None) -> spaces.Discrete | spaces.Box:
        """Return `Discrete(17)` or `Box(-1, 1, (2,))`."""
        return spaces.Box(-1.0, 1.0, (2,), jnp.float32) if self.continuous else spaces.Discrete(child.NUM_ACTIONS)

    def observation_space(self, params: ExecutorParams | None = None) -> spaces.Box:
        """Return the box that normaliser and parent columns are clipped to."""
        ours = jnp.full(executor.NUM_PARENT_COLUMNS, executor.CLIP, jnp.float32)
        clip = jnp.concatenate([jnp.asarray(self.normaliser.clip, jnp.float32), ours])
        return spaces.Box(-clip, clip, (NUM_FEATURES + executor.NUM_PARENT_COLUMNS,), jnp.float32)

    def reset_env(self, key: jax.Array, params: ExecutorParams) -> tuple[jax.Array, OrderExecutionState]:
        """Return (obs, state) of a new parent order in a book of the pool."""
        key_market, key_side = jax.random.split(key)
        market, view, row = self.venue.open(key_market, params)
        state = OrderExecutionState(
            time=scalar(0),
            market=market,
            parent=executor.open_parent(key_side, view.history.mid_half_tick, params),
            view=view,
            next_order_id=scalar(spec.FIRST_AGENT_ORDER_ID),
            row=row,
        )
        return self.observe(key, state, None, params), state

    def step_env(
        self, key: jax.Array, state: OrderExecutionState, action: int | float | jax.Array, params: ExecutorParams
    ) -> tuple[jax.Array, OrderExecutionState, jax.Array, jax.Array, dict[Any, Any]]:
        """Work the parent for one decision interval by a row of the table, int32[], or float32[2]."""
        decide = child.shaped_child if self.continuous else child.table_child
        known = executor.parent_view(state.parent, self._steps_left(state, params), params)
        order = decide(jnp, jnp.asarray(action), self.net_depth(state), known)
        return self._step(key, state, order, known, params)

    def observe(self, key: jax.Array, state: OrderExecutionState, action: Any, params: ExecutorParams) -> jax.Array:
        """Return the observation float32[D + 8]; neither key nor action matter."""
        ours = executor.parent_columns(state.parent, state.view, self._steps_left(state, params), params)
        return jnp.concatenate([normalise(jnp, self.columns(state, params), self.normaliser), ours])

    def columns(self, state: OrderExecutionState, params: ExecutorParams) -> jax.Array:
        """Return the integer feature columns int32[D] that the observation begins with."""
        left = self._steps_left(state, params)
        return executor.executor_columns(state.parent, state.view, state.market, left, params, OWNER)

    def net_depth(self, state: OrderExecutionState) -> jax.Array:
        """Return the book of others, int32[2, L, 2]."""
        return strip_own(jnp, state.view.depth, state.view.own)

    def is_truncated(self, state: OrderExecutionState, params: ExecutorParams) -> jax.Array:
        """Return False: a parent order ends by itself."""
        return jnp.zeros((), bool)

    def is_terminated(self, state: OrderExecutionState, params: ExecutorParams) -> jax.Array:
        """Return whether the parent order is done or out of time."""
        late = (state.time >= params.max_steps_in_episode) | self.venue.is_over(state.view.summary, state.row)
        return late | (executor.left_lots(state.parent) == 0)

    def _steps_left(self, state: OrderExecutionState, params: ExecutorParams) -> jax.Array:
        return params.max_steps_in_episode - state.time

    def _step(
        self, key: jax.Array, state: OrderExecutionState, order: Child, known: ParentView, params: ExecutorParams
    ) -> tuple[jax.Array, OrderExecutionState, jax.Array, jax.Array, dict[Any, Any]]:
        own, ids = state.view.own, state.next_order_id
        messages = executor.executor_messages(order, known, own, state.market, state.time, ids, params, OWNER)
        market, out, row = self.venue.advance(state.market, messages, state.row, params)
        view = look(state.view.history, state.market, market, out, out.own[OWNER - 1])
        parent, cost = executor.settle_parent(state.parent, out, params, OWNER)
        state = OrderExecutionState(
            time=state.time + 1,
            market=market,
            parent=parent,
            view=view,
            next_order_id=ids + child.IDS_PER_DECISION,
            row=row,
        )
        terminated = self.is_terminated(state, params)
        parent, reward = executor.close_parent(parent, cost, view, terminated, params)
        state = state.replace(parent=parent)  # pyright: ignore[reportAttributeAccessIssue]
        info = executor.parent_info(parent) | {
            "own_rejects": view.summary[spec.SUM_OWN_REJECTS],
            "overflows": parent.account.num_overflows + num_dropped(market),
        }
        return self.observe(key, state, None, params), state, reward, terminated, info


def check_two_sided(pool: StartPool) -> None:
    """Raise ValueError unless every start state has a mid at which a parent order can arrive."""
    if not (pool.depth[:, :, 0, 1] > 0).all():
        raise ValueError("pool.depth holds a start state with an empty side: a parent order needs an arrival mid")
