"""The engine in pure JAX: runs wherever JAX runs, under jit, vmap and scan. Semantics: docs/engine.md.

Cost on a CPU: half a microsecond a message and market at capacity 128 where many markets are batched, half of it one
pass over the 1,024 words of orders; linear in the capacity. Everything is integer arithmetic: the bits are those of
the other backends.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from kernels.lob import spec
from kernels.lob.spec import Book, LobConfig, LobOutput
from sim.engine import xla_book, xla_match, xla_message, xla_tally, xla_view
from sim.engine.xla_market import make_market_step

__all__ = ["make_market_step", "make_process"]

Process = Callable[[Book, jax.Array, jax.Array], tuple[Book, LobOutput]]


def make_process(config: LobConfig) -> Process:
    """Return `process(book, messages int32[M, 8], reference_tick int32[]) -> (book, LobOutput)` of one market.

    Raises ValueError where a field of `config` is invalid.
    """
    spec.validate_config(config)

    def process(book: Book, messages: jax.Array, reference_tick: jax.Array) -> tuple[Book, LobOutput]:
        rows = jnp.asarray(messages, jnp.int32)
        reference = jnp.asarray(reference_tick, jnp.int32)

        def one(carry: tuple, indexed: tuple) -> tuple[tuple, tuple[jax.Array, jax.Array]]:
            (state, log, tally), (message, index) = carry, indexed
            tally = xla_tally.observe(tally, state)
            terms = xla_match.Terms(index, reference, config)
            state, log, effect = xla_message.apply(state, tally.best_key, message, log, terms)
            return (state, log, xla_tally.count(tally, effect)), (effect.reason, effect.filled_lots)

        zero = xla_book.zero_of(tuple(map(jnp.asarray, book)), rows, reference)
        start = (
            xla_book.from_book(book, zero),
            xla_match.empty_log(config.max_fills, zero),
            xla_tally.start_tally(jnp.asarray(book.counters, jnp.int32), zero),
        )
        indexed = (jax.vmap(xla_message.read)(rows), jnp.arange(rows.shape[0], dtype=jnp.int32))
        (state, log, tally), answers = lax.scan(one, start, indexed)
        return _finish(config, state, log, xla_tally.observe(tally, state), rows, answers)

    return process


def _finish(
    config: LobConfig,
    state: xla_book.SortedBook,
    log: xla_match.FillLog,
    tally: xla_tally.Tally,
    rows: jax.Array,
    answers: tuple[jax.Array, jax.Array],  # reason, filled lots
) -> tuple[Book, LobOutput]:
    events = jnp.sum(rows[:, spec.KIND] != spec.NOP, dtype=jnp.int32)
    summary = xla_tally.summarise(tally, log, events, jnp.int32(0))
    depth = xla_view.depth(state, config.depth_levels)
    out = LobOutput._make((*answers, xla_match.finish_log(log), log.num_fills, summary, depth))
    return xla_book.to_book(state, xla_tally.counters(tally, log)), out
