"""Binance's chain of update ids, case by case, for both markets."""

from types import SimpleNamespace

import pytest

from market_models.datasets import depth_session
from market_models.datasets.binance_raw import DepthEvent, Snapshot
from market_models.datasets.depth_session import DepthChain


def chain(futures, snapshots=1):
    return DepthChain(SimpleNamespace(futures=futures, snapshots=snapshots))


def event(first, last, previous=None):
    return DepthEvent(0, 0, 0, first, last, previous, [], [])


def snapshot(last):
    return Snapshot(0, 0, 0, last, [], [])


def run(state, *events):
    """Return the update ids applied, in order."""
    return [batch.last_id for one in events for batch in state.feed(one)]


def test_events_wait_for_the_snapshot_and_those_before_it_are_dropped():
    futures = chain(True)
    assert run(futures, event(1, 5, 0), event(6, 9, 5), event(10, 14, 9)) == []
    assert run(futures, snapshot(9)) == [9, 9, 14]  # a futures event that ends with the snapshot spans it
    spot = chain(False)
    assert run(spot, event(1, 5), event(6, 9), event(8, 14), snapshot(9)) == [9, 14]
    assert (futures.dropped, futures.gaps, spot.dropped, spot.gaps) == (1, 0, 2, 0)


@pytest.mark.parametrize(
    ("futures", "first", "gaps"),
    [
        (True, event(9, 12, 8), 0),
        (True, event(10, 12, 9), 1),  # U <= L is asked of the futures
        (True, event(5, 9, 4), 0),
        (False, event(10, 12), 0),  # U <= L + 1 of the spot market
        (False, event(11, 12), 1),
        (False, event(9, 12), 0),
    ],
)
def test_the_first_event_has_to_span_the_snapshot(futures, first, gaps):
    state = chain(futures)
    assert run(state, snapshot(9), first) == [9, first.last_id]
    assert state.gaps == gaps


def test_a_lost_event_is_one_gap_and_a_repeated_one_is_stale():
    futures = chain(True)
    assert run(futures, snapshot(9), event(9, 12, 8), event(16, 20, 15), event(21, 22, 20)) == [9, 12, 20, 22]
    assert run(futures, event(21, 22, 20), event(23, 25, 22)) == [25]
    assert (futures.gaps, futures.stale) == (1, 1)
    spot = chain(False, snapshots=0)
    assert run(spot, event(1, 4), event(5, 6), event(8, 9), event(10, 10)) == [4, 6, 9, 10]
    assert spot.gaps == 1


def test_two_events_in_the_wrong_order_are_a_gap_and_a_stale_event():
    spot = chain(False, snapshots=0)
    assert run(spot, event(1, 4), event(7, 9), event(5, 6), event(10, 12)) == [4, 9, 12]
    assert (spot.gaps, spot.stale) == (1, 1)


def test_a_snapshot_after_a_gap_brings_the_book_back_in_step():
    state = chain(True)
    run(state, snapshot(9), event(9, 12, 8), event(20, 25, 19), event(26, 30, 25))
    assert run(state, snapshot(27), event(31, 33, 30)) == [27, 30, 33]
    assert (state.gaps, state.dropped, state.ignored_snapshots) == (1, 1, 0)
    assert run(state, snapshot(31), event(34, 35, 33)) == [35]  # nothing was lost: not needed
    assert state.ignored_snapshots == 1


def test_a_snapshot_that_the_waiting_events_do_not_reach_is_another_gap():
    state = chain(True)
    run(state, snapshot(9), event(9, 12, 8), event(20, 25, 19))
    assert run(state, snapshot(15)) == [15, 25]
    assert state.gaps == 2
    assert run(state, event(26, 28, 25), snapshot(26)) == [28, 26, 28]
    assert state.gaps == 2


def test_waiting_events_are_bounded(monkeypatch):
    monkeypatch.setattr(depth_session, "WAITING_EVENTS", 2)
    state = chain(True)
    run(state, event(1, 5, 0), event(6, 9, 5), event(10, 14, 9))
    assert run(state, snapshot(4)) == [4, 9, 14]
    assert state.gaps == 1
