"""Encodings of the order-book engine: one table for every backend, the oracle excepted.

The oracle (`oracle.py`) repeats what it needs on purpose: it shares no code with what it judges.
Source: docs of the design, `matching.md` and `conventions.md`; LOBSTER column order with the owner added.
"""

from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

# Sides.
BUY: Final = 0
SELL: Final = 1

# Message columns, int32[..., 8].
KIND: Final = 0
SIDE: Final = 1
LOTS: Final = 2
PRICE_TICK: Final = 3
ORDER_ID: Final = 4
OWNER: Final = 5
TIME_S: Final = 6
TIME_NS: Final = 7
NUM_MESSAGE_COLUMNS: Final = 8

# Message kinds.
NOP: Final = 0
LIMIT: Final = 1
MARKET: Final = 2
IOC: Final = 3
FOK: Final = 4
POST_ONLY: Final = 5
REDUCE: Final = 6
DELETE: Final = 7
REPLACE: Final = 8
LEVEL_SET: Final = 9
EXECUTE: Final = 10
KIND_NAMES: Final = (
    "NOP",
    "LIMIT",
    "MARKET",
    "IOC",
    "FOK",
    "POST_ONLY",
    "REDUCE",
    "DELETE",
    "REPLACE",
    "LEVEL_SET",
    "EXECUTE",
)

# Reject reasons, one per message; 0 is accepted.
OK: Final = 0
BAD_KIND: Final = 1
BAD_SIDE: Final = 2
BAD_LOTS: Final = 3
BAD_PRICE: Final = 4
BAD_ORDER_ID: Final = 5
BAD_OWNER: Final = 6
UNKNOWN_ORDER: Final = 7
WOULD_CROSS: Final = 8
SIDE_FULL: Final = 9
FOK_UNFILLED: Final = 10
SELF_TRADE: Final = 11
REASON_NAMES: Final = (
    "OK",
    "BAD_KIND",
    "BAD_SIDE",
    "BAD_LOTS",
    "BAD_PRICE",
    "BAD_ORDER_ID",
    "BAD_OWNER",
    "UNKNOWN_ORDER",
    "WOULD_CROSS",
    "SIDE_FULL",
    "FOK_UNFILLED",
    "SELF_TRADE",
)
NUM_REASONS: Final = len(REASON_NAMES)

# Limits, inclusive. Prices may be zero or negative.
MAX_LOTS: Final = 2**30
MAX_ABS_PRICE_TICK: Final = 2**30
FIRST_AGENT_ORDER_ID: Final = 2**30
DEPTH_SATURATED: Final = 2**31 - 1
CAPACITIES: Final = (64, 128, 256, 512)

# Book counters, int32[8], running on over calls modulo 2^32.
NUM_REJECTED_FULL: Final = 0
NUM_EVICTED: Final = 1
NUM_UNKNOWN_CANCEL: Final = 2
NUM_FILLS_DROPPED: Final = 3
LOTS_REJECTED_FULL: Final = 4  # lots of the remainders that SIDE_FULL dropped
LOTS_EVICTED: Final = 5
NUM_SELF_TRADES: Final = 6  # meetings of a taker with a resting order of its owner that a policy prevented
LOTS_SELF_TRADE: Final = 7  # lots cancelled by it: the resting order's, or the taker's under CANCEL_TAKER
NUM_COUNTERS: Final = 8

# Fill columns, int32[..., 8].
FILL_MESSAGE: Final = 0
FILL_PRICE_TICK: Final = 1
FILL_LOTS: Final = 2
FILL_MAKER_ID: Final = 3
FILL_TAKER_ID: Final = 4
FILL_MAKER_OWNER: Final = 5
FILL_TAKER_OWNER: Final = 6
FILL_TAKER_SIDE: Final = 7
NUM_FILL_COLUMNS: Final = 8

# Which fills are reported.
FILLS_ALL: Final = 0
FILLS_OWNED: Final = 1

# Self-trade prevention: what happens where a taker meets a resting order of the same owner, other than 0.
SELF_TRADE_NONE: Final = 0  # they trade
SELF_TRADE_CANCEL_RESTING: Final = 1
SELF_TRADE_CANCEL_TAKER: Final = 2
SELF_TRADE_DECREMENT: Final = 3  # both lose the smaller quantity, without a trade
SELF_TRADE_NAMES: Final = ("none", "cancel_resting", "cancel_taker", "decrement")

# How anonymous liquidity leaves a level that LEVEL_SET shrinks: where in the queue the cancelled lots stood.
QUEUE_BACK_FIRST: Final = 0  # pessimistic for an order that waits: what is ahead of it stays
QUEUE_PROPORTIONAL: Final = 1
QUEUE_FRONT_FIRST: Final = 2  # optimistic
QUEUE_NAMES: Final = ("back_first", "proportional", "front_first")

# Summary of a call, int32[16]. Lots and notional wrap modulo 2**32, alike on every backend.
SUM_EVENTS: Final = 0
SUM_NUM_FILLS: Final = 1
SUM_TRADED_BUY_LOTS: Final = 2
SUM_TRADED_SELL_LOTS: Final = 3
SUM_NOTIONAL_BUY: Final = 4
SUM_NOTIONAL_SELL: Final = 5
SUM_LAST_PRICE_TICK: Final = 6
SUM_HAS_LAST: Final = 7
SUM_BEST_BID_TICK: Final = 8
SUM_HAS_BID: Final = 9
SUM_BEST_ASK_TICK: Final = 10
SUM_HAS_ASK: Final = 11
SUM_OFI_LOTS: Final = 12
SUM_OWN_REJECTS: Final = 13
SUM_NUM_TRADES: Final = 14
SUM_EXHAUSTED: Final = 15
NUM_SUMMARY: Final = 16

