"""The LOBSTER replay rule by hand, and on the recorded days."""

from dataclasses import replace

import numpy as np
import pytest

from kernels.lob import spec
from kernels.lob.host import HostBook
from kernels.lob.spec import LobConfig
from market_models.datasets import lobster
from market_models.datasets import lobster_replay as lr
from market_models.datasets.recording import Recording
from market_models.instrument import Instrument
from tests.oracles.dict_book import rows_that_differ
from tests.oracles.recorded_market import record

LIMIT, IOC, REDUCE, DELETE, EXECUTE = spec.LIMIT, spec.IOC, spec.REDUCE, spec.DELETE, spec.EXECUTE


def small(rows, books) -> Recording:
    """Rows of (kind, side, lots, price, id), one a second; books [N][side][level] of (price, lots)."""
    table = np.array(rows, np.int32)
    zero = np.zeros(len(table), np.int32)
    return Recording(
        path="small",
        digest="",
        instrument=Instrument("SMALL", "0.01"),
        time_s=np.arange(len(table), dtype=np.int32),
        time_ns=zero,
        kind=table[:, 0],
        side=table[:, 1],
        lots=table[:, 2],
        price_tick=table[:, 3],
        order_id=table[:, 4],
        book=np.array(books, np.int32),
        quarantined=zero.astype(bool),
        first_free_id=100,
    )


SELL_SIDE = [(20, 5), (22, 6)]
EXAMPLE = small(
    [
        (1, 0, 1, 9, 1),  # the seed row: its own message is not applied
        (1, 0, 3, 10, 2),  # a new best bid pushes 8 out of sight
        (2, 0, 1, 10, 2),
        (4, 0, 2, 10, 2),  # empties 10: 8 comes back, with what it has by now
        (3, 1, 6, 22, 77),  # an order never seen: the anonymous block of 22, emptied; 25 is revealed
        (5, 0, 1, 9, 0),
    ],
    [
        [[(9, 1), (8, 4)], SELL_SIDE],
        [[(10, 3), (9, 1)], SELL_SIDE],
        [[(10, 2), (9, 1)], SELL_SIDE],
        [[(9, 1), (8, 7)], SELL_SIDE],
        [[(9, 1), (8, 7)], [(20, 5), (25, 9)]],
        [[(9, 1), (8, 7)], [(20, 5), (25, 9)]],
    ],
)


def test_the_rule_by_hand():
    stream = lr.to_verify_stream(EXAMPLE, 2)
    rows = [stream.messages[a:b, :5].tolist() for a, b in zip(stream.offsets, stream.offsets[1:], strict=False)]
    assert rows == [
        [[LIMIT, 0, 1, 9, 100], [LIMIT, 0, 4, 8, 101], [LIMIT, 1, 5, 20, 102], [LIMIT, 1, 6, 22, 103]],
        [[LIMIT, 0, 3, 10, 2], [DELETE, 0, 0, 0, 101]],
        [[REDUCE, 0, 1, 0, 2]],
        [[EXECUTE, 0, 2, 10, 2], [LIMIT, 0, 7, 8, 104]],
        [[DELETE, 1, 0, 0, 103], [LIMIT, 1, 9, 25, 105]],
        [],
    ]
    assert (stream.rows, stream.revealed, stream.unexplained) == (5, 2, 0)
    np.testing.assert_array_equal(stream.messages[:, spec.TIME_S][:7], [0, 0, 0, 0, 1, 1, 2])
    assert rows_that_differ(stream, 2) == []


def test_groups_are_the_ragged_rows_padded_with_nop():
    stream = lr.to_verify_stream(EXAMPLE, 2)
    groups = stream.groups
    assert groups.shape == (6, 4, 8)
    np.testing.assert_array_equal(groups[groups[..., 0] != spec.NOP], stream.messages)
    np.testing.assert_array_equal((groups[..., 0] != spec.NOP).sum(1), np.diff(stream.offsets))


def test_nothing_is_revealed_unless_this_message_emptied_a_level():
    book = EXAMPLE.book.copy()
    book[2:, 0] = [(10, 2), (8, 4)]  # 9 is gone from the recording, but no message took it
    stream = lr.to_verify_stream(replace(EXAMPLE, book=book), 2)
    assert 2 in rows_that_differ(stream, 2)


THIN = small(
    [(1, 0, 1, 9, 1), (2, 0, 1, 9, 50), (3, 0, 1, 9, 51)],
    [[[(9, 2), (0, 0)], SELL_SIDE], [[(9, 1), (0, 0)], SELL_SIDE], [[(0, 0), (0, 0)], SELL_SIDE]],
)


@pytest.mark.parametrize(
    ("row", "bids"), [(1, [(9, 1), (8, 3)]), (2, [(9, 1), (8, 3)]), (2, [(8, 3), (7, 2)]), (2, [(8, 3), (0, 0)])]
)
def test_a_level_that_a_thin_side_cannot_have_is_not_taken_from_the_recording(row, bids):
    assert rows_that_differ(lr.to_verify_stream(THIN, 2), 2) == []
    book = THIN.book.copy()
    book[row, 0] = bids
    stream = lr.to_verify_stream(replace(THIN, book=book), 2)
    assert stream.revealed == 0
    assert rows_that_differ(stream, 2) == [row]


