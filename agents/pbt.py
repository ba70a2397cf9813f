"""Population-based training inside the compiled program: the worst agents continue from copies of the best.

Every `every` updates the `replaced` agents with the lowest mean of their last episodes each copy one of as many best
agents, drawn uniformly: weights, optimiser, return normaliser and hyperparameters. What only they have stays: random
keys, environments, memory of the running episode, replay buffer. Then each hyperparameter of a copy is multiplied by
one of two factors, drawn with a key of its own, within the range that it was first drawn from; one that is a choice
is drawn again. All numbers are data, so that a run with other ones does not compile again.
Source: Jaderberg et al. 2017, "Population based training of neural networks", section 4.1 (truncation selection,
perturbation).
"""

import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents import hyperparameters
from agents.hyperparameters import AnyHyperparameters
from agents.train_config import Range, Sizes, TrainConfig, hyperparameter_ranges
from agents.train_state import TrainState
from agents.update import nan_mean

KEPT_FIELDS = ("replay", "memory")  # of a learner: experience of the agent's own environments
PARENT, ORIGIN, LINEAGES = "pbt_parent", "pbt_origin", "pbt_lineages"


class Bounds(NamedTuple):
    """Where one hyperparameter stays."""

    low: jax.Array  # float32[]
    high: jax.Array  # float32[]
    choices: jax.Array  # float32[n], n = 0 where it is no choice


class Settings(NamedTuple):
    """How a population is selected, the same on every device."""

    every: jax.Array  # int32[] updates
    replaced: jax.Array  # int32[] agents, at most half of them
    factors: jax.Array  # float32[2]
    bounds: dict[str, Bounds]  # by name of `hyperparameter_ranges`
    metric: dict[str, jax.Array]  # float32[], 1 for the metric that ranks, by name of an episode metric


class Lineage(NamedTuple):
    """Where an agent's weights come from."""

    origin: jax.Array  # int32[A] the agent that was started with what they have become


def settings(config: TrainConfig, metrics: list[str]) -> Settings:
    """Return the settings of `config.pbt` as arrays; ValueError names a metric that is not among `metrics`."""
    pbt = config.pbt
    if pbt.metric not in metrics:
        raise ValueError(f"pbt.metric is {pbt.metric!r}; valid in this environment: {', '.join(sorted(metrics))}")
    return Settings(
        every=jnp.int32(pbt.every_updates),
        replaced=jnp.int32(round(pbt.share * config.num_agents)),
        factors=jnp.asarray(pbt.factors, jnp.float32),
        bounds={name: _bounds(values) for name, values in hyperparameter_ranges(config).items()},
        metric={name: jnp.float32(name == pbt.metric) for name in sorted(metrics)},
    )


def _bounds(values: Range) -> Bounds:
    low, high = values.bounds
    return Bounds(jnp.float32(low), jnp.float32(high), jnp.asarray(values.choices, jnp.float32))


