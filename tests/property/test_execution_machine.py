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
from kernels.execution.tactics import clip_lots
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
        touch = seen.best_ask_tick if order.side == 0 else seen.best_bid_tick
        assert 0 <= sign * (request.price_tick - touch) <= order.cross_tick
        assert request.kind == IOC and (order.tactic != po.REST or state.status == po.FINISHING)
    if state.status == po.WORKING and added > 0:
        rate = order.rate_ppm if order.algorithm == po.POV else order.max_rate_ppm
        assert rate == ONE or ONE * (committed + added) <= rate * (state.market_lots + added)


ORDERS = st.fixed_dictionaries(
    {
        "side": st.integers(0, 1),
        "room": st.sampled_from([2, 10]),
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
    Faults,
    *[st.sampled_from([0.0, 0.05, 0.3])] * 2,
    st.sampled_from([0.0, 0.0, 0.5]),
    *[st.sampled_from([0.0, 0.4])] * 2,
)


@settings(max_examples=120, deadline=None)
@given(name=st.sampled_from(sorted(ALGORITHMS)), fields=ORDERS, faults=FAULTS, seed=st.integers(0, 2**32 - 1))
def test_no_request_breaks_a_promise_whatever_happens(name, fields, faults, seed):
    limit = 1000 + fields.pop("room") * (1 - 2 * fields["side"])
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


SEEN = po.Observation(1, 1, 1, 100, 102, 0, 0, 0)
LIMIT_ORDER = make_instructions(
    "limit_then_cross", side=0, parent_lots=50, start_ns=0, end_ns=1000, limit_price_tick=110, patience_ns=100
)


def steps_through(instructions, facts):
    """Return the requests along a row of changed facts, from the machine's start."""
    order, schedule = instructions
    state, requests = start(order), []
    for change in facts:
        state, request = step(order, schedule, state, SEEN._replace(**change))
        requests.append(request)
    return requests, state


def resting(lots, filled=0, price=100, now=1, **more):
    return {
        "child_state": po.RESTING,
        "child_price_tick": price,
        "child_left_lots": lots,
        "working_lots": lots,
        "filled_lots": filled,
        "now_ns": now,
        "book_ns": now,
        **more,
    }


def test_a_late_fill_of_a_dead_child_pulls_the_excess_before_anything_else():
    facts = [{}, resting(50), resting(50, filled=5), {"filled_lots": 5, "now_ns": 2, "book_ns": 2}]
    requests, state = steps_through(LIMIT_ORDER, facts)
    assert [r.action for r in requests] == [po.PLACE, po.NOTHING, po.CANCEL, po.PLACE]
    assert requests[3].lots == 45 and state.num_requests == 3


def test_a_resting_child_moves_with_the_touch_by_cancel_or_by_the_venues_replace():
    away = resting(50, best_bid_tick=101, best_ask_tick=103)
    assert steps_through(LIMIT_ORDER, [{}, away])[0][1].action == po.CANCEL
    replacing = LIMIT_ORDER._replace(parent=LIMIT_ORDER.parent._replace(use_replace=1))
    assert steps_through(replacing, [{}, away])[0][1] == po.ChildRequest(po.REPLACE, POST_ONLY, 101, 50)


def test_patience_and_a_runaway_price_cross_what_is_left():
    late = [{}, resting(30, filled=20, now=100), resting(30, filled=20, now=101)]
    done = {"filled_lots": 20, "now_ns": 102, "book_ns": 102}
    requests, _ = steps_through(LIMIT_ORDER, [*late, done])
    assert [r.action for r in requests] == [po.PLACE, po.NOTHING, po.CANCEL, po.PLACE]
    assert requests[3] == po.ChildRequest(po.PLACE, IOC, 102, 30)
    chasing = LIMIT_ORDER._replace(parent=LIMIT_ORDER.parent._replace(chase_tick=3, follow=0, limit_price_tick=101))
    chased = LIMIT_ORDER._replace(parent=LIMIT_ORDER.parent._replace(chase_tick=3))
    run = [{}, resting(50), resting(50, now=2, best_bid_tick=103, best_ask_tick=105), {"now_ns": 3, "book_ns": 3}]
    assert steps_through(chased, run)[0][2].action == po.CANCEL
    # Beyond the limit price there is nothing to cross: the child rests on.
    assert (
        steps_through(
            chasing, [run[0], resting(50, price=101), resting(50, 0, 101, 2, best_bid_tick=104, best_ask_tick=106)]
        )[0][2].action
        == po.NOTHING
    )


def test_stale_data_pulls_the_child_and_a_senseless_observation_moves_no_clock():
    order, schedule = LIMIT_ORDER
    state, request = step(order, schedule, start(order), SEEN)
    assert request.action == po.PLACE
    for change in (
        {"book_valid": 0},
        {"book_ns": -2_000_000_000},
        {"book_ns": 5},
        {"best_bid_tick": 102},
        {"best_ask_tick": 2**40},
        {"now_ns": 2**62 + 1},
        {"now_ns": -1},
        {"filled_lots": -1},
        {"market_lots": 2**41},
        {"child_state": 9},
    ):
        seen = SEEN._replace(**{**resting(50), **change})
        after, request = step(order, schedule, state, seen)
        assert after.status == po.PAUSED and after.clock_ns == 1, change
        assert request.action == (po.CANCEL if seen.child_state == po.RESTING else po.NOTHING)


def test_stop_is_for_good_and_too_many_fills_are_done():
    requests, state = steps_through(LIMIT_ORDER, [{}, resting(50, stop=1), {"now_ns": 5, "book_ns": 5}])
    assert [r.action for r in requests] == [po.PLACE, po.CANCEL, po.NOTHING] and state.status == po.STOPPED
    _, state = steps_through(LIMIT_ORDER, [{}, {"filled_lots": 51}])
    assert state.status == po.DONE


def test_clips_are_uniform_over_the_jitter_and_depend_on_seed_parent_and_number():
    order = make_instructions("iceberg", **COMMON, display_lots=30, display_jitter_lots=10, seed=3).parent
    clips = np.array([clip_lots(order, k) for k in range(21_000)])
    counts = np.bincount(clips - 20, minlength=21)
    assert len(counts) == 21 and np.square(counts - 1_000).sum() / 1_000 < 45.3  # chi-square, 20 degrees, 0.1 %
    for change in ({"seed": 4}, {"parent_number": 1}):
        other = [clip_lots(order._replace(**change), k) for k in range(100)]
        assert not np.array_equal(other, clips[:100])
    stepped = order._replace(lot_step=4, parent_lots=600, child_cap_lots=32)
    assert {clip_lots(stepped, k) for k in range(500)} == {20, 24, 28, 32}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"side": 2}, "side"),
        ({"side": True}, "side"),
        ({"parent_lots": 1.5}, "parent_lots"),
        ({"end_ns": 0}, "end_ns"),
        ({"end_ns": 3}, "slices"),
        ({"lot_step": 7}, "lot_step"),
        ({"child_cap_lots": 0}, "child_cap_lots"),
        ({"min_child_lots": 50, "burst_lots": 10}, "burst_lots"),
        ({"slices": 0}, "num_slices"),
        ({"colour": 1}, "colour"),
        ({"display_lots": 5, "display_jitter_lots": 5}, "display_jitter_lots"),
        ({"finish_ns": 2**62}, "finish_ns"),
    ],
)
def test_a_parent_that_makes_no_sense_is_refused_by_name(change, name):
    with pytest.raises(ValueError, match=name):
        make_instructions("twap", **{**COMMON, "start_ns": 0, "slices": 4, **change})


def test_a_schedule_must_end_at_the_parent_and_a_pov_rate_stay_below_its_cap():
    with pytest.raises(ValueError, match="schedule"):
        po.check_parent(LIMIT_ORDER.parent, [50])
    with pytest.raises(ValueError, match="schedule"):
        po.check_parent(LIMIT_ORDER.parent._replace(algorithm=po.SCHEDULE), [10, 40])
    with pytest.raises(ValueError, match="rate_ppm"):
        make_instructions("pov", **COMMON, rate_ppm=300_000, max_rate_ppm=200_000)
    with pytest.raises(ValueError, match="display_lots"):
        make_instructions("iceberg", **COMMON, display_lots=0)


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
    assert np.all(np.abs(np.array(clips[:10]) - 30) <= 10)
