"""The order book on NumPy arrays, without JAX: what replay, the live bridge and tests call."""

from typing import Literal

import numpy as np

from kernels.lob import spec
from kernels.lob.oracle import Oracle
from kernels.lob.spec import Book, LobConfig, LobOutput

Backend = Literal["oracle", "cpu"]
BACKENDS = ("oracle", "cpu")


def empty_output(config: LobConfig, num_messages: int, batch: tuple[int, ...] = ()) -> LobOutput:
    """Return an output of zeros (NumPy int32) with the given leading batch axes."""
    return LobOutput(
        reason=np.zeros((*batch, num_messages), np.int32),
        filled_lots=np.zeros((*batch, num_messages), np.int32),
        fills=np.zeros((*batch, config.max_fills, spec.NUM_FILL_COLUMNS), np.int32),
        num_fills=np.zeros(batch, np.int32),
        summary=np.zeros((*batch, spec.NUM_SUMMARY), np.int32),
        depth=np.zeros((*batch, 2, config.depth_levels, 2), np.int32),
    )


def as_messages(messages: object) -> np.ndarray:
    """Return messages as C-contiguous int32[..., M, 8], or raise ValueError."""
    rows = np.asarray(messages)
    if rows.size == 0 and rows.ndim < 2:
        rows = np.zeros((0, spec.NUM_MESSAGE_COLUMNS), np.int32)
    if rows.ndim < 2 or rows.shape[-1] != spec.NUM_MESSAGE_COLUMNS:
        raise ValueError(f"messages have shape {rows.shape}, expected [..., M, {spec.NUM_MESSAGE_COLUMNS}]")
    if rows.dtype != np.int32:
        if not np.issubdtype(rows.dtype, np.integer):
            raise ValueError(f"messages have dtype {rows.dtype}, expected int32")
        if rows.size and (rows.min() < -(2**31) or rows.max() >= 2**31):
            raise ValueError("a message word does not fit int32")
    return np.ascontiguousarray(rows, np.int32)


def process_batch(
    books: Book, messages: np.ndarray, config: LobConfig, backend: Backend = "cpu", reference_tick: np.ndarray | int = 0
) -> tuple[Book, LobOutput]:
    """Apply `messages` int32[B, M, 8] to `books` [B, ...], market by market.

    The arrays of `books` are changed in place and returned: a program of JAX that was given them and may not have ended
    needs a copy. `reference_tick` is a scalar or int32[B].
    Raises ValueError for an unknown backend or shapes that do not fit.
    """
    spec.validate_config(config)
    rows = as_messages(messages)
    if rows.ndim != 3:
        raise ValueError(f"messages have shape {rows.shape}, expected [B, M, 8]")
    _check_books(books, config, rows.shape[0])
    reference = np.ascontiguousarray(np.broadcast_to(np.asarray(reference_tick, np.int32), rows.shape[:1]))
    out = empty_output(config, rows.shape[1], rows.shape[:1])
    if backend == "cpu":
        from kernels.lob import cpu

        cpu.process_markets(books, rows, reference, out, config)
    elif backend == "oracle":
        _process_with_oracle(books, rows, reference, out, config)
    else:
        raise ValueError(f"backend {backend!r} is not one of {BACKENDS}")
    return books, out


def _check_books(books: Book, config: LobConfig, batch: int) -> None:
    expected = spec.empty_book(config, (batch,))
    for name, have, want in zip(Book._fields, books, expected, strict=True):
        if have.shape != want.shape or have.dtype != np.int32:
            raise ValueError(f"book.{name} is {have.dtype}{list(have.shape)}, expected int32{list(want.shape)}")
        if not have.flags.c_contiguous or not have.flags.writeable:
            raise ValueError(f"book.{name} is not C-contiguous and writeable: it is changed in place")


def _process_with_oracle(
    books: Book, rows: np.ndarray, reference: np.ndarray, out: LobOutput, config: LobConfig
) -> None:
    for market in range(rows.shape[0]):
        judge = Oracle(*config, reference_tick=int(reference[market]))
        judge.load(Book(*(field[market] for field in books)))
        answer = judge.apply(rows[market])
        for target, value in zip((*books, *out), (*judge.arrays(), *answer), strict=True):
            target[market] = value


