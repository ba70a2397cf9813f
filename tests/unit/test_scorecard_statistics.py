"""Every statistic on a market small enough to work out by hand, and the rows that cannot be computed."""

import numpy as np
import pytest

from kernels.lob.spec import BUY, SELL
from market_models.datasets.recording import FULL_CANCEL, NEW, PARTIAL_CANCEL, VISIBLE_EXECUTION
from market_models.scorecard import statistics as stats
from market_models.scorecard.conditions import response_samples
from market_models.scorecard.distances import Sample
from market_models.scorecard.score import Row, row_units, score
from market_models.scorecard.tape import Tape, cut
from tests.support.tapes import random_tape, stretch

S = 1_000_000_000
ROWS = [  # (ns, kind, side, lots, price, id)
    (0, NEW, BUY, 10, 100, 1),
    (1 * S, NEW, BUY, 20, 98, 2),  # 98 with 100 ahead: level 2, 3 below the mid of 101
    (3 * S, NEW, SELL, 5, 101, 3),  # improves the best ask of 102
    (3 * S, PARTIAL_CANCEL, BUY, 5, 98, 2),
    (13 * S, FULL_CANCEL, SELL, 5, 101, 3),
    (70 * S, VISIBLE_EXECUTION, BUY, 10, 100, 1),  # sold into the bid
    (130 * S, NEW, SELL, 1, 105, 9),
]
BOOKS = [
    ([(100, 10)], [(102, 30)]),
    ([(100, 10), (98, 20)], [(102, 30)]),
    ([(100, 10), (98, 20)], [(101, 5), (102, 30)]),
    ([(100, 10), (98, 15)], [(101, 5), (102, 30)]),
    ([(100, 10), (98, 15)], [(102, 30)]),
    ([(98, 15)], [(102, 30)]),
    ([(98, 15)], [(102, 30), (105, 1)]),
]
TINY = stretch(ROWS, BOOKS)


def values(measure) -> list[float]:
    return measure(TINY)[0].tolist()


def test_the_book_statistics_are_those_worked_out_by_hand() -> None:
    assert values(stats.spread) == [2, 2, 1, 1, 2, 4, 4]
    assert values(stats.imbalance) == pytest.approx([-0.5, -0.5, 1 / 3, 1 / 3, -0.5, -1 / 3, -1 / 3])
    assert values(stats.level_lots(BUY, 2)) == [20, 20, 15, 15]  # absent levels have no value
    assert values(stats.depth_lots(SELL)) == [30, 30, 35, 35, 30, 30, 31]


def test_the_order_statistics_are_those_worked_out_by_hand() -> None:
    assert values(stats.order_depth((NEW,), BUY)) == [3]
    assert values(stats.order_depth((NEW,), SELL)) == [0, 5]
    assert values(stats.order_level((NEW,), BUY)) == [2]
    assert values(stats.order_level((NEW,), SELL)) == [0, 2]
    assert values(stats.order_level(stats.CANCELS, BUY)) == [2]
    assert values(stats.sizes((NEW,))) == [10, 20, 5, 1]


def test_times_are_logarithms_of_seconds_and_the_same_nanosecond_is_one() -> None:
    assert values(stats.inter_arrival) == pytest.approx(np.log10([1, 2, 1e-9, 10, 57, 60]))
    assert values(stats.time_to_cancel) == pytest.approx(np.log10([2, 10]))


def test_volume_and_order_flow_are_sums_over_whole_bins_only() -> None:
    lots, at_s = stats.volume(TINY)
    assert lots.tolist() == [0, 10] and at_s.tolist() == [30, 90]
    # By the definition: row 2 improves the ask (-5), row 4 takes it away (+5), row 5 loses the bid of 10.
    flow = stats.order_flow(TINY)[0]
    assert len(flow) == 13 and flow[[0, 1, 7]].tolist() == [-5, 5, -10] and np.count_nonzero(flow) == 3


