"""A Gaussian with independent dimensions, squashed by tanh into [-1, 1] or as it is: sampling, density and entropy.

Source: Haarnoja et al. 2018, "Soft actor-critic algorithms and applications", appendix C.
"""

import math

import jax
import jax.numpy as jnp

LOG_STD_LOW, LOG_STD_HIGH = -5.0, 2.0


def head(outputs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Split a network's outputs float32[..., 2K] into mean and log standard deviation float32[..., K] before the tanh.

    The latter is squashed smoothly into [LOG_STD_LOW, LOG_STD_HIGH], so that its gradient vanishes nowhere.
    """
    mean, raw = jnp.split(outputs, 2, axis=-1)
    log_std = LOG_STD_LOW + 0.5 * (LOG_STD_HIGH - LOG_STD_LOW) * (jnp.tanh(raw) + 1.0)
    return mean, log_std


def sample(outputs: jax.Array, normal: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return action float32[..., K] in [-1, 1] and its log density float32[...], from normal float32[..., K].

    u = mean + std normal, a = tanh u, log pi(a) = sum of log N(u) - log(1 - tanh(u)^2), the last one as
    2 (log 2 - u - softplus(-2 u)), which is exact where tanh rounds to one.
    """
    mean, log_std = head(outputs)
    u = mean + jnp.exp(log_std) * normal
    log_density = -0.5 * normal**2 - log_std - 0.5 * math.log(2.0 * math.pi)
    log_slope = 2.0 * (math.log(2.0) - u - jax.nn.softplus(-2.0 * u))
    return jnp.tanh(u), jnp.sum(log_density - log_slope, axis=-1)


def raw_log_std(log_std: float) -> float:
    """Return the network's output that `head` turns into `log_std`, between LOG_STD_LOW and LOG_STD_HIGH."""
    return math.atanh(2.0 * (log_std - LOG_STD_LOW) / (LOG_STD_HIGH - LOG_STD_LOW) - 1.0)


def draw(outputs: jax.Array, normal: jax.Array) -> jax.Array:
    """Return u = mean + std normal, float32[..., K], without squashing."""
    mean, log_std = head(outputs)
    return mean + jnp.exp(log_std) * normal


def log_density(outputs: jax.Array, u: jax.Array) -> jax.Array:
    """Return log N(u; mean, std) float32[...], summed over the K dimensions of u float32[..., K]."""
    mean, log_std = head(outputs)
    scaled = (u - mean) * jnp.exp(-log_std)
    return jnp.sum(-0.5 * scaled**2 - log_std - 0.5 * math.log(2.0 * math.pi), axis=-1)


def entropy(outputs: jax.Array) -> jax.Array:
    """Return the entropy of the unsquashed Gaussian in nats, float32[...]: sum of log std + log(2 pi e) / 2."""
    return jnp.sum(head(outputs)[1] + 0.5 * (1.0 + math.log(2.0 * math.pi)), axis=-1)
