"""The order-book engine inside JAX programs, one interface for every backend. Semantics: docs/engine.md."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp

from kernels.lob import spec
from kernels.lob.spec import Book, LobConfig, LobOutput
from market_models.flow import Flow
from sim.engine.types import MarketConfig, MarketOutput, MarketState

BACKENDS = ("cpu", "xla")  # on every machine
GPU_BACKENDS = ("cuda",)


def check_backend(backend: str) -> None:
    """Raise ValueError for an unknown backend, CudaMissingError where this machine lacks the GPU that it needs."""
    if backend in GPU_BACKENDS:
        from sim.engine import cuda

        cuda.check_available()
    elif backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is not one of {(*BACKENDS, *GPU_BACKENDS)}")


def _engine(backend: str) -> Any:
    """Return the backend's module, imported when it is first used: each brings a compiler of its own."""
    return import_module(f"sim.engine.{backend}")


def make_process(config: LobConfig, backend: str = "cpu") -> Callable[[Book, jax.Array, Any], tuple[Book, LobOutput]]:
    """Return `process(book, messages int32[M, 8], reference_tick int32[]) -> (book, output)` of one market.

    Batch it with `vmap`. Raises ValueError for an unknown backend or an invalid configuration, and at trace time for
    arrays that are not int32 or have another shape than `config` says.
    """
    check_backend(backend)
    spec.validate_config(config)
    process = _engine(backend).make_process(config)

    def checked(book: Book, messages: jax.Array, reference_tick: Any = 0) -> tuple[Book, LobOutput]:
        messages = jnp.asarray(messages)
        check_book(book, config)
        check_array("messages", messages, (None, spec.NUM_MESSAGE_COLUMNS))
        return process(Book(*map(jnp.asarray, book)), messages, jnp.asarray(reference_tick, jnp.int32))

    return checked


def make_market_step(
    config: MarketConfig, flow: Flow, backend: str = "cpu"
) -> Callable[[MarketState, jax.Array, jax.Array, jax.Array, Any], tuple[MarketState, MarketOutput]]:
    """Return `step(state, agent_messages[K, 8], flow_params[P], background[H, 8], horizon[2])` of one market.

    `horizon` is (events, microseconds or 0), int32. Batch with `vmap`. Raises ValueError like `make_process`.
    """
    check_backend(backend)
    spec.validate_config(config.lob)
    if config.inbox < 1 or config.num_learners < 1:
        raise ValueError(f"inbox {config.inbox} and num_learners {config.num_learners} must be at least 1")
    step = _engine(backend).make_market_step(config, flow)

    def checked(
        state: MarketState, agent_messages: jax.Array, flow_params: jax.Array, background: jax.Array, horizon: Any
    ) -> tuple[MarketState, MarketOutput]:
        state = jax.tree.map(jnp.asarray, state)
        arrays = [jnp.asarray(array) for array in (agent_messages, flow_params, background)]
        horizon = jnp.asarray(horizon, jnp.int32)
        check_book(state.book, config.lob)
        check_array("inbox", state.inbox, (config.inbox, spec.NUM_MESSAGE_COLUMNS))
        check_array("meta", state.meta, (spec.NUM_META,))
        check_array("seed", state.seed, (2,), jnp.uint32)
        check_array("agent_messages", arrays[0], (None, spec.NUM_MESSAGE_COLUMNS))
        check_array(f"flow_params of {flow.name}", arrays[1], (flow.num_params,))
        check_array("background", arrays[2], (None, spec.NUM_MESSAGE_COLUMNS))
        check_array("horizon", horizon, (2,))
        return step(state, *arrays, horizon)

    return checked


def init_market(
    config: MarketConfig,
    book: Book,
    seed: Any = 0,
    market_number: Any = 0,
    clock_s: Any = 0,
    clock_ns: Any = 0,
    next_order_id: Any = 1,
    reference_tick: Any = 0,
) -> MarketState:
    """Return the state of one market around `book`; every argument but `config` may be traced.

    `seed` is the run's and `market_number` the market's word of the random key, both uint32; the clock is (s, ns) with
    0 <= ns < 10^9; the background's next order id is in 1..2^30 - 1.
    """
    book = Book(*map(jnp.asarray, book))
    check_book(book, config.lob)
    meta = [jnp.zeros((), jnp.int32)] * spec.NUM_META
    meta[spec.META_CLOCK_S] = jnp.asarray(clock_s, jnp.int32)
    meta[spec.META_CLOCK_NS] = jnp.asarray(clock_ns, jnp.int32)
    meta[spec.META_NEXT_ORDER_ID] = jnp.asarray(next_order_id, jnp.int32)
    meta[spec.META_REFERENCE_TICK] = jnp.asarray(reference_tick, jnp.int32)
    return MarketState(
        book=book,
        inbox=jnp.zeros((config.inbox, spec.NUM_MESSAGE_COLUMNS), jnp.int32),
        meta=jnp.stack(meta),
        seed=jnp.stack([jnp.asarray(seed, jnp.uint32), jnp.asarray(market_number, jnp.uint32)]),
    )


def check_array(name: str, array: Any, shape: tuple[int | None, ...], dtype: Any = jnp.int32) -> None:
    """Raise ValueError unless `array` has the shape (None: any length) and dtype. A kernel cannot check addresses."""
    fits = len(array.shape) == len(shape) and all(
        want is None or have == want for have, want in zip(array.shape, shape, strict=False)
    )
    if not fits or array.dtype != dtype:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} is {array.dtype}{list(array.shape)}, expected {jnp.dtype(dtype).name}[{wanted}]")


def check_book(book: Book, config: LobConfig) -> None:
    """Raise ValueError unless every field of one book has the shape that `config` says."""
    for name, have, want in zip(Book._fields, book, spec.empty_book(config), strict=True):
        check_array(f"book.{name}", have, want.shape)
