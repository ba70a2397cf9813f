"""The agent-based numba sampler and its XLA twin give the same bits, on random books, words, draws and parameters."""

import jax
import numpy as np
import pytest

from kernels.lob import spec
from market_models import agent_based as ab
from market_models import agent_based_numba as an
from market_models import agent_based_xla as ax
from tests.support.agent_based import random_agents

CAPACITY, BOOKS = 64, 1500
NOTHING = np.zeros((1, spec.NUM_MESSAGE_COLUMNS), np.int32)


def random_books(rng: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
    """Price, lots, id, owner [B, 2, O] and num_orders [B, 2]: some empty, extreme, all agents', or crossed; a mid."""
    shape = (BOOKS, 2, CAPACITY)
    price, lots, order_id, owner = (np.zeros(shape, np.int32) for _ in range(4))
    count = (rng.integers(0, CAPACITY + 1, (BOOKS, 2)) * (rng.random((BOOKS, 2)) < 0.85)).astype(np.int32)
    mids = rng.choice([-(2**30), -7, 1000, 2**30 - 1], BOOKS)
    for b in range(BOOKS):
        far = int(rng.choice([5, 90, 2**30]))
        gap = int(rng.choice([1, 1, 1, -4]))
        agents = rng.choice([0.0, 0.2, 1.0], p=[0.4, 0.5, 0.1])
        for side in (0, 1):
            k = count[b, side]
            away = np.sort(rng.integers(gap, far + 1, k))[::-1]
            price[b, side, :k] = np.clip(mids[b] + away * (2 * side - 1), -(2**30), 2**30)
            order_id[b, side, :k] = rng.permutation(CAPACITY)[:k] + 1
            lots[b, side, :k] = rng.integers(1, 100, k)
            owner[b, side, :k] = rng.random(k) < agents
    return [price, lots, order_id, owner, count], mids


def random_meta(rng: np.random.Generator, mids: np.ndarray) -> np.ndarray:
    """Return words as the sampler may leave them: fresh, small, and at their bounds; quotes that rest, or do not."""
    meta = rng.integers(-(2**31), 2**31, (BOOKS, spec.NUM_META)).astype(np.int32)
    meta[:, spec.META_REFERENCE_TICK] = rng.integers(-100, 100, BOOKS)
    meta[:, spec.META_NEXT_ORDER_ID] = rng.integers(1, 2**30, BOOKS)
    words = meta[:, spec.META_FLOW :]
    words[:, ab.STARTED] = rng.random(BOOKS) < 0.8
    words[:, ab.ANCHOR] = mids + rng.choice([0, 1, -3, 2**18 + 9], BOOKS) * np.where(mids > 0, -1, 1)
    bound = rng.choice([700, 40_000, 2**26], (BOOKS, 1))
    words[:, ab.FUNDAMENTAL : ab.QUOTES] = rng.integers(-bound, bound + 1, (BOOKS, ab.QUOTES - ab.FUNDAMENTAL))
    words[:, ab.QUOTES :] = rng.integers(0, CAPACITY + 20, (BOOKS, spec.NUM_FLOW_WORDS - ab.QUOTES))
    words[words[:, ab.STARTED] == 0] = 0
    return meta


PARAMETERS = {
    "three makers": {},
    "everything": {"distances": 128, "makers": 8},
    "one distance, no makers": {"distances": 1, "makers": 0},
    "largest": {"scale": 1000.0},
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_both_samplers_answer_the_same_bits(name):
    rng = np.random.default_rng(7)
    params, (books, mids) = ab.pack(random_agents(rng, **PARAMETERS[name])), random_books(rng)
    meta = random_meta(rng, mids)
    seed = rng.integers(0, 2**32, (BOOKS, 2), dtype=np.uint64).astype(np.uint32)
    twin = jax.jit(jax.vmap(ax.sample, in_axes=(None, None, 0, 0, 0, 0, 0, 0, 0)))
    status, dt_us, message, meta_after = (np.asarray(out) for out in twin(params, NOTHING, *books, meta, seed))
    assert {array.dtype.name for array in (status, dt_us, message, meta_after)} == {"int32"}
    seen, moved = set(), np.zeros(spec.NUM_META, bool)
    for b in range(BOOKS):
        own, words = np.zeros(spec.NUM_MESSAGE_COLUMNS, np.int32), meta[b].copy()
        answer = an.sample(params, NOTHING, *(field[b] for field in books), words, seed[b], own)
        assert answer == (status[b], dt_us[b])
        np.testing.assert_array_equal(message[b], own)
        np.testing.assert_array_equal(meta_after[b], words)
        seen.add((int(status[b]), int(message[b, 0])))
        moved |= words != meta[b]
    assert {(1, spec.LIMIT), (1, spec.MARKET), (1, spec.IOC), (1, spec.DELETE), (0, 0)} <= seen
    assert not moved[: spec.META_FLOW].any()
    assert moved[spec.META_FLOW : spec.META_FLOW + ab.QUOTES].all()
    if "no makers" not in name:
        assert moved[spec.META_FLOW + ab.QUOTES :].any()


def test_parameters_that_were_never_packed_are_exhausted_on_both_and_change_no_word():
    book = [field[0] for field in random_books(np.random.default_rng(1))[0]]
    params = np.zeros(ab.NUM_PARAMS, np.int32)
    meta, seed, message = np.zeros(spec.NUM_META, np.int32), np.zeros(2, np.uint32), np.zeros(8, np.int32)
    assert an.sample(params, NOTHING, *book, meta, seed, message) == (spec.FLOW_EXHAUSTED, 0)
    status, dt_us, _, after = jax.jit(ax.sample)(params, NOTHING, *book, meta, seed)
    assert (int(status), int(dt_us)) == (spec.FLOW_EXHAUSTED, 0)
    assert not meta.any() and not np.asarray(after).any()
