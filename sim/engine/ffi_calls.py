"""The engine's FFI calls for a registered target: shapes, aliases and batching, alike on every platform."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from kernels.lob import ffi, spec
from kernels.lob.spec import Book, LobConfig, LobOutput
from sim.engine.types import MarketConfig, MarketOutput, MarketState

Process = Callable[[Book, jax.Array, jax.Array], tuple[Book, LobOutput]]
MarketStep = Callable[..., tuple[MarketState, MarketOutput]]


def _int32(*shapes: tuple[int, ...]) -> list[jax.ShapeDtypeStruct]:
    return [jax.ShapeDtypeStruct(shape, np.int32) for shape in shapes]


def book_shapes(config: LobConfig) -> list[jax.ShapeDtypeStruct]:
    """Return the shapes of the six fields of one book."""
    return _int32(*(field.shape for field in spec.empty_book(config)))


def process_call(target: str, config: LobConfig) -> Process:
    """Return `process(book, messages int32[M, 8], reference_tick int32[])` of one market through `target`."""

    def process(book: Book, messages: jax.Array, reference_tick: jax.Array) -> tuple[Book, LobOutput]:
        num_messages = messages.shape[-2]
        outputs = _int32(
            (num_messages,),
            (num_messages,),
            (config.max_fills, spec.NUM_FILL_COLUMNS),
            (),
            (spec.NUM_SUMMARY,),
            (2, config.depth_levels, 2),
        )
        call = jax.ffi.ffi_call(
            target,
            (*book_shapes(config), *outputs),
            vmap_method="broadcast_all",
            input_output_aliases={field: field for field in range(ffi.NUM_BOOK_FIELDS)},
        )
        results = call(*book, messages, jnp.asarray(reference_tick, jnp.int32))
        return Book(*results[: ffi.NUM_BOOK_FIELDS]), LobOutput(*results[ffi.NUM_BOOK_FIELDS :])

    return process


def market_step_call(target: str, config: MarketConfig) -> MarketStep:
    """Return `step(state, agent_messages, flow_params, background, horizon)` of one market through `target`."""
    lob = config.lob
    outputs = _int32(
        (config.inbox, spec.NUM_MESSAGE_COLUMNS),
        (spec.NUM_META,),
        (lob.max_fills, spec.NUM_FILL_COLUMNS),
        (),
        (spec.NUM_SUMMARY,),
        (2, lob.depth_levels, 2),
        (config.num_learners, 2, spec.NUM_OWN_COLUMNS),
    )
    call = jax.ffi.ffi_call(
        target,
        (*book_shapes(lob), *outputs),
        vmap_method="broadcast_all",
        input_output_aliases={field: field for field in range(ffi.NUM_MARKET_ALIASES)},
    )

    def market_step(
        state: MarketState,
        agent_messages: jax.Array,
        flow_params: jax.Array,
        background: jax.Array,
        horizon: jax.Array,
    ) -> tuple[MarketState, MarketOutput]:
        rest = (agent_messages, flow_params, background, horizon)
        results = call(*state.book, state.inbox, state.meta, state.seed, *rest)
        book = Book(*results[: ffi.NUM_BOOK_FIELDS])
        inbox, meta = results[ffi.NUM_BOOK_FIELDS : ffi.NUM_MARKET_ALIASES]
        return MarketState(book, inbox, meta, state.seed), MarketOutput(*results[ffi.NUM_MARKET_ALIASES :])

    return market_step
