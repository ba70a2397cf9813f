"""Classical strategies with one interface; they compete with the learners in every evaluation.

A strategy is a row of `STRATEGIES`: pure functions of one market, `vmap` outside, parameters traced, so that a whole
search grid runs as one batch. Prices are native ticks; the environment applies its limits (post-only, inventory cap).

Units: price in ticks, time in decisions, inventory in quotes (lots / quote_lots); the mid is that of others' book.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from agents import baselines_scalping as scalping
from agents.baselines_theory import avellaneda_stoikov, glft_terms
from kernels.execution import quotes
from kernels.execution.quotes import Quotes
from kernels.features.market import touch

Params = dict[str, Any]  # name -> float32[]


class Searchable(Protocol):
    """What tuning needs of a strategy, on bars or on the book."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def defaults(self) -> dict[str, float]:
        """Its parameters."""
        ...

    @property
    def grid(self) -> dict[str, tuple[float, ...]]:
        """Values worth searching, by parameter."""
        ...


class StrategyView(NamedTuple):
    """What a strategy may look at, one market."""

    net_depth: jax.Array  # int32[2, L, 2] the book without our orders
    mid_change_half_tick: jax.Array  # int32[] since the last decision
    inventory_lots: jax.Array  # int32[]
    quote_lots: jax.Array  # int32[]
    steps_left: jax.Array  # int32[]


class StrategyState(NamedTuple):
    """Memory of a strategy; which fields mean something is its own affair."""

    key: jax.Array  # for strategies that draw
    variance: jax.Array  # float32[] moving average of the squared mid change [tick^2 a decision]
    decisions: jax.Array  # int32[] made so far
    trend: jax.Array  # float32[] moving average of the mid change [tick a decision], over `fast` decisions
    held_move: jax.Array  # float32[] change of the mid since the inventory was last 0 [tick]


class Strategy(NamedTuple):
    """One classical strategy."""

    name: str
    quotes: Callable[[StrategyState, StrategyView, Params], Quotes]
    defaults: dict[str, float]  # its parameters
    grid: dict[str, tuple[float, ...]]  # values worth searching, by parameter
    doc: str  # formula and source in a line


def init(key: jax.Array) -> StrategyState:
    """Return the memory at the start of an episode."""
    nothing = jnp.zeros((), jnp.float32)
    return StrategyState(key, nothing, jnp.zeros((), jnp.int32), nothing, nothing)


def decide(
    strategy: Strategy, state: StrategyState, view: StrategyView, params: Params
) -> tuple[StrategyState, Quotes]:
    """Return the advanced memory and the wanted quotes of one market.

    The variance is an average of `window` decisions once there were as many, of all before; 0 until the mid has moved.
    """
    change = 0.5 * view.mid_change_half_tick.astype(jnp.float32)
    window = jnp.asarray(params.get("window", DEFAULT_WINDOW), jnp.float32)
    # The first decision of an episode has seen no interval yet.
    seen = state.decisions.astype(jnp.float32)
    weight = jnp.where(seen > 0, 1.0 / jnp.clip(seen, 1.0, jnp.maximum(window, 1.0)), 0.0)
    variance = state.variance + weight * (change * change - state.variance)
    fast = jnp.maximum(jnp.asarray(params.get("fast", DEFAULT_FAST), jnp.float32), 1.0)
    state = StrategyState(
        key=state.key,
        variance=variance,
        decisions=state.decisions + 1,
        trend=state.trend + jnp.where(seen > 0, change - state.trend, 0.0) / fast,
        held_move=jnp.where(view.inventory_lots != 0, state.held_move + change, 0.0),
    )
    return state, strategy.quotes(state, view, params)


def batch_params(strategy: Searchable, size: int, **values: Any) -> Params:
    """Return float32[size] parameters: the defaults, overridden by scalars or arrays [size].

    Raises ValueError naming the valid parameters if a name is unknown.
    """
    unknown = sorted(set(values) - set(strategy.defaults))
    if unknown:
        raise ValueError(f"{strategy.name} has no parameter {unknown[0]!r}; it has {sorted(strategy.defaults)}")
    merged = {**strategy.defaults, **values}
    return {name: jnp.broadcast_to(jnp.asarray(value, jnp.float32), (size,)) for name, value in merged.items()}


def grid_params(strategy: Searchable) -> Params:
    """Return every combination of the strategy's grid, float32[G] by parameter; G is 1 without a grid."""
    names = sorted(strategy.grid)
    axes = jnp.meshgrid(*(jnp.asarray(strategy.grid[name], jnp.float32) for name in names), indexing="ij")
    values = {name: axis.reshape(-1) for name, axis in zip(names, axes, strict=True)}
    size = next(iter(values.values())).shape[0] if values else 1
    return batch_params(strategy, size, **values)


def _do_nothing(state: StrategyState, view: StrategyView, params: Params) -> Quotes:
    return quotes.no_quotes(jnp)


def _random(state: StrategyState, view: StrategyView, params: Params) -> Quotes:
    action = jax.random.randint(jax.random.fold_in(state.key, state.decisions), (), 0, quotes.NUM_ACTIONS)
    return quotes.table_quotes(jnp, action, view.net_depth)


def _constant_action(state: StrategyState, view: StrategyView, params: Params) -> Quotes:
    return quotes.table_quotes(jnp, params["action"].astype(jnp.int32), view.net_depth)


