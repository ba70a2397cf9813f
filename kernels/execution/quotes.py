"""Quoting: from an action, or from native prices, to what should rest, and from there to messages.

    action --table_quotes--> Quotes --limit_quotes--> TargetQuotes --plan_quotes--> QuotePlan
    QuotePlan --quote_messages--> int32[..., 4, 8] for the engine
    QuotePlan --quote_intents--> cancels and new orders for a venue

A classical strategy enters at `Quotes` with prices of its own.

Action table, `Discrete(36)`: action = 6 * bid code + ask code. A code says where a side quotes, as ticks towards the
opposite side from the best price *of others* (our own order is taken out of the book first, else we would chase
ourselves), with S the spread of others:
| code | name | ticks |
|---|---|---|
| 0 | none | no quote |
| 1 | far | -max(2, S / 2) |
| 2 | behind | -max(1, S / 4) |
| 3 | join | 0 |
| 4 | improve | 1 |
| 5 | middle | max(1, (S - 1) / 2) |

Limits, applied to every quote wherever it came from: at least one tick inside the opposite best (POST_ONLY must rest);
both sides at least a tick apart (the side that reduces inventory keeps its price); inventory cap in the worst case,
`|inventory + lots| <= cap` with the order that is being replaced counted as filled; no quote without a two-sided book.
A side with a message under way is left alone until it has arrived, so at most one order a side lives or is under way.

`xp` is numpy or jax.numpy; arrays are int32 with any leading batch axes and the side axis (BUY, SELL) last.
"""

from dataclasses import dataclass
from types import ModuleType
from typing import Final, NamedTuple

import numpy as np

from kernels.features.market import MAX_FEATURE_PRICE_TICK, Array, touch
from kernels.lob import spec

CODE_NAMES: Final = ("none", "far", "behind", "join", "improve", "middle")
NONE, FAR, BEHIND, JOIN, IMPROVE, MIDDLE = range(len(CODE_NAMES))
NUM_CODES: Final = len(CODE_NAMES)
NUM_ACTIONS: Final = NUM_CODES * NUM_CODES
ACTION_COLUMNS: Final = ("bid_code", "ask_code")
ACTION_TABLE: Final = tuple((bid, ask) for bid in range(NUM_CODES) for ask in range(NUM_CODES))  # row = action
ACTION_NAMES: Final = tuple(f"bid_{bid}_ask_{ask}" for bid in CODE_NAMES for ask in CODE_NAMES)
DO_NOTHING: Final = 0
MESSAGES_PER_DECISION: Final = 4
IDS_PER_DECISION: Final = 2


class QuoteLimits(NamedTuple):
    """What a quote may not exceed, int32[...]."""

    quote_lots: Array  # lots a quote, at least 1
    inventory_cap_lots: Array  # |inventory| never passes this, at most 2^30


class Quotes(NamedTuple):
    """Prices that somebody would like to quote, before limits. Side axis last."""

    present: Array  # bool[..., 2]
    price_tick: Array  # int32[..., 2]


class TargetQuotes(NamedTuple):
    """What should rest. Side axis last."""

    present: Array  # bool[..., 2]
    price_tick: Array  # int32[..., 2] 0 where absent
    lots: Array  # int32[..., 2] 0 where absent
    room_lots: Array  # int32[..., 2] lots that may still fill on the side before the cap is reached


class QuotePlan(NamedTuple):
    """What to change so that the target rests. Side axis last."""

    cancel: Array  # bool[..., 2]
    cancel_order_id: Array  # int32[..., 2] 0 where nothing is cancelled
    place: Array  # bool[..., 2]
    price_tick: Array  # int32[..., 2] 0 where nothing is placed
    lots: Array  # int32[..., 2] 0 where nothing is placed


