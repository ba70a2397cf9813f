"""What a classical strategy on bars is: pure functions of one market, parameters traced, `vmap` outside.

A strategy wants positions in -1..1 of the S signals of an environment of sim/bars/trading.py; with discrete levels the
nearest level is taken. It sees what an agent sees and no more: the history of bars, the gap to the anchor, prices.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from kernels.features.bars import HORIZONS, LAGS, BarHistory, bar_columns
from sim.bars.trading import BarTrading
from sim.bars.types import BarParams, BarState

Params = dict[str, Any]  # name -> float32[]


class BarView(NamedTuple):
    """What a strategy may look at, one market of S signals and N assets."""

    history: BarHistory  # [S, ...]
    gap: jax.Array  # float32[S] signal less its anchor, log price
    log_price: jax.Array  # float32[N] that the strategy would trade at
    bars_left: jax.Array  # int32[]


class BarStrategy(NamedTuple):
    """One classical strategy."""

    name: str
    start: Callable[[jax.Array, int], Any]  # (key, S) -> memory at the start of an episode
    positions: Callable[[Any, BarView, Params], tuple[Any, jax.Array]]  # -> memory, float32[S] in -1..1
    defaults: dict[str, float]  # its parameters
    grid: dict[str, tuple[float, ...]]  # values worth searching, by parameter
    doc: str  # formula and source in a line
    signals: int | None = None  # how many signals it needs, each one asset; None: any


def bar_view(env: BarTrading, state: BarState, params: BarParams) -> BarView:
    """Return what a strategy sees of one environment."""
    bar = jnp.minimum(state.time, env.paths.num_bars)
    price = jnp.asarray(env.paths.price)[state.path, bar] + state.displacement
    return BarView(state.history, state.gap, jnp.log(price), params.max_steps_in_episode - state.time)


def to_action(levels: tuple[float, ...], positions: jax.Array) -> jax.Array:
    """Return the environment's action for positions float32[S]: themselves, or the number int32[] of the nearest."""
    if not levels:
        return jnp.clip(positions, -1.0, 1.0)
    return jnp.argmin(jnp.abs(jnp.asarray(levels, jnp.float32) - positions[0])).astype(jnp.int32)


def trends(history: BarHistory, horizon: jax.Array) -> jax.Array:
    """Return the trend over volatility float32[S] of the horizon nearest to `horizon` bars."""
    return bar_columns(jnp, history)[:, LAGS + _nearest(horizon)]


def distances(history: BarHistory, horizon: jax.Array) -> jax.Array:
    """Return the distance float32[S] from the mean of the horizon nearest to `horizon` bars, in its deviations."""
    return bar_columns(jnp, history)[:, LAGS + 2 * len(HORIZONS) - 1 + _nearest(horizon)]


def slow_deviation(history: BarHistory) -> jax.Array:
    """Return the root of the longest mean of squared moves, float32[S], log price a bar."""
    return jnp.sqrt(history.square[:, -1])


def _nearest(horizon: jax.Array) -> jax.Array:
    # Neighbours stand a factor apart, so nearness is that of logarithms.
    return jnp.argmin(jnp.abs(jnp.log(jnp.asarray(HORIZONS, jnp.float32)) - jnp.log(horizon)))
