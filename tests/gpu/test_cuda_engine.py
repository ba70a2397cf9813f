"""The CUDA backend on a GPU: the same bits as the CPU, in place, on every device, and how fast. See docs/gpu.md.

Not run yet: no machine of the project had a GPU when this was written. Skipped where there is none.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.bench_engine import bench_engine
from kernels.lob import spec
from kernels.lob.cuda.errors import CudaMissingError
from kernels.lob.host import process_batch
from kernels.lob.spec import Book, LobConfig
from market_models.registry import get_flow
from sim.engine import api
from sim.engine.types import MarketConfig
from sim.replay import verify_stream
from tests.support.engine_streams import agent_messages, assert_same, filling_messages, random_messages
from tests.support.flows import random_params

pytestmark = pytest.mark.gpu
BOOKS = 37  # no multiple of the warps of a block
STREAMS = ("stream_64x2000.npz", "stream_32x2000_deep.npz", "stream_32x2000_ties.npz")


@pytest.fixture(scope="module", autouse=True)
def _with_gpu():
    try:
        api.check_backend("cuda")
    except CudaMissingError as error:
        pytest.skip(f"no GPU here: {error}")


def gpu():
    return jax.devices("cuda")[0]


def on_gpu(tree):
    return jax.device_put(tree, gpu())


def random_calls(rng, config, number, count):
    kinds = (random_messages, lambda rng, count: filling_messages(rng, count, config.capacity))
    return [np.stack([kinds[b % 2](rng, count) for b in range(BOOKS)]) for _ in range(number)]


@pytest.mark.parametrize("capacity", spec.CAPACITIES)
@pytest.mark.parametrize("modes", [(0, 0, 0), (1, 1, 1), (0, 2, 2), (1, 3, 0)])
def test_every_word_is_the_oracles(capacity, modes):
    config = LobConfig(capacity, 40, 7, *modes)
    rng = np.random.default_rng([capacity, *modes])
    process = jax.jit(jax.vmap(api.make_process(config, "cuda"), (0, 0, None)), donate_argnums=0)
    books = on_gpu(spec.empty_book(config, (BOOKS,)))
    judged = spec.empty_book(config, (BOOKS,))
    for number, messages in enumerate(random_calls(rng, config, 3, 150)):
        books, out = process(books, on_gpu(messages), 5)
        judged, expected = process_batch(judged, messages, config, "oracle", 5)
        assert_same(expected, out, f"call {number} output")
        assert_same(judged, books, f"call {number} books")


@pytest.mark.parametrize("name", ["zero_intelligence", "queue_reactive", "agent_based", "hawkes", "replay"])
@pytest.mark.parametrize("capacity", [64, 128])
def test_the_market_step_has_the_bits_of_the_cpu(name, capacity):
    config = MarketConfig(LobConfig(capacity, 20, 4), inbox=5, num_learners=2)
    rng = np.random.default_rng(capacity)
    flow = get_flow(name)
    params = random_params(rng, name)
    numbers = jnp.arange(BOOKS, dtype=jnp.uint32)
    empty = spec.empty_book(config.lob)
    start = jax.vmap(lambda number: api.init_market(config, empty, 7, number, 34_200, 0, 1, 1000))(numbers)
    axes = (0, 0, None, 0, None)
    steps = {where: jax.jit(jax.vmap(api.make_market_step(config, flow, where), axes)) for where in ("cpu", "cuda")}
    places = {"cpu": jax.devices("cpu")[0], "cuda": gpu()}
    states = {where: jax.device_put(start, place) for where, place in places.items()}
    for number in range(12):
        agents = np.stack([agent_messages(rng, 4, 34_200 + number, 2**30 + 6 * number) for _ in range(BOOKS)])
        rows = np.stack([random_messages(rng, 30 if name == "replay" else 0, ids=60) for _ in range(BOOKS)])
        inputs = (agents, params, rows, np.array([(40, 0), (30, 500_000)][number % 2], np.int32))
        outs = {}
        for where, step in steps.items():
            states[where], outs[where] = step(states[where], *jax.device_put(inputs, places[where]))
        assert_same(jax.tree.map(np.asarray, outs["cpu"]), outs["cuda"], f"step {number}")
        assert_same(jax.tree.map(np.asarray, states["cpu"]), states["cuda"], f"step {number}")


def test_books_that_are_not_donated_are_left_alone():
    config = LobConfig(64, 16, 4)
    messages = np.stack([random_messages(np.random.default_rng(b), 90) for b in range(BOOKS)])
    process = jax.vmap(api.make_process(config, "cuda"), (0, 0, None))
    books = on_gpu(spec.empty_book(config, (BOOKS,)))
    after, _ = jax.jit(process)(books, on_gpu(messages), 0)
    assert not np.asarray(books.lots).any()
    again, _ = jax.jit(process, donate_argnums=0)(books, on_gpu(messages), 0)
    assert_same(jax.tree.map(np.asarray, after), again)
    assert books.lots.is_deleted()


def test_scan_nested_vmap_and_no_books():
    config = LobConfig(64, 16, 4)
    process = api.make_process(config, "cuda")
    messages = np.stack([random_messages(np.random.default_rng(b), 4 * 25) for b in range(6)]).reshape(2, 3, 4, 25, 8)

    def run(book, calls):
        return jax.lax.scan(lambda book, call: process(book, call, 0), book, calls)[0]

    books = on_gpu(spec.empty_book(config, (2, 3)))
    after = jax.jit(jax.vmap(jax.vmap(run)))(books, on_gpu(messages))
    flat = spec.empty_book(config, (6,))
    for call in range(4):
        flat, _ = process_batch(flat, messages.reshape(6, 4, 25, 8)[:, call], config, "oracle")
    assert_same(flat, Book(*(np.asarray(field).reshape(6, *field.shape[2:]) for field in after)))
    nothing = jax.jit(jax.vmap(process, (0, 0, None)))(
        on_gpu(spec.empty_book(config, (0,))), on_gpu(np.zeros((0, 5, 8), np.int32)), 0
    )
    assert nothing[1].reason.shape == (0, 5)


@pytest.mark.data
@pytest.mark.parametrize("name", STREAMS)
def test_the_shared_streams_come_out_as_recorded(data_dir, name):
    path = data_dir / "streams" / name
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    result = verify_stream(path, "cuda", max_books=8)
    assert result["ok"], result


@pytest.mark.data
def test_throughput(data_dir, capsys):
    result = bench_engine(data_dir / "streams" / "stream_64x2000.npz", 65_536, "cuda", repeats=3)
    with capsys.disabled():
        print(json.dumps(result))
    assert result["correct"]
