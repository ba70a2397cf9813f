"""One message on one order book, in numba: validation, matching, order-flow imbalance. Semantics: docs/engine.md."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit, types

from kernels.lob import spec
from kernels.lob._lanes import WORD_BYTES
from kernels.lob._levels import set_level
from kernels.lob._memory import INLINE, RARE, compile_kernel, int32_view, int64_view
from kernels.lob._slots import (
    CONTEXT_FILLS,
    CONTEXT_FILLS_MODE,
    CONTEXT_MAX_FILLS,
    CONTEXT_REFERENCE_TICK,
    CONTEXT_SELF_TRADE,
    CONTEXT_SUMMARY,
    LEVEL_LOTS,
    NUM_CONTEXT,
    SEEN_KEY,
    SEEN_LOTS,
    best_level_lots,
    book_of,
    clear,
    find,
    key_of,
    rest,
    take,
)


def _kind_mask(*kinds: int) -> int:
    return sum(1 << kind for kind in kinds)


KNOWN = _kind_mask(
    spec.LIMIT,
    spec.MARKET,
    spec.IOC,
    spec.FOK,
    spec.POST_ONLY,
    spec.REDUCE,
    spec.DELETE,
    spec.REPLACE,
    spec.LEVEL_SET,
    spec.EXECUTE,
)
ENTERING = _kind_mask(spec.LIMIT, spec.MARKET, spec.IOC, spec.FOK, spec.POST_ONLY)
PRICED = _kind_mask(spec.LIMIT, spec.IOC, spec.FOK, spec.POST_ONLY, spec.REPLACE, spec.LEVEL_SET)
RESTING = _kind_mask(spec.LIMIT, spec.POST_ONLY)
PARTIAL = _kind_mask(spec.REDUCE, spec.EXECUTE)
ANY_PRICE = 2**31 - 1  # above every key of a valid price


class Tape(NamedTuple):
    """Where matches of a call are written, as numba sees it."""

    fills: np.ndarray  # int32[F, 8]
    summary: np.ndarray  # int32[16], sums run in place
    owned_only: int  # spec.FILLS_ALL or spec.FILLS_OWNED
    reference_tick: int
    self_trade: int  # spec.SELF_TRADE_*


@njit(**INLINE)
def tape_of(context):
    """Return the tape that a context int64[NUM_CONTEXT] describes."""
    return Tape(
        int32_view(context[CONTEXT_FILLS], (context[CONTEXT_MAX_FILLS], spec.NUM_FILL_COLUMNS)),
        int32_view(context[CONTEXT_SUMMARY], (spec.NUM_SUMMARY,)),
        context[CONTEXT_FILLS_MODE],
        context[CONTEXT_REFERENCE_TICK],
        context[CONTEXT_SELF_TRADE],
    )


@njit(**INLINE)
def invalid(kind, side, lots, price_tick, order_id, owner):  # noqa: PLR0911 - one check, one reason
    """Return the first reject reason that needs no look at the book."""
    if kind < 0 or kind > spec.EXECUTE or not (KNOWN >> kind) & 1:
        return spec.BAD_KIND
    if side < 0 or side > 1:
        return spec.BAD_SIDE
    if kind != spec.DELETE and (lots < (kind != spec.LEVEL_SET) or lots > spec.MAX_LOTS):
        return spec.BAD_LOTS
    if (PRICED >> kind) & 1 and (price_tick < -spec.MAX_ABS_PRICE_TICK or price_tick > spec.MAX_ABS_PRICE_TICK):
        return spec.BAD_PRICE
    if order_id < 1 and kind != spec.LEVEL_SET:
        return spec.BAD_ORDER_ID
    if owner < 0 and (ENTERING >> kind) & 1:
        return spec.BAD_OWNER
    return spec.OK


@njit(**INLINE)
def record(book, tape, ordinal, price_tick, lots, maker_id, maker_owner, taker_id, taker_owner, taker_side):
    """Add one match to the sums and, where it is reported, to the fills."""
    summary = tape.summary
    summary[spec.SUM_TRADED_BUY_LOTS + taker_side] += lots
    summary[spec.SUM_NOTIONAL_BUY + taker_side] += lots * (price_tick - tape.reference_tick)
    summary[spec.SUM_LAST_PRICE_TICK] = price_tick
    summary[spec.SUM_HAS_LAST] = 1
    summary[spec.SUM_NUM_TRADES] += 1
    if tape.owned_only and maker_owner == 0 and taker_owner == 0:
        return
    row = summary[spec.SUM_NUM_FILLS]
    if row == tape.fills.shape[0]:
        book.counters[spec.NUM_FILLS_DROPPED] += 1
        return
    summary[spec.SUM_NUM_FILLS] = row + 1
    fill = tape.fills
    fill[row, spec.FILL_MESSAGE] = ordinal
    fill[row, spec.FILL_PRICE_TICK] = price_tick
    fill[row, spec.FILL_LOTS] = lots
    fill[row, spec.FILL_MAKER_ID] = maker_id
    fill[row, spec.FILL_TAKER_ID] = taker_id
    fill[row, spec.FILL_MAKER_OWNER] = maker_owner
    fill[row, spec.FILL_TAKER_OWNER] = taker_owner
    fill[row, spec.FILL_TAKER_SIDE] = taker_side


@njit(**INLINE)
def is_prevented(tape, owner, maker_owner):
    """Say whether self-trade prevention forbids a trade between these owners."""
    return owner == maker_owner and owner != 0 and tape.self_trade != spec.SELF_TRADE_NONE


@njit(**RARE)
def prevent(book, policy, left, resting):
    """Count a meeting of a taker with its own order; return the lots that (the taker, the resting order) lose."""
    book.counters[spec.NUM_SELF_TRADES] += 1
    done = min(left, resting)
    if policy == spec.SELF_TRADE_CANCEL_TAKER:
        done = left
    elif policy == spec.SELF_TRADE_CANCEL_RESTING:
        done = resting
    book.counters[spec.LOTS_SELF_TRADE] += done
    return (
        done if policy != spec.SELF_TRADE_CANCEL_RESTING else 0,
        done if policy != spec.SELF_TRADE_CANCEL_TAKER else 0,
    )


@njit(**INLINE)
def match(book, tape, ordinal, side, lots, bound, order_id, owner):
    """Match a taker on `side` against makers whose key for the taker's side is at most `bound`.

    Return (lots filled, lots that may still rest, whether self-trade prevention stopped the taker).
    """
    maker_side = 1 - side
    count = np.int64(book.num_orders[maker_side])
    slot = count - 1
    left, filled, stopped, changed = lots, np.int64(0), False, False
    while left > 0 and slot >= 0:
        price = np.int64(book.price_tick[maker_side, slot])
        if key_of(side, price) > bound:
            break
        resting = np.int64(book.lots[maker_side, slot])
        done = min(left, resting)
        maker_id, maker_owner = np.int64(book.order_id[maker_side, slot]), np.int64(book.owner[maker_side, slot])
        if is_prevented(tape, owner, maker_owner):
            cancelled, done = prevent(book, tape.self_trade, left, resting)
            left -= cancelled
            stopped = tape.self_trade == spec.SELF_TRADE_CANCEL_TAKER
        else:
            record(book, tape, ordinal, price, done, maker_id, maker_owner, order_id, owner, side)
            left -= done
            filled += done
        changed |= done > 0
        if done < resting:
            book.lots[maker_side, slot] = resting - done
            break
        clear(book, maker_side, slot)
        slot -= 1
    if changed:
        book.num_orders[maker_side] = slot + 1
        book.work[LEVEL_LOTS + maker_side] = best_level_lots(book, maker_side)
    return filled, left, stopped


@njit(**INLINE)
def available(book, tape, side, bound, owner):
    """Return the lots that a taker of `owner` on `side` could get within `bound`."""
    lots = np.int64(0)
    slot = book.num_orders[1 - side] - 1
    while slot >= 0 and key_of(side, book.price_tick[1 - side, slot]) <= bound:
        if not is_prevented(tape, owner, np.int64(book.owner[1 - side, slot])):
            lots += book.lots[1 - side, slot]
        elif tape.self_trade != spec.SELF_TRADE_CANCEL_RESTING:
            break
        slot -= 1
    return lots


@njit(**INLINE)
def enter(book, tape, ordinal, kind, side, lots, price_tick, order_id, owner):
    """Apply LIMIT, MARKET, IOC, FOK or POST_ONLY; return (reason, filled lots)."""
    bound = key_of(side, price_tick) if kind != spec.MARKET else ANY_PRICE
    if kind == spec.FOK and available(book, tape, side, bound, owner) < lots:
        return spec.FOK_UNFILLED, 0
    if kind == spec.POST_ONLY:
        top = book.num_orders[1 - side] - 1
        if top >= 0 and key_of(side, book.price_tick[1 - side, top]) <= bound:
            return spec.WOULD_CROSS, 0
    filled, left, stopped = match(book, tape, ordinal, side, lots, bound, order_id, owner)
    if stopped:
        return spec.SELF_TRADE, filled
    if left == 0 or not (RESTING >> kind) & 1:
        return spec.OK, filled
    return rest(book, side, left, price_tick, order_id, owner), filled


@njit(**INLINE)
def decide(book, tape, ordinal, kind, side, lots, price_tick, order_id, owner):
    """Validate and apply one message other than NOP; return (reason, filled lots)."""
    reason = invalid(kind, side, lots, price_tick, order_id, owner)
    if reason != spec.OK:
        return reason, 0
    if kind == spec.LEVEL_SET:
        return set_level(book, side, lots, price_tick), 0
    if not (ENTERING >> kind) & 1:
        place = find(book, side, order_id)
        if place == 0:
            book.counters[spec.NUM_UNKNOWN_CANCEL] += 1
            return spec.UNKNOWN_ORDER, 0
        slot = place - 1
        resting, price = np.int64(book.lots[side, slot]), np.int64(book.price_tick[side, slot])
        owner = np.int64(book.owner[side, slot])
        stays = kind == spec.REPLACE and price_tick == price and lots <= resting
        done = resting
        if (PARTIAL >> kind) & 1:
            done = min(lots, resting)
        elif stays:
            done = resting - lots
        if kind == spec.EXECUTE:
            record(book, tape, ordinal, price, done, order_id, owner, np.int64(0), np.int64(0), 1 - side)
        take(book, side, slot, done)
        if kind != spec.REPLACE or stays:
            return spec.OK, done if kind == spec.EXECUTE else 0
        kind = spec.LIMIT
    return enter(book, tape, ordinal, kind, side, lots, price_tick, order_id, owner)


@njit(**INLINE)
def imbalance(book):
    """Return e of Cont, Kukanov, Stoikov 2014 since the last call of this function, and remember the touch."""
    e = np.int64(0)
    work = book.work
    for side in range(2):
        count = book.num_orders[side]
        old_lots, old_key = work[SEEN_LOTS + side], work[SEEN_KEY + side]
        lots = min(work[LEVEL_LOTS + side], spec.DEPTH_SATURATED)
        key = np.int64(key_of(side, book.price_tick[side, count - 1])) if count else old_key
        work[SEEN_LOTS + side], work[SEEN_KEY + side] = lots, key
        part = (lots if key >= old_key else 0) - (old_lots if key <= old_key else 0)
        part = part if lots > 0 and old_lots > 0 else 0
        e += part if side == spec.BUY else -part
    return e


@njit(**INLINE)
def apply(book, tape, ordinal, message):
    """Apply one message int32[8] other than NOP, with its sums; return (reason, filled lots)."""
    owner = np.int64(message[spec.OWNER])
    reason, filled = decide(
        book,
        tape,
        ordinal,
        np.int64(message[spec.KIND]),
        np.int64(message[spec.SIDE]),
        np.int64(message[spec.LOTS]),
        np.int64(message[spec.PRICE_TICK]),
        np.int64(message[spec.ORDER_ID]),
        owner,
    )
    tape.summary[spec.SUM_EVENTS] += 1
    tape.summary[spec.SUM_OFI_LOTS] += imbalance(book)
    tape.summary[spec.SUM_OWN_REJECTS] += owner != 0 and reason != spec.OK
    return reason, filled


def _apply_messages(context_address, messages_address, num_messages, ordinal, ordinal_step, answers, answer_stride):
    context = int64_view(context_address, (NUM_CONTEXT,))
    book, tape = book_of(context), tape_of(context)
    messages = int32_view(messages_address, (num_messages, spec.NUM_MESSAGE_COLUMNS))
    for m in range(num_messages):
        reason, filled = np.int64(spec.OK), np.int64(0)
        if messages[m, spec.KIND] != spec.NOP:
            reason, filled = apply(book, tape, ordinal, messages[m])
        if answers != 0:
            answer = answers + WORD_BYTES * m
            int32_view(answer, (1,))[0] = reason
            int32_view(answer + answer_stride, (1,))[0] = filled
        ordinal += ordinal_step


@cache
def messages_kernel() -> Any:
    """Compile, once a process, the application of messages to one market, the heart of every other kernel.

    A ctypes function of: address of the context, address of messages int32[M, 8], M, FILL_MESSAGE of the first message
    and its step from message to message, address of reasons int32[M] (0 for none), and the distance in bytes from there
    to filled lots int32[M].
    """
    return compile_kernel(_apply_messages, types.void(*(types.int64,) * 7))
