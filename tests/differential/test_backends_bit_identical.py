"""Oracle, XLA program and numba kernel: identical books, fills and reports for identical messages."""

from functools import cache

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.lob import spec
from kernels.lob.host import HostBook, process_batch
from kernels.lob.spec import LobConfig
from sim import replay_backends
from sim.engine import api
from tests.support.engine_streams import assert_same, filling_messages, random_messages

NUM_BOOKS = 4
CALL = 100


@cache
def compiled(config, backend):
    return jax.jit(jax.vmap(api.make_process(config, backend)))


@pytest.mark.parametrize("fills_mode", [spec.FILLS_ALL, spec.FILLS_OWNED])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), filling=st.booleans(), reference=st.integers(-(2**31), 2**31 - 1))
def test_all_backends_give_the_same_bits(fills_mode, seed, filling, reference):
    config = LobConfig(capacity=64, max_fills=8, depth_levels=7, fills_mode=fills_mode)
    rng = np.random.default_rng(seed)
    books = {backend: spec.empty_book(config, (NUM_BOOKS,)) for backend in ("oracle", "host", "cpu", "xla")}
    references = np.full(NUM_BOOKS, reference, np.int32)
    for _ in range(3):
        rows = [filling_messages(rng, CALL, 64) if filling else random_messages(rng, CALL) for _ in range(NUM_BOOKS)]
        messages = np.stack(rows)
        books["oracle"], expected = process_batch(books["oracle"], messages, config, "oracle", references)
        books["host"], host = process_batch(books["host"], messages, config, "cpu", references)
        assert_same(expected, host, "host output")
        for backend in ("cpu", "xla"):
            books[backend], out = compiled(config, backend)(books[backend], messages, references)
            assert_same(expected, out, f"{backend} output")
        for backend in ("host", "cpu", "xla"):
            assert_same(books["oracle"], books[backend], f"{backend} book")


def test_the_depth_after_every_message_is_the_same_and_is_what_single_calls_report():
    config = LobConfig(capacity=64, depth_levels=6)
    messages = random_messages(np.random.default_rng(11), 700)
    depths = {name: replay_backends.make_tracer(name, config).trace(messages) for name in replay_backends.BACKENDS}
    host = HostBook(config, "cpu")
    for index, row in enumerate(messages[:50]):
        assert np.array_equal(host.apply(row[None]).depth, depths["oracle"][index])
    assert np.array_equal(depths["oracle"], depths["cpu"])
    assert np.array_equal(depths["oracle"], depths["xla"])


def test_an_unknown_backend_is_refused_with_the_valid_names():
    with pytest.raises(ValueError, match=r"'gpu'.*oracle.*cpu.*xla"):
        replay_backends.make_tracer("gpu", LobConfig())
