"""The numba kernel gives the oracle's bits: plain Python that shares no code with it."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from kernels.lob import ffi, spec
from kernels.lob.host import HostBook, process_batch
from kernels.lob.spec import Book, LobConfig
from sim.engine import api, cpu
from tests.support.engine_streams import assert_same, filling_messages, random_messages

CONFIG = LobConfig(capacity=64, max_fills=24, depth_levels=4)
NUM_BOOKS = 4


@cache
def batched_process(config):
    return jax.jit(jax.vmap(api.make_process(config, "cpu")))


def stack(make, *arguments, seeds):
    return np.stack([make(np.random.default_rng(seed), *arguments) for seed in seeds])


def run_both(messages, calls, config=CONFIG, reference=None):
    """Apply messages[B, M, 8] in `calls` calls with both backends; compare everything after each."""
    batch = messages.shape[0]
    reference = np.arange(batch, dtype=np.int32) if reference is None else np.array(reference, np.int32)
    judged, books = spec.empty_book(config, (batch,)), spec.empty_book(config, (batch,))
    outputs = []
    for number, part in enumerate(np.array_split(messages, calls, axis=1)):
        judged, expected = process_batch(judged, part, config, "oracle", reference)
        books, out = process_batch(books, part, config, "cpu", reference)
        assert_same(judged, books, f"call {number} book")
        assert_same(expected, out, f"call {number} output")
        outputs.append(expected)
    return judged, outputs


@pytest.mark.parametrize("fills_mode", [spec.FILLS_ALL, spec.FILLS_OWNED])
def test_every_kind_and_every_invalid_word_gives_the_oracles_book_and_output(fills_mode):
    config = CONFIG._replace(fills_mode=fills_mode)
    _, outputs = run_both(stack(random_messages, 1500, seeds=range(NUM_BOOKS)), 40, config)
    reasons = np.concatenate([out.reason.ravel() for out in outputs])
    assert set(range(spec.NUM_REASONS)) - {spec.SIDE_FULL, spec.SELF_TRADE} <= set(reasons.tolist())


@pytest.mark.parametrize("self_trade", range(len(spec.SELF_TRADE_NAMES)))
@pytest.mark.parametrize("queue_model", range(len(spec.QUEUE_NAMES)))
def test_every_self_trade_policy_and_queue_model_gives_the_oracles_bits(self_trade, queue_model):
    config = CONFIG._replace(self_trade=self_trade, queue_model=queue_model)
    calm = stack(lambda rng: random_messages(rng, 600, span=3, owners=2), seeds=range(80, 84))
    books, _ = run_both(calm, 12, config)
    assert (books.counters[:, spec.NUM_SELF_TRADES] > 0).all() == (self_trade != spec.SELF_TRADE_NONE)
    run_both(
        stack(lambda rng: random_messages(rng, 400, span=1, max_lots=spec.MAX_LOTS), seeds=range(84, 86)), 4, config
    )
    run_both(stack(filling_messages, 600, CONFIG.capacity, seeds=range(86, 88)), 6, config)


def test_one_message_a_call_gives_the_same_bits_as_many_so_lazy_deletion_does_not_show():
    messages = stack(random_messages, 300, seeds=range(20, 23))
    config = CONFIG._replace(max_fills=500)  # none is dropped: that counter depends on the number of calls
    alone, _ = run_both(messages, 300, config)
    together, _ = run_both(messages, 1, config)
    assert_same(alone, together)


@pytest.mark.parametrize("calls", [1, 7, 90])
def test_a_full_side_evicts_or_says_that_it_is_full_with_dead_slots_or_without(calls):
    books, outputs = run_both(stack(filling_messages, 900, CONFIG.capacity, seeds=range(10, 10 + NUM_BOOKS)), calls)
    assert (books.counters[:, : spec.NUM_UNKNOWN_CANCEL] > 5).all()
    assert any((out.reason == spec.SIDE_FULL).any() for out in outputs)


def background_only(rng, num_messages):
    rows = filling_messages(rng, num_messages, 64)
    rows[:, spec.OWNER] = 0
    return rows


def test_a_market_of_background_orders_alone_never_rejects_a_better_order():
    books, _ = run_both(stack(background_only, 1200, seeds=range(30, 33)), 12)
    assert (books.counters[:, spec.NUM_EVICTED] > 50).all()


def test_lots_near_the_largest_saturate_levels_and_never_wrap_a_match():
    messages = stack(lambda rng: random_messages(rng, 400, span=2, max_lots=spec.MAX_LOTS), seeds=range(40, 44))
    _, outputs = run_both(messages, 10)
    assert any((out.depth[..., 1] == spec.DEPTH_SATURATED).any() for out in outputs)


def test_extreme_prices_and_references_wrap_alike():
    messages = stack(random_messages, 300, seeds=range(50, 54))
    priced = np.isin(messages[..., spec.KIND], (spec.LIMIT, spec.IOC))
    messages[..., spec.PRICE_TICK] += np.where(priced, spec.MAX_ABS_PRICE_TICK - 6, 0).astype(np.int32)
    run_both(messages, 6, reference=(2**31 - 1, -(2**31), 2**30, -1))


@pytest.mark.parametrize("capacity", spec.CAPACITIES)
def test_every_capacity_gives_the_oracles_bits(capacity):
    config = LobConfig(capacity=capacity, max_fills=3, depth_levels=12)
    run_both(stack(filling_messages, 3 * capacity, capacity, seeds=[60]), 3, config)


def test_a_trace_is_the_depth_after_every_group():
    groups = random_messages(np.random.default_rng(70), 240).reshape(60, 4, 8)
    traces, books = [], []
    for backend in ("oracle", "cpu"):
        book = HostBook(CONFIG, backend)
        traces.append(book.trace(groups, 3))
        books.append(book)
    assert traces[0].any() and (traces[0] == traces[1]).all()
    assert_same(books[0].book, books[1].book)
    for owner in (1, 2):
        assert (books[0].own(owner) == books[1].own(owner)).all()


# Inside JAX.


def on_host(messages, config=CONFIG, reference=0):
    books = spec.empty_book(config, messages.shape[:1])
    return process_batch(books, messages, config, "cpu", reference)


def test_jit_eager_and_host_give_the_same_bits():
    messages = stack(random_messages, 200, seeds=range(NUM_BOOKS))
    expected = on_host(messages)
    books = jax.tree.map(jnp.asarray, spec.empty_book(CONFIG, (NUM_BOOKS,)))
    zero = jnp.zeros(NUM_BOOKS, jnp.int32)
    assert_same(expected[0], batched_process(CONFIG)(books, messages, zero)[0])
    eager = jax.vmap(api.make_process(CONFIG, "cpu"))(books, messages, zero)
    assert_same(expected[0], eager[0])
    assert_same(expected[1], eager[1])


def test_the_input_books_are_left_alone_unless_they_are_donated():
    messages = stack(random_messages, 100, seeds=range(NUM_BOOKS))
    expected = on_host(messages)
    books = jax.tree.map(jnp.asarray, spec.empty_book(CONFIG, (NUM_BOOKS,)))
    process = jax.vmap(api.make_process(CONFIG, "cpu"), (0, 0, None))
    jax.block_until_ready(jax.jit(process)(books, messages, 0))
    assert not any(np.asarray(field).any() for field in books)
    donated = jax.jit(process, donate_argnums=0)(books, messages, 0)
    assert_same(expected[0], donated[0])
    assert all(field.is_deleted() for field in books)


def test_a_donated_book_is_changed_where_it_lies():
    books = jax.tree.map(jnp.asarray, spec.empty_book(CONFIG, (NUM_BOOKS,)))
    messages = stack(random_messages, 100, seeds=range(NUM_BOOKS))
    process = jax.jit(jax.vmap(api.make_process(CONFIG, "cpu"), (0, 0, None)), donate_argnums=0)
    places = [field.unsafe_buffer_pointer() for field in books]
    after, _ = process(books, messages, 0)
    assert [field.unsafe_buffer_pointer() for field in after] == places


def test_the_handler_is_right_even_where_xla_does_not_alias_its_buffers():
    messages = stack(random_messages, 100, seeds=range(NUM_BOOKS))
    opening = on_host(stack(random_messages, 50, seeds=range(5, 9)))[0]
    books = jax.tree.map(jnp.array, opening)
    modes = (spec.FILLS_ALL, spec.SELF_TRADE_NONE, spec.QUEUE_BACK_FIRST)
    target = cpu.register(ffi.process_target(modes), lambda version: ffi.make_process_handler(modes, version))
    shapes = [jax.ShapeDtypeStruct(leaf.shape, np.int32) for leaf in jax.tree.leaves(on_host(messages))]
    results = jax.jit(jax.ffi.ffi_call(target, shapes))(*books, messages, jnp.zeros(NUM_BOOKS, jnp.int32))
    expected = process_batch(opening, messages, CONFIG, "cpu")
    assert_same(expected[0], results[:6])
    assert_same(expected[1], results[6:])


def test_a_book_that_is_used_twice_in_a_program_is_copied_by_xla():
    messages = stack(random_messages, 100, seeds=(1, 2))
    book = Book(*(jnp.asarray(field) for field in spec.empty_book(CONFIG)))
    process = api.make_process(CONFIG, "cpu")
    both = jax.jit(lambda book: [process(book, part, 0)[0] for part in messages])(book)
    for number, mine in enumerate(both):
        assert_same(Book(*(field[number] for field in on_host(messages)[0])), mine)


def test_it_runs_inside_scan_and_nested_vmap_with_unbatched_arguments():
    process = api.make_process(CONFIG, "cpu")
    messages = stack(random_messages, 40, seeds=range(6)).reshape(2, 3, 4, 10, 8)

    def chunks(book, parts, reference):
        return jax.lax.scan(lambda book, part: process(book, part, reference), book, parts)

    book = Book(*(jnp.asarray(field) for field in spec.empty_book(CONFIG)))
    nested = jax.vmap(jax.vmap(chunks, (None, 0, None)), (None, 0, 0))
    books, outs = jax.jit(nested)(book, messages, jnp.array([3, 3], jnp.int32))
    judged = spec.empty_book(CONFIG, (6,))
    for part in range(4):
        judged, expected = process_batch(judged, messages.reshape(6, 4, 10, 8)[:, part], CONFIG, "oracle", 3)
        mine = jax.tree.map(lambda x, p=part: x.reshape(6, *x.shape[2:])[:, p], outs)
        assert_same(expected, mine, f"part {part}")
    assert_same(judged, jax.tree.map(lambda x: x.reshape(6, *x.shape[2:]), books))


def test_shard_map_over_two_devices_gives_the_same_bits():
    if jax.device_count() < 2:
        pytest.skip("needs two devices: XLA_FLAGS=--xla_force_host_platform_device_count=2")
    mesh = jax.make_mesh((2,), ("books",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2])
    messages = stack(random_messages, 100, seeds=range(NUM_BOOKS))
    process = jax.vmap(api.make_process(CONFIG, "cpu"), (0, 0, None))
    books = jax.tree.map(jnp.asarray, spec.empty_book(CONFIG, (NUM_BOOKS,)))
    axis = PartitionSpec("books")
    specs = {"in_specs": (axis, axis), "out_specs": (axis, axis), "check_vma": False}
    sharded = jax.shard_map(lambda books, rows: process(books, rows, 0), mesh=mesh, **specs)
    out = jax.jit(sharded)(books, jnp.asarray(messages))
    expected = on_host(messages)
    assert_same(expected[0], out[0])
    assert_same(expected[1], out[1])
    assert len(out[0].lots.sharding.device_set) == 2


def test_two_configurations_and_message_counts_share_one_handler():
    for config, count in ((CONFIG, 30), (CONFIG._replace(capacity=128, max_fills=2, depth_levels=9), 50)):
        messages = stack(random_messages, count, seeds=[3])
        books = jax.tree.map(jnp.asarray, spec.empty_book(config, (1,)))
        out = batched_process(config)(books, messages, jnp.zeros(1, jnp.int32))
        assert_same(on_host(messages, config)[1], out[1])


# Bad input.


def test_arrays_that_do_not_fit_the_configuration_are_refused_with_their_name():
    process = api.make_process(CONFIG, "cpu")
    book = Book(*(jnp.asarray(field) for field in spec.empty_book(CONFIG)))
    with pytest.raises(ValueError, match="messages is int32\\[3, 7\\], expected int32\\[any, 8\\]"):
        process(book, jnp.zeros((3, 7), jnp.int32), 0)
    with pytest.raises(ValueError, match="messages is float32"):
        process(book, jnp.zeros((3, 8)), 0)
    wrong = book._replace(lots=jnp.zeros((2, 128), jnp.int32))
    with pytest.raises(ValueError, match=r"book\.lots"):
        process(wrong, jnp.zeros((3, 8), jnp.int32), 0)
    with pytest.raises(ValueError, match="capacity 100"):
        api.make_process(LobConfig(capacity=100))
    with pytest.raises(ValueError, match="backend 'tpu'"):
        api.make_process(CONFIG, "tpu")


def test_the_host_refuses_arrays_that_it_could_not_change_in_place():
    books = spec.empty_book(CONFIG, (1,))
    rows = np.zeros((1, 2, 8), np.int32)
    with pytest.raises(ValueError, match=r"book\.lots is int64"):
        process_batch(books._replace(lots=books.lots.astype(np.int64)), rows, CONFIG)
    with pytest.raises(ValueError, match="C-contiguous"):
        process_batch(books._replace(lots=np.zeros((1, 64, 2), np.int32).transpose(0, 2, 1)), rows, CONFIG)
    with pytest.raises(ValueError, match="does not fit int32"):
        HostBook(CONFIG).apply(np.full((1, 8), 2**40))
    with pytest.raises(ValueError, match="expected \\[M, 8\\]"):
        HostBook(CONFIG).apply(np.zeros((2, 3, 8), np.int32))
    with pytest.raises(ValueError, match=r"expected \[\.\.\., M, 8\]"):
        HostBook(CONFIG).apply(np.zeros((2, 7), np.int32))
    with pytest.raises(ValueError, match="backend 'xla'"):
        HostBook(CONFIG, "xla")
