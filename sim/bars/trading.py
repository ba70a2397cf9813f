"""Trading, portfolio and pairs as one gymnax environment on price paths. One market; `vmap` outside (sim/vector.py).

action       positions in -1..1 of S signals: `Box(S)`, or with `levels` and one signal a `Discrete` index into them;
             position x the paths' `directions` = weights of equity [N], scaled down to `max_gross_frac`
observation  float32[D]: columns of kernels/features/bars.py for each signal, where `anchored` its gap over its slowest
             deviation, the weights held [N], the gross weight, the drawdown and the share of the episode that is left
step         one bar: trade to the weights (at the price seen, or with `latency_bars` at the next one), then the price
             moves; what we trade moves it too (`impact`), for us and for later bars
cost         slippage and impact against the mid just before the trade, fees on the notional; shorts pay borrow at
             that mid
reward       `reward_scale` x (u(r) - drawdown_penalty x deepening), r the bar's return on equity after all costs and
             u(r) = ((1 + r)^(1 - g) - 1) / (1 - g), log(1 + r) at g = risk_aversion = 1;
             or the differential Sharpe ratio (Moody, Saffell 2001) in place of u
end          after `max_steps_in_episode` bars: `liquidate` = 1 closes at cost and terminates, 0 is truncated at the
             mark; ruin terminates
start        a path drawn among `num_paths` from `first_path`, no positions
info         of the episode so far: pnl_frac, costs_frac, turnover_frac, drawdown_frac; gross_frac; bar_return_frac

Known optimum: for independent returns, no costs and g = risk_aversion, the constant weight that maximises E u (Merton
1969 in discrete time). Marks include our own displacement. Cash earns nothing.
"""

from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import environment, spaces

from kernels.features.bars import CLIP, COLUMNS_PER_SIGNAL, MIN_SD, advance_bars, bar_columns
from market_models.slippage import Quote
from sim.bars.paths import Paths
from sim.bars.types import BarConfig, BarParams, BarState, Moments, validate_config, validate_params

MIN_RETURN = -0.99  # what a reward sees of a bar that loses more


