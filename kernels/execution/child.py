"""Working a parent order with one child at a time: from an action to what should rest or cross, and to messages.

    action --table_child | shaped_child--> Child --plan_child--> ChildPlan --child_messages--> int32[..., 2, 8]

Action table, `Discrete(17)`: 0 is nothing (what rests is cancelled), else 1 + 4 * size + aggressiveness.
| size | lots, rounded up |
|---|---|
| half, twap, double | half, once, twice the TWAP pace: what is left / decisions left |
| rest | all that is left |

| aggressiveness | where, S the spread of others |
|---|---|
| behind | max(1, S / 4) ticks behind the best price of others |
| join | at it |
| improve | a tick towards the opposite side |
| cross | IOC, up to `cross_tick` ticks beyond the opposite best price |

Continuous, (size, aggressiveness) in -1..1: pace = (7^(size + 1) - 1) / 6, so -1 is nothing, 0 TWAP and 1 eight times
it; aggressiveness above 1/2 crosses, below it the price goes linearly from max(2, S / 2) ticks behind the best price of
others to one tick inside the opposite.

Limits: nothing without a two-sided book; a resting child stays a tick inside the opposite best price (POST_ONLY); all
that may still fill, the order that is being cancelled in full, never passes what is left of the parent. A side with a
message under way is left alone until it has arrived. A child at its price keeps its place in the queue: too large a one
is reduced, one with less than half of its lots is sent anew.

`xp` is numpy or jax.numpy; arrays are int32 with any leading batch axes.
"""

from types import ModuleType
from typing import Final, NamedTuple

from kernels.execution.quotes import message_row
from kernels.features.market import MAX_FEATURE_PRICE_TICK, Array, touch
from kernels.lob import spec

SIZE_NAMES: Final = ("half", "twap", "double", "rest")
AGGRESSIVENESS_NAMES: Final = ("behind", "join", "improve", "cross")
HALF, TWAP, DOUBLE, REST = range(len(SIZE_NAMES))
BEHIND, JOIN, IMPROVE, CROSS = range(len(AGGRESSIVENESS_NAMES))
NUM_ACTIONS: Final = 1 + len(SIZE_NAMES) * len(AGGRESSIVENESS_NAMES)
ACTION_NAMES: Final = ("nothing", *(f"{size}_{way}" for size in SIZE_NAMES for way in AGGRESSIVENESS_NAMES))
DO_NOTHING: Final = 0
PACE_ONE: Final = 16  # fixed-point one of paces
MAX_PACE: Final = 8 * PACE_ONE
MAX_PARENT_LOTS: Final = 2**20  # times MAX_PACE holds in int32
CROSS_FROM: Final = 0.5  # continuous aggressiveness
MESSAGES_PER_DECISION: Final = 2
IDS_PER_DECISION: Final = 1


class ParentView(NamedTuple):
    """What a decision needs to know of the parent order, int32[...]."""

    side: Array  # 0 BUY, 1 SELL
    left_lots: Array  # 0..MAX_PARENT_LOTS
    steps_left: Array  # decisions left, this one included
    cross_tick: Array  # how far an IOC may go beyond the opposite best price


class Child(NamedTuple):
    """What should rest, or cross."""

    wanted: Array  # bool[...]
    crosses: Array  # bool[...] an IOC
    price_tick: Array  # int32[...]
    lots: Array  # int32[...] 0 where not wanted


class ChildPlan(NamedTuple):
    """What to change so that the child rests or crosses."""

    cancel: Array  # bool[...]
    reduce_lots: Array  # int32[...] lots to take off the resting child, 0: none
    order_id: Array  # int32[...] of the resting child
    place: Array  # bool[...]
    crosses: Array  # bool[...]
    price_tick: Array  # int32[...]
    lots: Array  # int32[...] of the new child


def encode(size: int, aggressiveness: int) -> int:
    """Return the action of a size (HALF .. REST) and an aggressiveness (BEHIND .. CROSS)."""
    return 1 + len(AGGRESSIVENESS_NAMES) * size + aggressiveness


