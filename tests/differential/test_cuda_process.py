"""The CUDA kernel of `process`, compiled for the host: the oracle's bits, and no race. Not run on a GPU yet."""

import numpy as np
import pytest

from kernels.lob import spec
from kernels.lob.cuda import host_build
from kernels.lob.cuda.source import PROCESS, kernel_source
from kernels.lob.oracle import Oracle
from kernels.lob.spec import Book, LobConfig
from tests.support import cuda_host
from tests.support.engine_streams import assert_same, filling_messages, random_messages

CONFIG = LobConfig(64, 16, 4)
LENGTHS = (0, 1, 31, 32, 33, 100, 65)  # around the 32 messages that a warp stages at a time
STREAMS = ("random", "filling", "levels", "own")


def level_messages(rng, count):
    """Return int32[M, 8] that set few levels again and again, between agents' orders, some near the largest lots."""
    out = random_messages(rng, count, span=3, ids=40)
    out[:, spec.KIND] = rng.choice([spec.LEVEL_SET] * 5 + [spec.LIMIT] * 3 + [spec.POST_ONLY, spec.DELETE], count)
    level = out[:, spec.KIND] == spec.LEVEL_SET
    out[level, spec.LOTS] = rng.choice([0, 1, 7, 50, 1000, spec.MAX_LOTS, spec.MAX_LOTS + 1], level.sum())
    out[level, spec.OWNER] = rng.integers(-1, 2, level.sum())
    # Most on their own side of 0, so that levels grow deep enough to be shrunk.
    away = np.where(out[:, spec.SIDE] == spec.BUY, -1, 1) * rng.integers(0, 4, count)
    out[:, spec.PRICE_TICK] = np.where(rng.random(count) < 0.9, away, out[:, spec.PRICE_TICK])
    return out


def deep_level_messages(rng, count):
    """Return int32[M, 8] that put more than 32 anonymous and owned orders into one level and shrink it."""
    out = np.zeros((count, 8), np.int32)
    out[:, spec.KIND] = spec.LIMIT
    out[:, spec.LOTS] = rng.integers(1, 9, count)
    out[:, spec.PRICE_TICK] = -1
    out[:, spec.ORDER_ID] = np.arange(1, count + 1)
    out[:, spec.OWNER] = rng.integers(0, 2, count) * rng.integers(1, 3, count)
    out[-2:, spec.KIND] = spec.LEVEL_SET
    out[-2:, spec.LOTS] = 90, 11
    return out


def self_trading_messages(rng, count):
    """Return int32[M, 8] of two owners who meet themselves often, also with FOK."""
    out = random_messages(rng, count, span=2, max_lots=20, ids=40, owners=3)
    out[:, spec.KIND] = rng.choice([spec.LIMIT] * 6 + [spec.FOK] * 3 + [spec.IOC, spec.MARKET, spec.REPLACE], count)
    out[:, spec.OWNER] = rng.integers(0, 3, count)
    return out


def stream(kind, rng, count, capacity):
    if kind == "filling":
        return filling_messages(rng, 2 * capacity + count, capacity)
    if kind == "levels":
        return level_messages(rng, count)
    if kind == "own":
        return self_trading_messages(rng, count)
    return random_messages(rng, count, ids=int(rng.choice([20, 90, 400])))


def random_config(rng, capacity):
    fills, levels = int(rng.choice([1, 3, 64])), int(rng.integers(1, 12))
    return LobConfig(capacity, fills, levels, *(int(rng.integers(n)) for n in (2, 4, 3)))


def compare(config, calls, name, reference=7):
    """Run calls of messages one after the other on a book, beside the oracle; return the judge at the end."""
    books, judge = spec.empty_book(config, (1,)), Oracle(*config, reference_tick=reference)
    for number, messages in enumerate(calls):
        expected = judge.apply(messages)
        books, out, _ = cuda_host.process(books, messages[None], config, reference, in_place=number % 2 == 0)
        assert_same(expected, cuda_host.one(out), f"{name} {config} call {number}")
        assert_same(judge.arrays(), cuda_host.one(books), f"{name} {config} call {number}")
    return judge


@pytest.mark.parametrize("capacity", spec.CAPACITIES)
@pytest.mark.parametrize("kind", STREAMS)
def test_every_word_is_the_oracles(capacity, kind):
    for seed in range(24 if capacity == 64 else 6):
        rng = np.random.default_rng([capacity, STREAMS.index(kind), seed])
        calls = [stream(kind, rng, int(rng.choice(LENGTHS)), capacity) for _ in range(4)]
        judge = compare(random_config(rng, capacity), calls, f"{kind} {seed}")
        if kind == "filling":
            assert judge.counters[spec.NUM_EVICTED] > 0 and judge.counters[spec.NUM_REJECTED_FULL] > 0


@pytest.mark.parametrize("self_trade", range(len(spec.SELF_TRADE_NAMES)))
@pytest.mark.parametrize("fills_mode", [spec.FILLS_ALL, spec.FILLS_OWNED])
def test_every_self_trade_policy_in_every_fills_mode(self_trade, fills_mode):
    rng = np.random.default_rng([5, self_trade, fills_mode])
    config = LobConfig(64, 20, 3, fills_mode, self_trade)
    compare(config, [self_trading_messages(rng, 100) for _ in range(8)], "policy")