class BarTrading(environment.Environment[BarState, BarParams]):
    """The environment; the table in this module's head is its specification.

    Raises ValueError at construction if configuration, paths and parameters do not fit together.
    """

    def __init__(self, paths: Paths, params: BarParams, config: BarConfig | None = None, name: str = "trading"):
        self.config = validate_config(config or BarConfig())
        self.paths = paths
        self.num_assets, self.num_signals = int(paths.price.shape[2]), int(paths.gap.shape[1])
        self._params = validate_params(params, paths.num_paths, paths.num_bars)
        self._name = name
        if self.config.levels and self.num_signals != 1:
            raise ValueError(f"levels need one signal, there are {self.num_signals}: use continuous actions")

    @property
    def default_params(self) -> BarParams:
        """The parameters that the environment was made with (NumPy scalars and arrays)."""
        return self._params

    @property
    def name(self) -> str:
        """Name of the environment."""
        return self._name

    @property
    def num_actions(self) -> int:
        """Number of discrete actions, or the length of a continuous one."""
        return len(self.config.levels) or self.num_signals

    @property
    def obs_dim(self) -> int:
        """Length of the observation."""
        columns = self.num_signals * (COLUMNS_PER_SIGNAL + self.config.anchored)
        return columns + self.num_assets + 3

    def action_space(self, params: BarParams | None = None) -> spaces.Discrete | spaces.Box:
        """Return `Discrete(len(levels))` or `Box(-1, 1, (S,))`."""
        if self.config.levels:
            return spaces.Discrete(len(self.config.levels))
        return spaces.Box(-1.0, 1.0, (self.num_signals,), jnp.float32)

    def observation_space(self, params: BarParams | None = None) -> spaces.Box:
        """Return the box that observations are clipped to."""
        return spaces.Box(-CLIP, CLIP, (self.obs_dim,), jnp.float32)

    def reset_env(self, key: jax.Array, params: BarParams) -> tuple[jax.Array, BarState]:
        """Return (obs, state) of a new episode along a path drawn with `key`."""
        path = params.first_path + jax.random.randint(key, (), 0, params.num_paths)
        history = jax.tree.map(lambda leaf: jnp.asarray(leaf)[path], self.paths.history)
        assets, nothing = jnp.zeros(self.num_assets, jnp.float32), jnp.float32(0)
        equity = jnp.asarray(params.start_equity, jnp.float32)
        impact = params.impact.init(jnp, (self.num_assets,))
        state = BarState(
            time=jnp.int32(0),
            path=path.astype(jnp.int32),
            history=history,
            gap=jnp.asarray(self.paths.gap)[path],
            impact=jax.tree.map(lambda leaf: leaf.astype(jnp.float32), impact),
            displacement=assets,
            units=assets,
            equity=equity,
            wanted=assets,
            peak=equity,
            drawdown_frac=nothing,
            moments=Moments(nothing, nothing),
            costs_frac=nothing,
            turnover_frac=nothing,
        )
        return self.observe(key, state, None, params), state

    def step_env(
        self, key: jax.Array, state: BarState, action: int | float | jax.Array, params: BarParams
    ) -> tuple[jax.Array, BarState, jax.Array, jax.Array, dict[Any, Any]]:
        """Hold the positions of `action` for one bar; no randomness is used."""
        wanted = self.weights(action, params)
        held = jnp.where(params.latency_bars > 0, state.wanted, wanted)
        before = state
        state = _trade(state, self._price(state), held * state.equity, params)
        state = self._move(state.replace(wanted=wanted), params)  # pyright: ignore[reportAttributeAccessIssue]
        ends = self._limit(state, params)
        flat = _trade(state, self._price(state), jnp.zeros_like(state.units), params)
        closes = ends & (params.liquidate > 0)
        state = jax.tree.map(lambda a, b: jnp.where(closes, a, b), flat, state)
        state, deepened = _judge(before, state)
        gained = (state.equity - before.equity) / before.equity
        reward = self._reward(before.moments, gained, deepened, params)
        state = state.replace(moments=_moments(before.moments, gained, params))  # pyright: ignore[reportAttributeAccessIssue]
        info = self._info(state, gained, params)
        return self.observe(key, state, None, params), state, reward, self.is_terminated(state, params), info

    def weights(self, action: int | float | jax.Array, params: BarParams) -> jax.Array:
        """Return weights of equity float32[N] of an action, within `max_gross_frac`."""
        if self.config.levels:
            position = jnp.asarray(self.config.levels, jnp.float32)[jnp.asarray(action)][None]
        else:
            position = jnp.clip(jnp.reshape(jnp.asarray(action, jnp.float32), (self.num_signals,)), -1.0, 1.0)
        weights = position @ jnp.asarray(self.paths.directions)
        gross = jnp.sum(jnp.abs(weights))
        return weights * jnp.where(gross > params.max_gross_frac, params.max_gross_frac / jnp.maximum(gross, 1e-30), 1)

    def observe(self, key: jax.Array, state: BarState, action: Any, params: BarParams) -> jax.Array:
        """Return the observation float32[D]; neither key nor action matter."""
        columns = bar_columns(jnp, state.history)
        if self.config.anchored:
            slow = jnp.maximum(jnp.sqrt(state.history.square[:, -1]), MIN_SD)
            columns = jnp.concatenate([columns, (state.gap / slow)[:, None]], axis=-1)
        held = state.units * self._price(state) / jnp.maximum(state.equity, 1e-30)
        left = 1.0 - state.time / jnp.asarray(params.max_steps_in_episode, jnp.float32)
        fall = 1.0 - state.equity / state.peak
        account = jnp.stack([jnp.sum(jnp.abs(held)), fall, left])
        return jnp.clip(jnp.concatenate([columns.reshape(-1), held, account]), -CLIP, CLIP).astype(jnp.float32)

    def is_truncated(self, state: BarState, params: BarParams) -> jax.Array:
        """Return whether the episode was cut off with its positions open."""
        return self._limit(state, params) & ~self.is_terminated(state, params)

    def is_terminated(self, state: BarState, params: BarParams) -> jax.Array:
        """Return whether the episode ended by ruin, or with its positions closed."""
        ruined = state.equity <= params.ruin_frac * params.start_equity
        return ruined | (self._limit(state, params) & (params.liquidate > 0))

    def _limit(self, state: BarState, params: BarParams) -> jax.Array:
        return state.time >= jnp.asarray(params.max_steps_in_episode)

    def _price(self, state: BarState) -> jax.Array:
        bar = jnp.minimum(state.time, self.paths.num_bars)
        return jnp.asarray(self.paths.price)[state.path, bar] + state.displacement

    def _move(self, state: BarState, params: BarParams) -> BarState:
        """Let one bar pass: prices move, impact decays, shorts pay."""
        price = jnp.asarray(self.paths.price)[state.path, state.time]
        change = jnp.asarray(self.paths.change)[state.path, state.time]
        displacement = params.impact.step(jnp, state.impact, jnp.zeros_like(price), params.bar_s).paid_tick
        short = jnp.sum(jnp.maximum(-state.units, 0.0) * (price + state.displacement))
        borrow = params.borrow_bps * 1e-4 * short
        gain = jnp.sum(state.units * (price * change + displacement - state.displacement)) - borrow
        moved = jnp.log1p(change) @ jnp.asarray(self.paths.directions).T
        return state.replace(  # pyright: ignore[reportAttributeAccessIssue]
            time=state.time + 1,
            history=advance_bars(jnp, state.history, moved),
            gap=state.gap + moved,
            displacement=displacement.astype(jnp.float32),
            equity=state.equity + gain,
            costs_frac=state.costs_frac + borrow / params.start_equity,
        )

    def _reward(self, moments: Moments, gained: jax.Array, deepened: jax.Array, params: BarParams) -> jax.Array:
        seen = jnp.maximum(gained, MIN_RETURN)
        if self.config.reward == "utility":
            earned = _utility(seen, jnp.asarray(params.risk_aversion, jnp.float32))
        else:
            earned = _differential_sharpe(moments, seen)
        return (params.reward_scale * (earned - params.drawdown_penalty * deepened)).astype(jnp.float32)

    def _info(self, state: BarState, gained: jax.Array, params: BarParams) -> dict[str, jax.Array]:
        gross = jnp.sum(jnp.abs(state.units * self._price(state)))
        return {
            "pnl_frac": state.equity / params.start_equity - 1.0,
            "costs_frac": state.costs_frac,
            "turnover_frac": state.turnover_frac,
            "drawdown_frac": state.drawdown_frac,
            "gross_frac": gross / jnp.maximum(state.equity, 1e-30),
            "bar_return_frac": gained,
        }


