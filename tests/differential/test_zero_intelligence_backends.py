"""The numba sampler and its XLA twin give the same bits, on random books, draws and parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numba import njit

from kernels.lob import spec
from kernels.lob.philox import philox4x32 as philox_numba
from kernels.lob.step import replay_sampler
from market_models import replay_xla
from market_models import zero_intelligence as zi
from market_models import zero_intelligence_numba as zn
from market_models import zero_intelligence_xla as zx
from market_models.philox_xla import multiply_high, philox4x32

CAPACITY, BOOKS = 64, 1500
NOTHING = np.zeros((1, spec.NUM_MESSAGE_COLUMNS), np.int32)


def random_books(rng: np.random.Generator) -> list[np.ndarray]:
    """Price, lots, id, owner [B, 2, O] and num_orders [B, 2] of uncrossed canonical books, some empty, some extreme."""
    shape = (BOOKS, 2, CAPACITY)
    price, lots, order_id, owner = (np.zeros(shape, np.int32) for _ in range(4))
    count = (rng.integers(0, CAPACITY + 1, (BOOKS, 2)) * (rng.random((BOOKS, 2)) < 0.85)).astype(np.int32)
    for b in range(BOOKS):
        mid = int(rng.choice([-(2**29), -7, 1000, 2**29]))
        far = int(rng.choice([5, 90, 2**29]))
        for side in (0, 1):
            k = count[b, side]
            away = np.sort(rng.integers(1, far + 1, k))[::-1]
            price[b, side, :k] = mid + away * (2 * side - 1)
            order_id[b, side, :k] = rng.permutation(CAPACITY)[:k] + 1
            lots[b, side, :k] = rng.integers(1, 100, k)
            owner[b, side, :k] = rng.random(k) < 0.2
    return [price, lots, order_id, owner, count]


def parameters(rng: np.random.Generator, distances: int, market: float, scale: float) -> np.ndarray:
    sizes = np.sort(rng.integers(1, 300, 128))
    return zi.pack(
        scale * (0.01 + rng.random(distances)), market, scale * rng.random(distances), sizes, sizes[::-1].copy()
    )


PARAMETERS = {
    "sixty distances": (62, 0.2, 0.3),
    "one distance": (1, 0.7, 1.0),
    "all distances": (128, 0.0, 0.05),
    "slowest clock": (1, 0.0, 0.037),
    "busy": (40, 4000.0, 5000.0),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_both_samplers_answer_the_same_bits(name):
    rng = np.random.default_rng(7)
    params, books = parameters(rng, *PARAMETERS[name]), random_books(rng)
    meta = rng.integers(-(2**31), 2**31, (BOOKS, spec.NUM_META)).astype(np.int32)
    meta[:, spec.META_REFERENCE_TICK] = rng.integers(-100, 100, BOOKS)
    seed = rng.integers(0, 2**32, (BOOKS, 2), dtype=np.uint64).astype(np.uint32)
    twin = jax.jit(jax.vmap(zx.sample, in_axes=(None, None, 0, 0, 0, 0, 0, 0, 0)))
    status, dt_us, message, meta_after = (np.asarray(out) for out in twin(params, NOTHING, *books, meta, seed))
    assert {array.dtype.name for array in (status, dt_us, message, meta_after)} == {"int32"}
    np.testing.assert_array_equal(meta_after, meta)
    seen = set()
    for b in range(BOOKS):
        own = np.zeros(spec.NUM_MESSAGE_COLUMNS, np.int32)
        answer = zn.sample(params, NOTHING, *(field[b] for field in books), meta[b], seed[b], own)
        assert answer == (status[b], dt_us[b])
        if answer[0] == spec.FLOW_EVENT:
            np.testing.assert_array_equal(message[b], own)
        seen.add((int(status[b]), int(message[b, 0])))
    assert {(1, spec.LIMIT), (0, 0)} <= seen
    assert (1, spec.DELETE) in seen or name == "slowest clock"
    assert ((1, spec.MARKET) in seen) == (PARAMETERS[name][1] > 0)


def test_without_a_limit_rate_both_are_exhausted():
    rng = np.random.default_rng(1)
    book = [field[0] for field in random_books(rng)]
    params = np.zeros(zi.NUM_PARAMS, np.int32)
    meta, seed = np.zeros(8, np.int32), np.zeros(2, np.uint32)
    message = np.zeros(8, np.int32)
    assert zn.sample(params, NOTHING, *book, meta, seed, message) == (spec.FLOW_EXHAUSTED, 0)
    status, dt_us, _, _ = jax.jit(zx.sample)(params, NOTHING, *book, meta, seed)
    assert (int(status), int(dt_us)) == (spec.FLOW_EXHAUSTED, 0)


@njit
def exponentials(words):
    out = np.empty(len(words), np.int64)
    for i in range(len(words)):
        out[i] = zn.exponential_q16(words[i])
    return out


def test_both_exponentials_are_the_same_bits_at_the_edges_and_between():
    edges = np.concatenate(
        [np.arange(2000), 2**32 - 1 - np.arange(2000), 2 ** np.arange(32), 2 ** np.arange(1, 33) - 1]
    )
    words = np.append(edges, np.random.default_rng(0).integers(0, 2**32, 200_000)).astype(np.uint32)
    np.testing.assert_array_equal(exponentials(words), np.asarray(jax.jit(zx.exponential_q16)(words)))


def test_philox_is_the_same_bits_and_gives_the_known_answer():
    zero = [int(word) for word in philox4x32(jnp.zeros(2, jnp.uint32), jnp.uint32(0), 0)]
    assert zero == [0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48]
    rng = np.random.default_rng(3)
    keys, counters = rng.integers(0, 2**32, (200, 2)).astype(np.uint32), rng.integers(0, 2**32, 200).astype(np.uint32)
    twin = np.stack(jax.vmap(philox4x32, in_axes=(0, 0, None))(keys, counters, 3), axis=1)
    ours = [philox_numba(key[0], key[1], counter, 3) for key, counter in zip(keys, counters, strict=True)]
    np.testing.assert_array_equal(twin, np.array(ours, np.uint32))


def test_the_high_half_of_a_product_is_exact():
    rng = np.random.default_rng(4)
    a, b = (rng.integers(0, 2**32, 10_000, dtype=np.uint64) for _ in range(2))
    a[:4], b[:4] = 2**32 - 1, (2**32 - 1, 1, 0, 2**31)
    ours = multiply_high(jnp.asarray(a.astype(np.uint32)), jnp.asarray(b.astype(np.uint32)))
    np.testing.assert_array_equal(ours, ((a * b) >> np.uint64(32)).astype(np.uint32))


def test_both_replay_samplers_take_the_rows_in_order_and_move_the_clock_alike():
    rows = np.random.default_rng(5).integers(0, 100, (6, 8)).astype(np.int32)
    rows[:, spec.TIME_S] = [5, 5, 4, 0, 7, 7]
    rows[:, spec.TIME_NS] = [1, 900, 0, 0, 3, 3]
    empty = [np.zeros((2, CAPACITY), np.int32)] * 4 + [np.zeros(2, np.int32)]
    params, seed = np.zeros(1, np.int32), np.zeros(2, np.uint32)
    meta = np.zeros(8, np.int32)
    meta[spec.META_CLOCK_S], meta[spec.META_CLOCK_NS] = 5, 10
    for _ in range(7):
        status, dt_us, message, after = replay_xla.sample(params, jnp.asarray(rows), *empty, jnp.asarray(meta), seed)
        own = np.zeros(8, np.int32)
        answer = replay_sampler(params, rows, *empty, meta, seed, own)  # meta moves on
        assert answer == (int(status), int(dt_us))
        np.testing.assert_array_equal(message, own)
        np.testing.assert_array_equal(after, meta)
    assert answer[0] == spec.FLOW_EXHAUSTED
    assert (meta[spec.META_CLOCK_S], meta[spec.META_CLOCK_NS], meta[spec.META_CURSOR]) == (7, 3, 6)


def test_a_market_with_an_agent_in_it_goes_the_same_way_on_both_backends():
    from market_models.registry import get_flow
    from sim.engine import api
    from sim.engine.types import MarketConfig

    lob = spec.LobConfig(capacity=64, max_fills=8, depth_levels=3, fills_mode=spec.FILLS_OWNED)
    config = MarketConfig(lob=lob, inbox=4, num_learners=1)
    params = parameters(np.random.default_rng(2), 12, 0.6, 0.9)
    agent = np.zeros((2, 8), np.int32)
    agent[:, :6] = [(spec.LIMIT, 0, 5, 997, spec.FIRST_AGENT_ORDER_ID, 1), (spec.MARKET, 1, 3, 0, 2**30 + 1, 1)]
    outputs = []
    for backend in api.BACKENDS:
        step = jax.jit(api.make_market_step(config, get_flow("zero_intelligence"), backend))
        state = api.init_market(config, spec.empty_book(lob), 3, 9, 0, 0, 1, 1000)
        trail = []
        for number in range(4):
            messages = jnp.asarray(agent if number == 1 else np.zeros_like(agent))
            state, out = step(state, messages, jnp.asarray(params), jnp.asarray(NOTHING), jnp.array([60, 0], jnp.int32))
            trail.append(jax.tree.map(np.asarray, (state, out)))
        outputs.append(trail)
    jax.tree.map(np.testing.assert_array_equal, *outputs)
    assert outputs[0][-1][1].summary[spec.SUM_EVENTS] == 60