@pytest.mark.parametrize("queue_model", range(len(spec.QUEUE_NAMES)))
@pytest.mark.parametrize("capacity", [64, 128])
def test_every_queue_model_shrinks_shallow_and_deep_levels(queue_model, capacity):
    config = LobConfig(capacity, 20, 3, spec.FILLS_ALL, spec.SELF_TRADE_NONE, queue_model)
    for seed in range(4):
        rng = np.random.default_rng([6, queue_model, capacity, seed])
        compare(config, [level_messages(rng, 100), deep_level_messages(rng, 90), level_messages(rng, 60)], "queue")


def test_the_largest_lots_saturate_and_wrap_like_the_oracles():
    rng = np.random.default_rng(11)
    for queue_model in range(3):
        messages = level_messages(rng, 120)
        messages[:, spec.LOTS] = spec.MAX_LOTS - rng.integers(0, 3, 120)
        messages[100:, spec.KIND], messages[100:, spec.LOTS] = spec.LEVEL_SET, 2**30 - 5
        compare(LobConfig(128, 64, 5, 0, 0, queue_model), [messages], "large", reference=-(2**30))


def test_books_of_a_batch_do_not_touch_each_other():
    config = CONFIG
    rng = np.random.default_rng(3)
    messages = np.stack([random_messages(rng, 70) for _ in range(5)])
    books, out, _ = cuda_host.process(spec.empty_book(config, (5,)), messages, config)
    for b in range(5):
        judge = Oracle(*config)
        expected = judge.apply(messages[b])
        assert_same(expected, type(out)(*(field[b] for field in out)), f"market {b}")
        assert_same(judge.arrays(), Book(*(field[b] for field in books)), f"market {b}")


@pytest.mark.parametrize(
    ("header", "passage"),
    [
        ("book.cuh", "      const OrderLanes orders = load_orders(moves, row(side) + from);\n      sync_warp();"),
        ("book.cuh", "    sync_warp();\n    lots.store(row(side) + slot, value);"),
        ("transfer.cuh", "inside, four, source.load_four_if(inside, four));\n  }\n  sync_warp();"),
    ],
)
def test_a_missing_sync_is_found(tmp_path, header, passage):
    source = kernel_source(PROCESS, 64)
    texts = dict(source.headers)
    assert texts[header].count(passage) == 1
    texts[header] = texts[header].replace(passage, passage.replace("sync_warp();", ""))
    broken = type(source)(source.kernel, source.capacity, source.main, tuple(texts.items()))
    kernel = cuda_host.build(broken, tmp_path)
    messages = random_messages(np.random.default_rng(0), 200)[None]
    with pytest.raises(host_build.RaceError, match="depend on which lane"):
        cuda_host.process(spec.empty_book(CONFIG, (1,)), messages, CONFIG, kernel=lambda words, _: kernel(words))


def test_a_source_that_branches_on_a_value_of_a_lane_does_not_compile_for_the_host(tmp_path):
    source = kernel_source(PROCESS, 64)
    broken = source.main.replace("sync_warp();", "if (lane_id() == 0) sync_warp();", 1)
    with pytest.raises(
        host_build.HostBuildError, match=r"could not convert|cannot convert|not contextually convertible"
    ):
        cuda_host.build(type(source)(PROCESS, 64, broken, source.headers), tmp_path)


def test_a_machine_without_a_compiler_is_told_how_to_get_one(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(host_build, "find_spec", lambda name: None)
    with pytest.raises(host_build.CompilerMissingError, match="pip install ziglang"):
        host_build.compiler()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("match", 64), "kernel 'match' is not one of"),
        (("process", 65), "capacity 65 is not one of"),
        (("market_step", 64), "needs CUDA source of a flow"),
    ],
)
def test_bad_arguments_are_refused_with_what_would_be_valid(arguments, message):
    with pytest.raises(ValueError, match=message):
        kernel_source(*arguments)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "capacity"),
    [(name, capacity) for name in ("64x2000", "32x2000_ties", "32x2000_deep") for capacity in (128, 256, 512)],
)
def test_a_shared_stream_ends_as_its_file_says(data_dir, name, capacity):
    from sim.replay_stream import LEVELS, read_stream

    path = data_dir / "streams" / f"stream_{name}.npz"
    if not path.is_file():
        pytest.skip(f"{path} is not in the recorded data")
    if name.endswith("deep") and capacity == 128:
        pytest.skip("its books are deeper than 128 orders a side")
    stream = read_stream(path)
    config = LobConfig(capacity, 128, LEVELS)
    books, _, _ = cuda_host.process(spec.empty_book(config, (len(stream.opening),)), stream.opening, config)
    totals, fills = np.zeros((len(stream.opening), 3), np.uint32), []
    for start in range(0, stream.messages.shape[1], 100):
        part = stream.messages[:, start : start + 100]
        books, out, _ = cuda_host.process(books, part, config, in_place=True)
        sums = out.summary.astype(np.uint32)
        totals[:, 0] += sums[:, spec.SUM_NUM_TRADES]
        totals[:, 1] += sums[:, spec.SUM_TRADED_BUY_LOTS] + sums[:, spec.SUM_TRADED_SELL_LOTS]
        totals[:, 2] += sums[:, spec.SUM_NOTIONAL_BUY] + sums[:, spec.SUM_NOTIONAL_SELL]
        fills.append(out.num_fills)
    np.testing.assert_array_equal(out.depth, stream.depth)
    np.testing.assert_array_equal(totals, stream.totals.astype(np.uint64).astype(np.uint32))
    assert not books.counters[:, [spec.NUM_REJECTED_FULL, spec.NUM_EVICTED, spec.NUM_FILLS_DROPPED]].any()
    assert np.sum(fills) == len(stream.trades)
