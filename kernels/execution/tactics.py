"""What child a parent order asks for: rest, move, enlarge, cross, or pull. Inner functions of `participation.step`.

Plain Python that numba compiles too. Prices are of others (without our orders); a resting child goes by the touch or
by the limit price, always one tick inside the opposite best; a cross is an IOC no deeper than `cross_tick` and never
beyond the limit price. Where a cross is due and the limit price does not reach the opposite touch, REST_THEN_CROSS
rests on, CROSS and a finishing parent wait.
"""

import numpy as np
from numba.extending import register_jitable

from kernels.execution.parent import (
    CANCEL,
    CROSS,
    FINISHING,
    NO_CHILD,
    NOTHING,
    PAUSED,
    PLACE,
    REPLACE,
    REST,
    RESTING,
    WORKING,
    ChildRequest,
)
from kernels.lob.philox import philox4x32
from kernels.lob.spec import BUY, IOC, MAX_ABS_PRICE_TICK, POST_ONLY


@register_jitable
def own_best(parent, seen):
    """Return the best price of the parent's own side, ticks."""
    return seen.best_bid_tick if parent.side == BUY else seen.best_ask_tick


@register_jitable
def request_child(parent, state, seen, status, clock_ns, due, waiting, since, price):
    """Return (ChildRequest, iceberg clips drawn so far) for `due` lots that wait `since` the touch was at `price`."""
    resting = seen.child_state == RESTING
    excess = seen.filled_lots + seen.working_lots > parent.parent_lots
    active = status in (WORKING, FINISHING)
    if excess or not active:
        keep = status == PAUSED and parent.pull_when_stale == 0 and not excess
        return _only(CANCEL if resting and not keep else NOTHING), state.num_clips
    recent = state.num_requests > 0 and clock_ns - state.last_request_ns < parent.min_interval_ns
    if recent or (seen.child_state != NO_CHILD and not resting):
        return _only(NOTHING), state.num_clips
    finishing = status == FINISHING
    crossing = finishing or parent.tactic == CROSS
    cross_tick, reaches = _cross_price(parent, seen)
    if reaches and (crossing or _patience_ends(parent, seen, clock_ns, waiting, since, price)):
        if resting:
            return _only(CANCEL), state.num_clips
        return (ChildRequest(PLACE, IOC, cross_tick, due) if due > 0 else _only(NOTHING)), state.num_clips
    if crossing:
        return _only(CANCEL if resting else NOTHING), state.num_clips
    return _rest(parent, state, seen, due)


@register_jitable
def _only(action):
    return ChildRequest(action, 0, 0, 0)


@register_jitable
def _patience_ends(parent, seen, clock_ns, waiting, since, price):
    if parent.tactic == REST or waiting == 0:
        return False
    toward = 1 if parent.side == BUY else -1
    away = (own_best(parent, seen) - price) * toward
    return clock_ns - since >= parent.patience_ns or (parent.chase_tick > 0 and away >= parent.chase_tick)


@register_jitable
def _cross_price(parent, seen):
    """Return the price of an IOC and whether it reaches the opposite touch within the limit price."""
    if parent.side == BUY:
        price = min(seen.best_ask_tick + parent.cross_tick, parent.limit_price_tick)
        return price, price >= seen.best_ask_tick
    price = max(seen.best_bid_tick - parent.cross_tick, parent.limit_price_tick)
    return price, price <= seen.best_bid_tick


@register_jitable
def _rest_price(parent, seen):
    """Return where a child rests: by the touch or the limit price, at least one tick inside the opposite best."""
    if parent.side == BUY:
        price = seen.best_bid_tick + parent.rest_offset_tick if parent.follow == 1 else parent.limit_price_tick
        return max(min(price, seen.best_ask_tick - 1, parent.limit_price_tick), -MAX_ABS_PRICE_TICK)
    price = seen.best_ask_tick - parent.rest_offset_tick if parent.follow == 1 else parent.limit_price_tick
    return min(max(price, seen.best_bid_tick + 1, parent.limit_price_tick), MAX_ABS_PRICE_TICK)


@register_jitable
def _rest(parent, state, seen, due):
    """Keep, move, enlarge or place the resting child; return (request, iceberg clips drawn so far)."""
    price = _rest_price(parent, seen)
    if seen.child_state == NO_CHILD:
        lots = min(due, clip_lots(parent, state.num_clips))
        if lots <= 0:
            return _only(NOTHING), state.num_clips
        return ChildRequest(PLACE, POST_ONLY, price, lots), state.num_clips + 1
    left = seen.child_left_lots
    # A child keeps its place in the queue while it has at least half of what should rest; a clip of an iceberg, until
    # its refresh rule says so.
    renew = (due > 0 and left <= parent.refresh_lots) if parent.display_lots > 0 else due > left
    if seen.child_price_tick == price and not renew:
        return _only(NOTHING), state.num_clips
    if parent.use_replace == 0 or left == 0:
        return _only(CANCEL), state.num_clips
    # An atomic replace frees the child's own lots within it.
    lots, clips = left, state.num_clips
    if renew:
        lots, clips = min(left + due, clip_lots(parent, clips), parent.child_cap_lots), clips + 1
    return ChildRequest(REPLACE, POST_ONLY, price, lots), clips


@register_jitable
def clip_lots(parent, clip):
    """Return what clip number `clip` shows: the display size with its jitter, in whole steps; no iceberg: the cap."""
    if parent.display_lots == 0:
        return parent.child_cap_lots
    word = philox4x32(parent.seed, parent.parent_number, clip, 0)[0]
    jitter = int(np.int64(word)) % (2 * parent.display_jitter_lots + 1) - parent.display_jitter_lots
    lots = (parent.display_lots + jitter) // parent.lot_step * parent.lot_step
    return min(max(lots, parent.lot_step), parent.child_cap_lots)
