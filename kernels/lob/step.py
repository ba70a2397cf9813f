"""The market step on a CPU core: background flow, agents' messages under way, the book. Semantics: docs/engine.md.

The flow's sampler is compiled into the kernel, because the next event depends on the book after the last one.
Kernels import no market model: a sampler is handed in.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit, types

from kernels.lob import _slots, spec
from kernels.lob._market import (
    accept,
    clock_ns,
    complete,
    drop_front,
    num_arrived,
    restore_words,
    sampled_words,
    set_clock,
    write_own,
)
from kernels.lob._memory import (
    INLINE,
    compile_kernel,
    copy_words,
    fill_words,
    int32_view,
    int64_view,
    stack_words,
    uint32_view,
)
from kernels.lob._messages import messages_kernel
from kernels.lob._slots import NUM_CONTEXT, begin, book_of, clear_fills, point_at_book, write_depth, write_touch
from kernels.lob.spec import Book, LobConfig

NS_PER_US = 1000
KEPT_WORDS = (spec.NUM_FLOW_WORDS + 1) // 2  # 64-bit words that hold the words of a flow

# Words of the call that a market-step kernel takes: addresses of the book's fields (0-5), then of these, then sizes.
CALL_INBOX = 6
CALL_META = 7
CALL_SEED = 8
CALL_AGENT_MESSAGES = 9
CALL_FLOW_PARAMS = 10
CALL_BACKGROUND = 11
CALL_HORIZON = 12
CALL_FILLS = 13
CALL_NUM_FILLS = 14
CALL_SUMMARY = 15
CALL_DEPTH = 16
CALL_OWN = 17
CALL_BATCH = 18
CALL_CAPACITY = 19
CALL_INBOX_SIZE = 20
CALL_NUM_AGENT_MESSAGES = 21
CALL_NUM_PARAMS = 22
CALL_NUM_BACKGROUND = 23
CALL_MAX_FILLS = 24
CALL_LEVELS = 25
CALL_NUM_LEARNERS = 26
CALL_SELF_TRADE = 27
CALL_QUEUE_MODEL = 28
NUM_CALL_WORDS = 29


class Market(NamedTuple):
    """One market on NumPy arrays; a leading batch axis may stand before every axis."""

    book: Book
    inbox: np.ndarray  # int32[I, 8] messages under way, sorted by arrival, zeros past META_NUM_INBOX
    meta: np.ndarray  # int32[32] META_* words
    seed: np.ndarray  # uint32[2] run seed, market number


class MarketResult(NamedTuple):
    """What one market step returns beside the market, int32; a leading batch axis where the market has one."""

    fills: np.ndarray  # [F, 8] FILL_* columns of fills with an owner other than 0
    num_fills: np.ndarray  # []
    summary: np.ndarray  # [16] SUM_* words
    depth: np.ndarray  # [2, L, 2] (price_tick, lots), best first
    own: np.ndarray  # [A, 2, 6] OWN_* columns


@njit
def replay_sampler(flow_params, background, price_tick, lots, order_id, owner, num_orders, meta, seed, msg):
    """Take the next row of `background` int32[H, 8] and set the clock to its time; exhausted after H rows.

    A row whose time is before the clock (padding has time 0) leaves the clock. No randomness, no parameters.
    """
    row = meta[spec.META_CURSOR]
    if row >= background.shape[0]:
        return spec.FLOW_EXHAUSTED, np.int64(0)
    meta[spec.META_CURSOR] = row + 1
    for column in range(spec.NUM_MESSAGE_COLUMNS):
        msg[column] = background[row, column]
    s, ns = meta[spec.META_CLOCK_S], meta[spec.META_CLOCK_NS]
    if msg[spec.TIME_S] > s or (msg[spec.TIME_S] == s and msg[spec.TIME_NS] > ns):
        meta[spec.META_CLOCK_S] = msg[spec.TIME_S]
        meta[spec.META_CLOCK_NS] = msg[spec.TIME_NS]
    return spec.FLOW_EVENT, np.int64(0)


@cache
def make_market_step(sampler: Any) -> Callable[..., tuple[int, int]]:
    """Return the njit function of one market's events around `sampler`, an njit function; only numba may call it.

    `sampler(flow_params, background, price_tick, lots, order_id, owner, num_orders, meta, seed, msg)` returns
    (status, dt_us), sees a canonical book and fills `msg` int32[8], which is all 0 before. The words of `meta` from
    META_FLOW on are its own; where it answers FLOW_EXHAUSTED it has not changed them.
    """
    draw = njit(**INLINE)(sampler.py_func)
    apply_messages = messages_kernel()

    @njit(**INLINE)
    def market_step(context_address, inbox_address, inbox, meta, seed, flow_params, background, horizon):
        """Run events to the horizon; return (1 if the flow was exhausted, number of events)."""
        book = book_of(int64_view(context_address, (NUM_CONTEXT,)))
        msg_address = stack_words(4)
        msg = int32_view(msg_address, (8,))
        kept = int32_view(stack_words(KEPT_WORDS), (spec.NUM_FLOW_WORDS,))
        limited = horizon[1] > 0
        end_ns = clock_ns(meta) + np.int64(horizon[1]) * NS_PER_US
        events = 0
        while events < horizon[0]:
            meta[spec.META_DRAW] += 1
            before = sampled_words(meta)
            if limited:
                copy_words(kept, meta[spec.META_FLOW :])
            fill_words(msg, 0)
            status, dt_us = draw(
                flow_params,
                background,
                book.price_tick,
                book.lots,
                book.order_id,
                book.owner,
                book.num_orders,
                meta,
                seed,
                msg,
            )
            if status == spec.FLOW_EXHAUSTED:
                restore_words(meta, before)
                return 1, events
            time_ns = clock_ns(meta) + np.int64(dt_us) * NS_PER_US
            if limited and time_ns > end_ns:
                restore_words(meta, before)
                copy_words(meta[spec.META_FLOW :], kept)
                set_clock(meta, end_ns)
                return 0, events
            set_clock(meta, time_ns)
            if status != spec.FLOW_EVENT:
                continue
            complete(meta, msg)
            apply_messages(context_address, msg_address, 1, events, 0, 0, 0)
            arrived = num_arrived(inbox, meta)
            if arrived > 0:
                apply_messages(context_address, inbox_address, arrived, events, 0, 0, 0)
                drop_front(inbox, meta, arrived)
            events += 1
        return 0, events

    return market_step


@cache
def market_step_kernel(sampler: Any) -> Any:
    """Compile the step around `sampler` once a process; return a ctypes function of the address of a call's words."""
    market_step = make_market_step(sampler)

    def kernel(call_address):
        call = int64_view(call_address, (NUM_CALL_WORDS,))
        inbox_size, num_agent_messages = call[CALL_INBOX_SIZE], call[CALL_NUM_AGENT_MESSAGES]
        num_params, num_background = call[CALL_NUM_PARAMS], call[CALL_NUM_BACKGROUND]
        max_fills, levels, num_learners = call[CALL_MAX_FILLS], call[CALL_LEVELS], call[CALL_NUM_LEARNERS]
        num_fills = int32_view(call[CALL_NUM_FILLS], (call[CALL_BATCH],))
        context_address = stack_words(NUM_CONTEXT)
        context = int64_view(context_address, (NUM_CONTEXT,))
        context[_slots.CONTEXT_MAX_FILLS] = max_fills
        context[_slots.CONTEXT_FILLS_MODE] = spec.FILLS_OWNED
        context[_slots.CONTEXT_SELF_TRADE] = call[CALL_SELF_TRADE]
        context[_slots.CONTEXT_QUEUE_MODEL] = call[CALL_QUEUE_MODEL]
        for b in range(call[CALL_BATCH]):
            point_at_book(context, call, b, call[CALL_CAPACITY])
            meta = int32_view(call[CALL_META] + b * 4 * spec.NUM_META, (spec.NUM_META,))
            context[_slots.CONTEXT_FILLS] = call[CALL_FILLS] + b * 32 * max_fills
            context[_slots.CONTEXT_SUMMARY] = call[CALL_SUMMARY] + b * 64
            context[_slots.CONTEXT_REFERENCE_TICK] = meta[spec.META_REFERENCE_TICK]
            inbox_address = call[CALL_INBOX] + b * 32 * inbox_size
            inbox = int32_view(inbox_address, (inbox_size, 8))
            agent_messages = call[CALL_AGENT_MESSAGES] + b * 32 * num_agent_messages
            summary = int32_view(context[_slots.CONTEXT_SUMMARY], (spec.NUM_SUMMARY,))
            fill_words(summary, 0)
            meta[spec.META_CURSOR] = 0
            accept(inbox, meta, int32_view(agent_messages, (num_agent_messages, 8)))
            book = book_of(context)
            begin(book)
            exhausted, events = market_step(
                context_address,
                inbox_address,
                inbox,
                meta,
                uint32_view(call[CALL_SEED] + b * 8, (2,)),
                int32_view(call[CALL_FLOW_PARAMS] + b * 4 * num_params, (num_params,)),
                int32_view(call[CALL_BACKGROUND] + b * 32 * num_background, (num_background, 8)),
                int32_view(call[CALL_HORIZON] + b * 8, (2,)),
            )
            summary[spec.SUM_EVENTS] = events
            summary[spec.SUM_EXHAUSTED] = exhausted
            num_fills[b] = summary[spec.SUM_NUM_FILLS]
            clear_fills(context, num_fills[b])
            write_touch(book, summary)
            write_depth(book, int32_view(call[CALL_DEPTH] + b * 16 * levels, (2, levels, 2)))
            write_own(book, int32_view(call[CALL_OWN] + b * 48 * num_learners, (num_learners, 2, 6)))

    return compile_kernel(kernel, types.void(types.int64))


