"""Philox 4x32 counter-based random numbers, 7 rounds by default: no state to carry, any draw again alone.

A market's draw has key (run seed, market number) and counter (draw number, block, 0, 0). Integers only, so every
backend gives the same bits.
Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011; 4x32-7 is the fewest rounds
that the authors report to pass BigCrush.
"""

from typing import Any, Final

import numpy as np
from numba import njit

from kernels.lob._memory import INLINE

ROUNDS: Final = 7
_MULTIPLIER_0: Final = 0xD2511F53
_MULTIPLIER_1: Final = 0xCD9E8D57
_WEYL_0: Final = 0x9E3779B9
_WEYL_1: Final = 0xBB67AE85
_MASK: Final = 0xFFFFFFFF


def _rounds(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any, rounds: Any) -> Any:
    """Return four words in 0..2^32-1 from counter and key words, all as uint64 (scalars or arrays)."""
    mask, half = np.uint64(_MASK), np.uint64(32)
    for _ in range(rounds):
        product_0 = np.uint64(_MULTIPLIER_0) * c0
        product_1 = np.uint64(_MULTIPLIER_1) * c2
        c0, c1 = (product_1 >> half) ^ c1 ^ k0, product_1 & mask
        c2, c3 = (product_0 >> half) ^ c3 ^ k1, product_0 & mask
        k0 = (k0 + np.uint64(_WEYL_0)) & mask
        k1 = (k1 + np.uint64(_WEYL_1)) & mask
    return c0, c1, c2, c3


_rounds_njit: Any = njit(**INLINE)(_rounds)


@njit(nogil=True)
def philox4x32(key_0, key_1, counter_0, counter_1, rounds=ROUNDS):
    """Return four uint32 words for key (key_0, key_1) and counter (counter_0, counter_1, 0, 0).

    Numba scalars of any integer type, taken modulo 2^32.
    """
    zero = np.uint64(0)
    c0, c1, c2, c3 = _rounds_njit(
        np.uint64(np.uint32(counter_0)),
        np.uint64(np.uint32(counter_1)),
        zero,
        zero,
        np.uint64(np.uint32(key_0)),
        np.uint64(np.uint32(key_1)),
        rounds,
    )
    return np.uint32(c0), np.uint32(c1), np.uint32(c2), np.uint32(c3)


def philox4x32_numpy(key: Any, counter: Any, rounds: int = ROUNDS) -> np.ndarray:
    """Return uint32[..., 4] words for key uint32[..., 2] and counter uint32[..., 4], which broadcast."""
    keys = np.asarray(key, np.uint32).astype(np.uint64)
    counters = np.asarray(counter, np.uint32).astype(np.uint64)
    if keys.shape[-1:] != (2,) or counters.shape[-1:] != (4,):
        raise ValueError(f"key has shape {keys.shape}, counter {counters.shape}; expected [..., 2] and [..., 4]")
    c0, c1, c2, c3 = np.moveaxis(counters, -1, 0)
    k0, k1 = np.moveaxis(keys, -1, 0)
    words = _rounds(c0, c1, c2, c3, k0, k1, rounds)
    return np.stack(np.broadcast_arrays(*words), axis=-1).astype(np.uint32)
