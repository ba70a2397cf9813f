"""The XLA engine gives the oracle's bits: plain Python that shares no code with it."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from kernels.lob import spec
from kernels.lob.host import process_batch
from kernels.lob.spec import Book, LobConfig
from sim.engine import xla
from tests.support.engine_streams import assert_same, filling_messages, random_messages

CONFIG = LobConfig(capacity=64, max_fills=40, depth_levels=5)
NUM_BOOKS = 4
CALL = 100  # messages a call: always the same shapes, so that one compilation serves most tests


@cache
def batched_process(config):
    return jax.jit(jax.vmap(xla.make_process(config)))


def run_both(messages, config=CONFIG, reference=(0, 1, 2, 3)):
    """Apply messages[B, M, 8], padded with NOP, call by call with both backends; compare everything after each."""
    batch, length = messages.shape[:2]
    padded = np.zeros((batch, -(-length // CALL) * CALL, spec.NUM_MESSAGE_COLUMNS), np.int32)
    padded[:, :length] = messages
    reference = np.array(reference, np.int32)
    judged = spec.empty_book(config, (batch,))
    book = jax.tree.map(jnp.asarray, judged)
    outputs = []
    for part in np.split(padded, padded.shape[1] // CALL, axis=1):
        judged, expected = process_batch(judged, part, config, "oracle", reference)
        book, out = batched_process(config)(book, part, reference)
        assert_same(judged, book, f"call {len(outputs)} book")
        assert_same(expected, out, f"call {len(outputs)} output")
        outputs.append(expected)
    return judged, outputs


def stack(make, *arguments, seeds):
    return np.stack([make(np.random.default_rng(seed), *arguments) for seed in seeds])


@pytest.mark.parametrize("fills_mode", [spec.FILLS_ALL, spec.FILLS_OWNED])
def test_every_kind_and_every_invalid_word_gives_the_oracles_book_and_output(fills_mode):
    config = CONFIG._replace(fills_mode=fills_mode)
    books, outputs = run_both(stack(random_messages, 600, seeds=range(NUM_BOOKS)), config)
    # The stream is only a judge if it reaches everything that it can: no side is full, no policy stops a taker.
    reasons = np.concatenate([out.reason.ravel() for out in outputs])
    assert set(range(spec.NUM_REASONS)) - {spec.SIDE_FULL, spec.SELF_TRADE} <= set(reasons.tolist())
    if fills_mode == spec.FILLS_ALL:
        assert (books.counters[:, spec.NUM_FILLS_DROPPED] > 0).any()


def test_a_full_side_evicts_the_worst_background_order_or_says_that_it_is_full():
    books, _ = run_both(stack(filling_messages, 900, CONFIG.capacity, seeds=range(10, 10 + NUM_BOOKS)))
    assert (books.counters[:, spec.NUM_EVICTED] > 5).all()
    assert (books.counters[:, spec.NUM_REJECTED_FULL] > 5).all()


def test_lots_near_the_largest_saturate_levels_and_never_wrap_a_match():
    rng = np.random.default_rng(5)
    _, outputs = run_both(
        np.stack([random_messages(rng, 400, span=2, max_lots=spec.MAX_LOTS) for _ in range(NUM_BOOKS)])
    )
    assert any((out.depth[..., 1] == spec.DEPTH_SATURATED).any() for out in outputs)


def test_a_reference_far_away_makes_notional_wrap_alike():
    far = (2**31 - 1, -(2**31), 2**30, -1)
    run_both(stack(random_messages, 200, seeds=range(20, 20 + NUM_BOOKS)), reference=far)


def test_a_larger_book_gives_the_oracles_bits_too():
    config = LobConfig(capacity=256, max_fills=5, depth_levels=12)
    run_both(stack(filling_messages, 900, 256, seeds=[30]), config, reference=(0,))


def resting(side, price, lots, order_id, owner=0):
    return (spec.LIMIT, side, lots, price, order_id, owner, 0, 0)


def test_a_sweep_over_more_makers_than_a_turn_holds_fills_each_in_priority_order():
    makers = [resting(spec.SELL, 10 + i // 3, 2, i + 1) for i in range(40)]
    sweep = (spec.MARKET, spec.BUY, 2 * 40 - 1, 0, 99, 7, 0, 0)
    _, (out,) = run_both(np.array([[*makers, sweep]] * NUM_BOOKS, np.int32))
    assert out.fills[0, :40, spec.FILL_MAKER_ID].tolist() == list(range(1, 41))
    assert out.fills[0, :40, spec.FILL_LOTS].tolist() == [2] * 39 + [1]


def test_a_fill_or_kill_order_that_finds_too_little_leaves_no_trace():
    rows = [resting(spec.BUY, 10 - i, 5, i + 1) for i in range(12)]
    kill = (spec.FOK, spec.SELL, 26, 6, 50, 1, 0, 0)  # 25 lots stand at 6 or better
    done = (spec.FOK, spec.SELL, 25, 6, 51, 1, 0, 0)
    _, (out,) = run_both(np.array([[*rows, kill, done]] * NUM_BOOKS, np.int32))
    assert out.reason[0, 12:14].tolist() == [spec.FOK_UNFILLED, spec.OK]
    assert out.filled_lots[0, 12:14].tolist() == [0, 25]
    assert int(out.num_fills[0]) == 5


def test_on_a_side_full_of_agents_orders_a_taker_keeps_its_fills_and_loses_its_remainder():
    full = [resting(spec.BUY, 1 + i % 5, 2, i + 1, owner=1) for i in range(64)]
    ask = resting(spec.SELL, 10, 5, 100)
    taker = (spec.LIMIT, spec.BUY, 8, 10, 101, 0, 0, 0)
    maker = (spec.POST_ONLY, spec.BUY, 8, 9, 102, 2, 0, 0)
    books, (out,) = run_both(np.array([[*full, ask, taker, maker]] * NUM_BOOKS, np.int32))
    assert out.reason[0, 65:67].tolist() == [spec.SIDE_FULL, spec.SIDE_FULL]
    assert out.filled_lots[0, 65:67].tolist() == [5, 0]
    assert books.num_orders[0].tolist() == [64, 0]
    assert books.counters[0, spec.NUM_REJECTED_FULL] == 2


def test_it_runs_inside_scan_and_nested_vmap():
    process = xla.make_process(CONFIG)
    messages = stack(random_messages, 40, seeds=range(6)).reshape(2, 3, 4, 10, 8)

    def chunks(book, parts):
        return jax.lax.scan(lambda book, part: process(book, part, jnp.int32(0)), book, parts)

    books = jax.tree.map(jnp.asarray, spec.empty_book(CONFIG, (2, 3)))
    _, outs = jax.jit(jax.vmap(jax.vmap(chunks)))(books, messages)
    judged = spec.empty_book(CONFIG, (6,))
    for part in range(4):
        judged, expected = process_batch(judged, messages.reshape(6, 4, 10, 8)[:, part], CONFIG, "oracle")
        mine = jax.tree.map(lambda x, p=part: x.reshape(6, *x.shape[2:])[:, p], outs)
        assert_same(expected, mine, f"part {part}")


def test_markets_sharded_over_devices_give_the_oracles_bits_with_shard_maps_checks_on():
    mesh = jax.make_mesh((2,), ("market",), axis_types=(jax.sharding.AxisType.Auto,))
    messages = stack(random_messages, 30, seeds=range(NUM_BOOKS))
    run = jax.jit(
        jax.shard_map(
            jax.vmap(xla.make_process(CONFIG)),
            mesh=mesh,
            in_specs=PartitionSpec("market"),
            out_specs=PartitionSpec("market"),
        )
    )
    judged = spec.empty_book(CONFIG, (NUM_BOOKS,))
    book, out = run(jax.tree.map(jnp.array, judged), messages, jnp.zeros(NUM_BOOKS, jnp.int32))
    judged, expected = process_batch(judged, messages, CONFIG, "oracle")
    assert_same(judged, book, "book")
    assert_same(expected, out, "output")


def test_no_messages_change_nothing_and_report_the_touch():
    row = np.array([[resting(spec.BUY, 5, 3, 1)]], np.int32)
    book, _ = process_batch(spec.empty_book(CONFIG, (1,)), row, CONFIG, "oracle")
    one = Book._make(field[0] for field in book)
    after, out = jax.jit(xla.make_process(CONFIG))(one, jnp.zeros((0, 8), jnp.int32), jnp.int32(0))
    assert_same(one, after)
    assert out.summary[spec.SUM_BEST_BID_TICK] == 5 and out.summary[spec.SUM_HAS_ASK] == 0