def _trade(state: BarState, mid: jax.Array, notional: jax.Array, params: BarParams) -> BarState:
    """Trade to `notional` [N] at `mid` [N]; the account pays slippage, impact beyond the mid, and fees."""
    delta = notional / mid - state.units
    size = jnp.asarray(params.lot_size, jnp.float32)
    delta = jnp.where(size > 0, jnp.trunc(delta / jnp.maximum(size, 1e-30)) * size, delta)
    quote = Quote(mid, mid * params.spread_bps * 1e-4, params.volume_lots, jnp.zeros((*mid.shape, 1, 2)))
    slipped = params.slippage.slippage_tick(jnp, quote, jnp.abs(delta))
    pushed = params.impact.step(jnp, state.impact, delta, params.bar_s)
    price = mid + (pushed.paid_tick - state.displacement) + jnp.sign(delta) * slipped
    traded = jnp.sum(jnp.abs(delta) * jnp.abs(price))
    fees = params.fee_bps * 1e-4 * traded
    paid = jnp.sum(delta * (price - mid)) + fees
    impact = jax.tree.map(lambda leaf, like: leaf.astype(like.dtype), pushed.state, state.impact)
    return state.replace(  # pyright: ignore[reportAttributeAccessIssue]
        units=state.units + delta,
        impact=impact,
        equity=state.equity - paid,
        costs_frac=state.costs_frac + paid / params.start_equity,
        turnover_frac=state.turnover_frac + traded / params.start_equity,
    )


def _judge(before: BarState, state: BarState) -> tuple[BarState, jax.Array]:
    """Return the state with its peak and drawdown, and by how much the drawdown deepened."""
    peak = jnp.maximum(state.peak, state.equity)
    drawdown = jnp.maximum(before.drawdown_frac, 1.0 - state.equity / peak)
    state = state.replace(peak=peak, drawdown_frac=drawdown)  # pyright: ignore[reportAttributeAccessIssue]
    return state, drawdown - before.drawdown_frac


def _utility(gained: jax.Array, aversion: jax.Array) -> jax.Array:
    power = 1.0 - aversion
    log = jnp.log1p(gained)
    near = jnp.abs(power) < 1e-4  # the limit; float32 loses the quotient there
    return jnp.where(near, log, jnp.expm1(power * log) / jnp.where(near, 1.0, power))


def _moments(moments: Moments, gained: jax.Array, params: BarParams) -> Moments:
    decay = params.sharpe_decay
    square = moments.square + decay * (gained * gained - moments.square)
    return Moments(moments.mean + decay * (gained - moments.mean), square)


def _differential_sharpe(moments: Moments, gained: jax.Array) -> jax.Array:
    """Return dS/d(decay) at 0: (B dA - A dB / 2) / (B - A^2)^(3/2); 0 before there is a variance."""
    variance = moments.square - moments.mean**2
    change = moments.square * (gained - moments.mean) - 0.5 * moments.mean * (gained * gained - moments.square)
    known = variance > 1e-12
    return jnp.where(known, change / jnp.where(known, variance, 1.0) ** 1.5, 0.0)
