"""The numba market step gives the oracle's bits, with the replay flow and with a small random one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numba import njit

from kernels.lob import spec
from kernels.lob.oracle import MarketOracle, Oracle
from kernels.lob.philox import philox4x32
from kernels.lob.spec import Book, LobConfig
from kernels.lob.step import Market, new_market, replay_sampler, run_market_step
from market_models.flow import Flow
from sim.engine import api
from sim.engine.types import MarketConfig
from tests.support.engine_streams import agent_messages, assert_same, random_messages

LOB = LobConfig(capacity=64, max_fills=3, depth_levels=3)
CONFIG = MarketConfig(LOB, inbox=5, num_learners=2)
NUM_MARKETS = 3
NO_ROWS = np.zeros((0, 8), np.int32)
CLOCK_S = 34_200


@njit
def toy_sampler(flow_params, background, price_tick, lots, order_id, owner, num_orders, meta, seed, msg):
    """Draw limit orders around the best opposite price, market orders, cancels of any slot, and thinned proposals.

    It reads slots past the last order too: they have to be 0 for every backend alike.
    """
    which, when, place, size = philox4x32(seed[0], seed[1], meta[spec.META_DRAW], 0)
    side = np.int64(place & 1)
    msg[spec.SIDE] = side
    msg[spec.LOTS] = 1 + np.int64(size % 30)
    dt_us = np.int64(when % flow_params[0])
    if which % 10 < 5:
        best = num_orders[1 - side] - 1
        reference = price_tick[1 - side, best] if best >= 0 else meta[spec.META_REFERENCE_TICK]
        away = np.int64((place >> 1) % 12) - 1
        msg[spec.KIND] = spec.LIMIT
        msg[spec.PRICE_TICK] = reference + (away if side == spec.SELL else -away)
        return spec.FLOW_EVENT, dt_us
    if which % 10 < 7:
        msg[spec.KIND] = spec.MARKET
        return spec.FLOW_EVENT, dt_us
    slot = np.int64((place >> 1) % price_tick.shape[1])
    if slot >= num_orders[side] and lots[side, slot] + order_id[side, slot] + owner[side, slot] == 0:
        return (spec.FLOW_NULL, dt_us) if price_tick[side, slot] == 0 else (spec.FLOW_EXHAUSTED, dt_us)
    msg[spec.KIND] = spec.DELETE
    msg[spec.ORDER_ID] = order_id[side, slot]
    return spec.FLOW_EVENT, dt_us


FLOWS = {
    "replay": Flow("replay", replay_sampler, "", 1),
    "toy": Flow("toy", toy_sampler, "", 1),
}


def start(name):
    markets = new_market(
        LOB,
        spec.empty_book(LOB, (NUM_MARKETS,)),
        seed=2**32 - 1,
        clock_s=CLOCK_S,
        clock_ns=999_999_000,
        next_order_id=spec.FIRST_AGENT_ORDER_ID - 100,
        reference_tick=100,
        inbox=CONFIG.inbox,
    )
    markets.seed[:, 1] = np.arange(NUM_MARKETS)
    return markets


def judges_of(markets, sampler):
    judges = []
    for number in range(NUM_MARKETS):
        book = Oracle(*LOB)
        book.load(Book(*(field[number] for field in markets.book)))
        options = {"inbox": CONFIG.inbox, "num_learners": CONFIG.num_learners}
        judges.append(MarketOracle(book, sampler, **options, meta=markets.meta[number], seed=markets.seed[number]))
    return judges


def inputs(rng, number, name):
    """Return (agent messages, background, horizon) of one step of every market."""
    now = CLOCK_S + number
    first_id = spec.FIRST_AGENT_ORDER_ID + 6 * number
    agents = np.stack([agent_messages(rng, 4, now, first_id) for _ in range(NUM_MARKETS)])
    agents[..., spec.PRICE_TICK] += 100 if name == "toy" else 0
    horizon = np.array([[(45, 0), (25, 500_000), (0, 0), (60, 900_000)][number % 4]] * NUM_MARKETS, np.int32)
    if name == "toy":
        return agents, np.zeros((NUM_MARKETS, 0, 8), np.int32), horizon
    rows = np.stack([random_messages(rng, 40, ids=60) for _ in range(NUM_MARKETS)])
    rows[..., spec.TIME_S] = now + np.sort(rng.integers(0, 2, rows.shape[:2]), axis=1)
    rows[..., spec.TIME_NS] = rng.integers(0, 10**9, rows.shape[:2])
    return agents, rows, horizon


def assert_state(judges, markets, context):
    for number, judge in enumerate(judges):
        mine = Market(Book(*(field[number] for field in markets.book)), *(leaf[number] for leaf in markets[1:]))
        judged = Market(Book(*judge.book.arrays()), judge.inbox_rows(), judge.meta, judge.seed)
        assert_same(judged, mine, f"{context} market {number}")


@pytest.mark.parametrize("name", ["replay", "toy"])
def test_every_state_and_output_is_the_oracles(name):
    rng = np.random.default_rng(1)
    sampler = FLOWS[name].numba_sampler
    markets = start(name)
    judges = judges_of(markets, sampler)
    params = np.array([60_000], np.int32)
    summaries, owns = [], []
    for number in range(40):
        agents, background, horizon = inputs(rng, number, name)
        out = run_market_step(sampler, LOB, markets, agents, params, background, horizon, num_learners=2)
        for market, judge in enumerate(judges):
            expected = judge.step(agents[market], params, background[market], horizon[market])
            assert_same(expected, [field[market] for field in out], f"step {number} market {market}")
        assert_state(judges, markets, f"step {number}")
        summaries.append(out.summary.copy())
        owns.append(out.own.copy())
    totals = np.array(summaries)
    # The run is only a judge if it reaches everything that a step can do.
    assert totals[..., spec.SUM_EVENTS].sum() > 1000 and totals[..., spec.SUM_NUM_FILLS].any()
    assert totals[..., spec.SUM_OWN_REJECTS].any() and markets.meta[:, spec.META_INBOX_DROPPED].any()
    assert np.array(owns)[..., spec.OWN_LOTS_AHEAD].any()
    assert totals[..., spec.SUM_EXHAUSTED].any() == (name == "replay")
    if name == "toy":
        assert (markets.meta[:, spec.META_NEXT_ORDER_ID] < 10_000).all()  # the ids have wrapped


@pytest.mark.parametrize("name", ["replay", "toy"])
def test_the_jitted_step_gives_the_hosts_bits_under_scan_and_nested_vmap(name):
    rng = np.random.default_rng(2)
    flow, markets = FLOWS[name], start(name)
    steps = [inputs(rng, number, name) for number in range(6)]
    agents, background, horizon = (np.stack(part) for part in zip(*steps, strict=True))
    params = jnp.array([60_000], jnp.int32)
    step = api.make_market_step(CONFIG, flow, "cpu")

    def run(state, agents, background, horizon):
        return jax.lax.scan(
            lambda state, row: step(state, row[0], params, row[1], row[2]), state, (agents, background, horizon)
        )

    def first(book, number):
        return api.init_market(
            CONFIG, book, 2**32 - 1, number, CLOCK_S, 999_999_000, spec.FIRST_AGENT_ORDER_ID - 100, 100
        )

    books = jax.tree.map(jnp.asarray, spec.empty_book(LOB, (NUM_MARKETS,)))
    state = jax.vmap(first)(books, jnp.arange(NUM_MARKETS, dtype=jnp.uint32))
    assert_same(markets, state, "initial")
    # An outer axis of one population member, to nest the maps.
    nested = jax.jit(jax.vmap(jax.vmap(run, (0, 1, 1, 1)), (0, None, None, None)))
    last, outs = nested(jax.tree.map(lambda leaf: leaf[None], state), agents, background, horizon)
    for number in range(6):
        row = (agents[number], np.asarray(params), background[number], horizon[number])
        expected = run_market_step(flow.numba_sampler, LOB, markets, *row, num_learners=2)
        assert_same(expected, [leaf[0, :, number] for leaf in outs], f"step {number}")
    assert_same(markets, jax.tree.map(lambda leaf: leaf[0], last), "last")


def test_the_state_is_left_alone_unless_it_is_donated():
    step = api.make_market_step(CONFIG, FLOWS["toy"], "cpu")
    book = Book(*(jnp.asarray(field) for field in spec.empty_book(LOB)))
    state = api.init_market(CONFIG, book, 1, 2, reference_tick=100)
    rest = (jnp.zeros((1, 8), jnp.int32), jnp.array([500], jnp.int32), jnp.asarray(NO_ROWS), jnp.array([50, 0]))
    before = jax.tree.map(np.array, state)
    after, _ = jax.jit(step)(state, *rest)
    assert_same(before, state)
    again, _ = jax.jit(step, donate_argnums=0)(state, *rest)
    assert_same(after, again)
    assert state.book.lots.is_deleted() and int(again.meta[spec.META_DRAW]) >= 50


def test_the_same_seed_repeats_and_another_market_number_differs():
    outs = []
    for number in (0, 0, 1):
        market = new_market(LOB, spec.empty_book(LOB), seed=9, market_number=number, reference_tick=100)
        run_market_step(toy_sampler, LOB, market, NO_ROWS, [1000], NO_ROWS, (200, 0))
        outs.append(market.book.lots.copy())
    assert (outs[0] == outs[1]).all() and (outs[0] != outs[2]).any()


def test_arrays_that_do_not_fit_are_refused_with_their_name():
    step = api.make_market_step(CONFIG, FLOWS["toy"], "cpu")
    book = Book(*(jnp.asarray(field) for field in spec.empty_book(LOB)))
    state = api.init_market(CONFIG, book)
    good = [jnp.zeros((1, 8), jnp.int32), jnp.zeros(1, jnp.int32), jnp.asarray(NO_ROWS), jnp.array([1, 0])]
    for place, bad, name in (
        (0, jnp.zeros(8, jnp.int32), "agent_messages"),
        (1, jnp.zeros(2, jnp.int32), "flow_params of toy"),
        (2, jnp.zeros((1, 7), jnp.int32), "background"),
        (3, jnp.zeros(3, jnp.int32), "horizon"),
    ):
        with pytest.raises(ValueError, match=name):
            step(state, *good[:place], bad, *good[place + 1 :])
    with pytest.raises(ValueError, match="seed is int32"):
        step(state._replace(seed=jnp.zeros(2, jnp.int32)), *good)
    with pytest.raises(ValueError, match="inbox 0"):
        api.make_market_step(CONFIG._replace(inbox=0), FLOWS["toy"])
    market = new_market(LOB, spec.empty_book(LOB))
    with pytest.raises(ValueError, match="meta is int64"):
        run_market_step(
            toy_sampler, LOB, market._replace(meta=market.meta.astype(np.int64)), NO_ROWS, [1], NO_ROWS, (1, 0)
        )
