"""Hyperparameters as float32[A] leaves: drawn once per agent, part of the training state, never compiled in."""

import zlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from agents.train_config import DQNRanges, PPORanges, Range, SACRanges, Sizes, TrainConfig, hyperparameter_ranges


class Hyperparameters(NamedTuple):
    """One value an agent; the names are those of `PPORanges`."""

    learning_rate: jax.Array  # float32[A] of Adam, at the first update
    final_learning_rate_frac: jax.Array  # float32[A] share of it left at the last update
    gamma: jax.Array  # float32[A] discount a step
    gae_lambda: jax.Array  # float32[A]
    clip: jax.Array  # float32[A] the ratio's half-width
    entropy_coef: jax.Array  # float32[A]
    value_coef: jax.Array  # float32[A]
    max_grad_norm: jax.Array  # float32[A]
    reward_scale: jax.Array  # float32[A] multiplies every reward, before any normalisation
    env: dict[str, jax.Array]  # each float32[A], by leaf name of the environment's parameters


class DQNHyperparameters(NamedTuple):
    """One value an agent; the names are those of `DQNRanges`."""

    learning_rate: jax.Array  # float32[A] of Adam, at the first update
    final_learning_rate_frac: jax.Array  # float32[A] share of it left at the last update
    gamma: jax.Array  # float32[A] discount a step
    tau: jax.Array  # float32[A] share of the online network that the target takes a gradient step
    epsilon_start: jax.Array  # float32[A] probability of a random action
    epsilon_end: jax.Array  # float32[A]
    exploration_frac: jax.Array  # float32[A] share of the run's updates in which epsilon falls linearly
    huber_threshold: jax.Array  # float32[A]
    max_grad_norm: jax.Array  # float32[A]
    reward_scale: jax.Array  # float32[A] multiplies every reward
    env: dict[str, jax.Array]  # each float32[A], by leaf name of the environment's parameters


class SACHyperparameters(NamedTuple):
    """One value an agent; the names are those of `SACRanges`."""

    actor_learning_rate: jax.Array  # float32[A] of Adam, at the first update
    critic_learning_rate: jax.Array  # float32[A]
    temperature_learning_rate: jax.Array  # float32[A]
    final_learning_rate_frac: jax.Array  # float32[A] share of all three left at the last update
    gamma: jax.Array  # float32[A] discount a step
    tau: jax.Array  # float32[A] share of the critics that their targets take a gradient step
    initial_temperature: jax.Array  # float32[A] weight of the entropy at the start
    target_entropy: jax.Array  # float32[A] nats a dimension of the action in [-1, 1]
    max_grad_norm: jax.Array  # float32[A] of the actor and of the critics, each
    reward_scale: jax.Array  # float32[A] multiplies every reward
    env: dict[str, jax.Array]  # each float32[A], by leaf name of the environment's parameters


AnyHyperparameters = Hyperparameters | DQNHyperparameters | SACHyperparameters
TYPES = {"ppo": Hyperparameters, "dqn": DQNHyperparameters, "sac": SACHyperparameters}


def sample(config: TrainConfig) -> Any:
    """Draw every agent's hyperparameters, each from a key of its own: adding one leaves the others unchanged.

    Returns the type of `config.algorithm` in `TYPES`.
    """
    key = jax.random.fold_in(jax.random.key(config.seed), zlib.crc32(b"hyperparameters"))
    drawn = {
        name: _draw(jax.random.fold_in(key, zlib.crc32(name.encode())), values, config.num_agents)
        for name, values in hyperparameter_ranges(config).items()
    }
    env = {name: drawn.pop(f"env.{name}") for name in sorted(config.env_ranges)}
    return TYPES[config.algorithm](**drawn, env=env)


def _draw(key: jax.Array, values: Range, num_agents: int) -> jax.Array:
    if values.scale == "choice":
        return jax.random.choice(key, jnp.asarray(values.choices, jnp.float32), (num_agents,))
    low, high = jnp.float32(values.low), jnp.float32(values.high)
    uniform = jax.random.uniform(key, (num_agents,), jnp.float32)
    if values.scale == "log":
        drawn = jnp.exp(jnp.log(low) + uniform * (jnp.log(high) - jnp.log(low)))
    else:
        drawn = low + uniform * (high - low)
    return jnp.clip(drawn, low, high)  # exp(log(x)) may miss x by a rounding


def by_name(hyper: AnyHyperparameters) -> dict[str, jax.Array]:
    """Return every hyperparameter under the name that `hyperparameter_ranges` uses."""
    flat = {name: leaf for name, leaf in hyper._asdict().items() if name != "env"}
    return flat | {f"env.{name}": leaf for name, leaf in hyper.env.items()}


def learning_rate(hyper: Hyperparameters, progress: jax.Array) -> jax.Array:
    """Return float32[A], linear from the first to the last learning rate; progress in [0, 1]."""
    return decayed(hyper.learning_rate, hyper.final_learning_rate_frac, progress)


def decayed(first: jax.Array, final_frac: jax.Array, progress: jax.Array) -> jax.Array:
    """Return float32[A], linear from `first` to the share `final_frac` of it; progress in [0, 1]."""
    return first * (1.0 + progress * (final_frac - 1.0))


def batch_env_params(env_params: Any, hyper: AnyHyperparameters, config: Sizes) -> Any:
    """Return one environment's parameters repeated for B = A * E environments, agent-major.

    Leaves named in `hyper.env` take each agent's own value, in the leaf's dtype. Names are field names or dictionary
    keys, nested ones joined by a dot. Raises ValueError for a name that is no scalar leaf.
    """
    num_agents = hyper.gamma.shape[0]
    paths, tree = jax.tree_util.tree_flatten_with_path(env_params)
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in paths]
    leaves = [leaf if isinstance(leaf, jax.Array) else jnp.asarray(np.asarray(leaf)) for _, leaf in paths]
    _check_names(hyper.env, names, leaves)
    batched = [
        jnp.repeat(_as_dtype(hyper.env[name], leaf.dtype), config.envs_per_agent)
        if name in hyper.env
        else jnp.broadcast_to(leaf, (num_agents * config.envs_per_agent, *leaf.shape))
        for name, leaf in zip(names, leaves, strict=True)
    ]
    return jax.tree.unflatten(tree, batched)


def repeated(hyper: AnyHyperparameters, name: str, leaf: jax.Array, config: Sizes) -> jax.Array:
    """Return the batched environment parameter `name`: each agent's own value, or `leaf` where none is drawn."""
    if name not in hyper.env:
        return leaf
    return jnp.repeat(_as_dtype(hyper.env[name], leaf.dtype), config.envs_per_agent)


def _as_dtype(values: jax.Array, dtype: jnp.dtype) -> jax.Array:
    rounded = jnp.round(values) if jnp.issubdtype(dtype, jnp.integer) else values
    return rounded.astype(dtype)


def _check_names(env: dict[str, jax.Array], names: list[str], leaves: list[jax.Array]) -> None:
    scalars = [name for name, leaf in zip(names, leaves, strict=True) if leaf.ndim == 0]
    for name in env:
        if name not in scalars:
            raise ValueError(
                f"env_ranges names {name!r}, no scalar parameter of this environment; valid: {', '.join(scalars)}"
            )


for _type, _ranges in ((Hyperparameters, PPORanges), (DQNHyperparameters, DQNRanges), (SACHyperparameters, SACRanges)):
    assert set(_type._fields) == {*_ranges.__dataclass_fields__, "env"}
