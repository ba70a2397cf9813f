"""Orders, ledger, records and the persistent map under arbitrary inputs."""

import dataclasses
import enum
import typing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.execution.quotes import JOIN, NUM_CODES
from kernels.features.normalise import default_normaliser
from live_bridge import types
from live_bridge.accounts import Account, apply_fill, equity_e8, tick_value_e8
from live_bridge.core import Core
from live_bridge.core_snapshot import encode_state
from live_bridge.orders import LIVE, TERMINAL, TRANSITIONS, OrderEvent, client_order_id
from live_bridge.persistent import PersistentMap
from live_bridge.policy import PolicyAnswer
from live_bridge.records import BODIES, RecordError, decode, encode, is_event
from live_bridge.types import (
    Alert,
    CancelReject,
    NewIntent,
    OrderReject,
    OrderState,
    Outcome,
    OutcomeUnknown,
    Resolution,
    Timer,
)
from market_models.instrument import Instrument
from protos.journal.v1 import journal_pb2 as pb
from tests.support.core_events import NOON, ack, book, cancel_ack, core_config, fill, run, start

INT64 = st.integers(-(2**63), 2**63 - 1)
FIELD_STRATEGIES = {
    int: st.integers(0, 2**31 - 1),
    str: st.text(max_size=12),
    bool: st.booleans(),
    float: st.floats(0, 1),
    tuple[str, ...]: st.lists(st.text(max_size=5), max_size=3).map(tuple),
}
SIGNED = ("event_ns", "recv_ns", "now_ns", "price_tick", "lots", "fee_e8", "position_lots")


def instances(cls: type) -> st.SearchStrategy:
    """Any instance of an event or output."""
    hints = typing.get_type_hints(cls)
    fields = {}
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        if field.name == "side":
            fields[field.name] = st.integers(0, 1)
        elif isinstance(hint, type) and issubclass(hint, enum.IntEnum):
            fields[field.name] = st.sampled_from(hint)
        elif any(field.name.endswith(name) for name in SIGNED):
            fields[field.name] = INT64
        elif hint is np.ndarray:
            shape = {"depth": (2, 5, 2), "summary": (16,), "own": (2, 6)}[field.name]
            count = int(np.prod(shape))
            fields[field.name] = st.lists(st.integers(-(2**31), 2**31 - 1), min_size=count, max_size=count).map(
                lambda values, shape=shape: np.array(values, np.int32).reshape(shape)
            )
        else:
            fields[field.name] = FIELD_STRATEGIES[hint]
    return st.builds(cls, **fields)


@settings(max_examples=15, deadline=None)
@given(st.data())
@pytest.mark.parametrize("cls", BODIES, ids=lambda cls: cls.__name__)
def test_every_kind_of_record_survives_the_journal_field_by_field(cls, data):
    body = data.draw(instances(cls))
    again = decode(encode(body))
    assert type(again) is cls
    assert encode(again) == encode(body)
    for field in dataclasses.fields(cls):
        assert np.array_equal(getattr(again, field.name), getattr(body, field.name))


def test_every_event_and_output_has_a_record_and_outputs_are_not_events():
    members = set(typing.get_args(types.Event)) | set(typing.get_args(types.Output))
    assert members == set(BODIES)
    outputs = set(typing.get_args(types.Output))
    assert {cls for cls in BODIES if not is_event(cls.__new__(cls))} == outputs


@given(st.binary(max_size=40))
def test_bytes_that_are_no_record_are_refused_and_never_half_read(data):
    try:
        body = decode(data)
    except RecordError:
        return
    assert type(body) in BODIES


def test_a_record_of_the_venues_ledger_is_not_taken_for_one_of_the_bridge():
    with pytest.raises(RecordError, match="venue_advance"):
        decode(pb.Record(venue_advance=pb.VenueAdvance(cursor=1)).SerializeToString())


class Silent:
    digest = "silent"
    normaliser = default_normaliser()

    def act(self, obs: np.ndarray) -> PolicyAnswer:
        return PolicyAnswer(NUM_CODES * JOIN + JOIN, 0.0)


CORE = Core(core_config(), Silent())


def first_orders() -> tuple:
    state, outputs = run(CORE, [start(CORE), book(0)])
    state, _ = CORE.step(state, Timer(NOON, 1))  # the session went past sending them
    return state, [output.client_order_id for output in outputs if isinstance(output, NewIntent)]


