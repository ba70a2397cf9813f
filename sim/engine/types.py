"""Shapes of the market step in JAX. Semantics: docs/engine.md."""

from typing import NamedTuple

import jax

from kernels.lob.spec import Book, LobConfig


class MarketConfig(NamedTuple):
    """Static shape of one market; hashable, so that it can be closed over by `jit`."""

    lob: LobConfig = LobConfig()
    inbox: int = 16  # I, agents' messages that may be under way at once
    num_learners: int = 1  # A, owners 1..A are reported in `own`


class MarketState(NamedTuple):
    """One market. A leading batch axis may stand before every axis."""

    book: Book
    inbox: jax.Array  # int32[I, 8] messages under way, sorted by arrival
    meta: jax.Array  # int32[32] META_* words
    seed: jax.Array  # uint32[2] run seed, market number


class MarketOutput(NamedTuple):
    """What one market step returns beside the state, int32."""

    fills: jax.Array  # [F, 8] FILL_* columns of fills with an owner other than 0
    num_fills: jax.Array  # []
    summary: jax.Array  # [16] SUM_* words
    depth: jax.Array  # [2, L, 2] (price_tick, lots), best first
    own: jax.Array  # [A, 2, 6] OWN_* columns