def new_market(
    config: LobConfig,
    book: Book,
    *,
    seed: int = 0,
    market_number: int = 0,
    clock_s: int = 0,
    clock_ns: int = 0,
    next_order_id: int = 1,
    reference_tick: int = 0,
    inbox: int = 16,
) -> Market:
    """Return a market (NumPy) around a copy of `book`; a batch axis of the book stays. `clock_ns` is below 10^9."""
    batch = np.shape(book.num_orders)[:-1]
    meta = np.zeros((*batch, spec.NUM_META), np.int32)
    meta[..., spec.META_CLOCK_S] = clock_s
    meta[..., spec.META_CLOCK_NS] = clock_ns
    meta[..., spec.META_NEXT_ORDER_ID] = next_order_id
    meta[..., spec.META_REFERENCE_TICK] = reference_tick
    seeds = np.zeros((*batch, 2), np.uint32)
    seeds[..., 0], seeds[..., 1] = seed, market_number
    fields = zip(book, spec.empty_book(config, batch), strict=True)
    return Market(
        book=Book(*(np.array(np.broadcast_to(have, want.shape), np.int32) for have, want in fields)),
        inbox=np.zeros((*batch, inbox, spec.NUM_MESSAGE_COLUMNS), np.int32),
        meta=meta,
        seed=seeds,
    )


