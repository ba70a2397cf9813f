"""Policy and value networks that remember: a GRU, or attention over the last W observations of an episode.

One agent's parameters are `{"actor": parts, "critic": parts}` with parts by name, each `{"kernel", "bias"}`; a
population's have a leading axis A. Actor and critic share nothing.
| kind | parts |
|---|---|
| gru | encoder/L (tanh), gru/input, gru/hidden (3 x width: reset, update, new), head |
| attention | embed, positions, query, keys, values, mix, widen (tanh), narrow, head; one causal block |
`unroll` is the one way to run them: over a rollout of one step to act, over a sequence to learn. A memory is forgotten
where `first` says that an episode begins.
Source: Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder", with the reset gate behind the
hidden product as in cuDNN; Vaswani et al. 2017, "Attention is all you need", with the norms in front, and only the
last place asking.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from agents import networks
from agents.train_config import ATTENTION_HEADS, PPOConfig

Params = Any
FORGOTTEN = -1e9  # a score of what must not be seen
NORM_EPS = 1e-6


def init_population(keys: jax.Array, obs_dim: int, num_outputs: int, config: PPOConfig) -> Params:
    """Draw A agents, keys [A]: orthogonal kernels, zero biases; heads and gains as of the feed-forward networks."""
    return jax.lax.map(lambda key: _init_agent(key, obs_dim, num_outputs, config), keys)


def _init_agent(key: jax.Array, obs_dim: int, num_outputs: int, config: PPOConfig) -> Params:
    parts = _gru_shapes if config.network == "gru" else _attention_shapes
    shapes = {}
    for name, outputs, gain in (("actor", num_outputs, networks.ACTOR_GAIN), ("critic", 1, networks.CRITIC_GAIN)):
        for part, (shape, part_gain) in parts(obs_dim, outputs, gain, config).items():
            shapes[f"{name}/{part}"] = (shape, part_gain)
    drawn = networks.init_networks(key, shapes)
    return networks.nested(
        {f"{name}/{leaf}": layers["0"][leaf] for name, layers in drawn.items() for leaf in layers["0"]}
    )


def _gru_shapes(obs_dim: int, outputs: int, gain: float, config: PPOConfig) -> dict[str, tuple[tuple[int, int], float]]:
    widths, width = (obs_dim, *config.hidden), config.memory_width
    encoder = {f"encoder/{i}": ((widths[i], widths[i + 1]), networks.HIDDEN_GAIN) for i in range(len(config.hidden))}
    gates = {"gru/input": ((widths[-1], 3 * width), 1.0), "gru/hidden": ((width, 3 * width), 1.0)}
    return {**encoder, **gates, "head": ((width, outputs), gain)}


def _attention_shapes(
    obs_dim: int, outputs: int, gain: float, config: PPOConfig
) -> dict[str, tuple[tuple[int, int], float]]:
    width = config.memory_width
    square = dict.fromkeys(("query", "keys", "values", "mix"), ((width, width), 1.0))
    ends = {"embed": ((obs_dim, width), networks.HIDDEN_GAIN), "positions": ((config.window, width), 0.1)}
    deep = {"widen": ((width, 2 * width), networks.HIDDEN_GAIN), "narrow": ((2 * width, width), 1.0)}
    return {**ends, **square, **deep, "head": ((width, outputs), gain)}


def kind_of(params: Mapping[str, Any]) -> str:
    """Return mlp, gru or attention: which network these parameters (of an agent or a population) are of."""
    parts = params["actor"]
    return "gru" if "gru" in parts else "attention" if "query" in parts else "mlp"


def empty_memory(params: Params, num_envs: int, obs_dim: int) -> Any:
    """Return one agent's memory of nothing for `num_envs` (S) environments, leaves [S, ...]; () without a memory."""
    kind = kind_of(params)
    if kind == "mlp":
        return ()
    if kind == "gru":
        width = params["actor"]["gru"]["hidden"]["kernel"].shape[0]
        return {name: jnp.zeros((num_envs, width), jnp.float32) for name in ("actor", "critic")}
    kept = params["actor"]["positions"]["kernel"].shape[0] - 1
    return {"obs": jnp.zeros((num_envs, kept, obs_dim), jnp.float32), "seen": jnp.zeros((num_envs, kept), bool)}


def unroll(params: Params, memory: Any, obs: jax.Array, first: jax.Array) -> tuple[Any, jax.Array, jax.Array]:
    """Run one agent over L steps of S environments: obs float32[L, S, D], first bool[L, S].

    Returns the memory after them, the actor's outputs float32[L, S, N] and the values float32[L, S].
    """
    return (_unroll_gru if kind_of(params) == "gru" else _unroll_attention)(params, memory, obs, first)


def _dense(part: Mapping[str, jax.Array], x: jax.Array) -> jax.Array:
    return x @ part["kernel"] + part["bias"]


