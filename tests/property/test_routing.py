"""Routing is optimal: against a linear program without minimums, and against every possible allocation with them."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from kernels.execution import routing, routing_cpu, routing_reference
from kernels.execution.routing import route

EXAMPLES = settings(max_examples=150, deadline=None)


def venue(fee=0, per_lot=0, latency=0, step=1, min_lots=0, min_notional=0):
    return [fee, per_lot, latency, step, min_lots, min_notional]


def book(*sides):
    """int64[V, L, 2] from lists of (price, lots)."""
    depth = max(len(levels) for levels in sides)
    return np.array([list(levels) + [(0, 0)] * (depth - len(levels)) for levels in sides], np.int64)


def books(max_venues, max_lots, side):
    def ladder(draw_gaps):
        start, gaps = draw_gaps
        prices = np.cumsum([start, *[gap for gap, _ in gaps[1:]]])
        return [(int(price) * (1 - 2 * side), lots) for price, (_, lots) in zip(prices, gaps, strict=False)]

    gap = st.tuples(st.integers(1, 3), st.integers(1, max_lots))
    one = st.tuples(st.integers(-3, 6) if side == 0 else st.integers(-6, 3), st.lists(gap, min_size=1, max_size=3))
    return st.lists(one.map(ladder), min_size=1, max_size=max_venues)


def naive_cost(side, levels, row, latency_cost, lots):
    """One lot at a time, written from routing.py's formula."""
    cost = 0
    ladder = [price for price, size in levels for _ in range(size)]
    for price in ladder[:lots]:
        cost += (1 - 2 * side) * price * 10**8 + abs(price) * row[0] + row[1] + row[2] * latency_cost // 10**6
    return cost


def accepted(side, levels, row, lots):
    """The venue's own rule for an order of `lots`: step, minimum, and notional at its limit price."""
    if lots == 0:
        return True
    ladder = [price for price, size in levels for _ in range(size)]
    return lots % row[3] == 0 and lots >= row[4] and lots * abs(ladder[lots - 1]) >= row[5]


@EXAMPLES
@given(data=st.data(), side=st.integers(0, 1), lots=st.integers(0, 14))
def test_no_allocation_of_all_there_are_is_better_and_both_backends_agree(data, side, lots):
    ladders = data.draw(books(3, 4, side))
    step = data.draw(st.sampled_from([1, 1, 2]))
    row = st.tuples(
        st.sampled_from([0, 10_000, -5_000, 10**7]),
        st.sampled_from([0, 10**8, -3]),
        st.sampled_from([0, 5, 10**9 + 1]),
        st.just(step),
        st.sampled_from([0, 0, 3, 5]),
        st.sampled_from([0, 0, 7, 20]),
    )
    rows = [list(data.draw(row)) for _ in ladders]
    limit, latency_cost = data.draw(st.integers(-8, 12)), data.draw(st.sampled_from([0, 1000]))
    levels, venues = book(*ladders), np.array(rows, np.int64)
    results = []
    for module in (routing_cpu, routing_reference):
        allocated = np.full(len(rows), -1, np.int64)
        routing.check_routing(side, lots, limit, levels, venues, latency_cost)
        module.allocate(side, lots, limit, levels, venues, latency_cost, allocated)
        results.append(allocated.tolist())
    assert results[0] == results[1]

    inside = [[(p, n) for p, n in ladder if (1 - 2 * side) * (limit - p) >= 0] for ladder in ladders]
    best = None
    for choice in product(*[range(sum(n for _, n in ladder) + 1) for ladder in inside]):
        if sum(choice) > lots or not all(accepted(side, *of) for of in zip(inside, rows, choice, strict=True)):
            continue
        cost = sum(
            naive_cost(side, ladder, r, latency_cost, n) for ladder, r, n in zip(inside, rows, choice, strict=True)
        )
        wait = sum(r[2] * n for r, n in zip(rows, choice, strict=True))
        key = (-sum(choice), cost, wait, [-n for n in choice])
        best = key if best is None or key < best else best
    ours = results[0]
    assert sum(ours) <= lots
    assert all(accepted(side, ladder, r, n) for ladder, r, n in zip(inside, rows, ours, strict=True))
    found = route(side, lots, limit, levels, venues, latency_cost)
    assert found.lots.tolist() == ours and found.unplaced_lots == lots - sum(ours)
    if all(r[5] == 0 for r in rows):
        assert (-sum(ours), found.cost_e8) == best[:2] and [-n for n in ours] == best[3]
    else:
        # The notional rule is applied so that every larger order passes it too, which may refuse a lucky small one.
        assert (-sum(ours), found.cost_e8) >= best[:2]


