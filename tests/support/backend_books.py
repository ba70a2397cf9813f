"""One order book behind one interface on every backend: oracle, numba kernel, XLA program."""

from functools import cache
from typing import Any

import jax
import numpy as np

from kernels.lob import spec
from kernels.lob.host import HostBook
from kernels.lob.spec import Book, LobConfig, LobOutput
from sim.engine import api

BACKENDS = ("oracle", "cpu", "xla")


@cache
def _compiled(config: LobConfig) -> Any:
    return jax.jit(api.make_process(config, "xla"))


class XlaBook:
    """The XLA engine with HostBook's `apply` and `book`. A call is padded with NOP to `call` messages."""

    def __init__(self, config: LobConfig, call: int = 64) -> None:
        self.config, self.call = config, call
        self.book = spec.empty_book(config)

    def apply(self, rows: Any) -> LobOutput:
        """Apply messages int32[M, 8], M up to `call`, in one call."""
        rows = np.asarray(rows, np.int32).reshape(-1, spec.NUM_MESSAGE_COLUMNS)
        padded = np.zeros((self.call, spec.NUM_MESSAGE_COLUMNS), np.int32)
        padded[: len(rows)] = rows
        book, out = _compiled(self.config)(self.book, padded, np.int32(0))
        self.book = Book._make(np.asarray(field) for field in book)
        out = LobOutput._make(np.asarray(field) for field in out)
        return out._replace(reason=out.reason[: len(rows)], filled_lots=out.filled_lots[: len(rows)])


def open_book(backend: str, config: LobConfig, call: int = 64) -> Any:
    """Return an empty book of `backend`."""
    return XlaBook(config, call) if backend == "xla" else HostBook(config, backend)  # pyright: ignore


def resting(book: Any, side: int) -> list[tuple[int, ...]]:
    """Return the orders of a side as (price, lots, id, owner), best first."""
    count = int(book.book.num_orders[side])
    columns = (np.asarray(column)[side, :count][::-1].tolist() for column in book.book[:4])
    return list(zip(*columns, strict=True))
