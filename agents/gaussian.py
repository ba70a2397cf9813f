"""A Gaussian squashed by tanh into [-1, 1], with independent dimensions: sampling and density, written out.

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