# Market-step state words, int32[32] (`MarketState.meta`).
META_NUM_INBOX: Final = 0
META_CLOCK_S: Final = 1
META_CLOCK_NS: Final = 2
META_DRAW: Final = 3
META_NEXT_ORDER_ID: Final = 4
META_INBOX_DROPPED: Final = 5
META_REFERENCE_TICK: Final = 6
META_CURSOR: Final = 7
META_FLOW: Final = 8  # the first of the words that belong to the flow model, 0 in a fresh market
NUM_FLOW_WORDS: Final = 24
NUM_META: Final = META_FLOW + NUM_FLOW_WORDS

# What a flow sampler answers.
FLOW_EVENT: Final = 1
FLOW_NULL: Final = 0
FLOW_EXHAUSTED: Final = -1

# Own-order columns, int32[num_learners, 2, 6]: the best-priced order of each learner on each side.
OWN_PRESENT: Final = 0
OWN_PRICE_TICK: Final = 1
OWN_LOTS: Final = 2
OWN_ORDER_ID: Final = 3
OWN_LOTS_AHEAD: Final = 4
OWN_NUM_ORDERS: Final = 5
NUM_OWN_COLUMNS: Final = 6

Array: TypeAlias = Any  # int32, NumPy or JAX


class LobConfig(NamedTuple):
    """Static shape of one order book; hashable, so that it can be a static argument of `jit`."""

    capacity: int = 128  # O, resting orders a side, one of CAPACITIES
    max_fills: int = 64  # F, fills reported a call; overflow is counted in NUM_FILLS_DROPPED
    depth_levels: int = 5  # L, price levels a side in the output
    fills_mode: int = FILLS_ALL
    self_trade: int = SELF_TRADE_NONE  # policy of every owner other than 0
    queue_model: int = QUEUE_BACK_FIRST  # of LEVEL_SET


class Book(NamedTuple):
    """One order book, int32. Best order last, so slot num_orders-1 is the front of the queue at the touch.

    Slots past num_orders are 0. A leading batch axis may stand before every axis.
    """

    price_tick: Array  # [2, O] tick; bids ascend, asks descend towards the last slot
    lots: Array  # [2, O] lots
    order_id: Array  # [2, O]
    owner: Array  # [2, O] 0 background, 1.. agents
    num_orders: Array  # [2]
    counters: Array  # [8] NUM_REJECTED_FULL .. LOTS_SELF_TRADE


class LobOutput(NamedTuple):
    """What one call of `process` returns beside the book, int32."""

    reason: Array  # [M] reject reason of each message
    filled_lots: Array  # [M] lots matched by each message
    fills: Array  # [F, 8] FILL_* columns, rows past num_fills are 0
    num_fills: Array  # [] rows written; dropped ones are in the book's counters
    summary: Array  # [16] SUM_* words
    depth: Array  # [2, L, 2] (price_tick, lots) best first; (0, 0) where there is no level


def validate_config(config: LobConfig) -> LobConfig:
    """Return `config`, or raise ValueError with the field and what would be valid."""
    if config.capacity not in CAPACITIES:
        raise ValueError(f"capacity {config.capacity} is not one of {CAPACITIES}")
    if config.max_fills < 1:
        raise ValueError(f"max_fills {config.max_fills} is below 1")
    if not 1 <= config.depth_levels <= config.capacity:
        raise ValueError(f"depth_levels {config.depth_levels} is outside 1..{config.capacity}")
    if config.fills_mode not in (FILLS_ALL, FILLS_OWNED):
        raise ValueError(f"fills_mode {config.fills_mode} is neither FILLS_ALL (0) nor FILLS_OWNED (1)")
    if config.self_trade not in range(len(SELF_TRADE_NAMES)):
        raise ValueError(f"self_trade {config.self_trade} is outside 0..{len(SELF_TRADE_NAMES) - 1} {SELF_TRADE_NAMES}")
    if config.queue_model not in range(len(QUEUE_NAMES)):
        raise ValueError(f"queue_model {config.queue_model} is outside 0..{len(QUEUE_NAMES) - 1} {QUEUE_NAMES}")
    return config


def empty_book(config: LobConfig, batch: tuple[int, ...] = ()) -> Book:
    """Return an empty book (NumPy int32) with the given leading batch axes."""
    side = (*batch, 2, config.capacity)
    return Book(
        price_tick=np.zeros(side, np.int32),
        lots=np.zeros(side, np.int32),
        order_id=np.zeros(side, np.int32),
        owner=np.zeros(side, np.int32),
        num_orders=np.zeros((*batch, 2), np.int32),
        counters=np.zeros((*batch, NUM_COUNTERS), np.int32),
    )


def book_bytes(capacity: int) -> int:
    """Return the memory of one book in bytes: 16 an order slot and side, then counts and counters."""
    return sum(field.nbytes for field in empty_book(LobConfig(capacity=capacity)))
