"""The market step's oracle does what docs/engine.md says: cases worked out by hand, with samplers that follow a script.

Every case runs on the numba kernel with the same script too, and on the CUDA kernel compiled for the host.
"""

from pathlib import Path

import numpy as np
import pytest
from numba import njit

from kernels.lob import spec
from kernels.lob.oracle import MarketOracle, Oracle
from kernels.lob.spec import BUY, DELETE, LIMIT, MARKET, NOP, SELL, Book, LobConfig
from kernels.lob.step import Market, MarketResult, new_market, replay_sampler, run_market_step
from market_models.replay import FLOW as REPLAY
from tests.support import cuda_host

CONFIG = LobConfig(capacity=64, max_fills=4, depth_levels=2)
NOTHING = np.zeros((0, 8), np.int32)


@njit
def scripted_sampler(flow_params, background, price_tick, lots, order_id, owner, num_orders, meta, seed, msg):
    """Follow `background` row by row; its time columns are the draw's (status, dt_us)."""
    row = meta[spec.META_CURSOR]
    meta[spec.META_CURSOR] += 1
    msg[:6] = background[row, :6]
    return background[row, spec.TIME_S], background[row, spec.TIME_NS]


def msg(kind, side=BUY, lots=0, price=0, order_id=0, owner=0, s=0, ns=0):
    return [kind, side, lots, price, order_id, owner, s, ns]


def draw(status, dt_us, kind=NOP, side=BUY, lots=0, price=0, order_id=0, owner=0):
    return msg(kind, side, lots, price, order_id, owner, status, dt_us)


class KernelMarket:
    """The numba kernel behind the oracle's interface."""

    def __init__(self, sampler, **options):
        self.sampler = sampler
        self.num_learners = options.pop("num_learners", 1)
        self.market = new_market(CONFIG, spec.empty_book(CONFIG), **options)

    def step(self, agents, background, horizon):
        rows = [np.array(words, np.int32).reshape(-1, 8) for words in (agents, background)]
        return run_market_step(
            self.sampler, CONFIG, self.market, rows[0], np.zeros(0), rows[1], horizon, num_learners=self.num_learners
        )

    @property
    def meta(self):
        return self.market.meta

    @property
    def inbox(self):
        return self.market.inbox

    @property
    def book(self):
        return self.market.book


class CudaMarket(KernelMarket):
    """The CUDA kernel on the host behind the same interface."""

    def step(self, agents, background, horizon):
        scripted = Path(cuda_host.__file__).with_name("scripted_flow.cuh")
        source = REPLAY.cuda_source_path if self.sampler is replay_sampler else str(scripted)
        rows = [np.array(words, np.int32).reshape(1, -1, 8) for words in (agents, background)]
        inputs = (rows[0], np.zeros((1, 1)), rows[1], [horizon])
        batch = Market(Book(*(field[None] for field in self.market.book)), *(field[None] for field in self.market[1:]))
        new, out, _ = cuda_host.market_step(source, CONFIG, batch, inputs, num_learners=self.num_learners)
        self.market = Market(Book(*(field[0] for field in new.book)), *(field[0] for field in new[1:]))
        return MarketResult(*(field[0] for field in out))


class OracleMarket:
    """The oracle behind the same interface."""

    def __init__(self, sampler, **options):
        start = new_market(CONFIG, spec.empty_book(CONFIG), **{k: v for k, v in options.items() if k != "num_learners"})
        self.judge = MarketOracle(
            Oracle(*CONFIG),
            sampler.py_func,
            inbox=start.inbox.shape[0],
            num_learners=options.get("num_learners", 1),
            meta=start.meta,
            seed=start.seed,
        )

    def step(self, agents, background, horizon):
        rows = [np.array(words, np.int32).reshape(-1, 8) for words in (agents, background)]
        return self.judge.step(rows[0], np.zeros(0, np.int32), rows[1], horizon)

    @property
    def meta(self):
        return self.judge.meta

    @property
    def inbox(self):
        return self.judge.inbox_rows()

    @property
    def book(self):
        return self.judge.book.arrays()


@pytest.fixture(params=[OracleMarket, KernelMarket, CudaMarket])
def make(request):
    return request.param


def clock(market):
    return tuple(market.meta[[spec.META_CLOCK_S, spec.META_CLOCK_NS]].tolist())


