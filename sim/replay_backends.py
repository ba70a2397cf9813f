"""The engine's backends behind one interface for replay: the depth after every message, and all fills of a run."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np

from kernels.lob import spec
from kernels.lob.host import HostBook, process_batch
from kernels.lob.oracle import Oracle
from kernels.lob.spec import Book, LobConfig, LobOutput

if TYPE_CHECKING:
    import jax

BACKENDS: Final = ("oracle", "cpu", "xla")  # on every machine
GPU_BACKENDS: Final = ("cuda",)
CHUNK: Final = 8192  # messages between two reports of progress; the last chunk is padded with NOP

XLA_STEP: Final = 512  # shorter runs are padded to a multiple of this
CALL: Final = 100  # messages a call where fills are collected

Progress = Callable[[int, int], None]  # (messages done, of how many)


class Tracer(Protocol):
    """One market that starts empty."""

    def trace(self, messages: np.ndarray) -> np.ndarray:
        """Apply messages int32[M, 8]; return the depth after each, int32[M, 2, levels, 2]."""
        ...

    def counters(self) -> np.ndarray:
        """Return the book's counters, int32[8]."""
        ...


class _OracleTracer:
    def __init__(self, config: LobConfig) -> None:
        self.oracle = Oracle(*config)

    def trace(self, messages: np.ndarray) -> np.ndarray:
        depth = np.zeros((len(messages), 2, self.oracle.depth_levels, 2), np.int32)
        for index, row in enumerate(messages.tolist()):
            self.oracle.apply_one(0, row)
            depth[index] = self.oracle.depth()
        return depth

    def counters(self) -> np.ndarray:
        return np.array(self.oracle.counters, np.int32)


class _CpuTracer:
    def __init__(self, config: LobConfig) -> None:
        self.host = HostBook(config, "cpu")

    def trace(self, messages: np.ndarray) -> np.ndarray:
        return self.host.trace(messages[:, None], self.host.config.depth_levels)

    def counters(self) -> np.ndarray:
        return self.host.book.counters.copy()


class _XlaTracer:
    """A `scan` over messages, in chunks of few sizes, so that it compiles once."""

    backend = "xla"

    def __init__(self, config: LobConfig) -> None:
        import jax

        self.book = jax.tree.map(jax.numpy.asarray, spec.empty_book(config))
        self.run = _xla_trace(config, self.backend)

    def trace(self, messages: np.ndarray) -> np.ndarray:
        size = min(CHUNK, _round_up(len(messages), XLA_STEP))
        parts = []
        for start in range(0, len(messages), size):
            part = messages[start : start + size]
            self.book, depth = self.run(self.book, pad(part, size))
            parts.append(np.asarray(depth)[: len(part)])
        return np.concatenate(parts)

    def counters(self) -> np.ndarray:
        return np.asarray(self.book.counters)


class _CudaTracer(_XlaTracer):
    """The same scan around the CUDA kernel: one launch a message, which checks and does not hurry."""

    backend = "cuda"


@cache
def _xla_trace(config: LobConfig, backend: str) -> Callable[[Book, np.ndarray], tuple[Book, "jax.Array"]]:
    import jax

    from sim.engine import api

    process = api.make_process(config, backend)

    def one(book: Book, row: "jax.Array") -> tuple[Book, "jax.Array"]:
        book, out = process(book, row[None], jax.numpy.int32(0))
        return book, jax.numpy.asarray(out.depth)

    return jax.jit(lambda book, rows: jax.lax.scan(one, book, rows), donate_argnums=0)