def _unroll_gru(params: Params, memory: Any, obs: jax.Array, first: jax.Array) -> tuple[Any, jax.Array, jax.Array]:
    ends, outputs = {}, {}
    for name in ("actor", "critic"):
        ends[name], outputs[name] = _run_gru(params[name], memory[name], obs, first)
    return ends, outputs["actor"], outputs["critic"][..., 0]


def _run_gru(parts: Params, hidden: jax.Array, obs: jax.Array, first: jax.Array) -> tuple[jax.Array, jax.Array]:
    x = obs
    for index in range(len(parts.get("encoder", {}))):
        x = jnp.tanh(_dense(parts["encoder"][str(index)], x))
    gates = _dense(parts["gru"]["input"], x)  # of all steps at once: only the hidden product must wait its turn

    def step(hidden: jax.Array, xs: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        gates_t, first_t = xs
        hidden = gru_step(parts["gru"]["hidden"], gates_t, jnp.where(first_t[:, None], 0.0, hidden))
        return hidden, hidden

    hidden, remembered = jax.lax.scan(step, hidden, (gates, first))
    return hidden, _dense(parts["head"], remembered)


def gru_step(part: Mapping[str, jax.Array], gates: jax.Array, hidden: jax.Array) -> jax.Array:
    """Return the next hidden state float32[S, H] from the input's gates float32[S, 3H] (bias included).

    r, z = sigmoid(i + U h + b) each;  n = tanh(i_n + r (U_n h + b_n));  h' = (1 - z) n + z h.
    """
    reset_in, update_in, new_in = jnp.split(gates, 3, axis=-1)
    reset_h, update_h, new_h = jnp.split(_dense(part, hidden), 3, axis=-1)
    update = jax.nn.sigmoid(update_in + update_h)
    new = jnp.tanh(new_in + jax.nn.sigmoid(reset_in + reset_h) * new_h)
    return (1.0 - update) * new + update * hidden


def _unroll_attention(
    params: Params, memory: Any, obs: jax.Array, first: jax.Array
) -> tuple[Any, jax.Array, jax.Array]:
    kept, steps = memory["obs"].shape[1], obs.shape[0]
    joined = jnp.concatenate([jnp.moveaxis(memory["obs"], 1, 0), obs])  # [W - 1 + L, S, D]
    episode = jnp.cumsum(first, axis=0)  # [L, S] number of beginnings so far
    seen = jnp.concatenate([jnp.moveaxis(memory["seen"], 1, 0), jnp.ones_like(first)])
    whose = jnp.concatenate([jnp.zeros((kept, obs.shape[1]), episode.dtype), episode])
    window = jnp.arange(steps)[:, None] + jnp.arange(kept + 1)  # [L, W] places in `joined`
    visible = seen[window] & (whose[window] == episode[:, None])  # [L, W, S]
    outputs = {name: _run_attention(params[name], joined, window, visible) for name in ("actor", "critic")}
    after = {
        "obs": jnp.moveaxis(joined[steps:], 0, 1),
        "seen": jnp.moveaxis(seen[steps:] & (whose[steps:] == episode[-1]), 0, 1),
    }
    return after, outputs["actor"], outputs["critic"][..., 0]


def _run_attention(parts: Params, joined: jax.Array, window: jax.Array, visible: jax.Array) -> jax.Array:
    """Return float32[L, S, N]: the last place of every window asks the visible ones."""
    embedded = _dense(parts["embed"], joined)[window]  # [L, W, S, H]
    positions = parts["positions"]["kernel"][:, None]
    tokens = embedded + positions
    last = tokens[:, -1]
    normed = _norm(tokens)
    query, keys, values = (
        _heads(_dense(parts[name], x)) for name, x in (("query", normed[:, -1:]), ("keys", normed), ("values", normed))
    )
    scores = jnp.sum(query * keys, axis=-1) / math.sqrt(keys.shape[-1])  # [L, W, S, heads]
    scores = jnp.where(visible[..., None], scores, FORGOTTEN)
    weights = jnp.exp(scores - jax.lax.stop_gradient(jnp.max(scores, axis=1, keepdims=True)))
    # A product and no division: XLA rounds that by the number of devices (agents/adam.py).
    seen = jnp.sum(weights[..., None] * values, axis=1) * (1.0 / jnp.sum(weights, axis=1))[..., None]
    x = last + _dense(parts["mix"], seen.reshape(*seen.shape[:-2], -1))
    x = x + _dense(parts["narrow"], jnp.tanh(_dense(parts["widen"], _norm(x))))
    return _dense(parts["head"], _norm(x))


def _heads(x: jax.Array) -> jax.Array:
    return x.reshape(*x.shape[:-1], ATTENTION_HEADS, -1)


def _norm(x: jax.Array) -> jax.Array:
    """Root-mean-square norm without a scale: the next kernel has one."""
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + NORM_EPS)
