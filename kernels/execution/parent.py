"""A parent order under way: what it is told, what it remembers, what it sees, what it asks for. Integers only.

`participation.step(parent, schedule, state, seen) -> (state, request)` is the machine; this module holds its types and
checks. The machine has no clock and no random state: time, tape and order facts come in `Observation`, and an iceberg's
sizes come from Philox with key (seed, parent_number) and counter (clip number).

`Observation` states facts, not events, so a duplicated, reordered or missing event changes nothing once the order
manager knows better: all fills that ever were, and all lots that may still fill at their worst (unknown, in flight and
pending-cancel children in full). A late fill of a child that was thought dead simply appears in `filled_lots`.
"""

from typing import Any, Final, NamedTuple

import numpy as np

from kernels.lob.spec import IOC, MAX_ABS_PRICE_TICK, MAX_LOTS, POST_ONLY

RATE_ONE: Final = 1_000_000  # rates are parts per million
MAX_MARKET_LOTS: Final = 2**40  # times RATE_ONE holds in int64
MAX_TIME_NS: Final = 2**62

# Algorithms: how many lots are due now.
SCHEDULE: Final = 1  # the cumulative schedule (TWAP, VWAP, Almgren-Chriss, Obizhaeva-Wang), slice by slice
POV: Final = 2  # `rate_ppm` of the volume on the tape since the start, own fills included
ALL: Final = 3  # everything at once: an iceberg with `display_lots`, limit-then-cross with REST_THEN_CROSS

# Tactics: how due lots are worked.
CROSS: Final = 1  # IOC through the opposite touch
REST: Final = 2  # post-only
REST_THEN_CROSS: Final = 3  # post-only, and IOC when patience ends or the price runs away

# At the end of the horizon.
LEAVE: Final = 0  # cancel and report the rest unfilled
FINISH: Final = 1  # cross the rest for up to `finish_ns`: beyond the participation cap, within limit and child cap

# Status of a parent order.
WAITING: Final = 0  # before start_ns
WORKING: Final = 1
PAUSED: Final = 2  # the book is stale, gapped or crossed, or the observation makes no sense: no new child
FINISHING: Final = 3  # past end_ns with FINISH
DONE: Final = 4  # filled
EXPIRED: Final = 5  # past the end, unfilled
STOPPED: Final = 6  # told to stop
STATUS_NAMES: Final = ("waiting", "working", "paused", "finishing", "done", "expired", "stopped")

# The one live child.
NO_CHILD: Final = 0
IN_FLIGHT: Final = 1  # sent and not answered, or of unknown outcome
RESTING: Final = 2
CHANGING: Final = 3  # a cancel or replace is under way
CHILD_STATES: Final = 4

# Requests.
NOTHING: Final = 0
PLACE: Final = 1
CANCEL: Final = 2
# Atomic replace of the resting child: `lots` is what it may fill from this observation on. The driver sends the child's
# fills as seen + lots as the order's size and uses it only where a venue counts earlier fills against that size (FIX
# OrderQty); elsewhere a fill that races with the replace would add to it, so use_replace stays 0.
REPLACE: Final = 3
KINDS: Final = (POST_ONLY, IOC)


class ParentOrder(NamedTuple):
    """The task. `check_parent` says what is valid."""

    algorithm: int  # SCHEDULE, POV or ALL
    side: int  # 0 BUY, 1 SELL
    parent_lots: int  # a multiple of lot_step
    start_ns: int  # event time
    end_ns: int
    limit_price_tick: int  # no child is ever worse than this
    tactic: int = REST_THEN_CROSS
    follow: int = 1  # 1: a resting child follows the touch, 0: it rests at the limit price
    rest_offset_tick: int = 0  # resting price from the best price of our side, positive towards the opposite side
    patience_ns: int = 10_000_000_000  # REST_THEN_CROSS crosses lots that rested this long
    chase_tick: int = 0  # REST_THEN_CROSS crosses at once when the touch moved this far away; 0: never
    cross_tick: int = 0  # an IOC may go this far through the opposite touch
    child_cap_lots: int = MAX_LOTS  # largest child
    min_child_lots: int = 1  # fewer due lots wait, unless they are the last of the parent
    lot_step: int = 1
    rate_ppm: int = 100_000  # POV: share of the volume that is the target
    max_rate_ppm: int = RATE_ONE  # no algorithm's share of the volume exceeds this; RATE_ONE: no cap
    burst_lots: int = MAX_LOTS  # catching up: at most this beyond max_rate_ppm of the volume, over any interval
    display_lots: int = 0  # iceberg: mean size shown; 0: no iceberg
    display_jitter_lots: int = 0  # uniform within +- this, drawn a clip
    refresh_lots: int = 0  # iceberg: a clip with at most this left is replaced by the next; 0: when it is gone
    at_end: int = LEAVE
    finish_ns: int = 5_000_000_000
    max_age_ns: int = 1_000_000_000  # a book older than this, or from the future, is stale
    pull_when_stale: int = 1  # 1: the resting child is cancelled on stale data
    min_interval_ns: int = 0  # between two requests; cancels for safety do not wait
    use_replace: int = 0  # 1: the venue replaces atomically
    seed: int = 0
    parent_number: int = 0


class ExecutionState(NamedTuple):
    """The machine's memory."""

    status: int = WAITING
    clock_ns: int = 0  # latest event time seen; time never runs backwards
    has_base: int = 0  # 1: the tape's start is known
    base_market_lots: int = 0  # tape at the start
    market_lots: int = 0  # tape since the start
    committed_lots: int = 0  # filled + working at the last step
    tokens_ppm: int = 0  # burst left, lots x RATE_ONE
    is_waiting: int = 0  # 1: due lots are not filled; the two fields below hold
    waiting_since_ns: int = 0
    waiting_price_tick: int = 0  # best price of our side then
    num_clips: int = 0  # iceberg clips drawn
    last_request_ns: int = 0
    num_requests: int = 0


