"""Many environments as one batch: the interface that training and evaluation are written against.

A reset costs a scalar `lax.cond`: nothing of it is computed in a step in which no environment is done. Episodes of
equal length would all end in the same step, so with `phases` above 1 every environment starts at one of that many ages,
drawn from its key: a rollout then sees every part of an episode, and resets still happen in few steps.

Keys are typed (`jax.random.key`): one for the batch, or one an environment (key[B]), with which results do not depend
on how the batch is split over devices.
"""

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import environment, spaces

from kernels.execution.quotes import Quotes

if TYPE_CHECKING:
    from sim.market_making import MarketMaking


class StepResult(NamedTuple):
    """One step of B environments."""

    obs: jax.Array  # float32[B, D] after an automatic reset
    reward: jax.Array  # float32[B]
    terminated: jax.Array  # bool[B] the episode ended by itself: no bootstrap
    truncated: jax.Array  # bool[B] the time limit ended it: bootstrap from final_obs
    final_obs: jax.Array  # float32[B, D] before the reset
    info: dict[str, jax.Array]  # each [B]


class VectorEnv(Protocol):
    """B environments with an automatic reset. Every leaf of `params` has the leading axis B."""

    obs_dim: int
    num_actions: int

    def reset(self, key: jax.Array, params: Any) -> tuple[Any, jax.Array]:
        """Return (state, obs float32[B, D])."""
        ...

    def step(self, key: jax.Array, state: Any, action: jax.Array, params: Any) -> tuple[Any, StepResult]:
        """Advance every environment by one action, int32[B]."""
        ...


class ContinuousVectorEnv(Protocol):
    """A `VectorEnv` whose action is K numbers, each within its bounds."""

    obs_dim: int
    action_dim: int  # K
    action_low: tuple[float, ...]  # [K]
    action_high: tuple[float, ...]  # [K]

    def reset(self, key: jax.Array, params: Any) -> tuple[Any, jax.Array]:
        """Return (state, obs float32[B, D])."""
        ...

    def step(self, key: jax.Array, state: Any, action: jax.Array, params: Any) -> tuple[Any, StepResult]:
        """Advance every environment by one action, float32[B, K]."""
        ...


AnyVectorEnv = VectorEnv | ContinuousVectorEnv


def action_kind(env: AnyVectorEnv) -> Literal["discrete", "continuous"]:
    """Whether `env` takes one of `num_actions` or `action_dim` numbers."""
    return "continuous" if hasattr(env, "action_dim") else "discrete"


def describe_actions(env: Any) -> str:
    """Return the actions in words."""
    if action_kind(env) == "discrete":
        return f"{env.num_actions} actions"
    return f"{env.action_dim} continuous actions from {list(env.action_low)} to {list(env.action_high)}"


def first_actions(env: Any, size: int) -> jax.Array:
    """Return a valid action of `size` environments, int32[B] or float32[B, K]: the first, or the middle."""
    if action_kind(env) == "discrete":
        return jnp.zeros(size, jnp.int32)
    return bounded_action(env, jnp.zeros((size, env.action_dim), jnp.float32))


def bounded_action(env: Any, action: jax.Array) -> jax.Array:
    """Map action float32[..., K] from [-1, 1] to the bounds of `env`, linearly."""
    low, high = jnp.asarray(env.action_low, jnp.float32), jnp.asarray(env.action_high, jnp.float32)
    return low + 0.5 * (action + 1.0) * (high - low)


# Folded into a step's key for the reset. Not a small number: with partitionable threefry `fold_in(key, 1)` is
# `split(key)[1]`, which the environment may use itself.
_RESET_FOLD = 0x5EED


class GymnaxBatch:
    """Any gymnax 1.0 environment with a flat observation, B of it at once; subclasses say what an action is."""

    keys_per_env = True
    obs_axes = 1

    def __init__(self, env: environment.Environment, phases: int = 1):
        """Wrap `env`; with `phases` above 1 its state must count decisions in an int32 field `time`."""
        if phases < 1:
            raise ValueError(f"phases {phases} is below 1")
        self.env = env
        self.phases = phases
        shape = env.observation_space(env.default_params).shape
        if len(shape) != self.obs_axes:
            raise ValueError(f"{env.name} observes an array of shape {shape}, expected {self.obs_axes} axis")
        self.obs_dim = int(shape[-1])

    def reset(self, key: jax.Array, params: Any) -> tuple[Any, jax.Array]:
        """Return (state, obs float32[B, D]); with `phases` the first episodes start at ages i / phases."""
        keys = _keys(key, _batch_size(params))
        obs, state = jax.vmap(self.env.reset_env)(keys, params)
        if self.phases == 1:
            return state, obs
        phase_keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, _RESET_FOLD)
        phase = jax.vmap(lambda k: jax.random.randint(k, (), 0, self.phases))(phase_keys)
        age = phase * params.max_steps_in_episode // self.phases
        state = state.replace(time=state.time + age.astype(jnp.int32))
        return state, jax.vmap(self.env.observe, in_axes=(0, 0, None, 0))(keys, state, None, params)

    def step(self, key: jax.Array, state: Any, action: jax.Array, params: Any) -> tuple[Any, StepResult]:
        """Advance every environment by one action, [B] or [B, K]."""
        keys = _keys(key, action.shape[0])
        return self._finish(keys, params, jax.vmap(self.env.step_env)(keys, state, action, params))

    def _finish(self, keys: jax.Array, params: Any, stepped: tuple) -> tuple[Any, StepResult]:
        obs, state, reward, terminated, info = stepped
        truncated = jax.vmap(self.env.is_truncated)(state, params) & ~terminated
        done = terminated | truncated
        info = {**info, **_episode(done, info)}
        state, next_obs = jax.lax.cond(
            jnp.any(done), self._restart, lambda keys, done, state, obs, _: (state, obs), keys, done, state, obs, params
        )
        return state, StepResult(next_obs, reward, terminated, truncated, obs, info)

    def _restart(
        self, keys: jax.Array, done: jax.Array, state: Any, obs: jax.Array, params: Any
    ) -> tuple[Any, jax.Array]:
        keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, _RESET_FOLD)
        fresh_obs, fresh = jax.vmap(self.env.reset_env)(keys, params)
        return jax.tree.map(lambda new, old: _where(done, new, old), (fresh, fresh_obs), (state, obs))


