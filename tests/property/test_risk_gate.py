"""The numba gate against the plain-Python oracle over sequences of batches, and the promises of the gate by themselves.

`python -m tests.soak_risk_gate` runs the same sequences by the hundred thousand.
"""

import copy
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.risk import columns as c
from kernels.risk import reference, spec
from kernels.risk.spec import CHECKS, RiskLimits, RiskReason
from kernels.risk.workspace import GateWorkspace
from tests.support.risk_worlds import (
    CANCEL,
    INTENT,
    NEW,
    both,
    cell,
    check_sequence,
    instrument,
    kernel_reasons,
    order,
    random_world,
    resting,
    scope,
    world,
)


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False))
def test_kernel_and_oracle_agree_and_nothing_accepted_can_leave_its_limits(rng):
    check_sequence(rng)


def test_a_few_thousand_seeded_sequences_meet_every_check():
    met: set[str] = set()
    for seed in range(4_000):
        met.update(check_sequence(random.Random(seed)))
    assert met == {reason.name for reason in RiskReason}


BIG = st.sampled_from([0, 1, 2**29, 2**30, 2**31, 2**45, 2**60, 2**61 - 1, 2**61])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_the_largest_words_never_wrap(data):
    """Prices, sizes, positions, equity and limits at the ends of their ranges: exact integers are the judge."""
    here = world(1, 1, 2, 1)
    price = data.draw(st.sampled_from([1, 2**20, 2**29, 2**30, -(2**30)]))
    for row in here["instruments"]:
        row |= {"tick_value_e8": data.draw(st.sampled_from([1, 2**16, 2**32])), "mark_tick": price, "max_lots": 2**30}
        row |= {"adverse_bps": data.draw(BIG), "collar_tick": 2**61, "min_notional_e8": data.draw(BIG)}
    for row in here["market"].values():
        row |= {"bid_tick": price, "ask_tick": min(price + 1, 2**30), "reference_tick": price}
    for row in (here["strategies"][0], here["venues"][0], here["firm"]):
        row |= {name: data.draw(BIG) for name in spec.SCOPE_LIMITS if name not in ("max_open_orders", "max_repeats")}
        row["equity_e8"] = data.draw(st.sampled_from([-(2**61), -1, 0, 1, 10_000, 2**50, 2**61]))
    for row in here["cells"].values():
        row |= {"position_lots": data.draw(BIG) * data.draw(st.sampled_from([1, -1])), "max_position_lots": 2**61}
    intent = order(
        price_tick=price, lots=data.draw(st.sampled_from([1, 2**20, 2**30])), side=data.draw(st.integers(0, 1))
    )
    both([intent | {"loss_tick": data.draw(st.sampled_from([0, 1, 2**30]))}, order(lots=2**30, price_tick=price)], here)


ROWS = {
    "intent": lambda here, intent: intent,
    "live": lambda here, intent: here["live"][0],
    "instrument": lambda here, intent: here["instruments"][0],
    "market": lambda here, intent: here["market"][0, 0],
    "strategy": lambda here, intent: here["strategies"][0],
    "venue": lambda here, intent: here["venues"][0],
    "firm": lambda here, intent: here["firm"],
    "cell": lambda here, intent: here["cells"]["venues", 0, 0],
}
FIELDS = [
    (where, name)
    for where, row in ROWS.items()
    for name in row({**world(1, 1), "live": [resting()]}, order())
    if name not in ("kind", "mark_tick")
]


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), 0.5, 2**70, "1", -(2**62)])
@pytest.mark.parametrize(("where", "name"), FIELDS, ids=str)
def test_a_word_that_is_missing_or_not_finite_anywhere_refuses_every_new_order_and_no_cancel(where, name, value):
    here, intent = world(1, 1, live=[resting()]), order()
    ROWS[where](here, intent)[name] = value
    cancel = order(kind=CANCEL, price_tick=None, lots=None)
    assert kernel_reasons([intent, cancel], here) == ["BAD_INPUT", "OK"]


