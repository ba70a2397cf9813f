"""LEVEL_SET, self-trade prevention and the lot counters on XLA give the oracle's bits."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.lob import spec
from kernels.lob.host import process_batch
from kernels.lob.oracle import MarketOracle, Oracle
from kernels.lob.spec import Book, LobConfig
from market_models.registry import get_flow
from sim.engine import xla, xla_level, xla_market, xla_match, xla_message
from sim.engine.types import MarketConfig, MarketOutput, MarketState
from sim.replay_backends import make_tracer
from tests.support.engine_streams import assert_same

NUM_BOOKS = 4
CALL = 60  # messages a call: always the same shapes, so that a configuration compiles once
CONFIG = LobConfig(capacity=64, max_fills=12, depth_levels=4)
_KINDS = (spec.LEVEL_SET,) * 8 + (spec.LIMIT,) * 6 + tuple(range(-1, 13))
_BAD_WORDS = (-1, 0, 2, 2**30, 2**30 + 1, 2**31 - 1, -(2**31), -(2**30), -(2**30) - 1)


@cache
def batched_process(config):
    return jax.jit(jax.vmap(xla.make_process(config)))


def level_messages(rng, count, *, span=5, max_lots=40, huge=0.04, bad=0.1, crossing=True):
    """Return int32[count, 8]: levels set among orders of owners 0 (named and anonymous) and 1..3, few prices."""
    out = np.zeros((count, spec.NUM_MESSAGE_COLUMNS), np.int32)
    out[:, spec.KIND] = rng.choice(_KINDS, count)
    side = rng.integers(0, 2, count)
    out[:, spec.SIDE] = side
    price = rng.integers(-1 if crossing else 1, span, count)
    out[:, spec.PRICE_TICK] = np.where(side == spec.BUY, -price, price)
    out[:, spec.LOTS] = rng.integers(1, max_lots + 1, count)
    sets = out[:, spec.KIND] == spec.LEVEL_SET
    out[sets, spec.LOTS] = rng.integers(0, 6 * max_lots, sets.sum()) * (rng.random(sets.sum()) < 0.9)
    out[:, spec.ORDER_ID] = rng.integers(1, 120, count)
    out[sets, spec.ORDER_ID] = rng.integers(-2, 120, sets.sum())
    out[:, spec.OWNER] = rng.integers(1, 4, count) * (rng.random(count) < 0.6)
    out[sets, spec.OWNER] = rng.integers(-2, 3, sets.sum())
    large = rng.random(count) < huge
    out[large, spec.LOTS] = spec.MAX_LOTS - rng.integers(0, 3, large.sum())
    for row in np.flatnonzero(rng.random(count) < bad):
        out[row, rng.integers(spec.SIDE, spec.OWNER + 1)] = rng.choice(_BAD_WORDS)
    return out


def pressing_messages(rng, count, agents):
    """Return int32[count, 8] that fill both sides over many prices, a part `agents` by owners 1..3, and set levels."""
    out = level_messages(rng, count, span=60, bad=0.0, crossing=False)
    out[:, spec.KIND] = rng.choice((spec.LIMIT,) * 7 + (spec.LEVEL_SET,) * 2 + (spec.DELETE,), count)
    sets = out[:, spec.KIND] == spec.LEVEL_SET
    out[~sets, spec.ORDER_ID] = np.arange(1, count + 1)[~sets]
    out[:, spec.OWNER] = rng.integers(1, 4, count) * (rng.random(count) < agents)
    return out


def run_both(messages, config):
    """Apply messages[B, M, 8] call by call with both backends and compare after each; return books and outputs."""
    batch, length = messages.shape[:2]
    padded = np.zeros((batch, -(-length // CALL) * CALL, spec.NUM_MESSAGE_COLUMNS), np.int32)
    padded[:, :length] = messages
    judged = spec.empty_book(config, (batch,))
    book = jax.tree.map(jnp.asarray, judged)
    reference = np.arange(batch, dtype=np.int32)
    outputs = []
    for part in np.split(padded, padded.shape[1] // CALL, axis=1):
        judged, expected = process_batch(judged, part, config, "oracle", reference)
        book, out = batched_process(config)(book, part, reference)
        assert_same(judged, book, f"call {len(outputs)} book")
        assert_same(expected, out, f"call {len(outputs)} output")
        outputs.append(expected)
    return judged, outputs


def stack(make, *arguments, seeds, **options):
    return np.stack([make(np.random.default_rng(seed), *arguments, **options) for seed in seeds])


# Every queue model, every policy and both modes of the log, shared by tests so that each compiles once.
CONFIGS = [
    CONFIG,
    CONFIG._replace(queue_model=1, self_trade=1, fills_mode=1),
    CONFIG._replace(queue_model=2, self_trade=2),
    CONFIG._replace(queue_model=1, self_trade=3, fills_mode=1),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_levels_set_among_agents_orders_give_the_oracles_book_and_output(config):
    self_trade = config.self_trade
    books, outputs = run_both(stack(level_messages, 480, seeds=range(NUM_BOOKS)), config)
    reasons = set(np.concatenate([out.reason.ravel() for out in outputs]).tolist())
    missed = set() if self_trade == spec.SELF_TRADE_CANCEL_TAKER else {spec.SELF_TRADE}
    assert set(range(spec.NUM_REASONS)) - missed - {spec.SIDE_FULL} <= reasons
    assert books.counters[:, spec.NUM_FILLS_DROPPED].any()
    assert books.counters[:, spec.NUM_SELF_TRADES].any() == (self_trade != spec.SELF_TRADE_NONE)


@pytest.mark.parametrize("capacity", [64, 128, 256, 512])
def test_a_level_that_grows_on_a_full_side_evicts_or_says_that_it_is_full(capacity):
    config = LobConfig(capacity, max_fills=4, depth_levels=3, queue_model=capacity.bit_length() % 3)
    length = 4 * capacity + 60
    parts = [pressing_messages(np.random.default_rng(seed), length, agents) for seed, agents in enumerate((0.3, 0.97))]
    messages = np.stack(parts)
    books, outputs = run_both(messages, config)
    reason = np.concatenate([out.reason for out in outputs], axis=1)[:, :length]
    assert ((reason == spec.SIDE_FULL) & (messages[..., spec.KIND] == spec.LEVEL_SET)).any()
    assert books.counters[:, spec.LOTS_EVICTED].any() and books.counters[:, spec.LOTS_REJECTED_FULL].all()


@pytest.mark.parametrize("config", CONFIGS)
def test_huge_lots_saturate_the_sums_of_a_level_alike(config):
    messages = stack(level_messages, 240, seeds=range(50, 50 + NUM_BOOKS), span=3, huge=0.7, crossing=False)
    _, outputs = run_both(messages, config)
    assert any((out.depth[..., 1] == spec.DEPTH_SATURATED).any() for out in outputs)


def row(kind, side, lots, price, order_id=0, owner=0):
    return (kind, side, lots, price, order_id, owner, 0, 0)


@pytest.mark.parametrize("config", CONFIGS)
def test_a_fill_or_kill_counts_beforehand_what_its_policy_leaves_it(config):
    makers = [row(spec.LIMIT, spec.SELL, 5, 10 + i // 2, i + 1, i % 3) for i in range(18)]
    takers = [
        row(spec.FOK, spec.BUY, lots, 18, 100 + lots, owner) for owner in (1, 2) for lots in (3, 5, 8, 55, 60, 90)
    ]
    each = [[*makers, taker, row(spec.LIMIT, spec.BUY, 30, 18, 99, 1)] for taker in takers]
    for start in range(0, len(each), NUM_BOOKS):
        run_both(np.array(each, np.int32)[start : start + NUM_BOOKS], config)


def test_the_proportional_share_is_the_exact_ceiling_at_62_bits():
    rng = np.random.default_rng(8)
    share = jax.jit(xla_level._ceil_of_fraction)
    for total in (1, 2, 3, 1000, 2**30, 2**31 - 2, 2**31 - 1, *rng.integers(1, 2**31, 40).tolist()):
        for lots in {0, total - 1, min(total - 1, 2**30), int(rng.integers(0, total))}:
            values = np.append(rng.integers(0, total + 1, 62), (0, total)).astype(np.int32)
            expected = [-(-int(value) * lots // total) for value in values]
            assert share(values, np.int32(lots), np.int32(total)).tolist() == expected


def test_a_jitted_batch_of_unequal_markets_gives_what_the_oracle_and_an_eager_market_give():
    config = CONFIG._replace(queue_model=spec.QUEUE_PROPORTIONAL, self_trade=spec.SELF_TRADE_CANCEL_RESTING)
    start = stack(level_messages, CALL, seeds=range(3), span=2)
    books, _ = process_batch(spec.empty_book(config, (3,)), start, config, "oracle")
    rows = np.zeros((3, 1, spec.NUM_MESSAGE_COLUMNS), np.int32)  # one shrinks, one grows, one does nothing
    rows[0, 0] = row(spec.LEVEL_SET, spec.BUY, 1, 0)
    rows[1, 0] = row(spec.LEVEL_SET, spec.SELL, 2**30, 1)
    batched = jax.jit(jax.vmap(xla.make_process(config)))(books, rows, np.zeros(3, np.int32))
    one = Book._make(jnp.asarray(field[0]) for field in books)
    with jax.disable_jit():  # slow, so only the market that shrinks
        alone = xla.make_process(config)(one, jnp.asarray(rows[0]), jnp.int32(0))
    jax.block_until_ready((batched, alone))  # the oracle changes the books in place
    judged, expected = process_batch(books, rows, config, "oracle")
    for want, batch, eager in zip((judged, expected), batched, alone, strict=True):
        assert_same(want, batch, "batch")
        assert_same(jax.tree.map(lambda leaf: leaf[0], want), eager, "eager")


def test_the_tracers_of_oracle_and_xla_agree_after_every_message():
    config = CONFIGS[2]._replace(max_fills=256)  # the oracle's tracer keeps one log for all its messages
    messages = level_messages(np.random.default_rng(9), 200)
    tracers = [make_tracer(backend, config) for backend in ("oracle", "xla")]
    depths = [tracer.trace(messages) for tracer in tracers]
    np.testing.assert_array_equal(*depths)
    np.testing.assert_array_equal(*(tracer.counters() for tracer in tracers))


MARKETS = 3


def market_step_rows(rng, number):
    """Return (agent messages[K, 8], background[H, 8]) of step `number`."""
    agents = level_messages(rng, 5, span=3)
    agents[:4, spec.KIND] = rng.choice((spec.LIMIT, spec.LIMIT, spec.MARKET, spec.IOC, spec.FOK), 4)
    agents[:4, spec.OWNER] = 1
    agents[:, spec.TIME_S] = 10 + 2 * number + rng.integers(0, 2, 5)
    background = level_messages(rng, 25, span=4)
    background[:, spec.TIME_S] = 10 + 2 * number + np.sort(rng.integers(0, 3, 25))
    return agents, background


@pytest.mark.parametrize(("queue_model", "self_trade"), [(1, 2), (2, 3)])
def test_the_market_step_gives_the_oracles_states_and_outputs(queue_model, self_trade):
    config = MarketConfig(CONFIG._replace(queue_model=queue_model, self_trade=self_trade), inbox=6, num_learners=2)
    flow = get_flow("replay")
    step = jax.jit(jax.vmap(xla_market.make_market_step(config, flow), (0, 0, None, 0, 0)))
    meta = np.zeros((MARKETS, spec.NUM_META), np.int32)
    meta[:, [spec.META_CLOCK_S, spec.META_NEXT_ORDER_ID]] = 10, 1
    shape = (MARKETS, config.inbox, spec.NUM_MESSAGE_COLUMNS)
    books, inbox = spec.empty_book(config.lob, (MARKETS,)), np.zeros(shape, np.int32)
    state = MarketState(books, inbox, meta, np.zeros((MARKETS, 2), np.uint32))  # pyright: ignore[reportArgumentType]
    options = {"inbox": config.inbox, "num_learners": config.num_learners}
    sampler = flow.numba_sampler.py_func
    judges = [MarketOracle(Oracle(*config.lob), sampler, **options, meta=words) for words in meta.tolist()]
    rng, params = np.random.default_rng(queue_model), np.zeros(1, np.int32)
    for number in range(8):
        rows = [market_step_rows(rng, number) for _ in range(MARKETS)]
        agents, background = (np.stack(part) for part in zip(*rows, strict=True))
        horizon = np.array([[20, 0], [9 * (number % 3), 0], [40, 1_500_000]], np.int32)
        told = [judge.step(agents[m], params, background[m], horizon[m]) for m, judge in enumerate(judges)]
        state, out = step(state, agents, params, background, horizon)
        assert_same(MarketOutput(*(np.stack(field) for field in zip(*told, strict=True))), out, f"step {number}")
        held = [Book(*judge.book.arrays()) for judge in judges]
        assert_same(jax.tree.map(lambda *leaves: np.stack(leaves), *held), state.book, f"step {number} book")
    assert any(judge.book.counters[spec.NUM_SELF_TRADES] for judge in judges)


def test_a_program_without_a_policy_carries_nothing_for_it():
    assert xla_match.no_walk(jnp.int32(5), spec.SELF_TRADE_NONE).prevented is None


def test_a_level_set_ignores_id_and_owner_and_may_ask_for_no_lots():
    read = xla_message.read(jnp.array(row(spec.LEVEL_SET, 0, 0, 0, -5, -5), jnp.int32))
    assert (int(read.reason), int(read.order_id), int(read.owner)) == (spec.OK, 0, 0)
