"""Whatever a toy exchange does, its recording replays row by row, and what is wrong in a recording shows."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from market_models.datasets.lobster_replay import to_verify_stream
from tests.oracles.dict_book import rows_that_differ
from tests.oracles.recorded_market import record

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, levels=st.integers(1, 6))
def test_the_recording_of_any_toy_exchange_replays_exactly(seed, levels):
    recording = record(seed, 200, levels)
    stream = to_verify_stream(recording, levels)
    assert stream.unexplained == 0
    assert rows_that_differ(stream, levels) == []


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, levels=st.integers(2, 6))
def test_fewer_levels_than_recorded_replay_exactly_too(seed, levels):
    stream = to_verify_stream(record(seed, 150, levels), levels - 1)
    assert rows_that_differ(stream, levels - 1) == []


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, data=st.data())
def test_a_wrong_share_in_one_book_row_makes_that_row_differ_unless_it_was_revealed_there(seed, data):
    recording = record(seed, 200, 4)
    row = data.draw(st.integers(1, len(recording.kind) - 1))
    side = data.draw(st.integers(0, 1))
    present = int(recording.present[row, side].sum())
    if not present:
        return
    level = data.draw(st.integers(0, present - 1))
    book = recording.book.copy()
    book[row, side, level, 1] += 1
    wrong = rows_that_differ(to_verify_stream(replace(recording, book=book), 4), 4)
    if level < 3:
        assert wrong == [row]
    else:  # the deepest level may be what the recording reveals: then the lie shows in the rows after
        last = row == len(recording.kind) - 1
        assert wrong or last or (recording.book[row + 1 :, side, 3, 0] != book[row, side, 3, 0]).any()


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, data=st.data())
def test_a_message_left_out_does_not_go_unseen(seed, data):
    recording = record(seed, 200, 4)
    events = np.flatnonzero(recording.kind[1:] <= 4) + 1
    if not len(events):
        return
    row = int(data.draw(st.sampled_from(events.tolist())))
    kind = recording.kind.copy()
    kind[row] = 5
    assert row in rows_that_differ(to_verify_stream(replace(recording, kind=kind), 4), 4)