class Observation(NamedTuple):
    """What is true now."""

    now_ns: int  # event time
    book_ns: int  # event time of the book
    book_valid: int  # 1: whole and two-sided
    best_bid_tick: int  # best prices of others: without our own orders, or a child would chase itself
    best_ask_tick: int
    market_lots: int  # tape: lots traded by anybody since the session began, own fills included
    filled_lots: int  # all fills of this parent, late ones too
    working_lots: int  # lots of all its children that may still fill, at their worst
    child_state: int = NO_CHILD  # of the child that this machine placed last
    child_price_tick: int = 0
    child_left_lots: int = 0
    stop: int = 0  # 1: stop for good


class ChildRequest(NamedTuple):
    """At most one request a step; step again when it has changed the facts."""

    action: int = NOTHING
    kind: int = 0  # POST_ONLY or IOC of kernels/lob/spec.py where action is PLACE or REPLACE
    price_tick: int = 0
    lots: int = 0


_RANGES: Final = {
    "algorithm": (SCHEDULE, ALL),
    "side": (0, 1),
    "parent_lots": (1, MAX_LOTS),
    "start_ns": (0, MAX_TIME_NS),
    "end_ns": (1, MAX_TIME_NS),
    "limit_price_tick": (-MAX_ABS_PRICE_TICK, MAX_ABS_PRICE_TICK),
    "tactic": (CROSS, REST_THEN_CROSS),
    "follow": (0, 1),
    "rest_offset_tick": (-MAX_ABS_PRICE_TICK, MAX_ABS_PRICE_TICK),
    "patience_ns": (0, MAX_TIME_NS),
    "chase_tick": (0, MAX_ABS_PRICE_TICK),
    "cross_tick": (0, MAX_ABS_PRICE_TICK),
    "child_cap_lots": (1, MAX_LOTS),
    "min_child_lots": (1, MAX_LOTS),
    "lot_step": (1, MAX_LOTS),
    "rate_ppm": (1, RATE_ONE - 1),
    "max_rate_ppm": (1, RATE_ONE),
    "burst_lots": (1, MAX_LOTS),
    "display_lots": (0, MAX_LOTS),
    "display_jitter_lots": (0, MAX_LOTS),
    "refresh_lots": (0, MAX_LOTS),
    "at_end": (LEAVE, FINISH),
    "finish_ns": (0, MAX_TIME_NS),
    "max_age_ns": (0, MAX_TIME_NS),
    "pull_when_stale": (0, 1),
    "min_interval_ns": (0, MAX_TIME_NS),
    "use_replace": (0, 1),
    "seed": (0, 2**32 - 1),
    "parent_number": (0, 2**32 - 1),
}


def check_parent(parent: ParentOrder, schedule: Any = ()) -> np.ndarray:
    """Return the schedule as int64[N] (one zero where the algorithm has none); ValueError names the wrong field.

    `schedule`: cumulative lots due from the start of each of N equal slices; ascending, ends at parent_lots.
    """
    for field, (low, high) in _RANGES.items():
        value = getattr(parent, field)
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
            raise ValueError(f"{field} {value!r} is not an integer in {low}..{high}")
    _check_sizes(parent)
    if parent.algorithm != SCHEDULE:
        if len(schedule):
            raise ValueError("schedule is given and algorithm is not SCHEDULE")
        return np.zeros(1, np.int64)
    lots = np.array(schedule)
    valid = lots.ndim == 1 and lots.size > 0 and lots.dtype.kind in "iu"
    if not (valid and lots[0] >= 0 and np.all(np.diff(lots) >= 0) and lots[-1] == parent.parent_lots):
        raise ValueError(f"schedule is not a row of integers ascending to parent_lots {parent.parent_lots}")
    if parent.end_ns - parent.start_ns < lots.size:
        raise ValueError(f"schedule has {lots.size} slices in {parent.end_ns - parent.start_ns} ns")
    return lots.astype(np.int64)


def _check_sizes(parent: ParentOrder) -> None:
    if parent.end_ns <= parent.start_ns:
        raise ValueError(f"end_ns {parent.end_ns} is not after start_ns {parent.start_ns}")
    if parent.end_ns + parent.finish_ns > MAX_TIME_NS:
        raise ValueError(f"finish_ns {parent.finish_ns} after end_ns {parent.end_ns} passes {MAX_TIME_NS}")
    for field in ("parent_lots", "min_child_lots", "child_cap_lots"):
        if getattr(parent, field) % parent.lot_step:
            raise ValueError(f"{field} {getattr(parent, field)} is not a multiple of lot_step {parent.lot_step}")
    for field in ("child_cap_lots", "burst_lots"):
        if getattr(parent, field) < parent.min_child_lots:
            raise ValueError(f"{field} {getattr(parent, field)} is below min_child_lots {parent.min_child_lots}")
    if parent.algorithm == POV and parent.rate_ppm > parent.max_rate_ppm:
        raise ValueError(f"rate_ppm {parent.rate_ppm} is above max_rate_ppm {parent.max_rate_ppm}")
    if parent.display_lots and parent.display_lots - parent.display_jitter_lots < parent.min_child_lots:
        raise ValueError(
            f"display_jitter_lots {parent.display_jitter_lots} can shrink display_lots {parent.display_lots} below"
            f" min_child_lots {parent.min_child_lots}"
        )
