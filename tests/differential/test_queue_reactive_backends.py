"""The queue-reactive numba sampler and its XLA twin give the same bits, on random books, draws and parameters."""

import jax
import numpy as np
import pytest

from kernels.lob import spec
from market_models import queue_reactive as qr
from market_models import queue_reactive_numba as qn
from market_models import queue_reactive_xla as qx
from tests.support.queue_reactive import random_rates

CAPACITY, BOOKS = 64, 1500
NOTHING = np.zeros((1, spec.NUM_MESSAGE_COLUMNS), np.int32)


def random_books(rng: np.random.Generator) -> list[np.ndarray]:
    """Price, lots, id, owner [B, 2, O] and num_orders [B, 2]: some empty, extreme, all agents', or crossed."""
    shape = (BOOKS, 2, CAPACITY)
    price, lots, order_id, owner = (np.zeros(shape, np.int32) for _ in range(4))
    count = (rng.integers(0, CAPACITY + 1, (BOOKS, 2)) * (rng.random((BOOKS, 2)) < 0.85)).astype(np.int32)
    for b in range(BOOKS):
        mid = int(rng.choice([-(2**30), -7, 1000, 2**30 - 1]))
        far, most_lots = int(rng.choice([5, 90, 2**30])), int(rng.choice([5, 100, 2**30]))
        agents = rng.choice([0.0, 0.2, 1.0], p=[0.4, 0.5, 0.1])
        gap = int(rng.choice([1, 1, 1, -4]))
        for side in (0, 1):
            k = count[b, side]
            away = np.sort(rng.integers(gap, far + 1, k))[::-1]
            price[b, side, :k] = np.clip(mid + away * (2 * side - 1), -(2**31), 2**31 - 1)
            order_id[b, side, :k] = rng.permutation(CAPACITY)[:k] + 1
            lots[b, side, :k] = rng.integers(1, most_lots + 1, k)
            owner[b, side, :k] = rng.random(k) < agents
    return [price, lots, order_id, owner, count]


PARAMETERS = {
    "six bands": {"bands": 6, "spreads": 3, "buckets": 6},
    "everything": {"bands": 8, "spreads": 4, "buckets": 16, "far": 128},
    "one band, nothing beyond": {"bands": 1, "spreads": 1, "buckets": 2, "far": 0},
    "busy": {"bands": 5, "spreads": 2, "buckets": 8, "scale": 3000.0},
    "large events": {"bands": 4, "spreads": 2, "buckets": 9, "event_lots": 2**17},
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_both_samplers_answer_the_same_bits(name):
    rng = np.random.default_rng(7)
    params, books = qr.pack(random_rates(rng, **PARAMETERS[name])), random_books(rng)
    meta = rng.integers(-(2**31), 2**31, (BOOKS, spec.NUM_META)).astype(np.int32)
    meta[:, spec.META_REFERENCE_TICK] = rng.integers(-100, 100, BOOKS)
    seed = rng.integers(0, 2**32, (BOOKS, 2), dtype=np.uint64).astype(np.uint32)
    twin = jax.jit(jax.vmap(qx.sample, in_axes=(None, None, 0, 0, 0, 0, 0, 0, 0)))
    status, dt_us, message, meta_after = (np.asarray(out) for out in twin(params, NOTHING, *books, meta, seed))
    assert {array.dtype.name for array in (status, dt_us, message, meta_after)} == {"int32"}
    np.testing.assert_array_equal(meta_after, meta)
    seen = set()
    for b in range(BOOKS):
        own = np.zeros(spec.NUM_MESSAGE_COLUMNS, np.int32)
        answer = qn.sample(params, NOTHING, *(field[b] for field in books), meta[b], seed[b], own)
        assert answer == (status[b], dt_us[b])
        np.testing.assert_array_equal(message[b], own)
        seen.add((int(status[b]), int(message[b, 0])))
    assert {(1, spec.LIMIT), (1, spec.MARKET), (1, spec.DELETE), (0, 0)} <= seen


def test_parameters_that_were_never_packed_are_exhausted_on_both():
    book = [field[0] for field in random_books(np.random.default_rng(1))]
    params = np.zeros(qr.NUM_PARAMS, np.int32)
    meta, seed, message = np.zeros(spec.NUM_META, np.int32), np.zeros(2, np.uint32), np.zeros(8, np.int32)
    assert qn.sample(params, NOTHING, *book, meta, seed, message) == (spec.FLOW_EXHAUSTED, 0)
    status, dt_us, _, _ = jax.jit(qx.sample)(params, NOTHING, *book, meta, seed)
    assert (int(status), int(dt_us)) == (spec.FLOW_EXHAUSTED, 0)