OPENED, (BID, ASK) = first_orders()
ANSWERS = st.one_of(
    st.builds(ack, st.sampled_from([BID, ASK])),
    st.builds(cancel_ack, st.sampled_from([BID, ASK]), st.integers(0, 10)),
    st.builds(lambda name: OrderReject(name, "X", NOON, 1), st.sampled_from([BID, ASK])),
    st.builds(lambda name: CancelReject(name, "X", NOON, 1), st.sampled_from([BID, ASK])),
    st.builds(lambda name: OutcomeUnknown(name, "reset", NOON, 1), st.sampled_from([BID, ASK])),
    st.builds(
        lambda name, outcome, lots: Resolution(name, outcome, "V", lots, "query", NOON, 1),
        st.sampled_from([BID, ASK]),
        st.sampled_from(Outcome),
        st.integers(0, 10),
    ),
    st.builds(
        lambda name, trade, lots, price: fill(name, trade, int(name == ASK), lots, price),
        st.sampled_from([BID, ASK]),
        st.sampled_from(["t1", "t2", "t3", "t4"]),
        st.integers(1, 6),
        st.integers(9_990, 10_010),
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ANSWERS, max_size=14))
def test_whatever_the_venue_says_in_whatever_order_every_trade_books_exactly_once(answers):
    state, _ = run(CORE, list(answers), OPENED)
    booked = {}
    for answer in answers:
        if isinstance(answer, types.Fill):
            booked.setdefault(answer.trade_id, answer)
    trades = list(booked.values())
    value = CORE.config.limits.tick_value_e8
    assert state.account.position_lots == sum((1 - 2 * t.side) * t.lots for t in trades)
    assert state.account.cash_e8 == -sum((1 - 2 * t.side) * t.lots * t.price_tick * value for t in trades)
    assert state.account.fees_e8 == sum(t.fee_e8 for t in trades)
    for name in (BID, ASK):
        order = state.orders.get(name)
        assert order.filled_lots == sum(t.lots for t in trades if t.client_order_id == name)
        assert (name in state.live) == (order.state in LIVE)
        assert (order.left_lots > 0) <= (order.state in LIVE)


@settings(max_examples=100, deadline=None)
@given(st.lists(ANSWERS, max_size=10))
def test_a_terminal_order_never_lives_again(answers):
    state, ended = OPENED, set()
    for answer in answers:
        state, _ = CORE.step(state, answer)
        for name in (BID, ASK):
            over = state.orders.get(name).state in TERMINAL
            assert over or name not in ended
            ended |= {name} if over else set()


@settings(max_examples=100, deadline=None)
@given(st.lists(ANSWERS, max_size=8))
def test_an_event_that_the_table_does_not_allow_changes_no_order_and_raises_an_alert(answers):
    state = OPENED
    for answer in answers:
        after, outputs = CORE.step(state, answer)
        refused = [o for o in outputs if isinstance(o, Alert) and o.code == "REFUSED_TRANSITION"]
        if refused:
            assert after.orders.get(answer.client_order_id).state == state.orders.get(answer.client_order_id).state
        state = after
    assert encode_state(state) == encode_state(run(CORE, list(answers), OPENED)[0])


def test_the_transition_table_names_every_state_and_fills_book_in_all_but_intent_by_it():
    assert {before for before, _ in TRANSITIONS} == set(OrderState)
    for state in OrderState:
        for event in (OrderEvent.PARTIAL_FILL, OrderEvent.FULL_FILL):
            assert (state, event) in TRANSITIONS or state is OrderState.INTENT
    for (before, event), after in TRANSITIONS.items():
        if before in TERMINAL:
            assert after in TERMINAL, (before, event)
        assert (before, OrderEvent.LOSE) in TRANSITIONS or before in TERMINAL


@given(st.text(min_size=1, max_size=9), st.integers(1, 2**32 - 1), st.integers(1, 2**48 - 1), st.integers(1, 2**48 - 1))
def test_client_order_ids_are_32_lowercase_hex_characters_and_differ_by_epoch_and_number(name, epoch, one, two):
    first = client_order_id(name, epoch, one)
    assert len(first) == 32
    assert set(first) <= set("0123456789abcdef")
    assert (first == client_order_id(name, epoch, two)) == (one == two)
    assert epoch == 1 or first != client_order_id(name, epoch - 1, one)


@pytest.mark.parametrize(("epoch", "number"), [(0, 1), (2**32, 1), (1, 0), (1, 2**48)])
def test_an_id_that_would_not_fit_is_refused(epoch, number):
    with pytest.raises(ValueError, match="outside"):
        client_order_id("x", epoch, number)


FILLS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-500, 20_000), st.integers(1, 900), st.integers(-50, 50)), max_size=20
)


@given(FILLS, st.integers(-1_000, 40_000), st.sampled_from([1, 100, 10**6]))
def test_equity_is_what_every_fill_earned_against_the_mark_less_fees(fills, mark_x2, value):
    account = Account()
    for side, price, lots, fee in fills:
        account = apply_fill(account, side, price, lots, fee, value)
    earned_x2 = sum((1 - 2 * side) * lots * (mark_x2 - 2 * price) * value for side, price, lots, _ in fills)
    fees = sum(fee for *_, fee in fills)
    assert abs(2 * (equity_e8(account, mark_x2, value) + fees) - earned_x2) <= (1 if earned_x2 % 2 else 0)


def test_an_instrument_whose_tick_lot_is_no_whole_number_of_money_is_refused():
    assert tick_value_e8(Instrument("A", "0.01", "1")) == 10**6
    assert tick_value_e8(Instrument("B", "0.01", "0.00001")) == 10
    with pytest.raises(ValueError, match="no whole number"):
        tick_value_e8(Instrument("C", "0.01", "0.00000001"))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers()), max_size=400), st.integers(0, 399))
def test_the_persistent_map_equals_a_dictionary_and_earlier_versions_stay(pairs, early):
    versions, expected = [PersistentMap()], [{}]
    for key, value in pairs:
        versions.append(versions[-1].set(key, value))
        expected.append({**expected[-1], key: value})
    for place in {min(early, len(pairs)), len(pairs)}:
        assert dict(versions[place].items()) == expected[place]
        assert len(versions[place]) == len(expected[place])
        for key in range(0, 300, 7):
            assert versions[place].get(key) == expected[place].get(key)
            assert (key in versions[place]) == (key in expected[place])
