"""The engine's benchmark measures runs whose outcome it checks: it says so when the outcome is wrong."""

import numpy as np
import pytest

from experiments.bench_engine import bench_engine
from kernels.lob import spec
from kernels.lob.oracle import Oracle

BOOKS, OPENING, LENGTH, LEVELS = 2, 60, 250, 10
COLUMNS = ("type", "side", "qty", "price", "order_id", "trader_id", "time_s", "time_ns")
TYPES = {spec.LIMIT: 1, spec.REDUCE: 2, spec.DELETE: 3}


def random_rows(rng, count, first_id, span):
    """Return stream rows of limit orders around price 1000 ticks, and cancels of earlier ones."""
    kind = rng.choice([spec.LIMIT] * 3 + [spec.REDUCE, spec.DELETE], count)
    side = rng.integers(0, 2, count)
    rows = np.zeros((count, 8), np.int32)
    rows[:, 0] = [TYPES[k] for k in kind]
    rows[:, 1] = np.where(side == spec.BUY, 1, -1)
    rows[:, 2] = rng.integers(1, 40, count)
    rows[:, 3] = 100 * (1000 + np.where(side == spec.BUY, -1, 1) * rng.integers(*span, count))
    rows[:, 4] = first_id + np.arange(count)
    rows[:, 5] = rng.integers(1, 9, count)
    cancels = kind != spec.LIMIT
    rows[cancels, 4] = np.maximum(rows[cancels, 4] - rng.integers(1, 60, cancels.sum()), 1)
    return rows


def as_messages(rows):
    messages = rows.astype(np.int64)
    messages[:, 0] = [{1: spec.LIMIT, 2: spec.REDUCE, 3: spec.DELETE}[kind] for kind in rows[:, 0]]
    messages[:, 1] = rows[:, 1] < 0
    messages[:, 3] //= 100
    return messages


def levels_of(depth):
    """Return [L, 4] ask price, ask lots, bid price, bid lots as streams write them, from int32[2, L, 2]."""
    price = np.where(depth[..., 1] > 0, depth[..., 0] * 100, -1)
    return np.stack([price[1], depth[1, :, 1], price[0], depth[0, :, 1]], axis=-1)


def make_stream(path):
    rng = np.random.default_rng(0)
    opening = np.stack([random_rows(rng, OPENING, 1, (1, 9)) for _ in range(BOOKS)])
    opening[..., 0] = 1
    opening[..., 4] = np.arange(1, OPENING + 1)
    messages = np.stack([random_rows(rng, LENGTH, OPENING + 1, (-2, 9)) for _ in range(BOOKS)])
    arrays = {name: [] for name in ("l2", "bbo", "n_trades", "traded_qty", "traded_notional", "trades")}
    for book in range(BOOKS):
        oracle = Oracle(128, 10_000, LEVELS)
        oracle.apply(as_messages(opening[book]))
        touch = []
        for row in as_messages(messages[book]):
            oracle.apply([row])
            touch.append(levels_of(oracle.depth())[0])
        oracle = Oracle(128, 10_000, LEVELS)
        oracle.apply(as_messages(opening[book]))
        out = oracle.apply(as_messages(messages[book]))
        fills = out.fills[: int(out.num_fills)].astype(np.int64)
        arrays["l2"].append(levels_of(out.depth))
        arrays["bbo"].append(touch)
        arrays["n_trades"].append(len(fills))
        arrays["traded_qty"].append(fills[:, 2].sum())
        arrays["traded_notional"].append((fills[:, 1] * fills[:, 2]).sum() * 100)
        priced = fills[:, [0, 1, 2, 3, 4, 5, 6]] * np.array([1, 100, 1, 1, 1, 1, 1])
        arrays["trades"].append(np.insert(priced, 0, book, axis=1))
    stacked = {name: np.concatenate(part) if name == "trades" else np.array(part) for name, part in arrays.items()}
    resting = np.full((BOOKS, 2), 100)
    np.savez(path, init_msgs=opening, msgs=messages, columns=np.array(COLUMNS), n_orders_max=resting, **stacked)
    return path


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    return make_stream(tmp_path_factory.mktemp("stream") / "stream.npz")


@pytest.mark.parametrize("backend", ["cpu", "xla"])
def test_every_figure_comes_with_a_reference_and_a_run_that_was_right(stream, backend):
    result = bench_engine(stream, books=2, backend=backend, repeats=1)
    assert result["correct"] is True
    assert result["backend"] == backend and result["reference"]["backend"] != backend
    assert result["books"] == 2 and result["messages"] == 2 * LENGTH
    assert result["messages_per_s"] > 0 and result["messages_per_cpu_s"] > 0
    assert result["ratio"] == pytest.approx(result["messages_per_s"] / result["reference"]["messages_per_s"])


def changed(path, target, name, place, by):
    with np.load(path) as archive:
        arrays = {key: np.array(archive[key]) for key in archive.files}
    arrays[name][place] += by
    np.savez(target, **arrays)
    return target


@pytest.mark.parametrize(
    ("name", "place", "by"),
    [
        ("l2", (1, 0, 1), 1),
        ("n_trades", 1, 1),
        ("traded_qty", 0, -1),
        ("traded_notional", 0, 100),
    ],
)
def test_a_run_that_ends_otherwise_than_the_stream_says_is_reported_as_not_correct(stream, tmp_path, name, place, by):
    wrong = changed(stream, tmp_path / "wrong.npz", name, place, by)
    assert bench_engine(wrong, books=2, repeats=1)["correct"] is False


def test_bad_arguments_are_refused(stream):
    with pytest.raises(ValueError, match="backend 'oracle'"):
        bench_engine(stream, backend="oracle")
    with pytest.raises(ValueError, match="repeats 0"):
        bench_engine(stream, repeats=0)
