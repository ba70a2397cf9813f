"""The Hawkes numba sampler and its XLA twin give the same bits, on random books, states, draws and parameters."""

import jax
import numpy as np
import pytest

from kernels.lob import spec
from market_models import hawkes as hk
from market_models import hawkes_numba as hn
from market_models import hawkes_xla as hx
from tests.differential.test_queue_reactive_backends import BOOKS, random_books
from tests.support.hawkes import random_rates

NOTHING = np.zeros((1, spec.NUM_MESSAGE_COLUMNS), np.int32)
PARAMETERS = {
    "two decays": {},
    "everything": {"spreads": 4, "depths": 4, "scale": 3.0},
    "one state, one decay": {"spreads": 1, "depths": 1, "decays": 1, "ratio": 0.95},
    "busy": {"scale": 500.0},
}


def random_meta(rng: np.random.Generator) -> np.ndarray:
    """Clocks at, after, long after and before the time of the excitation, which is anything that fits."""
    meta = rng.integers(-(2**31), 2**31, (BOOKS, spec.NUM_META)).astype(np.int32)
    meta[:, spec.META_REFERENCE_TICK] = rng.integers(-100, 100, BOOKS)
    meta[:, [spec.META_CLOCK_NS, hk.TIME_NS]] = rng.integers(0, 10**9, (BOOKS, 2))
    late = rng.choice([0, 0, 0, 1, 1999, 2000, 2001, -1, 2**30], BOOKS)
    meta[:, spec.META_CLOCK_S] = rng.choice([0, 34_200, 2**31 - 1, -(2**31)], BOOKS)
    meta[:, hk.TIME_S] = (meta[:, spec.META_CLOCK_S].astype(np.int64) - late).astype(np.int32)
    same = rng.random(BOOKS) < 0.4
    meta[same, hk.TIME_S : hk.EXCITATION] = meta[same][:, [spec.META_CLOCK_S, spec.META_CLOCK_NS]]
    share = rng.dirichlet(np.ones(hk.NUM_TYPES), (BOOKS, hk.MAX_DECAYS)) * rng.choice([0, 1e-6, 0.1, 1], (BOOKS, 1, 1))
    words = np.floor(share * hk.MAX_EXCITATION).astype(np.int32)
    meta[:, hk.EXCITATION : hk.EXCITATION + words[0].size] = words.reshape(BOOKS, -1)
    return meta


@pytest.mark.parametrize("name", PARAMETERS)
def test_both_samplers_answer_the_same_bits(name):
    rng = np.random.default_rng(7)
    params, books, meta = hk.pack(random_rates(rng, **PARAMETERS[name])), random_books(rng), random_meta(rng)
    seed = rng.integers(0, 2**32, (BOOKS, 2), dtype=np.uint64).astype(np.uint32)
    twin = jax.jit(jax.vmap(hx.sample, in_axes=(None, None, 0, 0, 0, 0, 0, 0, 0)))
    status, dt_us, message, meta_after = (np.asarray(out) for out in twin(params, NOTHING, *books, meta, seed))
    assert {array.dtype.name for array in (status, dt_us, message, meta_after)} == {"int32"}
    seen = set()
    for b in range(BOOKS):
        own, mine = np.zeros(spec.NUM_MESSAGE_COLUMNS, np.int32), meta[b].copy()
        answer = hn.sample(params, NOTHING, *(field[b] for field in books), mine, seed[b], own)
        assert answer == (status[b], dt_us[b])
        np.testing.assert_array_equal(message[b], own)
        np.testing.assert_array_equal(meta_after[b], mine)
        seen.add((int(status[b]), int(message[b, 0])))
    assert {(1, spec.LIMIT), (1, spec.MARKET), (1, spec.DELETE), (0, 0)} <= seen


def test_parameters_that_were_never_packed_are_exhausted_on_both_and_leave_the_state():
    book = [field[0] for field in random_books(np.random.default_rng(1))]
    params, meta = np.zeros(hk.NUM_PARAMS, np.int32), np.arange(spec.NUM_META, dtype=np.int32)
    seed, message, before = np.zeros(2, np.uint32), np.zeros(8, np.int32), np.arange(spec.NUM_META)
    assert hn.sample(params, NOTHING, *book, meta, seed, message) == (spec.FLOW_EXHAUSTED, 0)
    status, dt_us, _, after = jax.jit(hx.sample)(params, NOTHING, *book, meta, seed)
    assert (int(status), int(dt_us)) == (spec.FLOW_EXHAUSTED, 0)
    np.testing.assert_array_equal(after, before)
    np.testing.assert_array_equal(meta, before)