def step(
    state: TrainState, metrics: dict[str, jax.Array], axis: str, num_devices: int
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Exploit and explore where it is time; `state` is this device's share, `axis` the name of the mesh's axis.

    Adds to `metrics` every hyperparameter, each agent's parent of this update (its own number where nothing was copied)
    and origin, and how many origins are left. Agents are exchanged in the branch that copies and nowhere else.
    """
    local = state.agent_key.shape[0]
    own = jax.lax.axis_index(axis) * local + jnp.arange(local)
    due = state.shared.update % state.shared.pbt.every == 0
    state, parent = jax.lax.cond(
        due, lambda s: _select(s, own, axis, local * num_devices), lambda s: (s, own.astype(jnp.int32)), state
    )
    origins = jax.lax.all_gather(state.lineage.origin, axis, tiled=True)
    left = jnp.sum(jnp.zeros(origins.shape[0], jnp.int32).at[origins].set(1))
    shown = {f"hyper_{name}": values for name, values in hyperparameters.by_name(state.hyper).items()}
    numbers = {PARENT: parent, ORIGIN: state.lineage.origin, LINEAGES: jnp.broadcast_to(left, (local,))}
    return state, metrics | shown | {name: values.astype(jnp.float32) for name, values in numbers.items()}


def _select(state: TrainState, own: jax.Array, axis: str, num_agents: int) -> tuple[TrainState, jax.Array]:
    chosen = state.shared.pbt
    key = jax.random.fold_in(jax.random.fold_in(state.shared.key, zlib.crc32(b"pbt") >> 1), state.shared.update)
    score = _score(state.recent, chosen.metric)
    parent = parents(key, jax.lax.all_gather(score, axis, tiled=True), chosen.replaced)
    copied = parent != jnp.arange(num_agents)
    take = lambda leaf: jax.lax.all_gather(leaf, axis, tiled=True)[parent[own]]  # noqa: E731
    hyper: Any = jax.tree.map(take, state.hyper)
    changes = {n: jax.tree.map(take, v) for n, v in state.learner._asdict().items() if n not in KEPT_FIELDS}
    following = state._replace(
        learner=state.learner._replace(**changes),
        hyper=explore(key, hyper, copied[own], own, num_agents, chosen),
        lineage=Lineage(take(state.lineage.origin)),
        recent=jax.tree.map(take, state.recent),
    )
    return following, parent[own]


def _score(recent: Mapping[str, jax.Array], metric: Mapping[str, jax.Array]) -> jax.Array:
    """Mean float32[A] of the chosen metric over its window; the lowest there is where no episode ended."""
    chosen = sum(jnp.where(metric[name] > 0, nan_mean(window), 0.0) for name, window in recent.items())
    return jnp.where(jnp.isfinite(chosen), chosen, -jnp.inf)


def parents(key: jax.Array, score: jax.Array, replaced: jax.Array) -> jax.Array:
    """Return int32[A], whom each agent continues from: itself, or for the `replaced` lowest one of as many highest.

    Of equal scores the agent with the lower number ranks lower; nobody is replaced by an agent without a score.
    """
    num_agents = score.shape[0]
    order = jnp.argsort(score, stable=True)
    rank = jnp.zeros(num_agents, jnp.int32).at[order].set(jnp.arange(num_agents, dtype=jnp.int32))
    uniform = jax.random.uniform(jax.random.fold_in(key, 0), (num_agents,))
    drawn = jnp.minimum((uniform * replaced).astype(jnp.int32), replaced - 1)
    best = order[num_agents - 1 - drawn].astype(jnp.int32)
    better = score[best] > score
    return jnp.where((rank < replaced) & better, best, jnp.arange(num_agents, dtype=jnp.int32))


def explore(
    key: jax.Array, hyper: AnyHyperparameters, copied: jax.Array, own: jax.Array, num_agents: int, chosen: Settings
) -> Any:
    """Return `hyper` with every value of the agents that are `copied` bool[A'] moved, each name with its own key.

    `own` int32[A'] are the agents' numbers among `num_agents`: draws do not depend on how they are split.
    """

    def moved(name: str, values: jax.Array) -> jax.Array:
        own_key = jax.random.fold_in(key, zlib.crc32(name.encode()) >> 1)
        uniform = jax.random.uniform(own_key, (num_agents,))[own]
        low, high, choices = chosen.bounds[name]
        if choices.shape[0]:
            index = jnp.minimum((uniform * choices.shape[0]).astype(jnp.int32), choices.shape[0] - 1)
            other = choices[index]
        else:
            factor = jnp.where(uniform < 0.5, chosen.factors[0], chosen.factors[1])
            other = jnp.clip(values * factor, low, high)
        return jnp.where(copied, other, values)

    flat = {name: moved(name, values) for name, values in hyperparameters.by_name(hyper).items()}
    env = {name: flat.pop(f"env.{name}") for name in hyper.env}
    return hyper._replace(**flat, env=env)


def own_env_params(env_params: Any, hyper: AnyHyperparameters, config: Sizes) -> Any:
    """Return `env_params`, leaves [B, ...], with what `hyper` holds of them now."""
    paths, tree = jax.tree_util.tree_flatten_with_path(env_params)
    leaves = [
        hyperparameters.repeated(hyper, jax.tree_util.keystr(path, simple=True, separator="."), leaf, config)
        for path, leaf in paths
    ]
    return jax.tree.unflatten(tree, leaves)
