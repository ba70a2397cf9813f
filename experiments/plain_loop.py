"""The reference of `bench engine`: a plain numba loop over limit orders, reductions and deletions, without JAX.

What a careful programmer writes first: a structure of arrays with the best order last, scans and shifts that start at
the touch and stop as soon as they can, one market after the other, fills recorded. It knows no owners' policies, no
other kinds and no counters, so it does less than the engine that it is compared with.
"""

import time
from typing import Any

import numpy as np
from numba import njit

from kernels.lob import spec
from kernels.lob.spec import Book


@njit(nogil=True, boundscheck=False, error_model="numpy")
def run_plain(price, lots, order_id, owner, count, messages, fills, num_fills):  # noqa: PLR0912, PLR0915 - one loop, no calls
    """Apply messages int32[B, M, 8] to B books [B, 2, O] in place; write fills int32[B, F, 8] and their number.

    One function on purpose: numba counts references of arrays that are handed to another one.
    """
    for b in range(messages.shape[0]):
        number = 0
        for m in range(messages.shape[1]):
            kind, side = messages[b, m, 0], messages[b, m, 1]
            left, tick, name = messages[b, m, 2], messages[b, m, 3], messages[b, m, 4]
            if kind == spec.LIMIT:
                maker = 1 - side
                top = count[b, maker] - 1
                while left > 0 and top >= 0:
                    best = price[b, maker, top]
                    if (side == 0 and best > tick) or (side == 1 and best < tick):
                        break
                    done = min(left, lots[b, maker, top])
                    if number < fills.shape[1]:
                        fills[b, number, 0] = m
                        fills[b, number, 1] = best
                        fills[b, number, 2] = done
                        fills[b, number, 3] = order_id[b, maker, top]
                        fills[b, number, 4] = name
                        fills[b, number, 5] = owner[b, maker, top]
                        fills[b, number, 6] = messages[b, m, 5]
                        fills[b, number, 7] = side
                        number += 1
                    left -= done
                    lots[b, maker, top] -= done
                    if lots[b, maker, top] == 0:
                        top -= 1
                count[b, maker] = top + 1
                slot = count[b, side]
                if left == 0 or slot == price.shape[2]:
                    continue
                while slot > 0 and (
                    price[b, side, slot - 1] >= tick if side == 0 else price[b, side, slot - 1] <= tick
                ):
                    price[b, side, slot] = price[b, side, slot - 1]
                    lots[b, side, slot] = lots[b, side, slot - 1]
                    order_id[b, side, slot] = order_id[b, side, slot - 1]
                    owner[b, side, slot] = owner[b, side, slot - 1]
                    slot -= 1
                price[b, side, slot], lots[b, side, slot] = tick, left
                order_id[b, side, slot], owner[b, side, slot] = name, messages[b, m, 5]
                count[b, side] += 1
            elif kind in (spec.REDUCE, spec.DELETE):
                slot = count[b, side] - 1
                while slot >= 0 and order_id[b, side, slot] != name:
                    slot -= 1
                if slot < 0:
                    continue
                if kind == spec.REDUCE and left < lots[b, side, slot]:
                    lots[b, side, slot] -= left
                    continue
                for later in range(slot, count[b, side] - 1):
                    price[b, side, later] = price[b, side, later + 1]
                    lots[b, side, later] = lots[b, side, later + 1]
                    order_id[b, side, later] = order_id[b, side, later + 1]
                    owner[b, side, later] = owner[b, side, later + 1]
                count[b, side] -= 1
        num_fills[b] = number


class PlainLoop:
    """Timed runs of the plain loop over messages int32[calls, B, M, 8] from the books `start`, on one core.

    Raises ValueError where the stream has kinds that the loop does not know.
    """

    def __init__(self, start: Book, messages: np.ndarray, max_fills: int) -> None:
        kinds = (spec.NOP, spec.LIMIT, spec.REDUCE, spec.DELETE)
        if not np.isin(messages[..., spec.KIND], kinds).all():
            raise ValueError(f"the plain loop knows only {[spec.KIND_NAMES[kind] for kind in kinds]}")
        books = messages.shape[1]
        self.start, self.messages = start, messages
        self.books = start
        self.seconds: list[float] = []
        self._fills, self._num_fills = np.zeros((books, max_fills, 8), np.int32), np.zeros(books, np.int32)

    def run(self) -> None:
        """Run the whole stream once and keep the time."""
        self.books = Book(*(np.array(field) for field in self.start))
        begun = time.perf_counter()
        for part in self.messages:
            run_plain(*self.books[:5], part, self._fills, self._num_fills)
        self.seconds.append(time.perf_counter() - begun)

    def figures(self) -> dict[str, Any]:
        """Return `books, messages, messages_per_s` of the best run but the first, which compiles."""
        count = int((self.messages[..., spec.KIND] != spec.NOP).sum())
        best = min(self.seconds[1:])
        return {"books": self.messages.shape[1], "messages": count, "messages_per_s": count / best}

    def agrees(self, books: Book) -> bool:
        """Say whether the last run ended with these books."""
        resting = np.arange(books.lots.shape[-1]) < self.books.num_orders[..., None]
        fields = zip(self.books[:4], books[:4], strict=True)
        same = [(np.where(resting, mine, 0) == np.asarray(theirs)).all() for mine, theirs in fields]
        return bool(all(same) and (self.books.num_orders == np.asarray(books.num_orders)).all())