def test_a_revealed_level_must_lie_behind_the_known_ones():
    book = EXAMPLE.book.copy()
    book[3, 0] = [(9, 1), (9, 7)]
    assert 3 in rows_that_differ(lr.to_verify_stream(replace(EXAMPLE, book=book), 2), 2)


def test_a_recorded_order_that_would_match_is_not_fed_to_the_engine():
    crossing = replace(EXAMPLE, price_tick=EXAMPLE.price_tick.copy())
    crossing.price_tick[1] = 21
    stream = lr.to_verify_stream(crossing, 2)
    assert stream.unexplained == 3  # the order, its reduction and its execution
    assert stream.offsets[2] == stream.offsets[1]


def test_a_trading_stream_takes_what_was_executed_and_can_start_anywhere():
    stream = lr.to_trading_stream(EXAMPLE, (0, 3))
    taken = stream.messages[stream.messages[:, 0] == IOC]
    np.testing.assert_array_equal(taken[0, :4], [IOC, 1, 2, 10])
    assert not (stream.messages[:, 0] == EXECUTE).any()
    np.testing.assert_array_equal(stream.row, [0, 0, 0, 0, 1, 1, 2, 3, 3, 4, 4])
    np.testing.assert_array_equal(stream.time_ns, stream.row.astype(np.int64) * 10**9)
    assert stream.snapshots[3][:, 1:4].tolist() == [[0, 1, 9], [0, 7, 8], [1, 5, 20], [1, 6, 22]]
    np.testing.assert_array_equal(lr.book_at(EXAMPLE, 3), stream.snapshots[3])


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"outside 1\.\.2"):
        lr.to_verify_stream(EXAMPLE, 3)
    with pytest.raises(ValueError, match="snapshot rows"):
        lr.to_trading_stream(EXAMPLE, (6,))


@pytest.mark.parametrize("backend", ["oracle", "cpu"])
def test_the_engine_shows_the_recorded_depth_after_every_row(backend):
    recording = record(5, 600, 5)
    stream = lr.to_verify_stream(recording, 5)
    assert stream.revealed > 20
    depth = HostBook(LobConfig(64, depth_levels=5), backend).trace(stream.groups, 5)
    np.testing.assert_array_equal(depth, stream.expected)


def test_started_from_a_snapshot_the_engine_follows_the_trading_stream_to_the_recorded_book():
    recording = record(11, 600, 5)
    row = len(recording.kind) // 2
    stream = lr.to_trading_stream(recording, (row,))
    book = HostBook(LobConfig(64, depth_levels=5), "oracle")
    book.apply(stream.snapshots[row])
    out = book.apply(stream.messages[stream.row > row])
    # The toy executes orders that are not first in the queue; an IOC takes the first: lots agree, some ids do not.
    np.testing.assert_array_equal(out.depth[:, 0, 0], recording.book[-1][:, 0, 0])


RECORDED = {
    "LOBSTER_SampleFile_AMZN_2012-06-21_5.zip": (155_934, 33_840),
    "LOBSTER_SampleFile_AMZN_2012-06-21_1.zip": (57_514, 13_953),
    "LOBSTER_SampleFile_AAPL_2012-06-21_1.zip": (118_496, 30_071),
    "AAPL_2012-06-21_34200000_57600000_message_10_first999.csv.gz": (998, 318),
}


@pytest.mark.data
@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_day_replays_row_by_row(data_dir, name):
    recording = lobster.read(data_dir / "l3/lobster" / name)
    stream = lr.to_verify_stream(recording, recording.levels)
    assert (stream.rows, stream.revealed) == RECORDED[name]
    assert stream.unexplained == 0
    assert stream.max_orders <= 64
    assert rows_that_differ(stream, recording.levels) == []


@pytest.mark.data
@pytest.mark.parametrize("name", list(RECORDED)[:3])
def test_the_engine_replays_a_recorded_day_and_sees_a_hundred_wrong_cells(data_dir, name):
    recording = lobster.read(data_dir / "l3/lobster" / name)
    levels = recording.levels
    assert _engine_differs(recording, levels).sum() == 0
    rng = np.random.default_rng(20120621)
    book = recording.book.copy()
    cells = rng.choice(book[..., 1].size, 100, replace=False)
    row, side, level = np.unravel_index(cells, book.shape[:3])
    book[row, side, level, 1] += 1
    assert _engine_differs(replace(recording, book=book), levels).sum() >= 90


def _engine_differs(recording: Recording, levels: int) -> np.ndarray:
    stream = lr.to_verify_stream(recording, levels)
    depth = HostBook(LobConfig(128, depth_levels=levels), "cpu").trace(stream.groups, levels)
    return (depth != stream.expected).any(axis=(1, 2, 3))
