"""The parent-order machine: schedules, POV, icebergs and limit-then-cross as one pure function of integers.

`step` is plain Python, `step_cpu` the same text compiled by numba; types and fields are in `parent.py`, what a child
looks like in `tactics.py`, parent orders by name in `algorithms.py`. Each step:
1. time and tape advance (neither ever runs backwards); unfilled due lots start the patience clock;
2. the status follows from time, fills and the quality of the data;
3. an excess (a late fill of a child thought dead) or a terminal or paused status cancels the resting child; else due
   lots are worked by the tactic, one child at a time.

Promises, for every order of fills, acknowledgements and cancels (C = filled + working lots, counted when placed):
- a request is made only if C + lots <= parent_lots, so without late fills no more than the parent is ever live; after
  a late fill the excess is pulled first;
- no child is beyond child_cap_lots, the display size, or the limit price; a post-only child is inside the touch;
- participation, R = rate of POV, else max_rate_ppm: lots are placed only while C + lots <= R (V + lots), V the tape
  since the start. Whatever then fills, own fills <= R V at every moment, because own fills are on the tape too (and
  where a tape leaves them out, own fills <= R (V + own fills));
- catching up: over any interval C grows by at most burst_lots + max_rate_ppm x (growth of V). After a pause the first
  burst is bounded, and the rest follows at the capped rate;
- no request but a cancel on stale, gapped or crossed data; after the end only FINISH trades, and then only crosses.
A tail smaller than lot_step is never sent. A tape that is reset counts again when it has passed its old value.
"""

from typing import Any

from numba import njit
from numba.extending import register_jitable

from kernels.execution.parent import (
    CHILD_STATES,
    DONE,
    EXPIRED,
    FINISH,
    FINISHING,
    MAX_MARKET_LOTS,
    MAX_TIME_NS,
    NOTHING,
    PAUSED,
    POV,
    RATE_ONE,
    SCHEDULE,
    STOPPED,
    WAITING,
    WORKING,
    ExecutionState,
    Observation,
    ParentOrder,
)
from kernels.execution.tactics import own_best, request_child
from kernels.lob.spec import IOC, MAX_ABS_PRICE_TICK


def start(parent: ParentOrder) -> ExecutionState:
    """Return the machine's state before its first step."""
    return ExecutionState(tokens_ppm=parent.burst_lots * RATE_ONE)


def step(parent: ParentOrder, schedule: Any, state: ExecutionState, seen: Observation) -> Any:
    """Return (next ExecutionState, ChildRequest): at most one request a step.

    `parent` and `schedule` int64[N] are as `check_parent` accepted and returned them. Cost: O(1).
    """
    sane = _sane(seen)
    clock_ns = max(state.clock_ns, seen.now_ns) if sane else state.clock_ns
    status = _status(parent, state, seen, clock_ns, sane)
    has_base, base, market, tokens, committed = _account(parent, state, seen, status, sane)
    due = _due_lots(parent, schedule, seen, status, clock_ns, market, tokens)
    waiting, since, price = 0, state.waiting_since_ns, state.waiting_price_tick
    if status == WORKING and seen.working_lots + due > 0:
        waiting = 1
        if state.is_waiting == 0:
            since, price = clock_ns, own_best(parent, seen)
    request, clips = request_child(parent, state, seen, status, clock_ns, due, waiting, since, price)
    last_ns, requests = state.last_request_ns, state.num_requests
    if request.action != NOTHING:
        last_ns, requests = clock_ns, requests + 1
        if request.kind == IOC:
            waiting = 0  # patience starts anew for what the cross leaves
    memory = ExecutionState(
        status, clock_ns, has_base, base, market, committed, tokens, waiting, since, price, clips, last_ns, requests
    )
    return memory, request


@register_jitable
def _sane(seen):
    lots_valid = (
        0 <= seen.filled_lots <= MAX_MARKET_LOTS
        and 0 <= seen.working_lots <= MAX_MARKET_LOTS
        and 0 <= seen.market_lots <= MAX_MARKET_LOTS
        and 0 <= seen.child_left_lots <= MAX_MARKET_LOTS
    )
    return lots_valid and 0 <= seen.child_state < CHILD_STATES and 0 <= seen.now_ns <= MAX_TIME_NS


@register_jitable
def _fresh(parent, seen):
    age_ns = seen.now_ns - seen.book_ns
    return (
        seen.book_valid == 1
        and 0 <= age_ns <= parent.max_age_ns
        and -MAX_ABS_PRICE_TICK <= seen.best_bid_tick < seen.best_ask_tick <= MAX_ABS_PRICE_TICK
    )


@register_jitable
def _status(parent, state, seen, clock_ns, sane):
    after_end = clock_ns >= parent.end_ns
    if sane and seen.filled_lots >= parent.parent_lots:
        return DONE
    if seen.stop != 0 or state.status == STOPPED:
        return STOPPED
    if clock_ns < parent.start_ns:
        return WAITING
    if after_end and (parent.at_end != FINISH or clock_ns >= parent.end_ns + parent.finish_ns):
        return EXPIRED
    if not (sane and _fresh(parent, seen)):
        return PAUSED
    return FINISHING if after_end else WORKING


@register_jitable
def _account(parent, state, seen, status, sane):
    """Return (the tape's start is known, it, tape since, burst tokens, committed); unchanged on senseless facts."""
    base, market, tokens = state.base_market_lots, state.market_lots, state.tokens_ppm
    if not sane:
        return state.has_base, base, market, tokens, state.committed_lots
    if state.has_base == 0:
        base = seen.market_lots  # the first step at or after the start is where the tape begins
    market = max(market, seen.market_lots - base)
    committed = seen.filled_lots + seen.working_lots
    tokens += parent.max_rate_ppm * (market - state.market_lots) - RATE_ONE * (committed - state.committed_lots)
    has_base = 0 if status == WAITING else 1
    return has_base, base, market, min(tokens, parent.burst_lots * RATE_ONE), committed


@register_jitable
def _participation_lots(rate_ppm, market_lots, committed_lots):
    """Return the most lots with committed + lots <= rate (market + lots), for a rate below one."""
    room = rate_ppm * market_lots - RATE_ONE * committed_lots
    return max(room, 0) // (RATE_ONE - rate_ppm)


@register_jitable
def _due_lots(parent, schedule, seen, status, clock_ns, market_lots, tokens_ppm):
    """Return the lots that a new child may have now, 0 where they should wait."""
    committed = seen.filled_lots + seen.working_lots
    left = max(parent.parent_lots - committed, 0)
    if status not in (WORKING, FINISHING):
        return 0
    lots = min(left, parent.child_cap_lots)
    if status == WORKING:
        if parent.algorithm == SCHEDULE:
            slice_ns = (parent.end_ns - parent.start_ns) // schedule.shape[0]
            k = min((clock_ns - parent.start_ns) // slice_ns, schedule.shape[0] - 1)
            lots = min(lots, int(schedule[k]) - committed)
        rate = parent.rate_ppm if parent.algorithm == POV else parent.max_rate_ppm
        if rate < RATE_ONE:
            lots = min(lots, _participation_lots(rate, market_lots, committed))
        lots = min(lots, max(tokens_ppm, 0) // RATE_ONE)
    lots = max(lots, 0) // parent.lot_step * parent.lot_step
    # A small child waits for more, unless there will never be more.
    return 0 if lots < min(parent.min_child_lots, left) else lots


# The same text compiled: same arguments, same results.
step_cpu: Any = njit(nogil=True)(step)