@pytest.mark.parametrize("seed", range(8))
def test_greedy_reaches_the_linear_programs_optimum_on_deep_books(seed):
    rng = np.random.default_rng(seed)
    side, count, depth = seed % 2, 6, 20
    gaps = rng.integers(1, 4, (count, depth)).cumsum(axis=1)
    price = (10_000 + rng.integers(-5, 6, (count, 1)) + gaps) * (1 - 2 * side)
    levels = np.stack([price, rng.integers(1, 500, (count, depth))], axis=-1).astype(np.int64)
    rows = [venue(int(rng.integers(-20_000, 60_000)), 0, int(rng.integers(0, 10**7))) for _ in range(count)]
    venues, lots = np.array(rows, np.int64), 9_000
    found = route(side, lots, 2**30 * (1 - 2 * side), levels, venues, 50)
    each = [routing.all_in_e8(side, p, venues[v], 50) / 1e8 for v in range(count) for p in price[v]]
    bounds = [(0, n) for n in levels[..., 1].ravel()]
    solved = linprog(each, A_eq=[np.ones(len(each))], b_eq=[lots], bounds=bounds)
    assert found.unplaced_lots == 0 and found.cost_e8 / 1e8 == pytest.approx(solved.fun, rel=1e-12)


def test_a_fee_can_outweigh_a_better_price_and_ties_go_by_latency_then_order():
    levels = book([(1000, 5)], [(999, 5)])
    venues = np.array([venue(), venue(fee=200_000)], np.int64)  # 20 bps of 999 are 2 ticks
    assert route(0, 4, 2000, levels, venues).lots.tolist() == [4, 0]
    tied = book([(10, 5)], [(10, 5)], [(10, 5)])
    slow_first = np.array([venue(latency=9), venue(latency=3), venue(latency=3)], np.int64)
    assert route(0, 12, 10, tied, slow_first).lots.tolist() == [2, 5, 5]
    assert route(0, 3, 10, tied, slow_first).lots.tolist() == [0, 3, 0]


def test_latency_can_be_given_a_price():
    levels = book([(101, 5)], [(100, 5)])
    venues = np.array([venue(), venue(latency=30_000_000)], np.int64)
    assert route(0, 5, 200, levels, venues).lots.tolist() == [0, 5]
    assert route(0, 5, 200, levels, venues, latency_cost_e8=10**7).lots.tolist() == [5, 0]  # 30 ms at 0.1 tick


def test_a_minimum_that_is_missed_moves_lots_in_or_leaves_the_venue_out():
    levels = book([(100, 8)], [(101, 50)])
    venues = np.array([venue(), venue(min_lots=5)], np.int64)
    assert route(0, 10, 200, levels, venues).lots.tolist() == [5, 5]
    assert route(0, 4, 200, levels, venues).lots.tolist() == [4, 0]
    dear = np.array([venue(), venue(min_notional=20_000)], np.int64)
    assert route(0, 10, 200, levels, dear).lots.tolist() == [8, 0]
    assert route(0, 10, 200, levels, dear).unplaced_lots == 2


def test_costs_far_beyond_int64_are_exact():
    top = 2**30
    levels = book([(top - 1, top)], [(top, top)])
    venues = np.array([venue(fee=10**7), venue(fee=10**7 - 1)], np.int64)
    found = route(0, top, top, levels, venues)
    each = [(top - 1) * 10**8 + (top - 1) * 10**7, top * 10**8 + top * (10**7 - 1)]
    assert found.lots.tolist() == [top * (each[0] <= each[1]), top * (each[0] > each[1])]
    assert found.cost_e8 == top * min(each) and found.cost_e8 > 2**63


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"side": 2}, "side"),
        ({"lots": -1}, "lots"),
        ({"levels": book([(10, 5), (9, 1)])}, "best first"),
        ({"levels": book([(10, 0), (11, 1)])}, "after an empty one"),
        ({"levels": book([(10, -1)])}, "lots outside"),
        ({"levels": np.zeros((1, 1, 2))}, "int64"),
        ({"venues": np.array([venue(step=0)], np.int64)}, "lot_step"),
        ({"venues": np.array([venue(fee=10**8)], np.int64)}, "fee_e8"),
        ({"venues": np.zeros((2, 6), np.int64)}, "venues"),
    ],
)
def test_nonsense_is_refused_by_name(change, name):
    fields = {
        "side": 0,
        "lots": 1,
        "limit_tick": 20,
        "levels": book([(10, 5)]),
        "venues": np.array([venue()], np.int64),
    }
    with pytest.raises(ValueError, match=name):
        route(**{**fields, **change})
