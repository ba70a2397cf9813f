"""The engine fed by `LevelSide` holds exactly the best levels of a book that a dictionary keeps."""

from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.lob import spec
from kernels.lob.oracle import Oracle
from market_models.datasets.depth_book import LevelSide
from market_models.datasets.depth_replay import make_sides, to_messages, write_batch

PRICES, ORACLE_CAPACITY = 12, 64
LEVELS = st.lists(st.tuples(st.integers(-PRICES, PRICES), st.integers(0, 3)), max_size=8)
BATCHES = st.lists(st.tuples(st.sampled_from(("update", "update", "replace")), LEVELS, LEVELS), max_size=12)


def best(book, side, count):
    return sorted(book.items(), reverse=side == spec.BUY)[:count]


def apply(oracle, changes):
    buffer = array("i")
    write_batch(buffer, changes, 0)
    messages = to_messages(buffer)
    assert (oracle.apply(messages).reason == spec.OK).all()
    return messages


def unique(levels):
    return list(dict(levels).items())


@settings(max_examples=150, deadline=None)
@given(BATCHES, st.integers(1, 6))
def test_after_every_batch_the_engine_holds_the_best_levels_of_the_whole_book(batches, window):
    sides, books = make_sides(window), ({}, {})
    oracle = Oracle(ORACLE_CAPACITY, depth_levels=window)
    for how, *levels in batches:
        changes = []
        for side in (spec.BUY, spec.SELL):
            given_levels = levels[side] if how == "update" else unique(levels[side])
            if how == "replace":
                given_levels = [level for level in given_levels if level[1]]
                books[side].clear()
            for price, lots in given_levels:
                books[side].pop(price, None)
                if lots:
                    books[side][price] = lots
            changes.append(getattr(sides[side], how)(given_levels))
        messages = apply(oracle, tuple(changes))
        for side in (spec.BUY, spec.SELL):
            assert oracle.levels(side) == best(books[side], side, window)
            assert sides[side].levels(99) == best(books[side], side, 99)
            assert len(sides[side].held) <= window
        # A batch says nothing twice.
        assert len({tuple(row[1:4:2]) for row in messages.tolist()}) == len(messages)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.booleans(), LEVELS), max_size=10), st.integers(1, 5))
def test_visible_levels_are_shown_and_levels_beyond_them_stay_as_last_seen(rows, depth):
    side, book = LevelSide(spec.SELL, 50), {}
    oracle = Oracle(ORACLE_CAPACITY, depth_levels=depth)
    for whole, levels in rows:
        visible = sorted((price, lots) for price, lots in dict(levels).items() if lots)[:depth]
        ends = whole or not visible
        book = {} if ends else {price: lots for price, lots in book.items() if price > visible[-1][0]}
        book.update(visible)
        apply(oracle, (LevelSide(spec.BUY, 1).update([]), side.see(visible, whole)))
        assert oracle.levels(spec.SELL) == sorted(book.items())
        assert oracle.levels(spec.SELL)[: len(visible)] == visible


def test_a_level_that_is_pushed_out_is_purged_and_revealed_when_it_comes_back():
    side = LevelSide(spec.BUY, 2)
    assert side.update([(10, 1), (9, 2), (8, 3)]) == ([], [(10, 1), (9, 2)])
    assert side.update([(11, 4)]) == ([(9, 0)], [(11, 4)])
    assert (side.purged, side.revealed) == (1, 0)
    assert side.update([(8, 5)]) == ([], [])  # out of sight of the engine, not forgotten
    assert side.update([(11, 0), (10, 0)]) == ([(11, 0), (10, 0)], [(9, 2), (8, 5)])
    assert (side.purged, side.revealed, side.most_levels) == (1, 2, 4)


def test_what_trades_may_have_taken_is_restated_once():
    side = LevelSide(spec.SELL, 3)
    side.update([(10, 1), (11, 2), (12, 3), (13, 4)])
    side.trade_through(11)
    assert side.update([(12, 1)]) == ([(12, 1)], [(10, 1), (11, 2)])
    assert side.update([]) == ([], [])
    side.trade_through(99)  # no further than the engine's levels
    assert side.update([(10, 0)]) == ([(10, 0)], [(11, 2), (12, 1), (13, 4)])
