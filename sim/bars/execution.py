"""Execution of a parent order along a price path with impact, as a gymnax environment. One market; `vmap` outside.

action       `Box(-1, 1, (1,))`, or with `levels` a `Discrete` index into them: the pace a. The slice is what is left of
             the parent / slices left x PACE^a, at most what is left: a = 0 is TWAP; the last slice takes all
observation  float32[D]: share left, share of the slices left, the pace that would be TWAP from the start, our
             displacement and the last move over the deviation of a bar, and the columns of kernels/features/bars.py
step         the slice trades `side` at the price plus the displacement that it pays (`impact`), then a bar passes
reward       - (shortfall of the slice + risk_aversion x variance of a bar x (lots left after it)^2) / cost_scale, of
             the shortfall's noise, side x lots x (price - arrival price), the share `price_noise_share`
end          after `num_slices` slices; terminated
info         so far: shortfall (money, noise included, positive when it hurts), expected_cost (without noise),
             risk (variance of what was held), lots_left

Known optima: with linear impact and price_noise_share 0 the sum of rewards is -(E + risk_aversion V) of Almgren, Chriss
(2000), less what no schedule changes; with transient impact, E of Obizhaeva, Wang (2013).
Source: as above; pace: a trader's speed relative to TWAP.
"""

from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from kernels.features.bars import CLIP, COLUMNS_PER_SIGNAL, BarHistory, advance_bars, bar_columns
from market_models.impact import ImpactState, LinearImpact
from sim.bars.paths import Paths
from sim.bars.types import check_fields

PACE: Final = 8.0


@struct.dataclass
class ExecutionParams(environment.EnvParams):
    """Traced parameters, scalars; money is price x lots."""

    num_slices: int = 20
    parent_lots: Any = 1e4
    side: Any = -1.0  # 1 buys, -1 sells
    impact: Any = LinearImpact()  # market_models/impact.py; a tick is one unit of the price
    bar_s: Any = 60.0  # from slice to slice
    bar_sd: Any = 1.2  # deviation of the price in one bar
    risk_aversion: Any = 0.0  # 1 / money
    price_noise_share: Any = 1.0
    cost_scale: Any = 1e4  # money
    first_path: int = 0
    num_paths: int = 1


@struct.dataclass
class ExecutionState(environment.EnvState):
    """One parent order; float32 unless said."""

    time: jax.Array  # int32[] slices made
    path: jax.Array  # int32[]
    history: BarHistory  # [1, ...]
    impact: ImpactState  # []
    displacement: jax.Array  # [] of the price by our own trades
    left: jax.Array  # [] lots
    expected_cost: jax.Array  # [] money
    shortfall: jax.Array  # [] money
    risk: jax.Array  # [] money^2


_RANGES: Final = {
    "num_slices": (1, 2**20),
    "parent_lots": (1e-6, 1e30),
    "side": (-1.0, 1.0),
    "bar_s": (1e-6, 1e30),
    "bar_sd": (1e-30, 1e30),
    "risk_aversion": (0.0, 1e30),
    "price_noise_share": (0.0, 1.0),
    "cost_scale": (1e-30, 1e30),
    "first_path": (0, 2**30),
    "num_paths": (1, 2**30),
}


