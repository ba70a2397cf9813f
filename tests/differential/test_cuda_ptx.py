"""What NVRTC makes of the CUDA kernels, in a simulator of PTX, gives the oracle's bits. Not run on a GPU yet."""

from functools import cache

import numpy as np
import pytest

from kernels.lob import spec
from kernels.lob.cuda import nvrtc
from kernels.lob.cuda.source import MARKET_STEP, PROCESS, WARPS, kernel_source
from kernels.lob.oracle import MarketOracle, Oracle
from kernels.lob.spec import Book, LobConfig
from kernels.lob.step import new_market
from market_models.registry import get_flow
from tests.support import cuda_host
from tests.support.engine_streams import agent_messages, assert_same, filling_messages, random_messages
from tests.support.flows import random_params
from tests.support.ptx import Program, PtxError, Simulator

BOOKS = 5  # the second block is not full


pytestmark = pytest.mark.usefixtures("with_nvrtc")


@cache
def simulator(kernel, capacity, flow_source=None):
    return Simulator(Program(nvrtc.compile_source(kernel_source(kernel, capacity, flow_source)).ptx))


def launcher(kernel, capacity, flow_source=None):
    warps = WARPS[capacity]
    return lambda words, arrays: simulator(kernel, capacity, flow_source).launch(
        words, arrays, blocks=-(-BOOKS // warps), warps=warps
    )


def level_messages(rng, count):
    out = random_messages(rng, count, span=2, ids=30)
    level = rng.random(count) < 0.5
    out[level, spec.KIND] = spec.LEVEL_SET
    return out


@pytest.mark.parametrize(
    ("capacity", "modes"), [(64, (0, 0, 0)), (64, (1, 1, 1)), (64, (0, 2, 2)), (64, (1, 3, 0)), (512, (0, 3, 1))]
)
def test_process_as_compiled_for_the_gpu_gives_the_oracles_bits(capacity, modes):
    config = LobConfig(capacity, 11, 4, *modes)
    rng = np.random.default_rng([capacity, *modes])
    streams = (random_messages, lambda rng, count: filling_messages(rng, count, 64), level_messages)
    books = spec.empty_book(config, (BOOKS,))
    judges = [Oracle(*config, reference_tick=7) for _ in range(BOOKS)]
    for number, count in enumerate((33, 70)):
        messages = np.stack([streams[b % 3](rng, count) for b in range(BOOKS)])
        kernel = launcher(PROCESS, capacity)
        books, out, _ = cuda_host.process(books, messages, config, 7, in_place=number == 1, kernel=kernel)
        for b, judge in enumerate(judges):
            assert_same(judge.apply(messages[b]), type(out)(*(field[b] for field in out)), f"call {number} {b}")
            assert_same(judge.arrays(), Book(*(field[b] for field in books)), f"call {number} {b}")


@pytest.mark.parametrize("name", ["replay", "zero_intelligence", "queue_reactive", "agent_based", "hawkes"])
def test_the_market_step_as_compiled_for_the_gpu_gives_the_oracles_bits(name):
    config, flow, rng = LobConfig(64, 6, 3), get_flow(name), np.random.default_rng(8)
    params = random_params(rng, name)
    markets = new_market(config, spec.empty_book(config, (BOOKS,)), seed=3, reference_tick=0, inbox=3)
    markets.seed[:, 1] = np.arange(BOOKS)
    options = {"inbox": 3, "num_learners": 2}
    judges = [
        MarketOracle(Oracle(*config), flow.numba_sampler, **options, meta=meta, seed=seed)
        for meta, seed in zip(markets.meta, markets.seed, strict=True)
    ]
    for number in range(3):
        agents = np.stack([agent_messages(rng, 4, number, 2**30 + 6 * number) for _ in range(BOOKS)])
        rows = np.stack([random_messages(rng, 30 if name == "replay" else 0, ids=40) for _ in range(BOOKS)])
        horizon = [(20, 0), (30, 900_000), (25, 0)][number]
        inputs = (agents, np.tile(params, (BOOKS, 1)), rows, [horizon] * BOOKS)
        kernel = launcher(MARKET_STEP, 64, flow.cuda_source_path)
        markets, out, _ = cuda_host.market_step(
            flow.cuda_source_path, config, markets, inputs, num_learners=2, kernel=kernel
        )
        for b, judge in enumerate(judges):
            expected = judge.step(agents[b], params, rows[b], horizon)
            assert_same(expected, type(out)(*(field[b] for field in out)), f"step {number} market {b}")
            assert_same(judge.book.arrays(), Book(*(field[b] for field in markets.book)), f"step {number} {b}")
            np.testing.assert_array_equal(judge.inbox_rows(), markets.inbox[b])
            np.testing.assert_array_equal(judge.meta, markets.meta[b])


def test_an_access_beyond_the_books_is_found():
    config = LobConfig(64, 11, 4)
    messages = np.stack([random_messages(np.random.default_rng(b), 40) for b in range(BOOKS)])
    run = launcher(PROCESS, 64)

    def beyond(words, arrays):  # the kernel is told of more books than there are
        words[20] += 1
        run(words, arrays)

    with pytest.raises(PtxError, match="in none of the call's arrays"):
        cuda_host.process(spec.empty_book(config, (BOOKS,)), messages, config, kernel=beyond)


SMALL = """
.visible .entry small(.param .align 8 .b8 small_param_0[8])
{
	.shared .align 16 .b8 words[128];
	mov.u32 	%r1, %tid.x;
	shl.b32 	%r2, %r1, 2;
	setp.lt.s32 	%p1, %r1, 8;
	@%p1 bra 	$L_LOW;
	BODY
$L_LOW:
	st.shared.u32 	[%r2], %r1;
	bar.warp.sync 	-1;
	ret;
}
"""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("add.s32 \t%r2, %r2, 4;", "outside of its memory"),
        ("add.s32 \t%r2, %r2, 2;", "not a multiple of 4"),
        ("bar.warp.sync \t-1;", "without all lanes"),
        ("ex2.approx.f32 \t%f1, %f2;", "ex2.approx.f32 is not simulated"),
    ],
)
def test_the_simulator_refuses_what_a_gpu_would_not_forgive_and_what_it_does_not_know(body, message):
    def run(text):
        Simulator(Program(text)).launch(np.zeros(1, np.int64), (), 1, 1)

    run(SMALL.replace("BODY", "add.s32 \t%r3, %r1, 1;"))
    with pytest.raises(PtxError, match=message):
        run(SMALL.replace("BODY", body))
