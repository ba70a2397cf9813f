"""Faults measured in a published JAX order book, each a promise of ours: on every backend."""

import jax
import numpy as np
import pytest

from kernels.lob import spec
from kernels.lob.spec import BUY, DELETE, IOC, LIMIT, MARKET, SELL, LobConfig
from market_models.registry import get_flow
from sim.engine import api
from sim.engine.types import MarketConfig
from tests.support.backend_books import BACKENDS, open_book, resting

CONFIG = LobConfig(capacity=64, max_fills=256, depth_levels=3)
CALL = 200


def msg(kind, side=BUY, lots=0, price=0, order_id=0, owner=0, time=(0, 0)):
    return [kind, side, lots, price, order_id, owner, *time]


@pytest.fixture(params=BACKENDS)
def book(request):
    return open_book(request.param, CONFIG, CALL)


def test_a_full_side_loses_one_order_not_its_whole_worst_level(book):
    book.apply([msg(LIMIT, SELL, 7, 10 + (i >= 40), i + 1) for i in range(64)])  # 40 orders at 10, 24 at 11
    out = book.apply([msg(LIMIT, SELL, 3, 9, 99)])
    assert out.reason.tolist() == [spec.OK] and len(resting(book, SELL)) == 64
    assert [order[2] for order in resting(book, SELL)] == [99, *range(1, 64)]
    assert book.book.counters[spec.NUM_EVICTED] == 1 and book.book.counters[spec.LOTS_EVICTED] == 7


def test_cancelling_an_unknown_id_on_a_full_side_touches_nobody(book):
    book.apply([msg(LIMIT, BUY, 7, i, i + 1) for i in range(64)])
    before = resting(book, BUY)
    out = book.apply([msg(DELETE, BUY, 0, 0, 777), msg(spec.REDUCE, BUY, 3, 63, 778)])
    assert out.reason.tolist() == [spec.UNKNOWN_ORDER] * 2 and resting(book, BUY) == before
    assert book.book.counters[spec.NUM_UNKNOWN_CANCEL] == 2


def test_a_word_of_minus_one_is_a_value_or_refused_never_an_empty_row(book):
    out = book.apply(
        [
            msg(LIMIT, BUY, 5, -1, 1, 0, (-1, -1)),
            msg(LIMIT, SELL, 4, 1, 2, 3, (0, -1)),
            msg(LIMIT, BUY, -1, 0, 3),
            msg(LIMIT, BUY, 1, 0, -1),
            msg(LIMIT, BUY, 1, 0, 4, -1),
            msg(LIMIT, -1, 1, 0, 5),
        ]
    )
    assert out.reason.tolist() == [
        spec.OK,
        spec.OK,
        spec.BAD_LOTS,
        spec.BAD_ORDER_ID,
        spec.BAD_OWNER,
        spec.BAD_SIDE,
    ]
    assert resting(book, BUY) == [(-1, 5, 1, 0)] and resting(book, SELL) == [(1, 4, 2, 3)]


def test_more_than_a_hundred_fills_of_a_call_are_all_there_and_an_overflow_is_counted(book):
    rows = []
    for number in range(CALL // 2):
        rows += [msg(LIMIT, SELL, 2, 5, 2 * number + 1), msg(IOC, BUY, 2, 5, 2 * number + 2)]
    out = book.apply([*rows[:-2], msg(LIMIT, SELL, 2, 5, 9001), msg(MARKET, BUY, 2, 0, 9002)])
    assert int(out.num_fills) == 100 and (out.fills[:100, spec.FILL_LOTS] == 2).all()
    assert book.book.counters[spec.NUM_FILLS_DROPPED] == 0
    small = open_book("cpu", CONFIG._replace(max_fills=7))
    cut = small.apply(rows)
    assert int(cut.num_fills) == 7 and small.book.counters[spec.NUM_FILLS_DROPPED] == 93


@pytest.mark.parametrize("kind", [11, 12, 127, -1, -5, 2**31 - 1, -(2**31)])
def test_an_unknown_message_type_never_becomes_an_order(book, kind):
    out = book.apply([msg(kind, SELL, 5, 10, 1, 1)])
    assert out.reason.tolist() == [spec.BAD_KIND] and resting(book, SELL) == [] and resting(book, BUY) == []


def test_equal_timestamps_keep_the_order_of_arrival(book):
    same = (34_200, 5)
    book.apply([msg(LIMIT, SELL, 1, 10, i, 0, same) for i in (5, 3, 9, 1)])
    out = book.apply([msg(MARKET, BUY, 3, 0, 77, 0, same)])
    assert out.fills[:3, spec.FILL_MAKER_ID].tolist() == [5, 3, 9] and resting(book, SELL) == [(10, 1, 1, 0)]


def test_prices_of_zero_and_below_rest_and_match_like_any_other(book):
    book.apply([msg(LIMIT, SELL, 2, 0, 1), msg(LIMIT, SELL, 2, -7, 2), msg(LIMIT, BUY, 1, -9, 3)])
    assert [order[0] for order in resting(book, SELL)] == [-7, 0]
    out = book.apply([msg(IOC, BUY, 3, 0, 4)])
    assert out.fills[:2, [spec.FILL_PRICE_TICK, spec.FILL_LOTS]].tolist() == [[-7, 2], [0, 1]]
    assert out.summary[spec.SUM_HAS_BID] == 1 and out.summary[spec.SUM_BEST_BID_TICK] == -9


@pytest.mark.parametrize("backend", ["cpu", "xla"])
def test_times_late_in_the_day_are_told_apart_to_the_nanosecond(backend):
    """float32 seconds would put these messages a thousandth of a second around each other."""
    config = MarketConfig(lob=CONFIG, inbox=4)
    step = jax.jit(api.make_market_step(config, get_flow("replay"), backend))
    market = api.init_market(config, spec.empty_book(CONFIG), clock_s=57_599, clock_ns=999_999_990)
    background = [msg(LIMIT, SELL, 1, 10 + i, i + 1, 0, (57_599, 999_999_996 + i)) for i in range(3)]
    agent = [msg(LIMIT, BUY, 1, 10, 2**30, 1, (57_599, 999_999_997))]
    _, out = step(
        market, np.array(agent, np.int32), np.zeros(1, np.int32), np.array(background, np.int32), np.array([3, 0])
    )
    # It meets the ask that stood when it arrived, within the second event and not the first or the third.
    assert int(out.num_fills) == 1 and int(out.fills[0, spec.FILL_MESSAGE]) == 1