def run_market_step(
    sampler: Any,
    config: LobConfig,
    market: Market,
    agent_messages: Any,
    flow_params: Any,
    background: Any,
    horizon: Any,
    *,
    num_learners: int = 1,
) -> MarketResult:
    """Run one step of a market, or of a batch of them, on NumPy arrays; the arrays of `market` change in place.

    agent_messages int32[K, 8], flow_params int32[P], background int32[H, 8], horizon int32[2] (events, microseconds or
    0); each with the market's batch axes or without (then it is the same for all).
    Raises ValueError where a field of the market is not a C-contiguous array of the right shape and type.
    """
    spec.validate_config(config)
    batch = market.meta.shape[:-1]
    _check_market(market, config, batch)
    inputs = [
        np.ascontiguousarray(np.broadcast_to(words, (*batch, *words.shape[words.ndim - rank :])))
        for words, rank in (
            (np.asarray(agent_messages, np.int32), 2),
            (np.asarray(flow_params, np.int32), 1),
            (np.asarray(background, np.int32), 2),
            (np.asarray(horizon, np.int32), 1),
        )
    ]
    result = MarketResult(
        fills=np.empty((*batch, config.max_fills, spec.NUM_FILL_COLUMNS), np.int32),
        num_fills=np.empty(batch, np.int32),
        summary=np.empty((*batch, spec.NUM_SUMMARY), np.int32),
        depth=np.empty((*batch, 2, config.depth_levels, 2), np.int32),
        own=np.empty((*batch, num_learners, 2, spec.NUM_OWN_COLUMNS), np.int32),
    )
    arrays = (*market.book, market.inbox, market.meta, market.seed, *inputs, *result)
    sizes = (
        int(np.prod(batch, dtype=np.int64)),
        config.capacity,
        market.inbox.shape[-2],
        inputs[0].shape[-2],
        inputs[1].shape[-1],
        inputs[2].shape[-2],
        config.max_fills,
        config.depth_levels,
        num_learners,
        config.self_trade,
        config.queue_model,
    )
    words = np.array([*(array.ctypes.data for array in arrays), *sizes], np.int64)
    market_step_kernel(sampler)(words.ctypes.data)
    return result


def _check_market(market: Market, config: LobConfig, batch: tuple[int, ...]) -> None:
    wanted = [
        (f"book.{name}", have, want.shape, np.int32)
        for name, have, want in zip(Book._fields, market.book, spec.empty_book(config, batch), strict=True)
    ]
    inbox_shape = (*batch, *market.inbox.shape[-2:-1], spec.NUM_MESSAGE_COLUMNS)
    wanted += [
        ("inbox", market.inbox, inbox_shape, np.int32),
        ("meta", market.meta, (*batch, spec.NUM_META), np.int32),
        ("seed", market.seed, (*batch, 2), np.uint32),
    ]
    for name, have, shape, dtype in wanted:
        if have.shape != shape or have.dtype != dtype:
            raise ValueError(f"{name} is {have.dtype}{list(have.shape)}, expected {np.dtype(dtype)}{list(shape)}")
        if not have.flags.c_contiguous or not have.flags.writeable:
            raise ValueError(f"{name} is not C-contiguous and writeable: it is changed in place")