class HostBook:
    """One market whose book lives in NumPy arrays and is changed in place.

    `backend` "oracle" is slow and obvious, "cpu" is the numba kernel; both give the same bits.
    """

    def __init__(self, config: LobConfig, backend: Backend = "cpu", reference_tick: int = 0) -> None:
        if backend not in BACKENDS:
            raise ValueError(f"backend {backend!r} is not one of {BACKENDS}")
        self.config = spec.validate_config(config)
        self.backend: Backend = backend
        self.reference_tick = reference_tick
        self._books = spec.empty_book(config, (1,))

    @property
    def book(self) -> Book:
        """The current book: views, so copy what must outlive the next call."""
        return Book(*(field[0] for field in self._books))

    @book.setter
    def book(self, book: Book) -> None:
        for target, value in zip(self._books, book, strict=True):
            if np.shape(value) != target.shape[1:]:
                raise ValueError(f"a book field has shape {np.shape(value)}, expected {target.shape[1:]}")
            target[0] = value

    def apply(self, messages: object) -> LobOutput:
        """Apply messages int32[M, 8] in order."""
        rows = as_messages(messages)
        if rows.ndim != 2:
            raise ValueError(f"messages have shape {rows.shape}, expected [M, 8]")
        _, out = process_batch(self._books, rows[None], self.config, self.backend, self.reference_tick)
        return LobOutput(*(field[0] for field in out))

    def trace(self, groups: object, levels: int) -> np.ndarray:
        """Apply groups int32[N, G, 8] one after the other; return the depth after each, int32[N, 2, levels, 2]."""
        rows = as_messages(groups)
        if rows.ndim != 3:
            raise ValueError(f"groups have shape {rows.shape}, expected [N, G, 8]")
        config = spec.validate_config(self.config._replace(depth_levels=levels))
        if self.backend == "cpu":
            from kernels.lob import cpu

            reference = np.array([self.reference_tick], np.int32)
            out = empty_output(config, rows.shape[1], (1,))
            return cpu.trace_depth(self._books, rows, reference, out, config)
        depth = np.zeros((rows.shape[0], 2, levels, 2), np.int32)
        for index in range(rows.shape[0]):
            _, out = process_batch(self._books, rows[index][None], config, self.backend, self.reference_tick)
            depth[index] = out.depth[0]
        return depth

    def best(self, side: int) -> tuple[int, int] | None:
        """Return (price_tick, lots of the level, saturated at 2^31 - 1) of the best level, or None."""
        count = int(self.book.num_orders[side])
        if count == 0:
            return None
        prices = self.book.price_tick[side, :count]
        price = int(prices[-1])
        level_lots = int(self.book.lots[side, :count][prices == price].sum(dtype=np.int64))
        return price, min(level_lots, spec.DEPTH_SATURATED)

    def own(self, owner: int) -> np.ndarray:
        """Return the OWN_* columns of `owner` on both sides, int32[2, 6]."""
        own = np.zeros((2, spec.NUM_OWN_COLUMNS), np.int32)
        for side in (spec.BUY, spec.SELL):
            count = int(self.book.num_orders[side])
            mine = np.flatnonzero(self.book.owner[side, :count] == owner)
            if mine.size:
                own[side] = self._own_row(side, count, mine)
        return own

    def _own_row(self, side: int, count: int, mine: np.ndarray) -> tuple[int, ...]:
        slot = int(mine[-1])
        book = self.book
        price = book.price_tick[side, slot]
        same = book.price_tick[side, slot + 1 : count] == price
        ahead = int(book.lots[side, slot + 1 : count][same].sum(dtype=np.int64))
        lots, order_id = int(book.lots[side, slot]), int(book.order_id[side, slot])
        return 1, int(price), lots, order_id, min(ahead, spec.DEPTH_SATURATED), int(mine.size)
