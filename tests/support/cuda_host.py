"""The CUDA kernels compiled for the host, on NumPy arrays: what tests call where no GPU is."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels.lob import spec
from kernels.lob.cuda import calls, host_build
from kernels.lob.cuda.host_build import HostKernel
from kernels.lob.cuda.source import MARKET_STEP, PROCESS, KernelSource, kernel_source
from kernels.lob.host import empty_output
from kernels.lob.spec import Book, LobConfig, LobOutput
from kernels.lob.step import Market, MarketResult

POISON = -77  # outputs start with it, so that a word that is not written shows


@cache
def _directory() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="bookswarm-cuda-host-")  # removed when the process ends


@cache
def host_kernel(kernel: str, capacity: int, flow_source: str | None = None) -> HostKernel:
    """Compile once a process; skips like `build`."""
    return build(kernel_source(kernel, capacity, flow_source), Path(_directory().name))


def build(source: KernelSource, directory: Path) -> HostKernel:
    """Compile a source for the host; skip the test where there is no C++ compiler, ziglang's included."""
    try:
        return host_build.build(source, directory)
    except host_build.CompilerMissingError as error:
        pytest.skip(str(error))


def poisoned(arrays: Any) -> Any:
    """Return arrays of the same shapes that hold POISON everywhere."""
    return type(arrays)(*(np.full_like(array, POISON) for array in arrays))


def process(
    books: Book,
    messages: np.ndarray,
    config: LobConfig,
    reference_tick: int = 0,
    *,
    in_place: bool = False,
    kernel: Callable[..., Any] | None = None,
) -> tuple[Book, LobOutput, Any]:
    """Run the process kernel on int32[B, M, 8]; `in_place` lets old and new books be the same memory.

    `kernel(words, arrays)` runs instead of the host build where it is given; its answer is the third of the result.
    """
    batch, num_messages = messages.shape[:2]
    books = Book(*(np.array(field, np.int32) for field in books))
    rows = np.ascontiguousarray(messages, np.int32)
    new_books = books if in_place else poisoned(books)
    out = poisoned(empty_output(config, num_messages, (batch,)))
    reference = np.full(batch, reference_tick, np.int32)
    words = calls.process_words(books, rows, reference, new_books, out, config)
    arrays = (*books, rows, reference, *new_books, *out)
    counts = kernel(words, arrays) if kernel else host_kernel(PROCESS, spec.validate_config(config).capacity)(words)
    return new_books, out, counts


def one(batch: Any) -> Any:
    """Return the only market of a batch of one."""
    return type(batch)(*(field[0] for field in batch))


def market_step(
    flow_source: str,
    config: LobConfig,
    market: Market,
    inputs: Any,
    *,
    num_learners: int = 1,
    in_place: bool = False,
    kernel: Callable[..., Any] | None = None,
) -> tuple[Market, MarketResult, Any]:
    """Run a step of B markets; `inputs` are agents' messages, flow parameters, background, horizon, each with B."""
    batch = len(market.meta)
    old = Market(Book(*(field.copy() for field in market.book)), *(field.copy() for field in market[1:]))
    new = old if in_place else Market(poisoned(old.book), *(np.full_like(field, 7) for field in old[1:]))
    inputs = tuple(np.ascontiguousarray(words, np.int32) for words in inputs)
    shapes = (
        (config.max_fills, spec.NUM_FILL_COLUMNS),
        (),
        (spec.NUM_SUMMARY,),
        (2, config.depth_levels, 2),
        (num_learners, 2, spec.NUM_OWN_COLUMNS),
    )
    result = MarketResult(*(np.full((batch, *shape), POISON, np.int32) for shape in shapes))
    words = calls.market_words(old, inputs, new, result, config)
    arrays = (*old.book, *old[1:], *inputs, *new.book, *new[1:], *result)
    counts = kernel(words, arrays) if kernel else host_kernel(MARKET_STEP, config.capacity, flow_source)(words)
    return new._replace(seed=old.seed), result, counts