class GymnaxVector(GymnaxBatch):
    """Any gymnax 1.0 environment with a flat observation and discrete actions as a `VectorEnv`."""

    def __init__(self, env: environment.Environment, phases: int = 1):
        """Wrap `env`; with `phases` above 1 its state must count decisions in an int32 field `time`."""
        super().__init__(env, phases)
        self.num_actions = int(env.num_actions)


class GymnaxContinuous(GymnaxBatch):
    """Any gymnax 1.0 environment with a flat observation and a box of actions as a `ContinuousVectorEnv`."""

    def __init__(self, env: environment.Environment, phases: int = 1):
        """Wrap `env`; bounds are those of its default parameters. Raises ValueError for a box without bounds."""
        super().__init__(env, phases)
        box = env.action_space(env.default_params)
        if not isinstance(box, spaces.Box) or len(box.shape) != 1:
            raise ValueError(f"{env.name} takes {box}; a continuous vector environment needs a box of one axis")
        low, high = (np.broadcast_to(np.asarray(bound, np.float32), box.shape) for bound in (box.low, box.high))
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise ValueError(f"{env.name} takes actions from {low} to {high}; valid: finite bounds")
        self.action_dim = int(box.shape[0])
        self.action_low, self.action_high = tuple(low.tolist()), tuple(high.tolist())


class MarketMakingVector(GymnaxVector):
    """B market-making environments; beside table actions it takes native quotes, for classical strategies."""

    env: "MarketMaking"

    def __init__(self, env: "MarketMaking", phases: int = 1):
        super().__init__(env, phases)

    def step_quotes(self, key: jax.Array, state: Any, wanted: Quotes, params: Any) -> tuple[Any, StepResult]:
        """Advance every environment by quotes of its own: `present` bool[B, 2], `price_tick` int32[B, 2]."""
        keys = _keys(key, wanted.present.shape[0])
        return self._finish(keys, params, jax.vmap(self.env.step_quotes)(keys, state, wanted, params))


def from_gymnax(env: environment.Environment) -> GymnaxVector | GymnaxContinuous:
    """Return `env` as a vector environment, discrete or continuous as its actions are."""
    continuous = isinstance(env.action_space(env.default_params), spaces.Box)
    return GymnaxContinuous(env) if continuous else GymnaxVector(env)


def market_making_vector(env: "MarketMaking", phases: int = 1) -> MarketMakingVector:
    """Return `env` as a vector environment; 4 `phases` suit training, 1 evaluation."""
    return MarketMakingVector(env, phases)


def broadcast_params(params: Any, size: int) -> Any:
    """Return `params` with a leading axis `size` on every leaf."""
    return jax.tree.map(lambda leaf: jnp.broadcast_to(jnp.asarray(leaf), (size, *np.shape(leaf))), params)


def _episode(done: jax.Array, info: dict[str, jax.Array]) -> dict[str, jax.Array]:
    # A market environment reports the episode's result when it ends, and 0 before.
    if "pnl_tick_lots" not in info:
        return {}
    pnl = info["pnl_tick_lots"]
    return {"episode_pnl": _where(done, pnl, jnp.zeros_like(pnl))}


def _keys(key: jax.Array, size: int) -> jax.Array:
    return key if key.ndim else jax.random.split(key, size)


def _batch_size(params: Any) -> int:
    leaves = jax.tree.leaves(params)
    if not leaves:
        raise ValueError("params has no leaf to read the batch size from")
    return int(leaves[0].shape[0])


def _where(done: jax.Array, new: jax.Array, old: jax.Array) -> jax.Array:
    return jnp.where(done.reshape(done.shape + (1,) * (new.ndim - 1)), new, old)
