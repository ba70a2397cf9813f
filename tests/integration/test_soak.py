"""The soak meets every kind, policy and reason, can be taken up again, and stops at one wrong word with its stream."""

import json

import numpy as np
import pytest

from experiments import soak
from experiments.soak_streams import PROFILES, make_stream
from kernels.lob import spec
from kernels.lob.host import process_batch
from kernels.lob.spec import LobConfig


def quiet(done, total, note):
    """Say nothing."""


def test_the_plan_meets_every_policy_with_every_queue_model_every_capacity_and_every_profile():
    rounds = [soak.plan_round(seed) for seed in range(24)]
    assert {(r.config.self_trade, r.config.queue_model) for r in rounds} == {(s, q) for s in range(4) for q in range(3)}
    assert {r.config.capacity for r in rounds} == set(spec.CAPACITIES)
    assert {r.profile for r in rounds} == set(PROFILES)
    assert {r.config.fills_mode for r in rounds} == {spec.FILLS_ALL, spec.FILLS_OWNED}
    assert soak.ORACLE_PER_CALL * 1000 >= soak.BOOKS


def test_the_streams_are_repeatable_and_reach_every_kind_and_every_reason():
    kinds, reasons, counters = set(), set(), np.zeros(spec.NUM_COUNTERS, np.int64)
    for seed, profile in enumerate(PROFILES.values()):
        stream = make_stream(seed, profile, 4, 8, 100)
        np.testing.assert_array_equal(stream, make_stream(seed, profile, 4, 8, 100))
        config = LobConfig(64, 24, self_trade=seed % 4, queue_model=seed % 3)
        books = spec.empty_book(config, (8,))
        for rows in stream:
            _, out = process_batch(books, rows, config)
            reasons |= set(out.reason.ravel().tolist())
        kinds |= set(stream[..., spec.KIND].ravel().tolist())
        counters += books.counters.view(np.uint32).sum(axis=0).astype(np.int64)
    assert set(range(spec.EXECUTE + 1)) < kinds and reasons == set(range(spec.NUM_REASONS))
    assert counters.all()


def test_a_soak_that_was_stopped_goes_on_with_the_next_seed(tmp_path):
    small = {"books": 2, "calls": 2}
    path = tmp_path / "soak.json"
    first = soak.soak(400, 5, "cpu", path, False, quiet, **small)
    assert first["ok"] and (first["rounds"], first["next_seed"], first["messages"]) == (1, 6, 400)
    whole = soak.soak(800, 5, "cpu", path, True, quiet, **small)
    assert (whole["rounds"], whole["next_seed"], whole["messages"]) == (2, 7, 800)
    assert json.loads(path.read_text()) == whole and whole["oracle_calls"] == 4
    with pytest.raises(ValueError, match="a soak of cpu from seed 5"):
        soak.soak(800, 6, "cpu", path, True, quiet, **small)
    path.write_text("[]")
    with pytest.raises(ValueError, match="not the result of a soak"):
        soak.soak(800, 5, "cpu", path, True, quiet, **small)


def test_one_wrong_word_stops_it_and_the_failing_stream_is_written(tmp_path):
    task = soak.Round(3, "mixed", LobConfig(64, 8), 1, 2)
    rows = make_stream(3, PROFILES["mixed"], 1, 2, 50)[0]
    before = spec.empty_book(task.config, (2,))
    books, out = process_batch(soak.copy_book(before), rows, task.config)
    soak.compare(task, 0, "xla", before, rows, (books, out), (books, out))
    wrong = out._replace(fills=out.fills.copy())
    wrong.fills[1, 2, spec.FILL_LOTS] ^= 1
    with pytest.raises(soak.Difference) as found:
        soak.compare(task, 0, "xla", before, rows, (books, out), (books, wrong))
    assert {key: found.value.where[key] for key in ("seed", "book", "field")} == {
        "seed": 3,
        "book": 1,
        "field": "fills",
    }
    with np.load(soak.write_difference(found.value, tmp_path)) as saved:
        np.testing.assert_array_equal(saved["messages"], rows[1])
        assert json.loads(str(saved["where"]))["backends"] == ["cpu", "xla"]
        assert not saved["book_num_orders"].any() and (saved["expected"] != saved["actual"]).sum() == 1


def test_what_jax_reads_is_not_what_the_host_changes():
    task = soak.plan_round(2)  # seed 2's first call once differed: the host had changed the books that XLA still read
    stream = next(iter(make_stream(2, PROFILES[task.profile], 1, task.books, soak.MESSAGES)))
    apply = soak._other("xla", task.config, task.books)
    for _ in range(20):
        books = spec.empty_book(task.config, (task.books,))
        mine = soak.copy_book(books)
        assert not any(np.shares_memory(*pair) for pair in zip(books, mine, strict=True))
        theirs = apply(soak.copy_book(books), stream)
        soak.compare(task, 0, "xla", books, stream, process_batch(mine, stream, task.config), theirs)
