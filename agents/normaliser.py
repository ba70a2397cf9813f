"""Running moments of one agent's discounted return: rewards are divided by its deviation, whatever unit they have."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

VARIANCE_EPS = 1e-8


class ReturnNormaliser(NamedTuple):
    """Running mean and variance of one agent's discounted return; with a leading axis A in a population."""

    count: jax.Array  # float32[]
    mean: jax.Array  # float32[]
    m2: jax.Array  # float32[] sum of squared deviations


def merge(normaliser: ReturnNormaliser, discounted: jax.Array) -> ReturnNormaliser:
    """Add discounted returns float32[T, E] to the running moments.

    Source: Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance", updating formulae.
    """
    size = jnp.float32(discounted.size)
    mean = jnp.mean(discounted)
    m2 = jnp.sum((discounted - mean) ** 2)
    count = normaliser.count + size
    shift = mean - normaliser.mean
    return ReturnNormaliser(
        count=count,
        mean=normaliser.mean + shift * size / count,
        m2=normaliser.m2 + m2 + shift**2 * normaliser.count * size / count,
    )


def deviation(normaliser: ReturnNormaliser) -> jax.Array:
    """Standard deviation float32[] of the discounted return."""
    return jnp.sqrt(normaliser.m2 / jnp.maximum(normaliser.count, 1.0) + VARIANCE_EPS)
