"""Networks of the DQN family as plain pytrees: a trunk, then one or two streams, then quantiles of the return.

One agent's parameters are `{"trunk", "advantage"}` and, where it is dueling, `"value"`, each layers as in
agents/networks.py. Everything after the last hidden layer is linear, so the mean over quantiles of any of them is also
a plain tanh network: `as_actor` returns it, and that is what a run saves, evaluates and exports.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from agents import networks

OUTPUT_GAIN = 0.1  # first values near zero, whatever the number of quantiles


def init_population(
    keys: jax.Array, obs_dim: int, num_actions: int, hidden: Sequence[int], quantiles: int, dueling: bool
) -> networks.PolicyParams:
    """Draw A agents, one key each (keys [A]); the last of `hidden` is the width of each stream."""
    shapes = {
        "trunk": ((obs_dim, *hidden[:-1]), networks.HIDDEN_GAIN),
        "advantage": ((*(obs_dim, *hidden)[-2:], num_actions * quantiles), OUTPUT_GAIN),
    }
    if dueling:
        shapes["value"] = ((*(obs_dim, *hidden)[-2:], quantiles), OUTPUT_GAIN)
    return jax.lax.map(lambda key: networks.init_networks(key, shapes), keys)


def quantile_values(params: Mapping[str, Any], obs: jax.Array, quantiles: int) -> jax.Array:
    """Return one agent's quantiles of the return float32[..., num_actions, N] at obs float32[..., D].

    Dueling: Z(s, a) = V(s) + A(s, a) - mean over a' of A(s, a').
    Source: Wang et al. 2016, "Dueling network architectures for deep reinforcement learning", equation 9.
    """
    trunk = params["trunk"]
    x = jnp.tanh(networks.mlp(trunk, obs)) if trunk else obs
    flat = networks.mlp(params["advantage"], x)
    values = flat.reshape(*flat.shape[:-1], -1, quantiles)
    if "value" in params:
        values = values - jnp.mean(values, axis=-2, keepdims=True)
        values = values + networks.mlp(params["value"], x)[..., None, :]
    return values


def as_actor(params: Mapping[str, Any], quantiles: int) -> networks.PolicyParams:
    """Return one agent's expected returns as a plain network `{"actor": layers}`: its outputs are Q(s, a).

    The streams stand side by side in its last hidden layer.
    """
    layers = [params["trunk"][str(index)] for index in range(len(params["trunk"]))]
    advantage, value = params["advantage"], params.get("value")
    last = jax.tree.map(lambda leaf: _mean_of_quantiles(leaf, quantiles), advantage["1"])
    if value is None:
        layers += [advantage["0"], last]
    else:
        last = jax.tree.map(lambda leaf: leaf - jnp.mean(leaf, axis=-1, keepdims=True), last)
        level = jax.tree.map(lambda leaf: _mean_of_quantiles(leaf, quantiles), value["1"])
        kernel = jnp.broadcast_to(level["kernel"], (level["kernel"].shape[0], last["kernel"].shape[1]))
        joined = [jnp.concatenate([value["0"][part], advantage["0"][part]], axis=-1) for part in ("kernel", "bias")]
        layers.append(dict(zip(("kernel", "bias"), joined, strict=True)))
        layers.append({"kernel": jnp.concatenate([kernel, last["kernel"]]), "bias": last["bias"] + level["bias"]})
    return {"actor": {str(index): layer for index, layer in enumerate(layers)}}


def _mean_of_quantiles(leaf: jax.Array, quantiles: int) -> jax.Array:
    return jnp.mean(leaf.reshape(*leaf.shape[:-1], -1, quantiles), axis=-1)
