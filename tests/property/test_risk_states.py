"""System-level state machines over arbitrary sequences of events: what leads back to trading, and what never does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.risk import spec, states
from kernels.risk.states import (
    BY_A_PERSON,
    KILL_TRANSITIONS,
    TRADING,
    TRANSITIONS,
    Breaker,
    BreakerLimits,
    BreakerState,
    KillEvent,
    KillState,
    Standing,
    TradingEvent,
    advance,
    advance_kill,
    effective,
)
from tests.support.risk_worlds import CANCEL, NEW, both, check_worst_case, order, random_intents, random_world

EVENTS = st.lists(st.tuples(st.sampled_from(TradingEvent), st.booleans()), max_size=30)


def stand(standing: Standing, events: list[tuple[TradingEvent, bool]]) -> list[Standing]:
    """Return every standing on the way; what is not allowed changes nothing."""
    way = [standing]
    for event, by_person in events:
        way.append(advance(way[-1], event, by_person) or way[-1])
    return way


@given(st.sampled_from(Standing), EVENTS)
def test_only_a_persons_resume_leads_to_active(standing, events):
    way = stand(standing, events)
    for before, after, (event, by_person) in zip(way, way[1:], events, strict=False):
        if after == Standing.ACTIVE and before != Standing.ACTIVE:
            assert (event, by_person) == (TradingEvent.RESUME, True)


@given(st.sampled_from(Standing), EVENTS)
def test_after_a_kill_a_scope_is_halted_or_reduces_until_a_person_resumes(standing, events):
    after = advance(standing, TradingEvent.KILL)
    assert after == Standing.HALTED
    rest = [event for event in events if event != (TradingEvent.RESUME, True)]
    assert all(TRADING[each] != spec.ACTIVE for each in stand(Standing.HALTED, rest))


def test_the_table_is_whole_where_it_must_be_and_every_standing_has_a_trading_state():
    assert set(TRADING) == set(Standing)
    assert {TRADING[each] for each in Standing} == {spec.ACTIVE, spec.REDUCE_ONLY, spec.HALTED}
    for standing in Standing:
        for event in (
            TradingEvent.KILL,
            TradingEvent.FAIL,
            TradingEvent.FLATTEN,
            TradingEvent.TRIP,
            TradingEvent.RESUME,
        ):
            assert (standing, event) in TRANSITIONS
    for (standing, event), after in TRANSITIONS.items():
        if event not in BY_A_PERSON and event not in (TradingEvent.FLATTEN, TradingEvent.FLAT):
            assert TRADING[after] >= TRADING[standing], f"{event.name} loosens {standing.name}"
    for event in BY_A_PERSON:
        assert all(advance(standing, event, by_person=False) is None for standing in Standing)


@given(st.lists(st.sampled_from([1, 2, 3, 0, -1, 7]), max_size=5))
def test_the_most_restrictive_state_holds_and_nonsense_halts(tradings):
    expected = spec.HALTED if not tradings or set(tradings) - {1, 2} else max(tradings)
    assert effective(tradings) == expected


@given(st.lists(st.sampled_from(KillEvent), max_size=20))
def test_a_kill_is_confirmed_only_by_zero_open_orders_after_it(events):
    state, killed, last = KillState.IDLE, False, None
    for event in events:
        before, state = state, advance_kill(state, event)
        killed = event == KillEvent.KILL or (killed and event != KillEvent.RESUME)
        if event in (KillEvent.ZERO_OPEN, KillEvent.STILL_OPEN, KillEvent.KILL):
            last = event
        if state == KillState.CONFIRMED:
            assert killed
            assert last == KillEvent.ZERO_OPEN
        assert (state == KillState.IDLE) == (not killed)
        assert before == state or (before, event) in KILL_TRANSITIONS


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False), EVENTS, EVENTS, st.sampled_from(["strategy", "venue", "firm"]))
def test_after_a_kill_nothing_but_reducing_orders_and_cancels_passes_the_gate_in_every_state(rng, before, after, level):
    """Strategy, venue and firm each live through arbitrary events; one of them is killed on the way."""
    here = random_world(rng)
    rest = [event for event in after if event != (TradingEvent.RESUME, True)]
    killed = stand(advance(stand(Standing.ACTIVE, before)[-1], TradingEvent.KILL) or Standing.HALTED, rest)
    rows = {"strategy": here["strategies"], "venue": here["venues"], "firm": [here["firm"]]}[level]
    for standing in killed:
        for row in rows:
            row["trading"] = TRADING[standing]
        intents = [*random_intents(rng, here), order(side=rng.randint(0, 1)), order(kind=CANCEL)]
        reasons = both(intents, here)
        passed = [each for each, why in zip(intents, reasons, strict=True) if why == "OK" and each["kind"] != CANCEL]
        assert standing != Standing.HALTED or not passed
        check_worst_case(here, passed)
        for each in passed:
            places = {"strategy": ("strategies", each["strategy"]), "venue": ("venues", each["venue"])}
            position = here["cells"][(*places.get(level, ("firm", 0)), each["instrument"])]["position_lots"]
            assert position * (1 - 2 * each["side"]) < 0, "it does not reduce"
        assert all(why == "OK" for each, why in zip(intents, reasons, strict=True) if each["kind"] == CANCEL)
    assert NEW == 1


LIMITS = BreakerLimits(spike_bps=1_000, reference_interval_ns=100, max_rejects=3, reject_window_ns=50, max_slow=2)


def test_a_price_spike_opens_its_breaker_at_one_unit_beyond_and_the_reference_does_not_follow_it():
    state, tripped = states.note_mid(BreakerState(), LIMITS, 20_000, 0)
    assert tripped is None
    state, tripped = states.note_mid(state, LIMITS, 22_000, 50)  # 1,000 bps, exactly the limit
    assert tripped is None
    assert states.note_mid(state, LIMITS, 22_001, 60)[1].breaker == Breaker.PRICE_SPIKE  # type: ignore[union-attr]
    state, tripped = states.note_mid(state, LIMITS, 17_999, 200)
    assert tripped is not None
    assert state.reference_tick_x2 == 20_000
    assert states.note_mid(state, LIMITS, 17_999, 300) == (state, None), "open already: said once"
    moved, tripped = states.note_mid(BreakerState(reference_tick_x2=20_000, reference_ns=0), LIMITS, 21_000, 100)
    assert (moved.reference_tick_x2, moved.reference_ns, tripped) == (21_000, 100, None)


def test_a_reject_storm_counts_within_its_window():
    state, tripped = BreakerState(), None
    for at in (0, 30, 60):
        state, tripped = states.note_reject(state, LIMITS, at)
    assert tripped is None, "the first is out of the window"
    state, tripped = states.note_reject(state, LIMITS, 79)
    assert tripped is not None
    assert tripped.breaker == Breaker.REJECT_STORM


def test_latency_counts_in_a_row_silence_by_its_length_and_repeats_by_side():
    slow = LIMITS.max_latency_ns + 1
    state, _ = states.note_latency(BreakerState(), LIMITS, slow)
    state, tripped = states.note_latency(state, LIMITS, LIMITS.max_latency_ns)
    assert (state.slow, tripped) == (0, None)
    for _ in range(2):
        state, tripped = states.note_latency(state, LIMITS, slow)
    assert tripped is not None
    assert states.note_silence(state, LIMITS, LIMITS.max_silence_ns)[1] is None
    assert states.note_silence(state, LIMITS, LIMITS.max_silence_ns + 1)[1].breaker == Breaker.DISCONNECT  # type: ignore[union-attr]
    state, tripped = BreakerState(), None
    for side in (0, 0, 1, 1):
        state, tripped = states.note_execution(state, side, 3)
    assert tripped is None
    state, tripped = states.note_execution(state, 1, 3)
    assert tripped is not None
    assert states.note_execution(state, 0, 3)[0].run == 4, "once closed, the other side does not open it"
    assert states.reset(state) == BreakerState()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 400)), max_size=60))
def test_an_open_breaker_stays_open_whatever_follows(steps):
    state, seen = BreakerState(), 0
    for kind, value in steps:
        judged = (
            states.note_mid(state, LIMITS, 2_000 + value, value),
            states.note_reject(state, LIMITS, value),
            states.note_latency(state, LIMITS, value * 10**8),
            states.note_silence(state, LIMITS, value * 10**9),
            states.note_execution(state, value % 2, 4),
            (state, None),
        )[kind]
        state, tripped = judged
        assert state.opened & seen == seen
        assert tripped is None or not seen & tripped.breaker
        seen = state.opened


@pytest.mark.parametrize(
    ("name", "value"), [("spike_bps", 0), ("max_slow", -1), ("max_rejects", 1.5), ("max_slow", True)]
)
def test_a_breaker_that_could_never_close_is_refused(name, value):
    with pytest.raises(ValueError, match=f"breaker limit {name} is {value}"):
        BreakerLimits()._replace(**{name: value}).checked()
