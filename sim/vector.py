"""Many environments as one batch: the interface that training and evaluation are written against.

A reset costs a scalar `lax.cond`: nothing of it is computed in a step in which no environment is done. Episodes of
equal length would all end in the same step, so with `phases` above 1 every environment starts at one of that many ages,
drawn from its key: a rollout then sees every part of an episode, and resets still happen in few steps.

Keys are typed (`jax.random.key`): one for the batch, or one an environment (key[B]), with which results do not depend
on how the batch is split over devices.
"""

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import environment

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


# Folded into a step's key for the reset. Not a small number: with partitionable threefry `fold_in(key, 1)` is
# `split(key)[1]`, which the environment may use itself.
_RESET_FOLD = 0x5EED


class GymnaxVector:
    """Any gymnax 1.0 environment with a flat observation and discrete actions as a `VectorEnv`."""

    keys_per_env = True

    def __init__(self, env: environment.Environment, phases: int = 1):
        """Wrap `env`; with `phases` above 1 its state must count decisions in an int32 field `time`."""
        if phases < 1:
            raise ValueError(f"phases {phases} is below 1")
        self.env = env
        self.phases = phases
        shape = env.observation_space(env.default_params).shape
        if len(shape) != 1:
            raise ValueError(f"{env.name} observes an array of shape {shape}, a vector environment needs one axis")
        self.obs_dim = int(shape[0])
        self.num_actions = int(env.num_actions)

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
        """Advance every environment by one action, int32[B]."""
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


class MarketMakingVector(GymnaxVector):
    """B market-making environments; beside table actions it takes native quotes, for classical strategies."""

    env: "MarketMaking"

    def __init__(self, env: "MarketMaking", phases: int = 1):
        super().__init__(env, phases)

    def step_quotes(self, key: jax.Array, state: Any, wanted: Quotes, params: Any) -> tuple[Any, StepResult]:
        """Advance every environment by quotes of its own: `present` bool[B, 2], `price_tick` int32[B, 2]."""
        keys = _keys(key, wanted.present.shape[0])
        return self._finish(keys, params, jax.vmap(self.env.step_quotes)(keys, state, wanted, params))


def from_gymnax(env: environment.Environment) -> GymnaxVector:
    """Return `env` as a vector environment."""
    return GymnaxVector(env)


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
    return {"episode_pnl": jnp.where(done, info["pnl_tick_lots"], 0.0)}


def _keys(key: jax.Array, size: int) -> jax.Array:
    return key if key.ndim else jax.random.split(key, size)


def _batch_size(params: Any) -> int:
    leaves = jax.tree.leaves(params)
    if not leaves:
        raise ValueError("params has no leaf to read the batch size from")
    return int(leaves[0].shape[0])


def _where(done: jax.Array, new: jax.Array, old: jax.Array) -> jax.Array:
    return jnp.where(done.reshape(done.shape + (1,) * (new.ndim - 1)), new, old)