def decode(xp: ModuleType, action: Array) -> Array:
    """Return the (bid, ask) codes int32[..., 2] of an action int32[...]; out of range is clipped into the table."""
    action = xp.clip(xp.asarray(action, dtype=xp.int32), 0, NUM_ACTIONS - 1)
    return xp.stack([action // NUM_CODES, action % NUM_CODES], axis=-1)


def table_quotes(xp: ModuleType, action: Array, net_depth: Array) -> Quotes:
    """Return the prices of an action on the book of others, `net_depth` int32[..., 2, L, 2]."""
    codes = decode(xp, action)
    bid_tick, ask_tick, both = touch(xp, net_depth)
    spread = xp.maximum(ask_tick - bid_tick, 1)[..., None]
    ticks = xp.where(codes == FAR, -xp.maximum(spread // 2, 2), 0)
    ticks = xp.where(codes == BEHIND, -xp.maximum(spread // 4, 1), ticks)
    ticks = xp.where(codes == IMPROVE, 1, ticks)
    ticks = xp.where(codes == MIDDLE, xp.maximum((spread - 1) // 2, 1), ticks)
    price_tick = xp.stack([bid_tick + ticks[..., 0], ask_tick - ticks[..., 1]], axis=-1)
    return Quotes(present=(codes != NONE) & both[..., None], price_tick=price_tick)


def limit_quotes(
    xp: ModuleType, quotes: Quotes, net_depth: Array, inventory_lots: Array, limits: QuoteLimits
) -> TargetQuotes:
    """Return what may rest of `quotes`: never crossing, never beyond the inventory cap (rules in the module's head)."""
    bid_tick, ask_tick, both = touch(xp, net_depth)
    bid = xp.clip(quotes.price_tick[..., 0], -MAX_FEATURE_PRICE_TICK, ask_tick - 1)
    ask = xp.clip(quotes.price_tick[..., 1], bid_tick + 1, MAX_FEATURE_PRICE_TICK)
    inventory_lots = xp.asarray(inventory_lots, dtype=xp.int32)
    room = _room(xp, inventory_lots, xp.asarray(limits.inventory_cap_lots, dtype=xp.int32))
    lots = xp.clip(room, 0, xp.asarray(limits.quote_lots, dtype=xp.int32)[..., None])
    present = quotes.present & both[..., None] & (lots > 0)
    locked = present[..., 0] & present[..., 1] & (bid >= ask)
    long = inventory_lots > 0
    price_tick = xp.stack(
        [xp.where(locked & long, ask - 1, bid), xp.where(locked & ~long, bid + 1, ask)],
        axis=-1,
    )
    return TargetQuotes(
        present=present,
        price_tick=xp.where(present, price_tick, 0),
        lots=xp.where(present, lots, 0),
        room_lots=room,
    )


def target_quotes(
    xp: ModuleType, action: Array, net_depth: Array, inventory_lots: Array, limits: QuoteLimits
) -> TargetQuotes:
    """Return what should rest for an action int32[...] of the table."""
    return limit_quotes(xp, table_quotes(xp, action, net_depth), net_depth, inventory_lots, limits)


def plan_quotes(xp: ModuleType, target: TargetQuotes, own: Array, pending: Array) -> QuotePlan:
    """Return the changes that make `target` rest, given what rests and what is under way.

    `own` int32[..., 2, 6] (OWN_* columns), `pending` int32[..., 2]. An order at the target's price keeps its place in
    the queue while it has at least half of the target's lots; anything else is cancelled, and a new order is sent with
    it. The cancelled order may fill before the cancel arrives, so the new one gets only the room beyond it.
    """
    resting = own[..., spec.OWN_PRESENT] > 0
    own_lots = own[..., spec.OWN_LOTS]
    idle = pending == 0
    enough = own_lots >= target.lots - target.lots // 2
    keep = resting & target.present & (own[..., spec.OWN_PRICE_TICK] == target.price_tick) & enough
    cancel = resting & ~keep & idle
    lots = xp.minimum(target.lots, target.room_lots - xp.where(cancel, own_lots, 0))
    place = target.present & ~keep & idle & (lots > 0)
    return QuotePlan(
        cancel=cancel,
        cancel_order_id=xp.where(cancel, own[..., spec.OWN_ORDER_ID], 0),
        place=place,
        price_tick=xp.where(place, target.price_tick, 0),
        lots=xp.where(place, lots, 0),
    )


def quote_messages(
    xp: ModuleType, plan: QuotePlan, next_order_id: Array, arrival: tuple[Array, Array], owner: int
) -> Array:
    """Return the engine's messages int32[..., 4, 8]: both cancels, then both POST_ONLY orders, NOP where there is none.

    The bid takes `next_order_id` int32[...], the ask the one after it, whether or not they are used. `arrival` is the
    time (s, ns), int32[...] each, at which the messages reach the venue.
    """
    rows = [
        message_row(xp, plan.cancel[..., s], spec.DELETE, s, 1, 0, plan.cancel_order_id[..., s], owner, arrival)
        for s in (spec.BUY, spec.SELL)
    ] + [
        message_row(
            xp,
            plan.place[..., s],
            spec.POST_ONLY,
            s,
            plan.lots[..., s],
            plan.price_tick[..., s],
            next_order_id + s,
            owner,
            arrival,
        )
        for s in (spec.BUY, spec.SELL)
    ]
    return xp.stack(rows, axis=-2)


@dataclass(frozen=True, slots=True)
class CancelIntent:
    """Cancel our resting order on `side` (0 BUY, 1 SELL)."""

    side: int
    order_id: int


@dataclass(frozen=True, slots=True)
class NewIntent:
    """Rest `lots` at `price_tick` on `side` (0 BUY, 1 SELL), post-only."""

    side: int
    price_tick: int
    lots: int


def quote_intents(plan: QuotePlan) -> tuple[list[CancelIntent], list[NewIntent]]:
    """Return one market's plan (NumPy, no batch axes) as cancels and new orders, for a live venue."""
    sides = (spec.BUY, spec.SELL)
    cancels = [CancelIntent(s, int(plan.cancel_order_id[s])) for s in sides if bool(plan.cancel[s])]
    orders = [NewIntent(s, int(plan.price_tick[s]), int(plan.lots[s])) for s in sides if bool(plan.place[s])]
    return cancels, orders


def no_quotes(xp: ModuleType, batch: tuple[int, ...] = ()) -> Quotes:
    """Return quotes with both sides absent."""
    return Quotes(xp.zeros((*batch, 2), bool), xp.zeros((*batch, 2), np.int32))


def _room(xp: ModuleType, inventory_lots: Array, cap_lots: Array) -> Array:
    # |inventory| <= cap <= 2^30, so neither difference passes int32.
    return xp.stack([cap_lots - inventory_lots, cap_lots + inventory_lots], axis=-1)


def message_row(
    xp: ModuleType,
    used: Array,
    kind: Array | int,
    side: Array | int,
    lots: Array | int,
    price_tick: Array | int,
    order_id: Array,
    owner: Array | int,
    arrival: tuple[Array, Array],
) -> Array:
    """Return one message int32[..., 8], all 0 (NOP) where not `used` bool[...]."""
    words = (kind, side, lots, price_tick, order_id, owner, *arrival)
    return xp.stack([xp.where(used, xp.asarray(word, dtype=xp.int32), 0) for word in words], axis=-1)
