"""The numba gate against the plain-Python reference, and the promises of the gate by themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.risk import reference, spec
from kernels.risk.cpu import gate
from kernels.risk.spec import RiskLimits, RiskReason, pack_rows, pack_words

STATE = {
    "trading": spec.ACTIVE,
    "position_lots": 0,
    "recent_orders": 0,
    "best_bid_tick": 100,
    "best_ask_tick": 102,
    "book_ns": 1_000,
    "now_ns": 1_000,
    "book_valid": 1,
}
BUY_ONE = (spec.NEW, 0, 100, 1, 0)


def run_gate(intents, live=(), limits=None, state=None) -> list[str]:
    limits = limits or RiskLimits()
    rows = pack_rows(intents, spec.NUM_INTENT_COLUMNS)
    reasons = np.full(len(rows), -1, np.int64)
    passed = gate(
        rows, pack_rows(live, spec.NUM_LIVE_COLUMNS), limits.pack(), pack_words((state or STATE).values()), reasons
    )
    names = [RiskReason(reason).name for reason in reasons]
    assert passed == sum(name == "OK" and intent[0] == spec.NEW for name, intent in zip(names, intents, strict=True))
    return names


ODD_WORDS = st.sampled_from([spec.ABSENT, spec.ABSENT + 1, 2**62, -(2**62), 2**61, 2**61 + 1, 2**30, 2**30 + 1])


def mostly(strategy):
    return st.one_of(*[strategy] * 30, ODD_WORDS)


PRICES, LOTS = st.integers(90, 112), st.integers(0, 8)
INTENTS = st.tuples(
    mostly(st.sampled_from([spec.NEW] * 8 + [spec.CANCEL, 3])),
    mostly(st.integers(0, 1)),
    mostly(PRICES),
    mostly(LOTS),
    mostly(st.integers(0, 1)),
)
LIVE = st.tuples(mostly(st.integers(0, 1)), mostly(PRICES), mostly(LOTS), mostly(LOTS), mostly(st.integers(0, 1)))
LIMITS = st.builds(
    RiskLimits,
    tradable=mostly(st.sampled_from([1] * 9 + [0])),
    price_step_tick=mostly(st.sampled_from([1, 1, 1, 2, 0])),
    lot_step=mostly(st.sampled_from([1, 1, 1, 2])),
    min_lots=mostly(st.integers(0, 2)),
    max_lots=mostly(st.integers(3, 9)),
    collar_tick=mostly(st.integers(0, 12)),
    max_order_value_e8=mostly(st.integers(200, 2_000)),
    tick_value_e8=mostly(st.integers(1, 3)),
    max_position_lots=mostly(st.integers(0, 20)),
    max_open_orders=mostly(st.integers(0, 8)),
    max_messages=mostly(st.integers(0, 8)),
    max_age_ns=mostly(st.integers(0, 20)),
)
STATES = st.fixed_dictionaries(
    {
        "trading": mostly(st.sampled_from([1, 1, 1, 2, 2, 3, 0])),
        "position_lots": mostly(st.integers(-12, 12)),
        "recent_orders": mostly(st.integers(0, 3)),
        "best_bid_tick": mostly(st.integers(98, 101)),
        "best_ask_tick": mostly(st.integers(101, 104)),
        "book_ns": mostly(st.integers(990, 1_000)),
        "now_ns": mostly(st.integers(999, 1_010)),
        "book_valid": mostly(st.sampled_from([1] * 9 + [0])),
    }
)


@settings(max_examples=400, deadline=None)
@given(st.lists(INTENTS, max_size=6), st.lists(LIVE, max_size=4), LIMITS, STATES)
def test_the_numba_gate_gives_the_same_reasons_as_the_plain_reference(intents, live, limits, state):
    assert run_gate(intents, live, limits, state) == reference.gate(intents, live, limits._asdict(), state)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), PRICES, st.integers(1, 8)), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 1), PRICES, st.integers(1, 8)), max_size=4),
    st.integers(-12, 12),
    st.booleans(),
)
def test_no_fills_of_passed_orders_can_break_the_position_limit_or_flip_a_reduce_only_position(
    orders, live, position, restricted
):
    intents = [(spec.NEW, side, price, lots, int(restricted)) for side, price, lots in orders]
    rows = [(side, price, lots, lots, 0) for side, price, lots in live]
    limits = RiskLimits(max_position_lots=12)
    names = run_gate(intents, rows, limits, STATE | {"position_lots": position})
    passed = [order for order, name in zip(orders, names, strict=True) if name == "OK"]
    for side, sign in ((0, 1), (1, -1)):
        new = sum(lots for s, _, lots in passed if s == side)
        if new == 0:
            continue
        reached = position + sign * (new + sum(lots for s, _, lots in live if s == side))
        if restricted:
            assert reached * position >= 0
            assert abs(reached) <= abs(position)
        else:
            assert sign * reached <= 12


CASES = [
    ("OK", {}, {}, BUY_ONE, ()),
    ("HALTED", {}, {"trading": spec.HALTED}, BUY_ONE, ()),
    ("NOT_TRADABLE", {"tradable": 0}, {}, BUY_ONE, ()),
    ("INVALID_BOOK", {}, {"book_valid": 0}, BUY_ONE, ()),
    ("INVALID_BOOK", {}, {"best_ask_tick": 100}, BUY_ONE, ()),
    ("STALE_DATA", {"max_age_ns": 5}, {"now_ns": 1_006}, BUY_ONE, ()),
    ("STALE_DATA", {}, {"now_ns": 999}, BUY_ONE, ()),
    ("PRICE_STEP", {"price_step_tick": 5}, {}, (spec.NEW, 0, 101, 1, 0), ()),
    ("LOT_STEP", {"lot_step": 10}, {}, (spec.NEW, 0, 100, 15, 0), ()),
    ("MIN_LOTS", {"min_lots": 2}, {}, BUY_ONE, ()),
    ("MAX_LOTS", {"max_lots": 2}, {}, (spec.NEW, 0, 100, 3, 0), ()),
    ("PRICE_COLLAR", {"collar_tick": 3}, {}, (spec.NEW, 0, 106, 1, 0), ()),
    ("PRICE_COLLAR", {"collar_tick": 3}, {}, (spec.NEW, 1, 96, 1, 0), ()),
    ("MAX_ORDER_VALUE", {"tick_value_e8": 10, "max_order_value_e8": 999}, {}, BUY_ONE, ()),
    ("OK", {"tick_value_e8": 10, "max_order_value_e8": 1000}, {}, BUY_ONE, ()),
    ("REDUCE_ONLY", {}, {"trading": spec.REDUCE_ONLY}, BUY_ONE, ()),
    ("REDUCE_ONLY", {}, {"position_lots": -3}, (spec.NEW, 0, 100, 4, 1), ()),
    ("REDUCE_ONLY", {}, {"position_lots": -3}, (spec.NEW, 0, 100, 2, 1), ((0, 99, 2, 2, 0),)),
    ("OK", {}, {"position_lots": -3}, (spec.NEW, 0, 100, 1, 1), ((0, 99, 2, 2, 0),)),
    ("MAX_POSITION", {"max_position_lots": 4}, {"position_lots": 2}, (spec.NEW, 0, 100, 3, 0), ()),
    ("MAX_POSITION", {"max_position_lots": 4}, {"position_lots": 2}, BUY_ONE, ((0, 99, 2, 2, 1),)),
    ("MAX_OPEN_ORDERS", {"max_open_orders": 1}, {}, BUY_ONE, ((1, 105, 2, 2, 0),)),
    ("DUPLICATE_INTENT", {}, {}, BUY_ONE, ((0, 100, 1, 1, 0),)),
    ("OK", {}, {}, BUY_ONE, ((0, 100, 1, 1, 1),)),
    ("MESSAGE_RATE", {"max_messages": 3}, {"recent_orders": 3}, BUY_ONE, ()),
]


@pytest.mark.parametrize(("reason", "limits", "state", "intent", "live"), CASES)
def test_each_check_refuses_with_its_own_reason(reason, limits, state, intent, live):
    assert run_gate([intent], live, RiskLimits(**limits), STATE | state) == [reason]


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), 0.5, 2**70, "1"])
@pytest.mark.parametrize("where", ["limits", "state", "intent", "live"])
def test_an_absent_or_non_finite_input_refuses_every_new_order_and_no_cancel(value, where):
    limits = RiskLimits()._replace(max_position_lots=value) if where == "limits" else RiskLimits()
    state = STATE | ({"best_bid_tick": value} if where == "state" else {})
    intent = (spec.NEW, 0, value if where == "intent" else 100, 1, 0)
    live = ((1, 105, 2, value, 0),) if where == "live" else ()
    cancel = (spec.CANCEL, 0, None, None, None)
    assert run_gate([intent, cancel], live, limits, state) == ["BAD_INPUT", "OK"]


def test_cancels_pass_in_every_state():
    for trading in (spec.ACTIVE, spec.REDUCE_ONLY, spec.HALTED, 0):
        assert run_gate([(spec.CANCEL, 1, 0, 0, 0)], (), RiskLimits(tradable=0), STATE | {"trading": trading}) == ["OK"]


def test_orders_of_one_batch_count_against_each_other():
    limits = RiskLimits(max_position_lots=3)
    batch = [(spec.NEW, 0, 100, 2, 0), (spec.NEW, 0, 99, 2, 0), (spec.NEW, 0, 98, 1, 0), (spec.NEW, 0, 98, 1, 0)]
    assert run_gate(batch, (), limits) == ["OK", "MAX_POSITION", "OK", "MAX_POSITION"]
    assert run_gate([BUY_ONE, BUY_ONE]) == ["OK", "DUPLICATE_INTENT"]