@pytest.mark.parametrize("value", [None, float("nan"), float("-inf"), 2**31])
def test_a_missing_mark_refuses_what_is_not_reducing_and_lets_a_position_be_closed(value):
    here = world(1, 1)
    here["instruments"][0]["mark_tick"] = value
    assert kernel_reasons([order()], here) == ["NO_MARK"]
    assert kernel_reasons([order(instrument=1)], here) == ["OK"]  # nothing is held of the one without a mark
    for place in (("strategies", 0), ("venues", 0), ("firm", 0)):
        here["cells"][(*place, 0)]["position_lots"] = 3
    assert kernel_reasons([order(instrument=1)], here) == ["NO_MARK"]
    for row in (here["strategies"][0], here["venues"][0], here["firm"]):
        row["trading"] = spec.REDUCE_ONLY
    assert kernel_reasons([order(side=1, price_tick=10_010, lots=3)], here) == ["OK"]


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 5))
def test_cancels_pass_in_every_world_whatever_they_name(rng, target):
    here = random_world(rng)
    here["firm"]["trading"] = rng.choice([0, 1, 2, 3, spec.ABSENT])
    assert kernel_reasons([order(kind=CANCEL, target=target, strategy=99)] * 3, here) == ["OK"] * 3


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from([("strategies", 0), ("venues", 0), ("firm", 0)]))
def test_a_scope_that_may_only_reduce_is_never_brought_further_from_zero_nor_through_it(rng, place):
    here = random_world(rng)
    row = here["firm"] if place[0] == "firm" else here[place[0]][place[1]]
    row["trading"] = spec.REDUCE_ONLY
    intents = [order(side=rng.randint(0, 1), price_tick=rng.randint(97, 103), lots=rng.randint(1, 9)) for _ in range(5)]
    for intent, reason in zip(intents, both(intents, here), strict=True):
        if reason == "OK":
            position = here["cells"][(*place, 0)]["position_lots"]
            opened = sum(
                each.get("left_lots", each["lots"])
                for each in [
                    *here["live"],
                    *[i for i, r in zip(intents, both(intents, here), strict=True) if r == "OK"],
                ]
                if (each["instrument"], each["side"]) == (0, intent["side"])
                and (place[0] == "firm" or each[{"strategies": "strategy", "venues": "venue"}[place[0]]] == 0)
            )
            sign = 1 if intent["side"] == 0 else -1
            assert position * sign < 0
            assert (position + sign * opened) * sign <= 0


def test_orders_of_one_batch_from_several_strategies_count_against_each_other():
    here = world(2, 2, 1)
    here["cells"]["firm", 0, 0] = cell(max_position_lots=3)
    batch = [order(lots=2), order(strategy=1, venue=1, lots=2), order(strategy=1, lots=1), order(venue=1, lots=1)]
    assert both(batch, here) == ["OK", "MAX_POSITION", "OK", "MAX_POSITION"]
    assert both([order(), order(), order(strategy=1)], world()) == ["OK", "DUPLICATE_INTENT", "OK"]


def test_cancels_go_first_but_free_nothing_until_the_order_is_gone():
    here = world(live=[resting(lots=5, left_lots=5, price_tick=9_990)])
    for place in (("strategies", 0), ("venues", 0), ("firm", 0)):
        here["cells"][(*place, 0)]["max_position_lots"] = 7
    again = order(lots=5)
    assert both([order(lots=2), again], here) == ["OK", "MAX_POSITION"]
    assert both([order(lots=2), order(kind=CANCEL, target=1)], here) == ["OK", "OK"]
    roomy = world(live=here["live"])
    assert both([again], roomy) == ["DUPLICATE_INTENT"]
    assert both([again, order(kind=CANCEL, target=1)], roomy) == ["OK", "OK"]


def test_a_replace_is_judged_as_a_new_order_with_the_old_one_still_counted():
    here = world(live=[resting(lots=5, left_lots=5)])
    for place in (("strategies", 0), ("venues", 0), ("firm", 0)):
        here["cells"][(*place, 0)]["max_position_lots"] = 9
    bigger = order(kind=3, target=1, lots=5)
    assert both([bigger], here) == ["MAX_POSITION"]
    assert both([bigger | {"lots": 4}], here) == ["OK"]
    assert both([bigger | {"lots": 1}, bigger | {"lots": 2}], here) == ["OK", "REPLACE_TARGET"]
    assert both([order(kind=CANCEL, target=1), bigger | {"lots": 4}], here) == ["OK", "REPLACE_TARGET"]


def test_the_limits_of_strategy_venue_and_firm_hold_at_once():
    for place in (("strategies", 0), ("venues", 0), ("firm", 0)):
        here = world()
        here["cells"][(*place, 0)]["max_position_lots"] = 1
        assert both([order(), order(lots=2)], here) == ["OK", "MAX_POSITION"]
        free = order(strategy=1, venue=1)
        assert both([order(), free], here)[1] == ("MAX_POSITION" if place[0] == "firm" else "OK")


