"""Throughput of the order-book engine on a stream with known outcome, beside two references in the same run.

Every run goes through `jit`: a scan of calls of CALL messages over the whole stream, books donated and so updated in
place, fills recorded, one shard of books a device. A figure is only returned together with whether its run was right.
The references: another backend, and a plain numba loop without JAX, whose runs alternate with the measured ones.
"""

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from agents.sharding import AXIS, SPLIT, make_mesh
from experiments.plain_loop import PlainLoop
from kernels.lob import spec
from kernels.lob.host import process_batch
from kernels.lob.spec import Book, LobConfig
from sim.engine import api
from sim.replay import choose_capacity
from sim.replay_stream import LEVELS, Stream, read_stream

CALL: Final = 100  # messages of a call
REFERENCE: Final = {"cpu": "xla", "xla": "cpu", "cuda": "cpu"}
REFERENCE_BOOKS: Final = 256  # the pure JAX engine is slow on a CPU: this much takes it about a second
REFERENCE_CALLS: Final = 4
MAX_FILLS: Final = 128  # the streams reach 65 a call
SPLIT_CALLS: Final = PartitionSpec(None, AXIS)  # of [calls, books, ..]


class _Run(NamedTuple):
    books: Book  # after the whole stream
    depth: np.ndarray  # int32[B, 2, LEVELS, 2] at the end
    totals: np.ndarray  # int64[B, 3] trades, traded lots, notional modulo 2^32
    wall_s: float  # best of the repeats
    cpu_s: float  # best of the repeats, all threads together


def bench_engine(stream_path: Path | str, books: int = 1024, backend: str = "cpu", repeats: int = 5) -> dict[str, Any]:
    """Measure `backend` on the stream with its books cycled to `books`, and the other backend on a part of it.

    Returns `backend, books, messages, messages_per_s` (wall clock), `messages_per_cpu_s` (CPU time of all threads),
    `devices`, `correct` (final depth, trades, traded lots and notional of every book are the file's, no fill was
    dropped, and the references' books are the same), `reference` (the same figures of the other backend) and `ratio`
    of the two messages_per_s; `plain_loop` (one core) and `ratio_plain_loop`, our messages_per_cpu_s to its
    messages_per_s. Each figure is the best of `repeats` runs after one to warm up.
    Raises DataError for a damaged file, ValueError for an unknown backend or a count below 1.
    """
    if backend not in REFERENCE:
        raise ValueError(f"backend {backend!r} is not one of {sorted(REFERENCE)}")
    if books < 1 or repeats < 1:
        raise ValueError(f"books {books} and repeats {repeats} must be at least 1")
    api.check_backend(backend)
    stream = read_stream(stream_path)
    config = LobConfig(choose_capacity(stream.max_orders), MAX_FILLS, LEVELS)
    messages = _calls(stream, books)
    plain = PlainLoop(_opening(stream, config, books), messages, MAX_FILLS)
    run = _measure(backend, config, stream, messages, repeats, beside=plain.run)
    part = messages[:REFERENCE_CALLS, :REFERENCE_BOOKS]
    reference = _measure(REFERENCE[backend], config, stream, part, repeats)
    same = _measure(backend, config, stream, part, 1)
    agree = all((a == b).all() for a, b in zip(reference.books, same.books, strict=True))
    figures = _figures(backend, messages, run)
    other = _figures(REFERENCE[backend], part, reference)
    return {
        **figures,
        "devices": _mesh(backend, books).size,
        "correct": bool(agree and _is_right(stream, run) and plain.agrees(run.books)),
        "reference": other,
        "ratio": figures["messages_per_s"] / other["messages_per_s"],
        "plain_loop": plain.figures(),
        "ratio_plain_loop": figures["messages_per_cpu_s"] / plain.figures()["messages_per_s"],
    }


def _figures(backend: str, messages: np.ndarray, run: _Run) -> dict[str, Any]:
    count = int((messages[..., spec.KIND] != spec.NOP).sum())
    return {
        "backend": backend,
        "books": messages.shape[1],
        "messages": count,
        "messages_per_s": count / run.wall_s,
        "messages_per_cpu_s": count / run.cpu_s,
    }