def _round_up(count: int, step: int) -> int:
    return max(-(-count // step), 1) * step


def pad(messages: np.ndarray, size: int) -> np.ndarray:
    """Return messages[..., M, 8] with NOP rows up to `size`."""
    padded = np.zeros((*messages.shape[:-2], size, spec.NUM_MESSAGE_COLUMNS), np.int32)
    padded[..., : messages.shape[-2], :] = messages
    return padded


_TRACERS: Final[dict[str, Callable[[LobConfig], Tracer]]] = {
    "oracle": _OracleTracer,
    "cpu": _CpuTracer,
    "xla": _XlaTracer,
    "cuda": _CudaTracer,
}


def check_backend(backend: str) -> None:
    """Raise ValueError for an unknown backend, CudaMissingError where this machine lacks the GPU that it needs."""
    if backend in GPU_BACKENDS:
        from sim.engine import api

        api.check_backend(backend)
    elif backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is not one of {(*BACKENDS, *GPU_BACKENDS)}")


def make_tracer(backend: str, config: LobConfig) -> Tracer:
    """Return an empty market on `backend` that reports `config.depth_levels` levels."""
    check_backend(backend)
    return _TRACERS[backend](spec.validate_config(config))


def trace_all(tracer: Tracer, messages: np.ndarray, progress: Progress | None = None) -> np.ndarray:
    """Return the depth after each of messages[M, 8], reporting progress after every chunk."""
    parts = []
    for start in range(0, len(messages), CHUNK):
        parts.append(tracer.trace(messages[start : start + CHUNK]))
        if progress is not None:
            progress(min(start + CHUNK, len(messages)), len(messages))
    return np.concatenate(parts)


class Trades(NamedTuple):
    """Every fill of a run over B books, book by book in matching order."""

    rows: np.ndarray  # int64[N, 8] FILL_* columns; FILL_MESSAGE counts from the first message of the run
    book: np.ndarray  # int64[N] whose
    num_dropped: int  # fills that did not fit the log: 0, or the engine is wrong
    counters: np.ndarray  # int64[NUM_COUNTERS] of all books together
    depth: np.ndarray  # int32[B, 2, levels, 2] at the end


def run_books(backend: str, config: LobConfig, messages: np.ndarray, progress: Progress | None = None) -> Trades:
    """Apply messages[B, M, 8] to B empty books, CALL messages a call, and collect all fills."""
    check_backend(backend)
    # A fill ends its taker or its maker, and a call has at most CALL takers and 2 O + CALL makers.
    config = config._replace(max_fills=2 * CALL + 2 * config.capacity, fills_mode=spec.FILLS_ALL)
    apply = _apply_books(backend, spec.validate_config(config))
    books = spec.empty_book(config, (len(messages),))
    rows, owners = [], []
    depth = np.zeros((len(messages), 2, config.depth_levels, 2), np.int32)
    for start in range(0, messages.shape[1], CALL):
        books, out = apply(books, pad(messages[:, start : start + CALL], CALL))
        fills = np.asarray(out.fills, np.int64)
        fills[..., spec.FILL_MESSAGE] += start
        written = np.arange(config.max_fills) < np.asarray(out.num_fills)[:, None]
        rows.append(fills[written])
        owners.append(np.nonzero(written)[0])
        depth = np.asarray(out.depth)
        if progress is not None:
            progress(min(start + CALL, messages.shape[1]), messages.shape[1])
    book = np.concatenate(owners)
    order = np.argsort(book, kind="stable")
    counters = np.asarray(books.counters, np.int64).sum(axis=0)
    return Trades(np.concatenate(rows)[order], book[order], int(counters[spec.NUM_FILLS_DROPPED]), counters, depth)


def _apply_books(backend: str, config: LobConfig) -> Callable[[Book, np.ndarray], tuple[Book, LobOutput]]:
    if backend == "oracle" or backend == "cpu":  # noqa: PLR1714 -- the type checker narrows by this
        return lambda books, part: process_batch(books, part, config, backend)
    return lambda books, part: _xla_process(config, backend)(books, part, np.int32(0))


@cache
def _xla_process(config: LobConfig, backend: str) -> Callable[[Book, np.ndarray, np.int32], tuple[Book, LobOutput]]:
    import jax

    from sim.engine import api

    return jax.jit(jax.vmap(api.make_process(config, backend), in_axes=(0, 0, None)))