def test_a_large_batch_equals_the_same_orders_one_by_one():
    """Capacity, hash table and aggregates: 3,000 orders of many kinds, each checked alone against what went before."""
    rng = np.random.default_rng(3)
    space = GateWorkspace(4, 2, 20, 3)
    limits = RiskLimits(max_open_orders=10**6, max_messages=10**6, max_position_lots=60)
    for number in range(20):
        space.set_instrument(number, limits, number % 3)
        space.set_mark(number, 10_000)
        for venue in range(2):
            space.set_market(venue, number, (9_990, 10_010, 10_000, 0, 1))
    for number in range(7):
        space.set_scope_limits(number, limits)
        space.set_scope(number, spec.ACTIVE, 10**15, 0)
        for each in range(20):
            space.set_cell(number, each, 0, 0)
    batch = np.zeros((3_000, c.NUM_INTENT_COLUMNS), np.int64)
    batch[:, c.INTENT_KIND] = NEW
    batch[:, c.INTENT_STRATEGY] = rng.integers(0, 4, len(batch))
    batch[:, c.INTENT_VENUE] = rng.integers(0, 2, len(batch))
    batch[:, c.INTENT_INSTRUMENT] = rng.integers(0, 20, len(batch))
    batch[:, c.INTENT_SIDE] = rng.integers(0, 2, len(batch))
    batch[:, c.INTENT_PRICE_TICK] = 10_000 + (2 * batch[:, c.INTENT_SIDE] - 1) * rng.integers(0, 15, len(batch))
    batch[:, c.INTENT_LOTS] = rng.integers(1, 4, len(batch))
    batch[:, c.INTENT_TYPE] = rng.integers(1, 4, len(batch))
    at_once = space.judge_batch(batch, 0)
    assert {RiskReason(each).name for each in at_once} >= {"OK", "DUPLICATE_INTENT", "SELF_TRADE", "MAX_POSITION"}
    alone = []
    for row in batch:
        alone.append(int(space.judge_batch(row[None], 0)[0]))
        if alone[-1] == 0:
            taken = [int(row[place]) for place in range(c.INTENT_STRATEGY, c.INTENT_LOTS + 1)]
            space.add_live([*taken, taken[-1], 0, int(row[c.INTENT_TYPE])])
    assert at_once.tolist() == alone


def test_what_is_not_set_is_refused_and_sizes_are_checked():
    space = GateWorkspace()
    space.add_intent([order()[name] for name in INTENT])
    assert space.judge(0).tolist() == [RiskReason.BAD_INPUT]
    with pytest.raises(ValueError, match="at least one of each"):
        GateWorkspace(num_venues=0)
    with pytest.raises(ValueError, match="scope venue 1"):
        space.scope("venue", 1)
    with pytest.raises(ValueError, match=r"not int64\[N, 11\]"):
        space.judge_batch(np.zeros((2, 3), np.int64), 0)


def test_the_order_of_the_checks_names_every_reason_once_and_numbers_stay():
    assert sorted(CHECKS) == list(range(1, len(RiskReason)))
    assert len(set(spec.INSTRUMENT_LIMITS) | set(spec.SCOPE_LIMITS) | {"max_position_lots"}) == len(RiskLimits._fields)
    assert tuple(reference.INSTRUMENT_NAMES) == spec.INSTRUMENT_LIMITS
    assert tuple(reference.SCOPE_NAMES) == spec.SCOPE_LIMITS


@pytest.mark.parametrize(("name", "value"), [("max_lots", -1), ("lot_step", 0), ("tradable", 2), ("max_age_ns", 1.5)])
def test_limits_that_could_only_refuse_everything_are_named(name, value):
    with pytest.raises(ValueError, match=f"limit {name} is {value}"):
        RiskLimits()._replace(**{name: value}).checked()
    assert RiskLimits().checked() == RiskLimits()


def test_the_oracle_notices_a_gate_that_is_one_lot_too_generous():
    """The judge has been seen to fail: the same orders, the oracle told of a limit one lot lower."""
    here = world()
    here["cells"]["firm", 0, 0] = cell(max_position_lots=3)
    stricter = copy.deepcopy(here)
    stricter["cells"]["firm", 0, 0] = cell(max_position_lots=2)
    assert kernel_reasons([order(lots=3)], here) != reference.gate([order(lots=3)], stricter)
    assert scope()["trading"] == instrument()["tradable"] == 1
