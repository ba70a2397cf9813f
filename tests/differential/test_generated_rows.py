"""Generated rows and their bytes against the slow reference: oracle book, Python's own text."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kernels.lob import row_spec, spec
from market_models import registry
from market_models.calibration import Calibration, load_calibration
from market_models.instrument import Instrument
from sim.generate import generate_lobster
from sim.generation.market import MarketRows, RowBlock
from sim.generation.request import Request
from sim.generation.session import generate
from sim.generation.text import RowText, price_unit
from tests.oracles.generated_market import GeneratedMarket, book_line, message_line, visible_rows
from tests.support.markets import small_calibration
from tests.support.scripted_rows import END, MODEL, scripted_calibration

BURN_IN = 300
BID, ASK = spec.BUY, spec.SELL

CASES = {
    "small": (small_calibration(), 3, 5, 128),
    "amzn": (load_calibration("amzn_2012_06_21_zi"), 5, 1, 128),
    "full": (small_calibration(cancel_rate_per_s=[0.03] * 10), 4, 2, 64),
}


def drawn(calibration: Calibration, rows: int, block_rows: int = 8192, **arguments) -> tuple[RowBlock, MarketRows]:
    """Return the first rows of a market, block by block, and the market."""
    market = MarketRows(calibration, arguments.pop("seed"), block_rows=block_rows, burn_in_events=BURN_IN, **arguments)
    blocks, count = [], 0
    while count < rows:
        block = market.next_block(rows - count)
        blocks.append(RowBlock(*(field.copy() for field in block)))
        count += len(block.time_ns)
    return RowBlock(*(np.concatenate(fields) for fields in zip(*blocks, strict=True))), market


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("number", [0, 3])
def test_every_row_and_depth_is_the_one_of_the_slow_reference(name: str, number: int):
    calibration, levels, seed, capacity = CASES[name]
    block, market = drawn(
        calibration, 800, block_rows=97, seed=seed, number=number, levels=levels, capacity=capacity, start_s=0
    )
    rows, books = visible_rows(GeneratedMarket(calibration, seed, levels, number, capacity), 800, BURN_IN)
    direction = 1 - 2 * block.rows[:, row_spec.ROW_SIDE]
    ours = np.column_stack([block.time_ns, block.rows[:, : row_spec.ROW_SIDE], direction])
    np.testing.assert_array_equal(ours, np.array(rows))
    np.testing.assert_array_equal(block.depth, np.array(books))
    kinds = set(block.rows[:, row_spec.ROW_TYPE].tolist())
    assert kinds >= {row_spec.NEW, row_spec.FULL_CANCEL, row_spec.EXECUTION}
    if name == "full":
        assert market.counters["evicted"] > 0 and market.counters["rejected"] > 0


def test_the_files_have_the_text_that_python_writes_of_the_reference(tmp_path: Path):
    calibration = small_calibration()
    request = Request(500, 4, sequences=2, levels=3, as_zip=False, burn_in_events=BURN_IN)
    files = generate(calibration, tmp_path, request).files
    assert [path.name.split("_")[1] for path in files] == ["GENERATED-0001"] * 2 + ["GENERATED-0002"] * 2
    for number in range(2):
        rows, books = visible_rows(GeneratedMarket(calibration, 4, 3, number), 500, BURN_IN)
        assert files[2 * number].read_text() == "".join(message_line(row, 100) for row in rows)
        assert files[2 * number + 1].read_text() == "".join(book_line(depth, 100) for depth in books)


def test_the_writers_bytes_are_pythons_for_every_number_of_digits_and_sign():
    random = np.random.default_rng(3)
    n, levels = 4000, 5
    magnitude = 10.0 ** random.uniform(0, 9.03, (n, 2, levels, 2))
    lots_or_price = np.minimum(magnitude, spec.MAX_LOTS).astype(np.int32)
    lots_or_price[..., 0] *= random.choice([-1, 1], (n, 2, levels))
    lots_or_price[..., 1] *= random.random((n, 2, levels)) < 0.9  # an absent level has no lots
    edges = np.array([0, 1, 9, 10, 99, 100, 10**9 - 1, 10**9, spec.MAX_ABS_PRICE_TICK, -spec.MAX_ABS_PRICE_TICK])
    lots_or_price[: len(edges), 0, 0, 0] = edges
    lots_or_price[: len(edges), 0, 0, 1] = spec.DEPTH_SATURATED
    time_ns = np.sort((10.0 ** random.uniform(0, 18.3, n)).astype(np.int64))
    time_ns[:3] = [0, 1, 999_999_999]
    rows = np.column_stack(
        [
            random.integers(1, 5, n),
            random.integers(1, 2**31, n),
            random.integers(1, spec.MAX_LOTS, n),
            lots_or_price[:, 0, 0, 0],
            random.integers(0, 2, n),
        ]
    ).astype(np.int32)
    for tick_size, unit in (("0.0001", 1), ("0.01", 100), ("1000", 10_000_000)):
        instrument = Instrument("X", tick_size)
        assert price_unit(instrument) == unit
        message, book = RowText(instrument, n, levels).encode(RowBlock(time_ns, rows, lots_or_price))
        lines = [
            message_line((t, *row[:4], 1 - 2 * row[4]), unit, start_s=0)
            for t, row in zip(time_ns.tolist(), rows.tolist(), strict=True)
        ]
        assert bytes(message).decode() == "".join(lines)
        assert bytes(book).decode() == "".join(book_line(depth, unit) for depth in lots_or_price)


def script(monkeypatch: pytest.MonkeyPatch, *messages: tuple[int, ...]) -> MarketRows:
    """Return a market of scripted messages around an empty opening book."""
    monkeypatch.setitem(registry.MODELS, "scripted", MODEL)
    return MarketRows(scripted_calibration(*messages), 0, levels=2, capacity=64, start_s=10, burn_in_events=0)


def test_a_sweep_is_one_row_an_execution_and_then_the_rest_as_a_new_order(monkeypatch: pytest.MonkeyPatch):
    market = script(
        monkeypatch,
        (spec.LIMIT, BID, 1, 90, 1),
        (spec.LIMIT, ASK, 3, 100, 2),
        (spec.LIMIT, ASK, 4, 100, 3),
        (spec.LIMIT, ASK, 5, 101, 4),
        (spec.LIMIT, BID, 14, 101, 5),
        (spec.REDUCE, BID, 1, 0, 5),
        (spec.IOC, ASK, 9, 101, 6),
        (spec.DELETE, BID, 0, 0, 1),
    )
    block = market.next_block(11)
    # The first message only shows the book; the IOC's eight lots that meet nobody are gone.
    assert block.rows.tolist()[:9] == [
        [row_spec.NEW, 2, 3, 100, ASK],
        [row_spec.NEW, 3, 4, 100, ASK],
        [row_spec.NEW, 4, 5, 101, ASK],
        [row_spec.EXECUTION, 2, 3, 100, ASK],
        [row_spec.EXECUTION, 3, 4, 100, ASK],
        [row_spec.EXECUTION, 4, 5, 101, ASK],
        [row_spec.NEW, 5, 2, 101, BID],
        [row_spec.PARTIAL_CANCEL, 5, 1, 101, BID],
        [row_spec.EXECUTION, 5, 1, 101, BID],
    ]
    assert block.rows.tolist()[9] == [row_spec.FULL_CANCEL, 1, 1, 90, BID]
    assert block.time_ns.tolist()[3:7] == [10 * 10**9 + 5000] * 4
    np.testing.assert_array_equal(block.depth[9], np.zeros((2, 2, 2)))


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([(spec.REPLACE, BID, 1, 90, 1)], "order-level rows cannot say"),
        ([(spec.LEVEL_SET, BID, 1, 90, 0)], "order-level rows cannot say"),
        ([(spec.LIMIT, BID, 0, 90, 1)], "without a visible row"),
        ([(spec.DELETE, BID, 0, 0, 77)], "without a visible row"),
        ([(spec.LIMIT, BID, 1, 90, 1), (END, 0, 0, 0, 0)], "exhausted"),
    ],
)
def test_a_flow_that_cannot_be_written_or_shows_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, messages, said):
    with pytest.raises(ValueError, match=said):
        script(monkeypatch, *messages).next_block(10)


def test_a_model_without_parameters_and_a_tick_that_lobster_cannot_say_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="cannot"):
        MarketRows(replace(small_calibration(), model="replay"), 1)
    with pytest.raises(ValueError, match="tick_size"):
        generate(replace(small_calibration(), instrument=Instrument("X", "0.00001")), tmp_path / "new", Request(5, 1))
    assert not (tmp_path / "new").exists()


def test_sessions_of_two_seeds_stand_beside_one_another(tmp_path: Path):
    paths = [generate_lobster(small_calibration(), tmp_path, messages=50, seed=seed) for seed in (1, 2)]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert "GENERATED-0002" in paths[1].name
