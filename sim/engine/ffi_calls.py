"""The engine's FFI targets and calls: registration, shapes, aliases and batching, alike on every platform."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from kernels.lob import ffi, spec
from kernels.lob.spec import Book, LobConfig, LobOutput
from sim.engine.types import MarketConfig, MarketOutput, MarketState

Process = Callable[[Book, jax.Array, jax.Array], tuple[Book, LobOutput]]
MarketStep = Callable[..., tuple[MarketState, MarketOutput]]
AnyHandler = TypeVar("AnyHandler", bound=ffi.Handler)


class Targets(Generic[AnyHandler]):
    """The handlers that this process has registered with XLA for one platform."""

    def __init__(self, backend: str, platform: str, frame_version: Callable[[str], tuple[int, int]]) -> None:
        """`frame_version(header)` returns the (major, minor) FFI API version, or raises FfiVersionError."""
        self._backend, self._platform, self._frame_version = backend, platform, frame_version
        # XLA keeps bare addresses of registered handlers, so their machine code has to live as long as the process.
        self._handlers: dict[str, AnyHandler] = {}

    @cached_property
    def _version(self) -> tuple[int, int]:
        header = Path(jax.ffi.include_dir()) / "xla" / "ffi" / "api" / "c_api.h"
        try:
            return self._frame_version(header.read_text())
        except ffi.FfiVersionError as error:
            raise ffi.FfiVersionError(
                f"the {self._backend} backend does not work with JAX {jax.__version__}: {error}"
            ) from error

    def register(self, name: str, make_handler: Callable[[tuple[int, int]], AnyHandler]) -> str:
        """Compile and register a handler under `name` unless that was done before; return the name."""
        if name not in self._handlers:
            handler = make_handler(self._version)
            jax.ffi.register_ffi_target(name, handler.capsule(), platform=self._platform, api_version=1)
            self._handlers[name] = handler
        return name

    def free_name(self, name: str) -> str:
        """Return `name`, longer where another handler has it; it repeats from process to process, for JAX's cache."""
        while name in self._handlers:
            name += "_"
        return name


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
