"""What environments in an order book share: an episode's start, messages under way, the engine's step, the view of it.

The learners differ in what they want (sim/market_making.py, sim/order_execution.py, sim/multi_agent.py); the market
and the way to it are the same. One market; `vmap` outside.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernels.features.market import History, advance_history, elapsed_us, start_history, strip_own
from kernels.lob import spec
from market_models.flow import Flow
from market_models.latency import arrival
from sim.engine import api
from sim.engine.types import MarketOutput, MarketState
from sim.latency import delay_messages, entry_latency_ns
from sim.market_making_types import MarketMakingConfig, StartPool, View, scalar, validate_market_making


class BookVenue:
    """A market with its start states and, for replays, its recorded background.

    Raises ValueError at construction if configuration, pool and background do not fit together. `params` of the
    methods is any with the fields that they name.
    """

    def __init__(
        self,
        config: MarketMakingConfig,
        flow: Flow,
        pool: StartPool,
        *,
        backend: str = "cpu",
        background: np.ndarray | None = None,
    ):
        self.config = validate_market_making(config)
        self.flow = flow
        self.pool = _check_pool(pool, config)
        self._step = api.make_market_step(config.market, flow, backend)
        self._num_rows = 0 if background is None else int(background.shape[0])
        self._background = _pad_background(background, config.background_rows)

    def check_flow_params(self, flow_params: Any) -> None:
        """Raise ValueError unless int32[..., P] has as many words as the flow reads."""
        if flow_params.shape[-1] != self.flow.num_params:
            raise ValueError(f"flow_params has {flow_params.shape[-1]} words, {self.flow.name} {self.flow.num_params}")

    def open(self, key: jax.Array, params: Any) -> tuple[MarketState, View, jax.Array]:
        """Return (market, view, background row int32[]) of a new episode: a book of the pool with a fresh seed.

        Reads `first_start` and `num_starts`.
        """
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
        view = View(
            depth=pool.depth,
            summary=jnp.zeros(spec.NUM_SUMMARY, jnp.int32),
            own=jnp.zeros((2, spec.NUM_OWN_COLUMNS), jnp.int32),
            history=start_history(jnp, pool.depth),
        )
        return market, view, pool.row

    def advance(
        self, market: MarketState, messages: jax.Array, row: jax.Array, params: Any
    ) -> tuple[MarketState, MarketOutput, jax.Array]:
        """Return (market, output, next background row) after one decision interval. Reads `flow_params`, `horizon`."""
        rows = jax.lax.dynamic_slice_in_dim(self._background, row, self.config.background_rows)
        market, out = self._step(market, messages, jnp.asarray(params.flow_params), rows, params.horizon)
        return market, out, row + market.meta[spec.META_CURSOR] if self._num_rows else row

    def is_over(self, summary: jax.Array, row: jax.Array) -> jax.Array:
        """Say whether the market has no further events: a recording that ended."""
        exhausted = summary[spec.SUM_EXHAUSTED] > 0
        return exhausted | (row >= self._num_rows) if self._num_rows else exhausted


def clock(market: MarketState) -> tuple[jax.Array, jax.Array]:
    """Return the market's time (s, ns), int32[] each."""
    return market.meta[spec.META_CLOCK_S], market.meta[spec.META_CLOCK_NS]


def pending(market: MarketState, owner: int | jax.Array) -> jax.Array:
    """Return int32[2]: 1 where a message of `owner` about that side has not arrived yet."""
    inbox = market.inbox
    ours = (inbox[:, spec.KIND] != spec.NOP) & (inbox[:, spec.OWNER] == owner)
    about = inbox[:, spec.SIDE, None] == jnp.arange(2)
    return jnp.any(ours[:, None] & about, axis=0).astype(jnp.int32)


def soonest(market: MarketState, latency_ns: jax.Array | int) -> tuple[jax.Array, jax.Array]:
    """Return the time (s, ns) at which a message sent now arrives without a drawn latency."""
    return arrival(jnp, *clock(market), scalar(latency_ns))


def send(messages: jax.Array, market: MarketState, first_number: jax.Array, params: Any, owner: int) -> jax.Array:
    """Return messages int32[K, 8] of `owner`, stamped `soonest`, with their drawn latencies on top.

    `first_number` int32[] counts the owner's messages: a message's draw depends on nothing else. Reads `latency_ns` and
    `entry_quantiles_ns`, whose table of one word is folded into `latency_ns` and draws nothing.
    """
    table = jnp.asarray(params.entry_quantiles_ns)
    if table.shape[-1] == 1:
        return messages
    drawn_ns = entry_latency_ns(market.seed, first_number, messages.shape[0], table, owner)
    return delay_messages(messages, market, scalar(params.latency_ns), drawn_ns, owner)


def look(history: History, before: MarketState, after: MarketState, out: MarketOutput, own: jax.Array) -> View:
    """Return what a learner with best orders `own` int32[2, 6] sees after the step from `before` to `after`."""
    took_us = elapsed_us(jnp, clock(before), clock(after))
    history = advance_history(jnp, history, strip_own(jnp, out.depth, own), out.summary, took_us)
    return View(out.depth, out.summary, own, history)


def num_dropped(market: MarketState) -> jax.Array:
    """Return how many fills and messages were lost because a capacity is too small, int32[] so far."""
    return market.book.counters[spec.NUM_FILLS_DROPPED] + market.meta[spec.META_INBOX_DROPPED]


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
