"""Policy and value networks as plain pytrees of weights, stacked over the agents of a population.

One agent's parameters are `{"actor": layers, "critic": layers}` with `layers = {"0": {"kernel", "bias"}, "1": ...}`;
a population's are the same tree with a leading agent axis A on every leaf. Hidden layers end in tanh, the last one is
linear. SAC's critics, which see the action beside the observation, are `critic_a` and `critic_b`. In safetensors a
leaf is named by its path: `actor/0/kernel` float32[A, in, out], `critic/2/bias` float32[A, out].
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

Layers = dict[str, dict[str, jax.Array]]
PolicyParams = dict[str, Layers]

NETWORKS = ("actor", "critic", "critic_a", "critic_b")  # SAC has two critics
PARTS = ("encoder", "gru", "head", "embed", "positions", "query", "keys", "values", "mix", "widen", "narrow")
# ^ of networks that remember, agents/memory_networks.py: `actor/gru/hidden/kernel`, `actor/head/bias`
POPULATION_FILE = "population.safetensors"
HIDDEN_GAIN = math.sqrt(2.0)
ACTOR_GAIN = 0.01  # the first policy is nearly uniform
CRITIC_GAIN = 1.0
TINY = 1e-30


def mlp(layers: Mapping[str, Mapping[str, jax.Array]], x: jax.Array) -> jax.Array:
    """Apply one agent's layers to x float32[..., in]; returns float32[..., out]."""
    last = len(layers) - 1
    for index in range(len(layers)):
        layer = layers[str(index)]
        x = x @ layer["kernel"] + layer["bias"]
        x = jnp.tanh(x) if index < last else x
    return x


def logits(actor_params: Mapping[str, Mapping[str, jax.Array]], obs: jax.Array) -> jax.Array:
    """Return float32[..., num_actions] of one agent's actor for obs float32[..., D]; vmap outside for a population."""
    return mlp(actor_params, obs)


def value(critic_params: Mapping[str, Mapping[str, jax.Array]], obs: jax.Array) -> jax.Array:
    """Return float32[...], one agent's estimate of the discounted return at obs float32[..., D]."""
    return mlp(critic_params, obs)[..., 0]


def init_agent(key: jax.Array, obs_dim: int, num_actions: int, hidden: Sequence[int]) -> PolicyParams:
    """Draw one agent's parameters: orthogonal kernels, zero biases.

    Orthogonalised by Gram-Schmidt in plain operations: LAPACK's QR shares a thread pool with the program around it,
    and batched or on two devices at once it deadlocks jaxlib 0.10 on two cores.
    Source: Saxe, McClelland, Ganguli 2014, orthogonal initialisation; gains as usual for PPO.
    """
    actor, critic = (obs_dim, *hidden, num_actions), (obs_dim, *hidden, 1)
    return init_networks(key, {"actor": (actor, ACTOR_GAIN), "critic": (critic, CRITIC_GAIN)})


def init_networks(key: jax.Array, networks: Mapping[str, tuple[Sequence[int], float]]) -> PolicyParams:
    """Draw several networks of one agent at once: by name, the widths from input to output and the last layer's gain.

    Orthogonal kernels, zero biases; a network of one width has no layers.
    """
    pairs = {name: list(pairwise(widths)) for name, (widths, _) in networks.items()}
    drawn = iter(_orthogonal(key, [shape for shapes in pairs.values() for shape in shapes]))
    params = {}
    for name, shapes in pairs.items():
        gains = [HIDDEN_GAIN] * (len(shapes) - 1) + [networks[name][1]]
        params[name] = _numbered(
            [
                {"kernel": gain * next(drawn), "bias": jnp.zeros(shape[1], jnp.float32)}
                for gain, shape in zip(gains, shapes, strict=False)
            ]
        )
    return params


def init_population(keys: jax.Array, obs_dim: int, num_actions: int, hidden: Sequence[int]) -> PolicyParams:
    """Draw the parameters of A agents, one key each (keys [A]); every leaf has the leading axis A."""
    return jax.lax.map(lambda key: init_agent(key, obs_dim, num_actions, hidden), keys)


def _numbered(layers: Sequence[dict[str, jax.Array]]) -> Layers:
    return {str(index): layer for index, layer in enumerate(layers)}


def _orthogonal(key: jax.Array, shapes: Sequence[tuple[int, int]]) -> list[jax.Array]:
    """Return a matrix with orthonormal rows or columns (whichever are fewer) for each shape, uniformly distributed.

    All at once, padded to one square size with zeros, which Gram-Schmidt leaves zeros.
    """
    size = max(max(shape) for shape in shapes)
    tall = [(max(shape), min(shape)) for shape in shapes]
    sizes = [rows * cols for rows, cols in tall]
    drawn = jax.random.normal(key, (sum(sizes),), jnp.float32)  # one draw: every generator costs 0.3 s to compile
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    padded = [
        jnp.pad(drawn[start : start + rows * cols].reshape(rows, cols), ((0, size - rows), (0, size - cols)))
        for start, (rows, cols) in zip(starts, tall, strict=True)
    ]
    q = _orthonormal_columns(jnp.stack(padded), max(cols for _, cols in tall))
    parts = [q[i, :rows, :cols] for i, (rows, cols) in enumerate(tall)]
    return [part if rows >= cols else part.T for part, (rows, cols) in zip(parts, shapes, strict=True)]


