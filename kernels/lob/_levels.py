"""Levels of anonymous liquidity in numba: LEVEL_SET and its queue models. Semantics: docs/engine.md.

The level of a price is a run of slots: its back (the latest arrival) is the lowest slot, its front the highest.
"""

import numpy as np
from numba import njit

from kernels.lob import spec
from kernels.lob._lanes import count_less
from kernels.lob._memory import INLINE, RARE
from kernels.lob._slots import (
    CONTEXT_QUEUE_MODEL,
    LEVEL_LOTS,
    PRICE_FIELD,
    best_level_lots,
    close_slot,
    key_of,
    rest,
    row_address,
)


@njit(**RARE)
def set_level(book, side, lots, price_tick):
    """Make the lots of owner-0 orders at (side, price_tick) `lots`; return the reject reason."""
    count = np.int64(book.num_orders[side])
    back = count_less(row_address(book, side, PRICE_FIELD), count, -side, key_of(side, price_tick))
    end = back
    total = np.int64(0)
    while end < count and book.price_tick[side, end] == price_tick:
        total += book.lots[side, end] if book.owner[side, end] == 0 else 0
        end += 1
    if lots > total:
        if end == back or book.owner[side, back] != 0 or book.order_id[side, back] != 0:
            return rest(book, side, lots - total, price_tick, 0, 0)
        book.lots[side, back] += lots - total
    elif lots < total:
        shrink(book, side, back, end, total, lots)
    if end == count:  # the level is, or was, the touch
        book.work[LEVEL_LOTS + side] = best_level_lots(book, side)
    return spec.OK


@njit(**INLINE)
def shrink(book, side, back, end, total, lots):
    """Keep `lots` of the `total` anonymous lots in slots back..end-1, by the queue model; emptied orders leave."""
    model = book.work[CONTEXT_QUEUE_MODEL]
    keep, lose = lots, total - lots
    reached = marked = np.int64(0)  # anonymous lots from the front so far, and what stays of them in proportion
    scale = min(total, spec.DEPTH_SATURATED)
    for slot in range(end - 1, back - 1, -1):
        if book.owner[side, slot] != 0:
            continue
        resting = np.int64(book.lots[side, slot])
        if model == spec.QUEUE_BACK_FIRST:
            kept = min(resting, keep)
            keep -= kept
        elif model == spec.QUEUE_FRONT_FIRST:
            kept = resting - min(resting, lose)
            lose -= resting - kept
        else:
            reached += resting
            mark = (min(reached, spec.DEPTH_SATURATED) * lots + scale - 1) // scale
            kept = mark - marked
            marked = mark
        book.lots[side, slot] = kept
        if kept == 0:
            close_slot(book, side, slot)