def test_it_stops_after_the_asked_number_of_events_and_moves_the_clock_by_each_draw(make):
    market = make(scripted_sampler, clock_s=5, clock_ns=999_999_000)
    out = market.step(NOTHING, [draw(1, 3), draw(0, 2_000_000), draw(1, 0), draw(1, 9)], (2, 0))
    assert out.summary[spec.SUM_EVENTS] == 2 and out.summary[spec.SUM_EXHAUSTED] == 0
    assert clock(market) == (8, 2_000)
    assert market.meta[spec.META_DRAW] == 3


def test_an_exhausted_flow_ends_the_step_and_leaves_the_state_before_the_draw(make):
    market = make(scripted_sampler)
    out = market.step(NOTHING, [draw(1, 4), draw(-1, 500)], (9, 0))
    assert out.summary[[spec.SUM_EVENTS, spec.SUM_EXHAUSTED]].tolist() == [1, 1]
    assert clock(market) == (0, 4_000)
    assert market.meta[[spec.META_DRAW, spec.META_CURSOR]].tolist() == [2, 1]


def test_a_time_horizon_discards_the_event_that_would_pass_it_and_sets_the_clock_to_its_end(make):
    market = make(scripted_sampler, clock_s=1, clock_ns=0, next_order_id=7)
    rows = [draw(1, 600, LIMIT, BUY, 1, 10), draw(1, 400, LIMIT, BUY, 1, 10), draw(1, 1, LIMIT, BUY, 1, 10)]
    out = market.step(NOTHING, rows, (9, 1000))
    assert out.summary[spec.SUM_EVENTS] == 2  # an event exactly at the end still happens
    assert clock(market) == (1, 1_000_000)
    assert market.meta[[spec.META_DRAW, spec.META_CURSOR, spec.META_NEXT_ORDER_ID]].tolist() == [3, 2, 9]
    assert market.book.num_orders.tolist() == [2, 0]


def test_a_thinned_proposal_past_the_time_horizon_ends_the_step_too(make):
    market = make(scripted_sampler)
    out = market.step(NOTHING, [draw(0, 2000)], (9, 1000))
    assert out.summary[[spec.SUM_EVENTS, spec.SUM_EXHAUSTED]].tolist() == [0, 0]
    assert clock(market) == (0, 1_000_000)


def test_background_orders_get_ids_in_turn_which_wrap_below_the_agents(make):
    market = make(scripted_sampler, next_order_id=2**30 - 1)
    kinds = (LIMIT, spec.POST_ONLY, MARKET, LIMIT)
    rows = [draw(1, 1, kind, BUY, 1, 10 + i) for i, kind in enumerate(kinds)]
    market.step(NOTHING, [*rows, draw(1, 1, LIMIT, BUY, 1, 20, 55), draw(1, 1, DELETE)], (6, 0))
    assert market.book.order_id[BUY, :4].tolist() == [2**30 - 1, 1, 3, 55]
    assert market.meta[spec.META_NEXT_ORDER_ID] == 4


def test_background_messages_have_owner_zero_whatever_the_sampler_wrote(make):
    market = make(scripted_sampler)
    market.step(NOTHING, [draw(1, 1, LIMIT, BUY, 1, 10, owner=3)], (1, 0))
    assert market.book.owner[BUY, 0] == 0


def test_agents_messages_wait_for_their_arrival_and_for_an_event(make):
    market = make(scripted_sampler, inbox=4)
    first = msg(LIMIT, BUY, 1, 10, 2**30, 1, 0, 2000)
    late = msg(LIMIT, BUY, 1, 11, 2**30 + 1, 1, 0, 2001)
    out = market.step([late, first], [draw(0, 2), draw(1, 0), draw(1, 1)], (1, 0))
    assert market.book.order_id[BUY, :2].tolist() == [2**30, 0]
    assert out.own[0, BUY].tolist() == [1, 10, 1, 2**30, 0, 1]
    assert market.meta[spec.META_NUM_INBOX] == 1 and market.inbox[0].tolist() == late
    market.step(NOTHING, [draw(1, 1)], (1, 0))
    assert market.book.order_id[BUY, :2].tolist() == [2**30, 2**30 + 1]
    assert market.meta[spec.META_NUM_INBOX] == 0 and not market.inbox.any()


def test_the_event_comes_before_the_agents_messages_that_arrive_by_it(make):
    market = make(scripted_sampler)
    market.step(NOTHING, [draw(1, 1, LIMIT, SELL, 5, 10)], (1, 0))
    agent = msg(MARKET, BUY, 5, 0, 2**30, 1)
    out = market.step([agent], [draw(1, 1), draw(1, 1, MARKET, BUY, 3), draw(1, 1)], (3, 0))
    # Event 0 is a NOP, then the agent takes all five: FILL_MESSAGE is the ordinal of the event before.
    assert out.fills[0].tolist() == [0, 10, 5, 1, 2**30, 0, 1, BUY]
    assert out.summary[spec.SUM_NUM_TRADES] == 1


