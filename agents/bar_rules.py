"""The rules of the classical strategies on bars; their rows stand in agents/bar_strategies.py.

Units: position in -1..1 of a signal, time in bars, z in deviations, log prices.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from agents.bar_strategy import BarView, Params, distances, slow_deviation, trends
from kernels.features.kalman import HedgeFilter, advance_hedge, start_hedge


class Drawing(NamedTuple):
    """Memory of a strategy that draws."""

    key: jax.Array
    bars: jax.Array  # int32[] made so far


class Holding(NamedTuple):
    """Memory of a strategy that enters and leaves."""

    side: jax.Array  # float32[S] -1, 0 or 1
    bars: jax.Array  # float32[S] since the entry
    barred: jax.Array  # bool[S] stopped out, until the spread has come back


class Hedging(NamedTuple):
    """Memory of the hedge ratio's filter and of the one position in its spread."""

    filter: HedgeFilter
    bars: jax.Array  # int32[]
    holding: Holding  # [1]


def nothing_to_remember(key: jax.Array, signals: int) -> tuple[()]:
    """Return the empty memory."""
    return ()


def start_drawing(key: jax.Array, signals: int) -> Drawing:
    """Return the memory of `draw_positions`."""
    return Drawing(key, jnp.int32(0))


def start_holding(key: jax.Array, signals: int) -> Holding:
    """Return the memory of `enter_and_leave`: flat."""
    return Holding(jnp.zeros(signals), jnp.zeros(signals), jnp.zeros(signals, bool))


def start_hedging(key: jax.Array, signals: int) -> Hedging:
    """Return the memory of `hedge_and_revert`: nothing is known of alpha, beta is about 1."""
    known = start_hedge(jnp, jnp.array([0.0, 1.0]), jnp.array([1.0, 1.0]))
    return Hedging(known, jnp.int32(0), start_holding(key, 1))


def stay_flat(memory: tuple[()], view: BarView, params: Params) -> tuple[tuple[()], jax.Array]:
    """Hold nothing."""
    return memory, jnp.zeros_like(view.gap)


def draw_positions(memory: Drawing, view: BarView, params: Params) -> tuple[Drawing, jax.Array]:
    """Hold uniform positions, drawn anew every bar."""
    key = jax.random.fold_in(memory.key, memory.bars)
    return memory._replace(bars=memory.bars + 1), jax.random.uniform(key, view.gap.shape, minval=-1.0)


def hold(memory: tuple[()], view: BarView, params: Params) -> tuple[tuple[()], jax.Array]:
    """Hold the same share of `weight` in every signal."""
    return memory, jnp.full_like(view.gap, params["weight"] / view.gap.shape[0])


def hold_merton(memory: tuple[()], view: BarView, params: Params) -> tuple[tuple[()], jax.Array]:
    """Hold (m + s^2 / 2) / (g s^2) of the signals, m and s of their log return: Merton's constant weight."""
    variance = params["volatility_per_bar"] ** 2
    weight = (params["log_drift_per_bar"] + 0.5 * variance) / (params["risk_aversion"] * variance)
    return memory, jnp.full_like(view.gap, jnp.clip(weight, -1.0, 1.0) / view.gap.shape[0])


def follow_trend(memory: tuple[()], view: BarView, params: Params) -> tuple[tuple[()], jax.Array]:
    """Hold clip(gain x trend) scaled down to `target_deviation` a bar, where a signal moves more than that."""
    wanted = jnp.clip(params["gain"] * trends(view.history, params["horizon"]), -1.0, 1.0)
    return memory, wanted * jnp.minimum(params["target_deviation"] / _some(slow_deviation(view.history)), 1.0)


def fade_distance(memory: tuple[()], view: BarView, params: Params) -> tuple[tuple[()], jax.Array]:
    """Hold gain x (|distance| - entry), at least 0, against the distance from the moving mean."""
    away = distances(view.history, params["horizon"])
    size = jnp.clip(params["gain"] * (jnp.abs(away) - params["entry"]), 0.0, 1.0)
    return memory, -jnp.sign(away) * size


def trade_gap(memory: Holding, view: BarView, params: Params) -> tuple[Holding, jax.Array]:
    """Enter and leave by z = gap / deviation of each spread; `pair_params` gives deviation and half-life."""
    memory = enter_and_leave(memory, view.gap / params["deviation"], params)
    return memory, memory.side / memory.side.shape[0]


def hedge_and_revert(memory: Hedging, view: BarView, params: Params) -> tuple[Hedging, jax.Array]:
    """Enter and leave by the surprise of the first asset's log price given the second's, hedged by its slope."""
    y, x = view.log_price[0], view.log_price[1]
    known, surprise = advance_hedge(jnp, memory.filter, y, x, params["drift"], params["noise"])
    z = (surprise.error / jnp.sqrt(surprise.variance))[None]
    ready = memory.bars >= params["warm_up"]
    holding = enter_and_leave(memory.holding, jnp.where(ready, z, 0.0), params)
    slope = known.mean[1]
    weights = jnp.stack([jnp.ones_like(slope), -slope]) / (1.0 + jnp.abs(slope))
    return Hedging(known, memory.bars + 1, holding), holding.side[0] * weights


def enter_and_leave(memory: Holding, z: jax.Array, params: Params) -> Holding:
    """Return the holding after a bar with z float32[S]: against z beyond `entry`, until it is within `exit`.

    Left at a loss where |z| passes `stop`, or after `max_half_lives` x `half_life_bars`; then barred from entering
    until |z| is below `entry` again.
    """
    side, far = memory.side, jnp.abs(z)
    bars = jnp.where(side != 0, memory.bars + 1.0, 0.0)
    stopped = (far >= params["stop"]) | (bars >= params["max_half_lives"] * params["half_life_bars"])
    stopped = stopped & (side != 0)
    kept = jnp.where(stopped | (side * z >= -params["exit"]), 0.0, side)
    barred = (memory.barred | stopped) & (far >= params["entry"])
    enters = (side == 0) & ~barred & (far >= params["entry"]) & (far < params["stop"])
    side = jnp.where(enters, -jnp.sign(z), kept)
    return Holding(side, jnp.where(side != 0, bars, 0.0), barred)


def _some(value: jax.Array) -> jax.Array:
    return jnp.maximum(value, 1e-12)
