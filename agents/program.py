"""The compiled training program: one for each combination of static configuration, environment and devices."""

import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from agents import algorithms, pbt, sharding, train_state
from agents.hyperparameters import AnyHyperparameters
from agents.train_config import Sizes
from agents.train_state import Shared, TrainState
from agents.update import chunk_size
from sim.vector import AnyVectorEnv


class Program:
    """Initialisation and update of a population, compiled once per argument shapes.

    `traces` counts how often the update was traced: hyperparameters are array leaves, so a population with any values,
    and a second run with others, leave it at 1.
    """

    def __init__(self, env: AnyVectorEnv, config: Sizes, mesh: Mesh) -> None:
        self.algorithm = algorithms.of_sizes(config)
        algorithms.check_actions(self.algorithm, env)
        self.env, self.config, self.mesh = env, config, mesh
        self.traces = 0
        split, whole = sharding.SPLIT, sharding.REPLICATED
        state, metrics = sharding.STATE_SPEC, PartitionSpec(None, sharding.AXIS)
        self._init = jax.jit(sharding.split_agents(self._start, mesh, (whole, split, split, split), state))
        step = sharding.split_agents(self._updates, mesh, (state, split), (state, metrics))
        self._step = jax.jit(step, donate_argnums=0)
        self._compiled: dict[Any, jax.stages.Compiled] = {}

    def init(
        self, seed: int, num_updates: int, hyper: AnyHyperparameters, env_params: Any, selection: Any = ()
    ) -> TrainState:
        """Start a population on the mesh; `env_params` leaves are [B, ...], `selection` is pbt.settings or ().

        Raises ValueError naming a leaf of the environment's state that has no leading axis B.
        """
        return self._init(*self._start_arguments(seed, num_updates, hyper, env_params, selection))

    def abstract(self, hyper: AnyHyperparameters, env_params: Any, selection: Any = ()) -> TrainState:
        """Return the shapes and dtypes of the state that `init` makes, without making it."""
        return jax.eval_shape(self._init, *self._start_arguments(0, 1, hyper, env_params, selection))

    def episode_metrics(self, hyper: AnyHyperparameters, env_params: Any) -> list[str]:
        """Names of the metrics that are taken where an episode ends."""
        return sorted(self.abstract(hyper, env_params).recent)

    def _start_arguments(
        self, seed: int, num_updates: int, hyper: AnyHyperparameters, env_params: Any, selection: Any
    ) -> tuple:
        shared = Shared(jax.random.key(seed), jnp.int32(0), jnp.int32(num_updates), selection)
        agent_index = jnp.arange(hyper.gamma.shape[0])
        return sharding.replicate(shared, self.mesh), *sharding.place((agent_index, hyper, env_params), self.mesh)

    def compile(self, state: TrainState, env_params: Any) -> float:
        """Trace and compile the update for these shapes unless that has been done; returns the seconds it took."""
        key = _shapes((state, env_params))
        start = time.perf_counter()
        if key not in self._compiled:
            self._compiled[key] = self._step.lower(state, env_params).compile()
        return time.perf_counter() - start

    def __call__(self, state: TrainState, env_params: Any) -> tuple[TrainState, dict[str, jax.Array]]:
        """Run `config.updates_per_call` updates (U); `state` is donated. Metrics are float32[U, A]."""
        self.compile(state, env_params)
        return self._compiled[_shapes((state, env_params))](state, env_params)

    def _start(self, shared: Shared, agent_index: jax.Array, hyper: AnyHyperparameters, env_params: Any) -> TrainState:
        start = self.algorithm.init_learner
        state = train_state.init(shared, agent_index, hyper, env_params, self.env, self.config, start)
        _check_batched(state.env_state, state.episodes.obs.shape[0])
        if shared.pbt:
            state = state._replace(lineage=pbt.Lineage(agent_index.astype(jnp.int32)))
        # Types of Python numbers become firm, so that the first update has the types of the second.
        return jax.tree.map(lambda leaf: jax.lax.convert_element_type(leaf, leaf.dtype), state)

    def _updates(self, state: TrainState, env_params: Any) -> tuple[TrainState, dict[str, jax.Array]]:
        self.traces += 1
        num_devices, platform = self.mesh.size, self.mesh.devices.flat[0].platform
        chunk = chunk_size(self.config, state.agent_key.shape[0] * num_devices, num_devices, platform)

        def one(carry: TrainState, _: None) -> tuple[TrainState, dict[str, jax.Array]]:
            if not carry.shared.pbt:
                return self.algorithm.update(carry, env_params, self.env, self.config, chunk)
            params = pbt.own_env_params(env_params, carry.hyper, self.config)
            following, metrics = self.algorithm.update(carry, params, self.env, self.config, chunk)
            return pbt.step(following, metrics, sharding.AXIS, num_devices)

        return jax.lax.scan(one, state, length=self.config.updates_per_call)


@functools.lru_cache(maxsize=8)
def get_program(env: AnyVectorEnv, config: Sizes, mesh: Mesh) -> Program:
    """Return the program for these three, the same object for the same ones: a second run does not compile again.

    An environment is compared as Python compares it (by identity unless it says otherwise), so keep it between runs.
    """
    return Program(env, config, mesh)


def _shapes(tree: Any) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    return structure, tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)


def _check_batched(env_state: Any, num_envs: int) -> None:
    for path, leaf in jax.tree_util.tree_flatten_with_path(env_state)[0]:
        if leaf.ndim == 0 or leaf.shape[0] != num_envs:
            name = jax.tree_util.keystr(path)
            raise ValueError(f"environment state leaf {name} has shape {leaf.shape}; its first axis must be {num_envs}")