def test_arrivals_at_the_same_time_keep_their_order_of_entry(make):
    market = make(scripted_sampler)
    early = [msg(LIMIT, BUY, 1, 10, 2**30 + i, 1, 0, 5) for i in range(3)]
    market.step(early[:2], [draw(1, 0)], (1, 0))
    market.step(early[2:], [draw(1, 1)], (1, 0))
    assert market.book.order_id[BUY, :3].tolist() == [2**30 + 2, 2**30 + 1, 2**30]


def test_a_full_inbox_drops_the_new_message_and_counts_it(make):
    market = make(scripted_sampler, inbox=2)
    agents = [msg(LIMIT, BUY, 1, 10, 2**30 + i, 1, 9 - i, 0) for i in range(3)]
    market.step([*agents, msg(NOP)], [draw(1, 1)], (1, 0))
    assert market.meta[[spec.META_NUM_INBOX, spec.META_INBOX_DROPPED]].tolist() == [2, 1]
    assert market.inbox[:, spec.ORDER_ID].tolist() == [2**30 + 1, 2**30]


def test_the_summary_counts_agents_rejects_trades_and_imbalance(make):
    market = make(scripted_sampler, reference_tick=8)
    market.step(NOTHING, [draw(1, 1, LIMIT, SELL, 5, 10), draw(1, 1, LIMIT, BUY, 4, 6)], (2, 0))
    agents = [msg(DELETE, BUY, 0, 0, 99, 1), msg(MARKET, BUY, 2, 0, 2**30, 1), msg(LIMIT, BUY, 3, 7, 2**30 + 1, 1)]
    out = market.step(agents, [draw(1, 1, MARKET, SELL, 1)], (1, 0))
    assert out.summary[spec.SUM_OWN_REJECTS] == 1 and out.summary[spec.SUM_NUM_TRADES] == 2
    assert out.summary[spec.SUM_TRADED_BUY_LOTS : spec.SUM_LAST_PRICE_TICK + 1].tolist() == [2, 1, 4, -2, 10]
    assert out.summary[spec.SUM_OFI_LOTS] == -1 + 2 + 3
    assert int(out.num_fills) == 1  # the background's trade with itself is no own fill


def test_own_orders_are_reported_for_every_learner(make):
    market = make(scripted_sampler, num_learners=2)
    market.step(NOTHING, [draw(1, 1, LIMIT, SELL, 5, 10), draw(1, 1, LIMIT, SELL, 2, 9)], (2, 0))
    agents = [msg(LIMIT, SELL, 7, 10, 2**30, 2), msg(LIMIT, SELL, 1, 11, 2**30 + 1, 2), msg(LIMIT, BUY, 1, 1, 5, 3)]
    out = market.step(agents, [draw(1, 1)], (1, 0))
    assert out.own.tolist() == [[[0] * 6, [0] * 6], [[0] * 6, [1, 10, 7, 2**30, 5, 2]]]


def test_the_replay_flow_takes_rows_at_their_times_and_ends_with_them(make):
    market = make(replay_sampler, clock_s=34_200, clock_ns=5)
    rows = [msg(LIMIT, BUY, 1, 10, 77, 4, 34_200, 123_456_789), msg(NOP), msg(LIMIT, SELL, 1, 12, 78, 0, 34_201, 1)]
    out = market.step(NOTHING, rows, (9, 0))
    assert out.summary[[spec.SUM_EVENTS, spec.SUM_EXHAUSTED]].tolist() == [3, 1]
    assert clock(market) == (34_201, 1)
    assert market.book.order_id[:, 0].tolist() == [77, 78] and market.book.owner[BUY, 0] == 0
    assert market.meta[[spec.META_CURSOR, spec.META_NEXT_ORDER_ID]].tolist() == [3, 1]


def test_the_replay_flow_does_not_consume_a_row_beyond_the_time_horizon(make):
    market = make(replay_sampler)
    rows = [msg(LIMIT, BUY, 1, 10, 1, 0, 0, 400_000), msg(LIMIT, BUY, 1, 10, 2, 0, 0, 1_000_001)]
    market.step(NOTHING, rows, (9, 1000))
    assert market.meta[spec.META_CURSOR] == 1 and clock(market) == (0, 1_000_000)
    market.step(NOTHING, rows[1:], (9, 1000))
    assert market.meta[spec.META_CURSOR] == 1 and clock(market) == (0, 1_000_001)