def _orthonormal_columns(matrices: jax.Array, num_columns: int) -> jax.Array:
    """Gram-Schmidt on the first columns of matrices float32[K, n, n]."""

    def step(index: jax.Array, q: jax.Array) -> jax.Array:
        column = jax.lax.dynamic_index_in_dim(q, index, axis=2, keepdims=False)
        done = jnp.where(jnp.arange(q.shape[2]) < index, q, 0.0)
        for _ in range(2):  # the second pass removes what rounding left of the first
            column = column - jnp.einsum("kij,kj->ki", done, jnp.einsum("ki,kij->kj", column, done))
        norm = jnp.linalg.norm(column, axis=1, keepdims=True)
        return jax.lax.dynamic_update_index_in_dim(q, column / jnp.maximum(norm, TINY), index, axis=2)

    return jax.lax.fori_loop(0, num_columns, step, matrices)


def stack(agents: Sequence[Any]) -> Any:
    """Stack several agents' trees into one with a leading agent axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *agents)


def unstack(population: Any) -> list[Any]:
    """Split a tree with a leading agent axis into one tree per agent."""
    num_agents = jax.tree.leaves(population)[0].shape[0]
    return [jax.tree.map(lambda leaf, i=index: leaf[i], population) for index in range(num_agents)]


def named_tensors(params: Mapping[str, Any]) -> dict[str, Any]:
    """Name every leaf by its path, `actor/0/kernel`, in a fixed order: network, layer or part, kernel before bias."""
    return {name: leaf for network in sorted(params) for name, leaf in _flat(network, params[network])}


def _flat(prefix: str, tree: Mapping[str, Any]) -> list[tuple[str, Any]]:
    if "kernel" in tree:
        return [(f"{prefix}/{leaf}", tree[leaf]) for leaf in ("kernel", "bias")]
    order = sorted(tree, key=lambda key: (int(key) if key.isdigit() else -1, key))
    return [pair for key in order for pair in _flat(f"{prefix}/{key}", tree[key])]


def nested(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tree whose leaves have these paths as names."""
    tree: dict[str, Any] = {}
    for name, tensor in tensors.items():
        *parents, leaf = name.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = tensor
    return tree


def check_feed_forward(params: Mapping[str, Any], what: str) -> None:
    """Raise ValueError where a population's networks remember: `what`, a command, takes only those that do not."""
    if "0" not in params["actor"]:
        raise ValueError(
            f"{what} takes feed-forward networks (train.ppo.network mlp) for now, and this population's remember; "
            "agents.greedy.greedy_returns plays them"
        )


def from_named_tensors(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Rebuild the parameter tree from `named_tensors`; raises ValueError naming a tensor that does not fit."""
    for name in tensors:
        parts = name.split("/")
        if parts[0] not in NETWORKS or not 3 <= len(parts) <= 4 or not _known(parts[1:-1]):
            valid = ", ".join(NETWORKS)
            raise ValueError(f"tensor {name!r}: expected NETWORK/LAYER/kernel or .../bias, NETWORK one of {valid}")
        if parts[-1] not in ("kernel", "bias"):
            raise ValueError(f"tensor {name!r}: the last part must be kernel or bias")
    for name in tensors:
        path, leaf = name.rsplit("/", 1)
        stem, _, layer = path.rpartition("/")
        others = [f"{stem}/{index}" for index in range(int(layer))] if layer.isdigit() else []
        for wanted in [f"{other}/{kind}" for other in others for kind in ("bias", "kernel")] + [
            f"{path}/{_other(leaf)}"
        ]:
            if wanted not in tensors:
                raise ValueError(f"tensor '{wanted}' is missing")
    return nested(tensors)


def _known(layer: Sequence[str]) -> bool:
    return layer[-1].isdigit() if len(layer) == 1 and layer[0] not in PARTS else layer[0] in PARTS


def _other(leaf: str) -> str:
    return "bias" if leaf == "kernel" else "kernel"


def save_population(run_dir: Path, params: Mapping[str, Any]) -> Path:
    """Write `population.safetensors` into a run directory, whole or not at all; returns its path."""
    path = Path(run_dir) / POPULATION_FILE
    host = {name: np.ascontiguousarray(np.asarray(leaf)) for name, leaf in named_tensors(params).items()}
    temporary = path.with_suffix(".safetensors.partial")
    save_file(host, temporary, metadata={"activation": "tanh"})
    temporary.replace(path)
    return path


def load_population(run_dir: Path) -> PolicyParams:
    """Read the stacked parameters of a run, every leaf [A, ...].

    Raises FileNotFoundError when the run has no `population.safetensors` (training has not ended), ValueError when a
    tensor's name does not fit.
    """
    path = Path(run_dir) / POPULATION_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no trained population; it is written when training ends or stops")
    with safe_open(path, framework="numpy") as file:
        tensors = {name: jnp.asarray(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    return from_named_tensors(tensors)