def test_responses_are_signed_by_what_the_event_adds_to() -> None:
    tape = random_tape("walk", 1)
    s = tape.stretches[0]
    found = response_samples(tape)["response_market_moves"]
    first = found.value[found.group == 0]
    mid = s.mid_tick
    expected = [
        (1 if s.side[i] == SELL else -1) * (mid[i] - mid[i - 1])
        for i in range(1, len(mid) - 99)
        if s.kind[i] == VISIBLE_EXECUTION and mid[i] != mid[i - 1]
    ]
    assert first.tolist() == expected and len(expected) > 100


def test_a_market_is_at_no_distance_from_itself_and_near_another_draw_of_its_law() -> None:
    own = random_tape("own", 1)
    same, twin, bad = (
        random_tape("same", 1),
        random_tape("twin", 2),
        random_tape("bad", 3, wait_s=0.05, jump=0.9),
    )
    scores = {s.name: s for s in score(own, [same, twin, bad], resamples=50)}
    assert scores["same"].iqm_l1 == 0 and scores["same"].iqm_w1 == 0
    # The bad market shares the law of sizes and of the book, which is most rows.
    assert scores["twin"].iqm_l1 < 0.05 < 2 * scores["twin"].iqm_l1 < scores["bad"].iqm_l1
    for part in scores.values():
        assert part.iqm_l1_ci[0] <= part.iqm_l1 <= part.iqm_l1_ci[1]


def without(tape: Tape, kinds: tuple[int, ...], name: str) -> Tape:
    whole = tape.stretches[0]
    return Tape(name, (cut(whole, ~np.isin(whole.kind, kinds)),), tape.duration_s, 0)


def rows_of(recorded: Tape, contender: Tape) -> dict[str, Row]:
    return {row.name: row for row in score(recorded, [contender], resamples=20)[0].rows}


def test_a_row_that_the_contender_lacks_is_listed_with_its_reason_and_counts_as_1() -> None:
    own = random_tape("own", 1)
    rows = rows_of(own, without(random_tape("other", 2), stats.CANCELS, "no cancels"))
    assert list(rows) == list(row_units())
    lost = rows["time_to_cancel_log10_s"]
    assert (lost.l1, lost.w1, lost.n) == (1.0, None, 0) and "0 values, needed are 30" in lost.reason
    assert rows["spread_tick"].reason == "" and rows["spread_tick"].w1 is not None


def test_a_row_that_the_recording_lacks_is_listed_with_its_reason_and_counts_for_nobody() -> None:
    rows = rows_of(without(random_tape("own", 1), stats.CANCELS, "own"), random_tape("other", 2))
    assert rows["cancel_lots"].l1 is None and rows["cancel_lots"].reason == "recorded: 0 values, needed are 30"
    assert rows["bid_lots_3"].l1 is None and "too few levels" in rows["bid_lots_3"].reason


def test_a_market_whose_prices_move_in_other_steps_is_refused() -> None:
    coarse = random_tape("coarse", 2)
    s = coarse.stretches[0]
    wide = s.book.copy()
    wide[..., 0] *= 5
    other = Tape(
        "coarse", (type(s)(s.at_s, s.at_ns, s.kind, s.side, s.lots, s.price_tick * 5, s.order_id, wide),), 1, 0
    )
    with pytest.raises(ValueError, match="prices of coarse move in steps of 5 ticks, the recorded ones in steps of 1"):
        score(random_tape("own", 1), [other])
    with pytest.raises(ValueError, match="name of its own"):
        score(coarse, [random_tape("a", 1), random_tape("a", 2)])


def test_samples_of_several_stretches_do_not_reach_across_their_joint() -> None:
    later = stretch(ROWS, BOOKS, start_s=200.0)
    both = Tape("two", (TINY, later), 400.0, 0)
    parts = [stats.inter_arrival(s) for s in both.stretches]
    assert [len(part[0]) for part in parts] == [6, 6]
    assert stats.volume(later)[1].tolist() == [230, 290]
    assert isinstance(response_samples(both)["response_limit_moves"], Sample)
