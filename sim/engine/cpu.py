"""The numba backend inside JAX programs: one FFI call for a whole batch of markets."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernels.lob import ffi, spec
from kernels.lob.spec import Book, LobConfig, LobOutput
from market_models.flow import Flow
from sim.engine.types import MarketConfig, MarketOutput, MarketState

Process = Callable[[Book, jax.Array, jax.Array], tuple[Book, LobOutput]]

MarketStep = Callable[..., tuple[MarketState, MarketOutput]]

# XLA keeps bare addresses of registered handlers, so their machine code has to live as long as the process.
_HANDLERS: dict[str, ffi.Handler] = {}


@cache
def _version() -> tuple[int, int]:
    header = Path(jax.ffi.include_dir()) / "xla" / "ffi" / "api" / "c_api.h"
    try:
        return ffi.frame_version(header.read_text())
    except ffi.FfiVersionError as error:
        raise ffi.FfiVersionError(f"the cpu backend does not work with JAX {jax.__version__}: {error}") from error


def register(name: str, make_handler: Callable[[tuple[int, int]], ffi.Handler]) -> str:
    """Compile and register a handler under `name` unless that was done before; return the name."""
    if name not in _HANDLERS:
        handler = make_handler(_version())
        jax.ffi.register_ffi_target(name, handler.capsule(), platform="cpu", api_version=1)
        _HANDLERS[name] = handler
    return name


def book_shapes(config: LobConfig) -> list[jax.ShapeDtypeStruct]:
    """Return the shapes of the six fields of one book."""
    return [jax.ShapeDtypeStruct(field.shape, np.int32) for field in spec.empty_book(config)]


def make_process(config: LobConfig) -> Process:
    """Return `process(book, messages int32[M, 8], reference_tick int32[])` of one market for the CPU."""
    modes = (config.fills_mode, config.self_trade, config.queue_model)
    target = register(ffi.process_target(modes), lambda version: ffi.make_process_handler(modes, version))

    def process(book: Book, messages: jax.Array, reference_tick: jax.Array) -> tuple[Book, LobOutput]:
        num_messages = messages.shape[-2]
        shapes = book_shapes(config)
        outputs = [
            jax.ShapeDtypeStruct(shape, np.int32)
            for shape in (
                (num_messages,),
                (num_messages,),
                (config.max_fills, spec.NUM_FILL_COLUMNS),
                (),
                (spec.NUM_SUMMARY,),
                (2, config.depth_levels, 2),
            )
        ]
        call = jax.ffi.ffi_call(
            target,
            (*shapes, *outputs),
            vmap_method="broadcast_all",
            input_output_aliases={field: field for field in range(ffi.NUM_BOOK_FIELDS)},
        )
        results = call(*book, messages, jnp.asarray(reference_tick, jnp.int32))
        return Book(*results[: ffi.NUM_BOOK_FIELDS]), LobOutput(*results[ffi.NUM_BOOK_FIELDS :])

    return process


@cache
def _market_step_target(flow_name: str, sampler: Any, modes: tuple[int, int]) -> str:
    """Return the target of a sampler; its name repeats from process to process, for JAX's compilation cache."""
    name = "_".join(("bookswarm_market_step", flow_name, *map(str, modes)))
    while name in _HANDLERS:  # another sampler of that name
        name += "_"
    return register(name, lambda version: ffi.make_market_step_handler(sampler, name, modes, version))


def make_market_step(config: MarketConfig, flow: Flow) -> MarketStep:
    """Return `step(state, agent_messages, flow_params, background, horizon)` of one market for the CPU."""
    lob = config.lob
    target = _market_step_target(flow.name, flow.numba_sampler, (lob.self_trade, lob.queue_model))
    outputs = [
        jax.ShapeDtypeStruct(shape, np.int32)
        for shape in (
            (config.inbox, spec.NUM_MESSAGE_COLUMNS),
            (spec.NUM_META,),
            (lob.max_fills, spec.NUM_FILL_COLUMNS),
            (),
            (spec.NUM_SUMMARY,),
            (2, lob.depth_levels, 2),
            (config.num_learners, 2, spec.NUM_OWN_COLUMNS),
        )
    ]
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
