"""The agent axis over all devices: every device trains its own agents, nothing is exchanged within an update.

The environment may contain a foreign call (the order-book engine) that XLA's partitioner cannot split, so the whole
update runs under `shard_map`: each device sees a population of A / devices.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from agents.train_state import TrainState

AXIS = "agents"
SPLIT = PartitionSpec(AXIS)
REPLICATED = PartitionSpec()
STATE_SPEC: Any = TrainState._make([REPLICATED] + [SPLIT] * (len(TrainState._fields) - 1))


def make_mesh(num_agents: int, num_devices: int = 0, devices: Sequence[Any] | None = None) -> Mesh:
    """Return a mesh over the agent axis; `num_devices` 0 takes as many devices as there are and divide `num_agents`.

    `devices` are those to choose from, all that JAX sees by default.

    Raises ValueError when more devices are asked for than there are, or when they do not divide the population.
    """
    available = jax.devices() if devices is None else list(devices)
    if num_devices == 0:
        num_devices = next(n for n in range(min(len(available), num_agents), 0, -1) if num_agents % n == 0)
    if num_devices > len(available):
        raise ValueError(f"num_devices is {num_devices}; valid: 1 to {len(available)}, or 0 for all that fit")
    if num_agents % num_devices:
        raise ValueError(f"num_agents is {num_agents}; it must be a multiple of num_devices = {num_devices}")
    return jax.make_mesh((num_devices,), (AXIS,), axis_types=(AxisType.Auto,), devices=available[:num_devices])


def split_agents(function: Callable, mesh: Mesh, in_specs: Any, out_specs: Any) -> Callable:
    """Run `function` on every device's share of the population."""
    # The environment is foreign code: whether its values vary over devices is not checked inside it.
    return jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)


def place(tree: Any, mesh: Mesh) -> Any:
    """Put a tree whose leaves have a leading agent (or environment) axis on the mesh."""
    return jax.device_put(tree, NamedSharding(mesh, SPLIT))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Put a copy of every leaf on each device of the mesh."""
    return jax.device_put(tree, NamedSharding(mesh, REPLICATED))


def state_shardings(state: TrainState, mesh: Mesh) -> TrainState:
    """Return the sharding of every leaf of a training state (which may be abstract)."""
    split, whole = NamedSharding(mesh, SPLIT), NamedSharding(mesh, REPLICATED)
    parts = jax.tree.map(lambda _: split, state)
    return parts._replace(shared=jax.tree.map(lambda _: whole, state.shared))