class Execution(environment.Environment[ExecutionState, ExecutionParams]):
    """The environment; the table in this module's head is its specification.

    Raises ValueError at construction if paths, levels and parameters do not fit together.
    """

    def __init__(self, paths: Paths, params: ExecutionParams, levels: tuple[float, ...] = ()):
        self.paths, self.levels = paths, tuple(levels)
        if paths.price.shape[2] != 1:
            raise ValueError(f"paths hold {paths.price.shape[2]} assets, execution needs 1")
        if any(not -1 <= level <= 1 for level in self.levels) or len(self.levels) == 1:
            raise ValueError(f"levels {levels} is not at least two paces in -1..1")
        fields = check_fields(params, _RANGES, ("num_slices", "first_path", "num_paths"))
        if (fields["num_slices"] > paths.num_bars).any():
            raise ValueError(f"num_slices {fields['num_slices']} passes the paths' {paths.num_bars} bars")
        if (fields["first_path"] + fields["num_paths"] > paths.num_paths).any():
            raise ValueError(f"first_path + num_paths passes the {paths.num_paths} paths")
        if not np.isin(fields["side"], (-1, 1)).all():
            raise ValueError(f"side {params.side} is not 1 (buy) or -1 (sell)")
        impact = jax.tree.map(np.float32, params.impact)
        self._params = params.replace(**fields, impact=impact)  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def default_params(self) -> ExecutionParams:
        """The parameters that the environment was made with (NumPy scalars and arrays)."""
        return self._params

    @property
    def name(self) -> str:
        """Name of the environment."""
        return "execution_on_prices"

    @property
    def num_actions(self) -> int:
        """Number of discrete paces, or the length of a continuous action, 1."""
        return len(self.levels) or 1

    def action_space(self, params: ExecutionParams | None = None) -> spaces.Discrete | spaces.Box:
        """Return `Discrete(len(levels))` or `Box(-1, 1, (1,))`."""
        return spaces.Discrete(len(self.levels)) if self.levels else spaces.Box(-1.0, 1.0, (1,), jnp.float32)

    def observation_space(self, params: ExecutionParams | None = None) -> spaces.Box:
        """Return the box that observations are clipped to."""
        return spaces.Box(-CLIP, CLIP, (5 + COLUMNS_PER_SIGNAL,), jnp.float32)

    def reset_env(self, key: jax.Array, params: ExecutionParams) -> tuple[jax.Array, ExecutionState]:
        """Return (obs, state) of a new parent order on a path drawn with `key`."""
        path = params.first_path + jax.random.randint(key, (), 0, params.num_paths)
        nothing = jnp.float32(0)
        state = ExecutionState(
            time=jnp.int32(0),
            path=path.astype(jnp.int32),
            history=jax.tree.map(lambda leaf: jnp.asarray(leaf)[path], self.paths.history),
            impact=jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params.impact.init(jnp)),
            displacement=nothing,
            left=jnp.asarray(params.parent_lots, jnp.float32),
            expected_cost=nothing,
            shortfall=nothing,
            risk=nothing,
        )
        return self.observe(key, state, None, params), state

    def step_env(
        self, key: jax.Array, state: ExecutionState, action: int | float | jax.Array, params: ExecutionParams
    ) -> tuple[jax.Array, ExecutionState, jax.Array, jax.Array, dict[Any, Any]]:
        """Trade one slice and let a bar pass; no randomness is used."""
        lots = self.slice_lots(state, action, params)
        signed = params.side * lots
        pushed = params.impact.step(jnp, state.impact, signed, params.bar_s)
        left = state.left - lots
        expected = signed * pushed.paid_tick
        noise = signed * (self._price(state) - self._start(state))
        variance = params.bar_sd**2 * left * left
        impact = jax.tree.map(lambda leaf, like: leaf.astype(like.dtype), pushed.state, state.impact)
        later = params.impact.step(jnp, impact, jnp.zeros_like(left), params.bar_s).paid_tick
        change = jnp.asarray(self.paths.change)[state.path, state.time]
        state = ExecutionState(
            time=state.time + 1,
            path=state.path,
            history=advance_bars(jnp, state.history, jnp.log1p(change)),
            impact=impact,
            displacement=later.astype(jnp.float32),
            left=left,
            expected_cost=state.expected_cost + expected,
            shortfall=state.shortfall + expected + noise,
            risk=state.risk + variance,
        )
        cost = expected + params.price_noise_share * noise + params.risk_aversion * variance
        reward = (-cost / params.cost_scale).astype(jnp.float32)
        info = {
            "shortfall": state.shortfall,
            "expected_cost": state.expected_cost,
            "risk": state.risk,
            "lots_left": left,
        }
        return self.observe(key, state, None, params), state, reward, self.is_terminated(state, params), info

    def slice_lots(self, state: ExecutionState, action: int | float | jax.Array, params: ExecutionParams) -> jax.Array:
        """Return the lots float32[] that an action trades now; all that is left in the last slice."""
        pace = jnp.asarray(self.levels, jnp.float32)[jnp.asarray(action)] if self.levels else jnp.asarray(action)
        pace = jnp.clip(jnp.reshape(pace, ()), -1.0, 1.0)
        slices = jnp.maximum(params.num_slices - state.time, 1)
        return jnp.where(slices == 1, state.left, state.left * jnp.minimum(PACE**pace / slices, 1.0))

    def observe(self, key: jax.Array, state: ExecutionState, action: Any, params: ExecutionParams) -> jax.Array:
        """Return the observation float32[D]; neither key nor action matter."""
        share = state.left / params.parent_lots
        slices = 1.0 - state.time / jnp.asarray(params.num_slices, jnp.float32)
        own = params.side * state.displacement / params.bar_sd
        moved = params.side * state.history.lags[0, 0] * self._price(state) / params.bar_sd
        ours = jnp.stack([share, slices, share - slices, own, moved])
        return jnp.clip(jnp.concatenate([ours, bar_columns(jnp, state.history)[0]]), -CLIP, CLIP).astype(jnp.float32)

    def is_truncated(self, state: ExecutionState, params: ExecutionParams) -> jax.Array:
        """Return False: a parent order ends by itself."""
        return jnp.zeros((), bool)

    def is_terminated(self, state: ExecutionState, params: ExecutionParams) -> jax.Array:
        """Return whether the last slice has been made."""
        return state.time >= jnp.asarray(params.num_slices)

    def _price(self, state: ExecutionState) -> jax.Array:
        return jnp.asarray(self.paths.price)[state.path, state.time, 0]

    def _start(self, state: ExecutionState) -> jax.Array:
        return jnp.asarray(self.paths.price)[state.path, 0, 0]