def _calls(stream: Stream, books: int) -> np.ndarray:
    """Return the stream as int32[calls, books, CALL, 8], the last call padded with NOP."""
    chosen = stream.messages[np.arange(books) % len(stream.messages)]
    length = chosen.shape[1]
    padded = np.zeros((books, -(-length // CALL) * CALL, spec.NUM_MESSAGE_COLUMNS), np.int32)
    padded[:, :length] = chosen
    return np.ascontiguousarray(padded.reshape(books, -1, CALL, spec.NUM_MESSAGE_COLUMNS).swapaxes(0, 1))


def _mesh(backend: str, books: int) -> Mesh:
    """Return the devices to split the books over: as many as divide them. Only xla runs on whatever there is."""
    return make_mesh(books, devices=None if backend == "xla" else jax.devices(backend))


@cache
def _compile(backend: str, config: LobConfig, mesh: Mesh) -> Callable[[Book, jax.Array], Any]:
    process = jax.vmap(api.make_process(config, backend), (0, 0, None))

    def call(carry: Any, part: jax.Array) -> tuple[Any, None]:
        book, totals, _ = carry
        book, out = process(book, part, 0)
        traded = out.summary[:, spec.SUM_TRADED_BUY_LOTS] + out.summary[:, spec.SUM_TRADED_SELL_LOTS]
        notional = out.summary[:, spec.SUM_NOTIONAL_BUY] + out.summary[:, spec.SUM_NOTIONAL_SELL]
        return (book, totals + jnp.stack([out.num_fills, traded, notional], axis=-1), out.depth), None

    def run(book: Book, messages: jax.Array) -> Any:
        books = messages.shape[1]
        start = (book, jnp.zeros((books, 3), jnp.int32), jnp.zeros((books, 2, LEVELS, 2), jnp.int32))
        return jax.lax.scan(call, start, messages)[0]

    # An FFI call does not say what varies over the mesh, so the check of that is off.
    specs = {"in_specs": (SPLIT, SPLIT_CALLS), "out_specs": SPLIT, "check_vma": False}
    sharded = jax.shard_map(run, mesh=mesh, **specs)
    return jax.jit(sharded, donate_argnums=0)


def _opening(stream: Stream, config: LobConfig, books: int) -> Book:
    opening = stream.opening[np.arange(books) % len(stream.opening)]
    return process_batch(spec.empty_book(config, (books,)), opening, config)[0]


def _measure(
    backend: str,
    config: LobConfig,
    stream: Stream,
    messages: np.ndarray,
    repeats: int,
    beside: Callable[[], None] = lambda: None,
) -> _Run:
    """Run messages int32[calls, books, CALL, 8] from the stream's opening books, `repeats` times after one.

    `beside` runs before each of them, so that whatever it measures meets the same machine.
    """
    books = messages.shape[1]
    mesh = _mesh(backend, books)
    compiled = _compile(backend, config, mesh)
    start = _opening(stream, config, books)
    placed = jax.device_put(messages, NamedSharding(mesh, SPLIT_CALLS))
    wall_s = cpu_s = float("inf")
    for repeat in range(repeats + 1):
        beside()
        book = jax.block_until_ready(jax.device_put(start, NamedSharding(mesh, SPLIT)))
        before = time.perf_counter(), time.process_time()
        book, totals, depth = jax.block_until_ready(compiled(book, placed))
        if repeat > 0:
            wall_s = min(wall_s, time.perf_counter() - before[0])
            cpu_s = min(cpu_s, time.process_time() - before[1])
    return _Run(Book(*map(np.asarray, book)), np.asarray(depth), np.asarray(totals, np.int64), wall_s, cpu_s)


def _is_right(stream: Stream, run: _Run) -> bool:
    """Say whether every book ended as the file says."""
    index = np.arange(len(run.depth)) % len(stream.depth)
    totals = stream.totals[index].astype(np.uint64).astype(np.uint32)
    return bool(
        (run.depth == stream.depth[index]).all()
        and (run.totals.astype(np.uint32) == totals).all()
        and not run.books.counters[:, spec.NUM_FILLS_DROPPED].any()
    )
