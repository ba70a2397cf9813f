"""The paper venue's market against the kernel's market step: the same messages give the same market, bit for bit."""

import numpy as np
import pytest

from kernels.lob import spec
from kernels.lob.host import HostBook
from kernels.lob.spec import LobConfig
from kernels.lob.step import new_market, replay_sampler, run_market_step
from live_bridge.venues.host_market import NS_PER_S, OWNER, HostMarket, MarketCapacityError
from tests.support.paper_market import MID_TICK, START_S, make_market

CONFIG = LobConfig(capacity=64, max_fills=64, depth_levels=6, fills_mode=spec.FILLS_OWNED)


def kernel_market(seed: np.ndarray):
    host = HostBook(CONFIG, "oracle")
    out = host.apply(seed)
    reference = int(out.depth[:, 0, 0].sum()) // 2
    return new_market(CONFIG, host.book, clock_s=START_S, reference_tick=reference, inbox=64)


def own_messages(rng: np.random.Generator, clock_ns: int, next_id: int, live: list[tuple[int, int]]) -> np.ndarray:
    """Zero to three messages of ours: orders that rest, cross or are refused, and cancels, some of them too late."""
    rows = []
    for _ in range(int(rng.integers(4))):
        seconds, ns = divmod(clock_ns + int(rng.choice([0, 1_000, 3_000_000, 60_000_000])), NS_PER_S)
        if live and rng.random() < 0.4:
            side, order_id = live[int(rng.integers(len(live)))]
            rows.append((spec.DELETE, side, 1, 0, order_id, OWNER, seconds, ns))
            continue
        side, kind = int(rng.integers(2)), int(rng.choice([spec.POST_ONLY, spec.LIMIT, spec.IOC]))
        price = MID_TICK + int(rng.integers(-5, 6))
        rows.append((kind, side, int(rng.integers(1, 60)), price, next_id, OWNER, seconds, ns))
        live.append((side, next_id))
        next_id += 1
    return np.array(rows, np.int32).reshape(-1, 8)


@pytest.mark.parametrize("seed", range(3))
def test_the_paper_market_equals_the_kernels_market_step_bit_for_bit(seed):
    data = make_market(900, seed)
    rng = np.random.default_rng(seed)
    market = HostMarket(CONFIG, data.seed, data.background, data.start_ns, "oracle")
    judge = kernel_market(data.seed)
    live: list[tuple[int, int]] = []
    next_id = spec.FIRST_AGENT_ORDER_ID
    fills = refused = 0
    while not market.exhausted:
        events = int(rng.integers(1, 41))
        messages = own_messages(rng, market.clock_ns, next_id, live)
        next_id = spec.FIRST_AGENT_ORDER_ID + len(live)
        rows = data.background[market.cursor : market.cursor + events]
        padded = np.concatenate([messages, np.zeros((3 - len(messages), 8), np.int32)])
        expected = run_market_step(replay_sampler, CONFIG, judge, padded, np.zeros(1), rows, [events, 0])
        for message in messages:
            market.enqueue(message)
        view = market.step(events)
        assert view.summary.tolist() == expected.summary.tolist()
        assert view.depth.tolist() == expected.depth.tolist()
        assert view.own.tolist() == expected.own[0].tolist()
        assert market.clock_ns == int(judge.meta[spec.META_CLOCK_S]) * NS_PER_S + int(judge.meta[spec.META_CLOCK_NS])
        ours = [fill for happening in view.happenings for fill in happening.fills]
        theirs = expected.fills[: int(expected.num_fills)]
        assert [(f.price_tick, f.lots, f.maker_id, f.taker_id, f.taker_side) for f in ours] == [
            tuple(row[[1, 2, 3, 4, 7]].tolist()) for row in theirs
        ]
        fills += len(ours)
        refused += sum(h.outcome is not None and h.outcome.reason != spec.OK for h in view.happenings)
    assert fills > 20
    assert refused > 10


def test_a_message_of_ours_never_comes_before_the_next_background_event_and_no_later_than_its_arrival():
    data = make_market(50, 1)
    market = HostMarket(CONFIG, data.seed, data.background, data.start_ns, "oracle")
    times = data.background[:, 6].astype(np.int64) * NS_PER_S + data.background[:, 7]
    for number, arrival_ns in enumerate((data.start_ns, int(times[9]), int(times[9]) + 1)):
        seconds, ns = divmod(arrival_ns, NS_PER_S)
        order_id = spec.FIRST_AGENT_ORDER_ID + number
        market.enqueue(np.array([spec.POST_ONLY, 0, 1, MID_TICK - 20, order_id, OWNER, seconds, ns], np.int32))
    entered = {h.outcome.message[4]: h.event_ns for h in market.step(50).happenings if h.outcome is not None}
    assert list(entered.values()) == [int(times[0]), int(times[9]), int(times[10])]


def test_draining_applies_what_is_under_way_in_order_of_arrival_without_a_market_event():
    data = make_market(5, 1)
    market = HostMarket(CONFIG, data.seed, data.background, data.start_ns, "oracle")
    later = data.start_ns // NS_PER_S + 5
    order_id = spec.FIRST_AGENT_ORDER_ID
    market.enqueue(np.array([spec.DELETE, 0, 1, 0, order_id, OWNER, later + 1, 0], np.int32))
    market.enqueue(np.array([spec.POST_ONLY, 0, 1, MID_TICK - 20, order_id, OWNER, later, 0], np.int32))
    view = market.drain()
    reasons = [(int(h.outcome.message[0]), h.outcome.reason) for h in view.happenings if h.outcome is not None]
    assert reasons == [(spec.POST_ONLY, spec.OK), (spec.DELETE, spec.OK)]
    assert (market.cursor, view.summary[spec.SUM_EVENTS], market.clock_ns) == (0, 0, (later + 1) * NS_PER_S)


def test_fills_of_ours_beyond_the_engines_report_are_an_error_and_not_lost():
    config = CONFIG._replace(max_fills=1)
    data = make_market(5, 1)
    market = HostMarket(config, data.seed, data.background, data.start_ns, "oracle")
    row = [spec.LIMIT, 0, 200, MID_TICK + 20, spec.FIRST_AGENT_ORDER_ID, OWNER, START_S, 0]
    market.enqueue(np.array(row, np.int32))
    with pytest.raises(MarketCapacityError):
        market.step(5)


def test_a_seed_that_does_not_fit_the_capacity_is_refused_by_row():
    data = make_market(5, 1)
    rows = np.repeat(data.seed[:1], 65, axis=0)
    rows[:, spec.ORDER_ID] = np.arange(1, 66)
    with pytest.raises(ValueError, match="seed order 64 was refused: SIDE_FULL; capacity is 64"):
        HostMarket(CONFIG, rows, data.background, data.start_ns, "oracle")
