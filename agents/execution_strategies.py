"""Classical execution on price paths: the schedules of kernels/execution as strategies of sim/bars/execution.py.

A strategy is a schedule `done` float[N], the share of the parent that should be done after each of its N slices, and
one rule for all: trade what is missing to it. The rule is a function of what an agent sees, traced and vmappable; a
schedule that asks for less than 1/8 or more than 8 of TWAP's pace is cut by the environment and made up for later.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels import checks as check
from kernels.execution import schedules
from kernels.execution.almgren_chriss import ImpactParams, curvature
from kernels.execution.obizhaeva_wang import refill_share
from sim.bars.execution import PACE, Execution, ExecutionParams, ExecutionState


class ExecutionResults(NamedTuple):
    """Of each parent order, float32[K, P] for K schedules and P paths; positive costs hurt."""

    shortfall: np.ndarray  # money, price noise included
    expected_cost: np.ndarray  # money, without noise
    risk: np.ndarray  # money^2, variance of what was held
    reward: np.ndarray  # sum over the slices


def twap(*, slices: int) -> np.ndarray:
    """Return the schedule of equal slices."""
    return _fractions(schedules.TWAP, slices)


def vwap(*, curve: Any) -> np.ndarray:
    """Return the schedule that follows a volume curve [N], any unit (`schedules.volume_curve` estimates one)."""
    volume = check.vector("curve", curve)
    return _fractions(schedules.VWAP, len(volume), curve=volume)


def pov(*, curve: Any, rate: float, parent_lots: float) -> np.ndarray:
    """Return the schedule that trades `rate`, in 0..1, of the lots [N] expected in each slice until it is done.

    Paths of prices have no volume to follow as it comes: the expected one stands for it. What is left goes last.
    """
    volume = check.vector("curve", curve)
    check.number("rate", rate, 0.0, 1.0, open_low=True)
    check.number("parent_lots", parent_lots, 0.0, open_low=True)
    if (volume < 0).any():
        raise ValueError(f"curve has a volume of {volume.min()}, expected at least 0")
    done = np.minimum(rate * np.cumsum(volume) / parent_lots, 1.0)
    done[-1] = 1.0
    return done


def almgren_chriss(*, impact: ImpactParams, risk_aversion: float) -> np.ndarray:
    """Return the optimal trajectory of `impact`, its intervals the slices, at `risk_aversion` [1 / money]."""
    return _fractions(schedules.ALMGREN_CHRISS, impact.intervals, shape=curvature(impact, risk_aversion))


def obizhaeva_wang(*, slices: int, resilience: float) -> np.ndarray:
    """Return blocks at both ends and what refills between; `resilience` is rho x the time from first to last slice."""
    return _fractions(schedules.OBIZHAEVA_WANG, slices, shape=refill_share(resilience, 1.0, slices))


EXECUTION_STRATEGIES: Final[dict[str, Callable[..., np.ndarray]]] = {
    "twap": twap,
    "vwap": vwap,
    "pov": pov,
    "almgren_chriss": almgren_chriss,
    "obizhaeva_wang": obizhaeva_wang,
}


def make_schedule(name: str, **fields: Any) -> np.ndarray:
    """Return `done` float64[N] of a strategy by name; ValueError names the valid ones, or the field that is wrong."""
    if name not in EXECUTION_STRATEGIES:
        raise ValueError(f"execution strategy '{name}' is not one of {', '.join(EXECUTION_STRATEGIES)}")
    try:
        return EXECUTION_STRATEGIES[name](**fields)
    except TypeError as error:
        raise ValueError(f"execution strategy '{name}': {error}") from None


def schedule_action(env: Execution, state: ExecutionState, params: ExecutionParams, done: jax.Array) -> jax.Array:
    """Return the action that brings the parent onto the schedule `done` float32[N] in this slice."""
    left = state.left / params.parent_lots
    missing = left - (1.0 - done[jnp.minimum(state.time, done.shape[0] - 1)])
    slices = (params.num_slices - state.time).astype(jnp.float32)
    speed = missing * slices / jnp.maximum(left, 1e-12)  # in paces of TWAP
    pace = jnp.clip(jnp.log(jnp.maximum(speed, 1e-12)) / np.log(PACE), -1.0, 1.0)
    if env.levels:
        return jnp.argmin(jnp.abs(jnp.asarray(env.levels, jnp.float32) - pace)).astype(jnp.int32)
    return pace[None]


def play_schedules(env: Execution, done: Any) -> ExecutionResults:
    """Let K schedules `done` [K, N] work the environment's parent order on every path.

    ValueError unless N is `num_slices` and each schedule is finite, within 0..1, never falls and ends at 1.
    """
    shares = np.asarray(done, np.float64)
    slices = int(env.default_params.num_slices)
    if shares.ndim != 2 or shares.shape[1] != slices:
        raise ValueError(f"done has shape {shares.shape}, expected [K, {slices}], a share for each slice")
    falls = np.diff(shares, axis=1, prepend=0.0) < 0
    if not np.isfinite(shares).all() or falls.any() or (shares[:, -1] != 1.0).any():
        raise ValueError("done is no schedule: expected finite shares that never fall, from at least 0 to 1")
    played = _program(env)(jnp.asarray(shares, jnp.float32))
    return ExecutionResults(*(np.asarray(field) for field in played))


def _fractions(kind: int, slices: int, **shape: Any) -> np.ndarray:
    batch = schedules.make_parents(kind, check.whole("slices", slices, 1), 1, **shape)
    out = np.empty(batch.curve.shape)
    schedules.schedule_fractions(batch.kind, batch.num_slices, batch.shape, batch.curve, out)
    return out[:, 0]


@lru_cache(maxsize=8)
def _program(env: Execution) -> Callable[[jax.Array], Any]:
    paths = jnp.arange(env.paths.num_paths, dtype=jnp.int32)
    one = partial(_play_one, env)
    return jax.jit(lambda done: jax.vmap(jax.vmap(one, in_axes=(None, 0)), in_axes=(0, None))(done, paths))


def _play_one(env: Execution, done: jax.Array, path: jax.Array) -> Any:
    params: Any = env.default_params.replace(first_path=path, num_paths=1)  # pyright: ignore[reportAttributeAccessIssue]
    key = jax.random.key(0)  # a path of its own: nothing is drawn
    start = env.reset_env(key, params)[1]

    def step(state: ExecutionState, _: Any) -> tuple[ExecutionState, jax.Array]:
        action = schedule_action(env, state, params, done)
        _, state, reward, _, _ = env.step_env(key, state, action, params)
        return state, reward

    state, rewards = jax.lax.scan(step, start, None, int(env.default_params.num_slices))
    results: Any = (state.shortfall, state.expected_cost, state.risk, jnp.sum(rewards))
    return ExecutionResults(*results)