def _fixed_spread(state: StrategyState, view: StrategyView, params: Params) -> Quotes:
    mid, both = _mid(view)
    centre = mid - params["skew_tick"] * _inventory(view)
    return _rounded(centre - params["half_spread_tick"], centre + params["half_spread_tick"], both)


def _avellaneda_stoikov(state: StrategyState, view: StrategyView, params: Params) -> Quotes:
    mid, both = _mid(view)
    time_left = jnp.minimum(view.steps_left.astype(jnp.float32), params["horizon"])
    bid, ask = avellaneda_stoikov(jnp, mid, _inventory(view), state.variance, time_left, params["gamma"], params["k"])
    return _rounded(bid, ask, both)


def _glft(state: StrategyState, view: StrategyView, params: Params) -> Quotes:
    mid, both = _mid(view)
    base, slope = glft_terms(jnp, state.variance, params["gamma"], params["k"], params["intensity"])
    centre = mid - _inventory(view) * slope
    return _rounded(centre - base - 0.5 * slope, centre + base + 0.5 * slope, both)


def _scalping(state: StrategyState, view: StrategyView, params: Params) -> Quotes:
    bid_tick, ask_tick, both = touch(jnp, view.net_depth)
    best = (bid_tick.astype(jnp.float32), ask_tick.astype(jnp.float32))
    weights = (params["imbalance_weight"], params["trend_weight"])
    lots = view.net_depth[:, 0, 1].astype(jnp.float32)
    seen = scalping.signal(jnp, lots, state.trend, state.variance, weights)
    thresholds = (params["entry"], params["stop_tick"], params["target_tick"])
    wanted = scalping.scalp(jnp, best, seen, _inventory(view), state.held_move, thresholds)
    prices = _rounded(wanted.bid_price, wanted.ask_price, both)
    return prices._replace(present=prices.present & jnp.stack([wanted.bid, wanted.ask]))


def _mid(view: StrategyView) -> tuple[jax.Array, jax.Array]:
    bid_tick, ask_tick, both = touch(jnp, view.net_depth)
    return 0.5 * (bid_tick + ask_tick).astype(jnp.float32), both


def _inventory(view: StrategyView) -> jax.Array:
    return view.inventory_lots.astype(jnp.float32) / view.quote_lots.astype(jnp.float32)


def _rounded(bid: jax.Array, ask: jax.Array, both: jax.Array) -> Quotes:
    # Away from the mid, so that no formula gives more than it asked for; far beyond any book, but within int32.
    prices = jnp.clip(jnp.stack([jnp.floor(bid), jnp.ceil(ask)]), -(2.0**29), 2.0**29)
    return Quotes(jnp.stack([both, both]), prices.astype(jnp.int32))


DEFAULT_WINDOW: Final = 64.0
DEFAULT_FAST: Final = 4.0
STRATEGIES: Final[dict[str, Strategy]] = {
    strategy.name: strategy
    for strategy in (
        Strategy("do_nothing", _do_nothing, {}, {}, "no quotes"),
        Strategy("random", _random, {}, {}, "a uniform action of the quote table at every decision"),
        Strategy(
            "constant_action",
            _constant_action,
            {"action": 21.0},
            {"action": tuple(float(action) for action in range(quotes.NUM_ACTIONS))},
            "the same action of the quote table at every decision",
        ),
        Strategy(
            "fixed_spread",
            _fixed_spread,
            {"half_spread_tick": 8.0, "skew_tick": 2.0},
            {"half_spread_tick": (3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0), "skew_tick": (0.0, 0.5, 1.0, 2.0, 4.0)},
            "mid - skew x inventory -+ half spread",
        ),
        Strategy(
            "avellaneda_stoikov",
            _avellaneda_stoikov,
            {"gamma": 0.01, "k": 0.2, "window": DEFAULT_WINDOW, "horizon": 16.0},
            {
                "gamma": (0.001, 0.003, 0.01, 0.03, 0.1),
                "k": (0.05, 0.1, 0.2, 0.4),
                "window": (64.0,),
                "horizon": (8.0, 32.0, 1024.0),
            },
            "Avellaneda, Stoikov (2008), with estimated variance and time left at most `horizon`",
        ),
        Strategy(
            "glft",
            _glft,
            {"gamma": 0.01, "k": 0.2, "intensity": 0.1, "window": DEFAULT_WINDOW},
            {"gamma": (0.001, 0.003, 0.01, 0.03, 0.1), "k": (0.05, 0.1, 0.2, 0.4), "intensity": (0.03, 0.1, 0.3)},
            "Gueant, Lehalle, Fernandez-Tapia (2013), asymptotic, with estimated variance",
        ),
        Strategy(
            "scalping",
            _scalping,
            {
                "entry": 0.5,
                "stop_tick": 6.0,
                "target_tick": 3.0,
                "imbalance_weight": 1.0,
                "trend_weight": 0.5,
                "fast": DEFAULT_FAST,
            },
            {
                "entry": (0.3, 0.5, 0.7, 0.9),
                "stop_tick": (2.0, 6.0, 20.0),
                "target_tick": (1.0, 3.0, 8.0),
                "trend_weight": (0.0, 0.5, 1.0),
            },
            "short trades on imbalance and momentum with a tight stop, improving quotes",
        ),
    )
}
