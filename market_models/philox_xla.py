"""Philox 4x32-7 in JAX, 32-bit integers only: the same bits as `kernels/lob/philox.py`.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from typing import Final

import jax
import jax.numpy as jnp
import numpy as np

ROUNDS: Final = 7
_MULTIPLIER_0: Final = np.uint32(0xD2511F53)
_MULTIPLIER_1: Final = np.uint32(0xCD9E8D57)
_WEYL_0: Final = np.uint32(0x9E3779B9)
_WEYL_1: Final = np.uint32(0xBB67AE85)
_LOW: Final = np.uint32(0xFFFF)
_HALF: Final = np.uint32(16)


def multiply_high(a: jax.Array, b: jax.Array | np.uint32) -> jax.Array:
    """Return the high 32 bits of the product of two uint32, by 16-bit limbs: 64-bit integers are off in JAX."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    middle = a_high * b_low + ((a_low * b_low) >> _HALF)  # at most (2^16-1)^2 + 2^16-1 < 2^32
    carried = a_low * b_high + (middle & _LOW)
    return a_high * b_high + (middle >> _HALF) + (carried >> _HALF)


def philox4x32(key: jax.Array, counter_0: jax.Array, block: int) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Return four uint32 words for key uint32[2] and counter (counter_0, block, 0, 0)."""
    key_0, key_1 = jnp.asarray(key)[0], jnp.asarray(key)[1]  # NumPy scalars would warn where they wrap
    zero = jnp.zeros_like(counter_0)
    c0, c1, c2, c3 = counter_0, zero + np.uint32(block), zero, zero
    for _ in range(ROUNDS):
        high_0, low_0 = multiply_high(c0, _MULTIPLIER_0), c0 * _MULTIPLIER_0
        high_1, low_1 = multiply_high(c2, _MULTIPLIER_1), c2 * _MULTIPLIER_1
        c0, c1, c2, c3 = high_1 ^ c1 ^ key_0, low_1, high_0 ^ c3 ^ key_1, low_0
        key_0, key_1 = key_0 + _WEYL_0, key_1 + _WEYL_1
    return c0, c1, c2, c3
