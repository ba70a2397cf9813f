"""Many environments as one batch: the interface that training and evaluation are written against."""

from typing import Any, NamedTuple, Protocol

import jax


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