def table_child(xp: ModuleType, action: Array, net_depth: Array, parent: ParentView) -> Child:
    """Return the child of an action int32[...] on the book of others, int32[..., 2, L, 2]; actions are clipped."""
    action = xp.clip(xp.asarray(action, dtype=xp.int32), 0, NUM_ACTIONS - 1)
    row = xp.maximum(action - 1, 0)
    size, way = row // len(AGGRESSIVENESS_NAMES), row % len(AGGRESSIVENESS_NAMES)
    pace = xp.where(size == HALF, PACE_ONE // 2, xp.where(size == TWAP, PACE_ONE, 2 * PACE_ONE))
    lots = xp.where(size == REST, parent.left_lots, pace_lots(xp, parent, pace))
    spread = _spread(xp, net_depth)
    ticks = xp.where(way == BEHIND, -xp.maximum(spread // 4, 1), xp.where(way == IMPROVE, 1, 0))
    return _child(xp, net_depth, parent, xp.where(action == DO_NOTHING, 0, lots), way == CROSS, ticks)


def shaped_child(xp: ModuleType, action: Array, net_depth: Array, parent: ParentView) -> Child:
    """Return the child of a continuous action float32[..., 2] (size, aggressiveness); beyond -1..1 is clipped."""
    action = xp.clip(xp.asarray(action, dtype=xp.float32), -1.0, 1.0)
    pace = xp.rint(PACE_ONE * (7.0 ** (action[..., 0] + 1.0) - 1.0) / 6.0).astype(xp.int32)
    spread = _spread(xp, net_depth)
    behind = xp.maximum(spread // 2, 2)
    share = (action[..., 1] + 1.0) / (1.0 + CROSS_FROM)
    ticks = xp.rint(share * (behind + spread - 1).astype(xp.float32)).astype(xp.int32) - behind
    lots = pace_lots(xp, parent, xp.clip(pace, 0, MAX_PACE))
    return _child(xp, net_depth, parent, lots, action[..., 1] > CROSS_FROM, ticks)


def pace_lots(xp: ModuleType, parent: ParentView, pace: Array) -> Array:
    """Return the lots int32[...] of a pace in 1 / PACE_ONE of TWAP, rounded up, at most what is left."""
    slices = PACE_ONE * xp.maximum(parent.steps_left, 1)
    return xp.minimum(-(-parent.left_lots * pace // slices), parent.left_lots)


def plan_child(xp: ModuleType, child: Child, parent: ParentView, own: Array, pending: Array) -> ChildPlan:
    """Return the changes that lead to `child`, given what rests (`own` int32[..., 2, 6]) and is under way.

    `pending` int32[..., 2] is 1 where a message of ours about the side has not arrived.
    """
    sells = parent.side == spec.SELL
    mine = xp.where(sells[..., None], own[..., spec.SELL, :], own[..., spec.BUY, :])
    idle = xp.where(sells, pending[..., spec.SELL], pending[..., spec.BUY]) == 0
    resting = mine[..., spec.OWN_PRESENT] > 0
    own_lots = mine[..., spec.OWN_LOTS]
    same = resting & child.wanted & ~child.crosses & (mine[..., spec.OWN_PRICE_TICK] == child.price_tick)
    keep = same & (own_lots >= child.lots - child.lots // 2)
    cancel = resting & ~keep & idle
    lots = xp.minimum(child.lots, parent.left_lots - xp.where(cancel, own_lots, 0))
    place = child.wanted & ~keep & idle & (lots > 0)
    return ChildPlan(
        cancel=cancel,
        reduce_lots=xp.where(keep & idle, xp.maximum(own_lots - child.lots, 0), 0),
        order_id=mine[..., spec.OWN_ORDER_ID],
        place=place,
        crosses=child.crosses,
        price_tick=child.price_tick,
        lots=xp.where(place, lots, 0),
    )


def child_messages(
    xp: ModuleType, plan: ChildPlan, side: Array, order_id: Array, arrival: tuple[Array, Array], owner: int
) -> Array:
    """Return the engine's messages int32[..., 2, 8]: DELETE or REDUCE, then IOC or POST_ONLY; NOP where there is none.

    A new child takes `order_id` int32[...]. `arrival` is the time (s, ns), int32[...] each, at the venue.
    """
    changes = plan.cancel | (plan.reduce_lots > 0)
    how = xp.where(plan.cancel, spec.DELETE, spec.REDUCE)
    kind = xp.where(plan.crosses, spec.IOC, spec.POST_ONLY)
    off = xp.maximum(plan.reduce_lots, 1)
    rows = [
        message_row(xp, changes, how, side, off, 0, plan.order_id, owner, arrival),
        message_row(xp, plan.place, kind, side, plan.lots, plan.price_tick, order_id, owner, arrival),
    ]
    return xp.stack(rows, axis=-2)


def _spread(xp: ModuleType, net_depth: Array) -> Array:
    bid_tick, ask_tick, _ = touch(xp, net_depth)
    return xp.maximum(ask_tick - bid_tick, 1)


def _child(xp: ModuleType, net_depth: Array, parent: ParentView, lots: Array, crosses: Array, ticks: Array) -> Child:
    bid_tick, ask_tick, both = touch(xp, net_depth)
    buys = parent.side == spec.BUY
    sign = xp.where(buys, 1, -1)
    rest = xp.where(buys, xp.minimum(bid_tick + ticks, ask_tick - 1), xp.maximum(ask_tick - ticks, bid_tick + 1))
    take = xp.where(buys, ask_tick, bid_tick) + sign * parent.cross_tick
    price_tick = xp.clip(xp.where(crosses, take, rest), -MAX_FEATURE_PRICE_TICK, MAX_FEATURE_PRICE_TICK)
    wanted = both & (lots > 0)
    return Child(wanted, crosses, price_tick.astype(xp.int32), xp.where(wanted, lots, 0).astype(xp.int32))
