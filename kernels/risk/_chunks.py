"""Chunks of scenarios on threads: each small enough for a core's cache, each product on the thread that asks for it.

BLAS with threads of its own would serialise the callers; it has one thread while chunks run.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final

import numba
from threadpoolctl import threadpool_limits

# float64 numbers of one chunk: 1 MB. At 500 assets, 8 MB and more cost 3 to 5 times as much a number in the P&L.
_NUMBERS: Final = 131_072
_FEWEST: Final = 64  # rows: below, a chunk's calls cost more than its work
_MOST: Final = 4_096

_lock = Lock()
_running = 0
_limits: Any = None


def chunk_rows(width: int) -> int:
    """Return the scenarios of a chunk of so many numbers each."""
    return max(_FEWEST, min(_MOST, _NUMBERS // width))


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Give BLAS one thread until the last of those who ask at the same time is done."""
    global _running, _limits  # noqa: PLW0603 - the number of BLAS threads is the process's
    with _lock:
        if _running == 0:
            _limits = threadpool_limits(1, user_api="blas")
        _running += 1
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            if _running == 0:
                _limits.restore_original_limits()


def for_each_chunk(count: int, rows: int, work: Callable[[slice], None]) -> None:
    """Call `work` with slices of at most `rows` that cover 0..count-1, on as many threads as numba has.

    The first error ends it and is raised here.
    """
    chunks = [slice(start, min(start + rows, count)) for start in range(0, count, rows)]
    threads = min(numba.get_num_threads(), len(chunks))
    with one_blas_thread():
        if threads == 1:
            for chunk in chunks:
                work(chunk)
            return
        with ThreadPoolExecutor(threads) as pool:
            try:
                for _ in pool.map(work, chunks):
                    pass
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
