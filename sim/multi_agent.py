"""Several learners of different roles in one order book as a gymnax environment. One market; `vmap` outside.

learners     A = M makers (owners 1..M; the rules of sim/market_making.py) and X executors (owners M + 1..A; those of
             sim/order_execution.py). One engine step serves all of them; to each the others are part of the market
action       int32[A] in 0..35: a maker's row of the quote table; an executor's row of the child table, modulo 17
observation  float32[A, D + 8 + 2]: a learner's feature columns through the normaliser, the parent's columns (0 for a
             maker), two flags: maker, executor. Nobody sees whose the other orders are: only its own are apart
step         `horizon` background events (or microseconds). Messages that arrive at the same time are served in order of
             entry; learner (time modulo A) enters first, then those after it, so that nobody is always first
reward       float32[A]: each its own, as in its environment
end          for all at once, after `max_steps_in_episode` decisions or where a recording ends; terminated. Makers close
             their inventory and executors take their rest against the visible depth, each as if alone. An executor that
             is done before waits with rewards of 0
start        a book of the pool, drawn among `num_starts` from `first_start`, with a fresh seed
info         [A] each, so far: pnl_tick_lots, fees_tick_lots, inventory, num_fills, traded_lots, lots_left (0 for a
             maker), overflows

Before fees and before the end's closing, what learners and background gain in cash and in inventory is 0 in sum: each
fill is booked once on either side. `sim.multi_agent_vector.MultiAgentVector` makes rows of the learners for training.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import environment, spaces

from kernels.execution import child, quotes
from kernels.features.market import strip_own
from kernels.features.normalise import Normaliser, check_normaliser, default_normaliser, normalise
from kernels.features.table import NUM_FEATURES
from kernels.lob import spec
from market_models.flow import Flow
from sim import accounts, executor, maker
from sim.book_venue import BookVenue, look, num_dropped
from sim.market_making_types import MarketMakingConfig, StartPool, View, scalar
from sim.multi_agent_types import (
    MESSAGES_PER_LEARNER,
    NUM_ACTIONS,
    ROLE_NAMES,
    EachDiscrete,
    Learners,
    MultiAgentParams,
    MultiAgentState,
    first_order_id,
    validate_learners,
    validate_multi_agent,
)
from sim.order_execution import check_two_sided

_VIEW = View(None, None, 0, 0)  # pyright: ignore[reportArgumentType]  # axes of a view of all learners
OBS_DIM = NUM_FEATURES + executor.NUM_PARENT_COLUMNS + len(ROLE_NAMES)


class MultiAgent(environment.Environment[MultiAgentState, MultiAgentParams]):
    """The environment; the table in this module's head is its specification.

    Raises ValueError at construction if configuration, learners, pool, parameters or normaliser do not fit together.
    """

    def __init__(
        self,
        config: MarketMakingConfig,
        flow: Flow,
        pool: StartPool,
        params: MultiAgentParams,
        learners: Learners,
        *,
        backend: str = "cpu",
        normaliser: Normaliser | None = None,
        background: np.ndarray | None = None,
    ):
        self.venue = BookVenue(config, flow, pool, backend=backend, background=background)
        self.config, self.pool, self.learners = config, pool, validate_learners(learners, config)
        check_two_sided(pool)
        self.normaliser = check_normaliser(normaliser or default_normaliser())
        self._params = validate_multi_agent(params, learners, pool.size)
        self.venue.check_flow_params(self._params.flow_params)

    @property
    def default_params(self) -> MultiAgentParams:
        """The parameters that the environment was made with (NumPy scalars and arrays)."""
        return self._params

    @property
    def name(self) -> str:
        """Name of the environment."""
        return "multi_agent"

    @property
    def num_actions(self) -> int:
        """Actions of a learner, the same for every role: rows of the larger table."""
        return NUM_ACTIONS

    def action_space(self, params: MultiAgentParams | None = None) -> EachDiscrete:
        """Return one of 36 actions for each learner."""
        return EachDiscrete(NUM_ACTIONS, self.learners.size)

    def observation_space(self, params: MultiAgentParams | None = None) -> spaces.Box:
        """Return the box [A, D + 8 + 2] that normaliser and parent columns are clipped to."""
        ours = jnp.full(OBS_DIM - NUM_FEATURES, executor.CLIP, jnp.float32)
        clip = jnp.concatenate([jnp.asarray(self.normaliser.clip, jnp.float32), ours])
        clip = jnp.broadcast_to(clip, (self.learners.size, OBS_DIM))
        return spaces.Box(-clip, clip, clip.shape, jnp.float32)

    def reset_env(self, key: jax.Array, params: MultiAgentParams) -> tuple[jax.Array, MultiAgentState]:
        """Return (obs, state) of a new episode: everybody flat, no orders, parent orders just arrived."""
        key_market, key_side = jax.random.split(key)
        market, view, row = self.venue.open(key_market, params)
        mid = view.history.mid_half_tick
        size, makers, executors = self.learners.size, self.learners.num_makers, self.learners.num_executors
        sides = jax.random.split(key_side, executors)
        state = MultiAgentState(
            time=scalar(0),
            market=market,
            accounts=_repeat(accounts.open_account(mid), makers),
            parents=jax.vmap(executor.open_parent, (0, None, 0))(sides, mid, params.executors),
            view=View(view.depth, view.summary, _repeat(view.own, size), _repeat(view.history, size)),
            row=row,
        )
        return self.observe(key, state, None, params), state

    def step_env(
        self, key: jax.Array, state: MultiAgentState, action: int | float | jax.Array, params: MultiAgentParams
    ) -> tuple[jax.Array, MultiAgentState, jax.Array, jax.Array, dict[Any, Any]]:
        """Let every learner act, int32[A], for one decision interval."""
        messages = self._messages(state, jnp.asarray(action), params)
        market, out, row = self.venue.advance(state.market, messages, state.row, params)
        looks = jax.vmap(look, (0, None, None, None, 0), _VIEW)
        view = looks(state.view.history, state.market, market, out, out.own)
        ends = (state.time + 1 >= params.max_steps_in_episode) | self.venue.is_over(out.summary, row)
        first, second = self._split(view)
        owners = 1 + jnp.arange(self.learners.size)
        settle = jax.vmap(maker.settle_maker, (0, None, _VIEW, 0, 0))
        held, earned = settle(state.accounts, out, first, params.makers, owners[: self.learners.num_makers])
        close = jax.vmap(maker.close_maker, (0, 0, 0, _VIEW, None, 0))
        held, made = close(state.accounts, held, earned, first, ends, params.makers)
        work = jax.vmap(executor.settle_parent, (0, None, 0, 0))
        parents, cost = work(state.parents, out, params.executors, owners[self.learners.num_makers :])
        finish = jax.vmap(executor.close_parent, (0, 0, _VIEW, None, 0))
        parents, saved = finish(parents, cost, second, ends, params.executors)
        state = MultiAgentState(time=state.time + 1, market=market, accounts=held, parents=parents, view=view, row=row)
        info = self._info(state, params)
        return self.observe(key, state, None, params), state, jnp.concatenate([made, saved]), ends, info

    def observe(self, key: jax.Array, state: MultiAgentState, action: Any, params: MultiAgentParams) -> jax.Array:
        """Return the observations float32[A, D + 8 + 2]; neither key nor action matter."""
        makers, executors, left = self.learners.num_makers, self._executors(params), self._steps_left(state, params)
        first, second = self._split(state.view)
        owners = 1 + jnp.arange(self.learners.size)
        quoting = jax.vmap(maker.maker_columns, (_VIEW, 0, None, None, 0, 0))
        working = jax.vmap(executor.executor_columns, (0, _VIEW, None, None, 0, 0))
        whole = jnp.concatenate(
            [
                quoting(first, state.accounts, state.market, left, params.makers, owners[:makers]),
                working(state.parents, second, state.market, left, executors, owners[makers:]),
            ]
        )
        ours = jax.vmap(executor.parent_columns, (0, _VIEW, None, 0))(state.parents, second, left, executors)
        ours = jnp.concatenate([jnp.zeros((makers, ours.shape[1]), jnp.float32), ours])
        flags = jax.nn.one_hot(jnp.asarray(self.learners.roles), len(ROLE_NAMES), dtype=jnp.float32)
        return jnp.concatenate([normalise(jnp, whole, self.normaliser), ours, flags], axis=-1)

    def is_truncated(self, state: MultiAgentState, params: MultiAgentParams) -> jax.Array:
        """Return False: everybody closes at the end."""
        return jnp.zeros((), bool)

    def _messages(self, state: MultiAgentState, action: jax.Array, params: MultiAgentParams) -> jax.Array:
        """Return the messages int32[4 A, 8] of all learners in their order of entry."""
        groups = []
        for learner in range(self.learners.size):
            is_maker = learner < self.learners.num_makers
            messages = (self._quote if is_maker else self._work)(state, action[learner], learner, params)
            padding = MESSAGES_PER_LEARNER - messages.shape[0]
            groups.append(jnp.pad(messages, ((0, padding), (0, 0))))
        turned = jnp.roll(jnp.stack(groups), -(state.time % self.learners.size), axis=0)
        return turned.reshape(-1, spec.NUM_MESSAGE_COLUMNS)

    def _quote(self, state: MultiAgentState, action: jax.Array, learner: int, params: MultiAgentParams) -> jax.Array:
        own = state.view.own[learner]
        ours = jax.tree.map(lambda leaf: jnp.asarray(leaf)[learner], params.makers)
        held = state.accounts.inventory_lots[learner]
        net_depth = strip_own(jnp, state.view.depth, own)
        target = quotes.target_quotes(jnp, action, net_depth, held, maker.quote_limits(ours))
        ids = first_order_id(self.learners, learner, state.time)
        return maker.maker_messages(target, own, state.market, state.time, ids, ours, learner + 1)

    def _work(self, state: MultiAgentState, action: jax.Array, learner: int, params: MultiAgentParams) -> jax.Array:
        own, index = state.view.own[learner], learner - self.learners.num_makers
        ours, parent = jax.tree.map(lambda leaf: jnp.asarray(leaf)[index], (params.executors, state.parents))
        known = executor.parent_view(parent, self._steps_left(state, params), ours)
        net_depth = strip_own(jnp, state.view.depth, own)
        order = child.table_child(jnp, action % child.NUM_ACTIONS, net_depth, known)
        ids = first_order_id(self.learners, learner, state.time)
        return executor.executor_messages(order, known, own, state.market, state.time, ids, ours, learner + 1)

    def _info(self, state: MultiAgentState, params: MultiAgentParams) -> dict[str, jax.Array]:
        parents, held = state.parents, state.accounts
        work = parents.account
        left = executor.left_lots(parents)
        traded = jnp.where(parents.side == spec.BUY, 1, -1) * (jnp.asarray(params.executors.parent_lots) - left)
        names = ("fees_tick_lots", "num_fills", "traded_lots")
        return {
            "pnl_tick_lots": jnp.concatenate([accounts.pnl_tick_lots(held), accounts.pnl_tick_lots(work)]),
            **{name: jnp.concatenate([getattr(held, name), getattr(work, name)]) for name in names},
            "inventory": jnp.concatenate([held.inventory_lots, traded]),
            "lots_left": jnp.concatenate([jnp.zeros_like(held.inventory_lots), left]),
            "overflows": jnp.concatenate([held.num_overflows, work.num_overflows]) + num_dropped(state.market),
        }

    def _split(self, view: View) -> tuple[View, View]:
        """Return the views of the makers and of the executors."""
        makers = self.learners.num_makers
        parts = (slice(None, makers), slice(makers, None))
        first, second = (jax.tree.map(lambda leaf, p=part: leaf[p], (view.own, view.history)) for part in parts)
        return View(view.depth, view.summary, *first), View(view.depth, view.summary, *second)

    def _executors(self, params: MultiAgentParams) -> executor.ExecutorParams:
        steps = jnp.broadcast_to(jnp.asarray(params.max_steps_in_episode), (self.learners.num_executors,))
        return params.executors.replace(max_steps_in_episode=steps)  # pyright: ignore[reportAttributeAccessIssue]

    def _steps_left(self, state: MultiAgentState, params: MultiAgentParams) -> jax.Array:
        return params.max_steps_in_episode - state.time


def _repeat(tree: Any, size: int) -> Any:
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (size, *jnp.shape(leaf))), tree)
