"""The parent-order machine keeps its promises whatever fills, races, arrives late, goes stale or crosses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.execution import parent as po
from kernels.execution.algorithms import ALGORITHMS, make_instructions
from kernels.execution.almgren_chriss import ImpactParams
from kernels.execution.parent import ParentOrder
from kernels.execution.participation import start, step, step_cpu
from kernels.lob.spec import IOC, POST_ONLY
from tests.support.execution_venue import STEP_NS, Faults, Venue

END = 200 * STEP_NS
COMMON = {"side": 0, "parent_lots": 600, "start_ns": 5 * STEP_NS, "end_ns": END, "limit_price_tick": 1100}
OWN_FIELDS = {  # how a test builds each algorithm; a new algorithm brings its line
    "twap": {"slices": 20},
    "vwap": {"curve": [5, 1, 1, 2, 6]},
    "almgren_chriss": {"impact": ImpactParams(600.0, 1.0, 10, 1.0, 0.0, 0.0, 1e-3), "risk_aversion": 1e-2},
    "obizhaeva_wang": {"slices": 10, "resilience": 5.0},
    "pov": {"rate_ppm": 200_000},
    "iceberg": {"display_lots": 30, "display_jitter_lots": 10, "seed": 7},
    "limit_then_cross": {"patience_ns": 20 * STEP_NS},
}
ONE = po.RATE_ONE


def drive(instructions, venue, steps=260, check=lambda *_: None):
    """Run the machine against the venue; return the states, and (observation, request) of every step."""
    order, schedule = instructions
    state, states, trace = start(order), [], []
    for _ in range(steps):
        seen = venue.advance()
        before = state
        state, request = step(order, schedule, state, seen)
        check(order, before, state, seen, request)
        venue.take(request)
        states.append(state)
        trace.append((seen, request))
    return states, trace


def check_request(order, before, state, seen, request):
    """The promises of participation.py, written again for one step."""
    if request.action == po.NOTHING:
        return
    assert (request.action == po.CANCEL) == (request.kind == 0 and request.lots == 0)
    assert seen.child_state == (po.NO_CHILD if request.action == po.PLACE else po.RESTING)
    if request.action == po.CANCEL:
        return
    committed = seen.filled_lots + seen.working_lots
    added = request.lots - (seen.child_left_lots if request.action == po.REPLACE else 0)
    sign = 1 - 2 * order.side
    assert request.lots > 0 and request.lots % order.lot_step == 0 and request.lots <= order.child_cap_lots
    assert committed + added <= order.parent_lots
    assert sign * (order.limit_price_tick - request.price_tick) >= 0
    assert seen.book_valid == 1 and seen.best_bid_tick < seen.best_ask_tick
    assert 0 <= seen.now_ns - seen.book_ns <= order.max_age_ns
    if request.kind == POST_ONLY:
        opposite = seen.best_ask_tick if order.side == 0 else seen.best_bid_tick
        assert sign * (opposite - request.price_tick) >= 1
        assert order.start_ns <= seen.now_ns < order.end_ns
        if order.display_lots:
            assert (
                abs(request.lots - order.display_lots) <= order.display_jitter_lots or request.lots < order.display_lots
            )
    else:
        assert request.kind == IOC and (order.tactic != po.REST or state.status == po.FINISHING)
    if state.status == po.WORKING and added > 0:
        rate = order.rate_ppm if order.algorithm == po.POV else order.max_rate_ppm
        assert rate == ONE or ONE * (committed + added) <= rate * (state.market_lots + added)


ORDERS = st.fixed_dictionaries(
    {
        "side": st.integers(0, 1),
        "parent_lots": st.integers(1, 80).map(lambda n: 10 * n),
        "tactic": st.sampled_from([po.CROSS, po.REST, po.REST_THEN_CROSS]),
        "follow": st.integers(0, 1),
        "rest_offset_tick": st.integers(-2, 2),
        "patience_ns": st.integers(0, 30).map(lambda n: n * STEP_NS),
        "chase_tick": st.integers(0, 3),
        "cross_tick": st.integers(0, 2),
        "child_cap_lots": st.sampled_from([10, 50, 1000]),
        "min_child_lots": st.sampled_from([1, 5, 10]),
        "max_rate_ppm": st.sampled_from([300_000, 500_000, ONE]),
        "burst_lots": st.sampled_from([10, 100, 2**30]),
        "at_end": st.integers(0, 1),
        "pull_when_stale": st.integers(0, 1),
        "min_interval_ns": st.sampled_from([0, 3 * STEP_NS]),
        "use_replace": st.integers(0, 1),
    }
)
FAULTS = st.builds(
    Faults, *[st.sampled_from([0.0, 0.05, 0.3])] * 2, st.sampled_from([0.0, 0.0, 0.5]), st.sampled_from([0.0, 0.4])
)


@settings(max_examples=120, deadline=None)
@given(name=st.sampled_from(sorted(ALGORITHMS)), fields=ORDERS, faults=FAULTS, seed=st.integers(0, 2**32 - 1))
def test_no_request_breaks_a_promise_whatever_happens(name, fields, faults, seed):
    limit = 1010 if fields["side"] == 0 else 990
    instructions = make_instructions(
        name, **{**COMMON, **fields, "limit_price_tick": limit, "seed": 7, **OWN_FIELDS[name]}
    )
    order = instructions.parent
    venue = Venue(order, seed, faults)
    rate = order.rate_ppm if order.algorithm == po.POV else order.max_rate_ppm
    start_tape, burst_floor = None, 0

    def check(order, before, state, seen, request):
        nonlocal start_tape, burst_floor
        check_request(order, before, state, seen, request)
        again = step_cpu(order, instructions.schedule, before, seen)
        assert again[0] == state and again[1] == request
        if start_tape is None and state.has_base:
            start_tape = venue.seen_tape
        if start_tape is None:
            return
        clean = not faults.late_fill and po.FINISHING not in (state.status, before.status)
        if clean and seen.now_ns < order.end_ns and rate < ONE:
            assert ONE * venue.filled <= rate * (venue.tape - start_tape)
        added = request.lots if request.action == po.PLACE else 0
        committed = state.committed_lots
        burst_floor = min(burst_floor, ONE * committed - order.max_rate_ppm * state.market_lots)
        if clean:
            reached = ONE * (committed + added) - order.max_rate_ppm * state.market_lots
            assert reached - burst_floor <= ONE * order.burst_lots or added == 0

    states, trace = drive(instructions, venue, check=check)
    if not faults.late_fill:
        assert venue.filled <= order.parent_lots
    assert states[-1].status in (po.DONE, po.EXPIRED)
    assert trace[-1][0].child_state == po.NO_CHILD, "something still rests long after the end"


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
@pytest.mark.parametrize("side", [0, 1])
def test_every_algorithm_fills_its_parent_in_a_willing_market(name, side):
    limit = 1100 if side == 0 else 900
    fields = {**COMMON, "side": side, "limit_price_tick": limit, "at_end": po.FINISH, **OWN_FIELDS[name]}
    venue = Venue(ParentOrder(1, 0, 1, 0, 1, 0), 3, volume=60.0)
    states, _ = drive(make_instructions(name, **fields), venue)
    assert states[-1].status == po.DONE and venue.filled == 600


def test_leave_reports_the_rest_unfilled_and_cancels_it():
    fields = {**COMMON, "limit_price_tick": 900, **OWN_FIELDS["limit_then_cross"]}
    venue = Venue(ParentOrder(1, 0, 1, 0, 1, 0), 3, fill=0.0)
    states, trace = drive(make_instructions("limit_then_cross", **fields), venue)
    assert states[-1].status == po.EXPIRED and venue.filled == 0 and venue.state == po.NO_CHILD
    assert [r.action for _, r in trace if r.action] == [po.PLACE, po.CANCEL]


def test_registered_algorithms_are_all_under_test_and_an_unknown_one_is_refused():
    assert set(OWN_FIELDS) == set(ALGORITHMS)
    with pytest.raises(ValueError, match="twap"):
        make_instructions("sniper")
    with pytest.raises(ValueError, match="pov"):
        make_instructions("pov", **COMMON)


def test_the_same_facts_give_the_same_requests():
    order, schedule = make_instructions("iceberg", **COMMON, **OWN_FIELDS["iceberg"])
    venue = Venue(order, 9, Faults(0.1, 0.1, 0.3, 0.3))
    _, trace = drive((order, schedule), venue)
    state = start(order)
    for seen, request in trace:
        state, again = step(order, schedule, state, seen)
        assert again == request
    clips = [r.lots for _, r in trace if r.action == po.PLACE]
    assert len(set(clips)) > 3, "the iceberg shows one size"
    assert np.all(np.abs(np.array(clips[:-1]) - 30) <= 10)
