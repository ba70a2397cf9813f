"""Learners of several markets as rows of one vector environment: what training sees of `multi_agent`.

Row e A + a is learner a of market e; its role is in the last columns of its observation. Rows, and not a dict a role,
because every algorithm, population and evaluation takes a `VectorEnv` of rows with one action count, so they train
heterogeneous learners as they are; `by_role` cuts rows into a dict a role where policies differ. A population whose
agents have a multiple of A rows each plays its markets alone (one policy for all roles, told apart by the flags).

A market has the parameters and key of its first row. Its part of the state is kept in each of its rows: A copies, so
that every leaf has the rows' axis, which checkpoints and sharding ask for.
"""

from typing import Any

import jax
import jax.numpy as jnp

from sim.multi_agent import OBS_DIM, MultiAgent
from sim.multi_agent_types import MAKER, NUM_ACTIONS, ROLE_NAMES
from sim.vector import GymnaxBatch, StepResult


class _Markets(GymnaxBatch):
    """E markets; observations [E, A, D], rewards [E, A]."""

    obs_axes = 2


class MultiAgentVector:
    """E markets of A learners as a `VectorEnv` of B = E A rows."""

    obs_dim = OBS_DIM
    num_actions = NUM_ACTIONS
    keys_per_env = True

    def __init__(self, env: MultiAgent, phases: int = 1):
        """Wrap `env`; 4 `phases` suit training, 1 evaluation."""
        self.env = env
        self.num_learners = env.learners.size
        self._markets = _Markets(env, phases)

    def reset(self, key: jax.Array, params: Any) -> tuple[Any, jax.Array]:
        """Return (state, obs float32[B, D]); every leaf of `params` and of the state has the leading axis B.

        Raises ValueError unless B is a multiple of A.
        """
        self._check(jax.tree.leaves(params)[0].shape[0])
        state, obs = self._markets.reset(self._key(key), self._first(params))
        return self._repeat(state), self._flat(obs)

    def step(self, key: jax.Array, state: Any, action: jax.Array, params: Any) -> tuple[Any, StepResult]:
        """Advance every market by its learners' actions, int32[B]."""
        self._check(action.shape[0])
        actions = action.reshape(-1, self.num_learners)
        state, result = self._markets.step(self._key(key), self._first(state), actions, self._first(params))
        rows = StepResult(
            obs=self._flat(result.obs),
            reward=self._flat(result.reward),
            terminated=self._repeat(result.terminated),
            truncated=self._repeat(result.truncated),
            final_obs=self._flat(result.final_obs),
            info=jax.tree.map(self._flat, result.info),
        )
        return self._repeat(state), rows

    def by_role(self, rows: jax.Array) -> dict[str, jax.Array]:
        """Return rows [B, ...] as a dict of [E, M, ...] "maker" and [E, X, ...] "executor"."""
        split = rows.reshape(-1, self.num_learners, *rows.shape[1:])
        makers = self.env.learners.num_makers
        return {ROLE_NAMES[MAKER]: split[:, :makers], ROLE_NAMES[1 - MAKER]: split[:, makers:]}

    def _check(self, size: int) -> None:
        if size % self.num_learners:
            raise ValueError(f"{size} rows are not a multiple of the {self.num_learners} learners of a market")

    def _key(self, key: jax.Array) -> jax.Array:
        return key[:: self.num_learners] if key.ndim else key

    def _first(self, tree: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf[:: self.num_learners], tree)

    def _repeat(self, tree: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.repeat(leaf, self.num_learners, axis=0), tree)

    def _flat(self, leaf: jax.Array) -> jax.Array:
        return leaf.reshape(-1, *leaf.shape[2:])
