"""The cost report against examples by hand, its signs, and the reference against numba."""

import numpy as np
import pytest

from kernels.execution import costs
from kernels.execution.costs import cost_report


def fill(price, lots, touch=None, fee=0):
    return [0, price, lots, price if touch is None else touch, fee]


def test_a_buyers_report_by_hand():
    # Mid 100.5 at arrival; 60 lots at 101 and 20 at 103, the touch was 101 and 102; 20 lots missed, mid 104 at the end.
    fills = np.array([fill(101, 60, 101, 500), fill(103, 20, 102, -100)])
    report = cost_report(0, 100, 201, 208, 400, fills, tick_value_e8=10)
    assert report.filled_lots == 80 and report.fill_rate_frac == 0.8 and report.participation_frac == 0.2
    assert report.arrival_price_tick == 100.5 and report.average_price_tick == pytest.approx(101.5)
    assert report.execution_half_tick_lots == 60 * 1 + 20 * 5 == 160
    assert report.opportunity_half_tick_lots == 20 * 7
    assert report.shortfall_half_tick_lots == 300
    assert report.shortfall_bps == pytest.approx(150 / 10_050 * 1e4)
    assert report.fees_e8 == 400 and report.total_bps == pytest.approx((150 + 40) / 10_050 * 1e4)
    assert report.slippage_tick_lots == 20 and report.slippage_bps == pytest.approx(20 / (60 * 101 + 20 * 102) * 1e4)


@pytest.mark.parametrize(("side", "sign"), [(0, 1), (1, -1)])
def test_costs_are_positive_when_they_hurt_on_both_sides(side, sign):
    worse = cost_report(side, 10, 200, 200, 100, np.array([fill(100 + 2 * sign, 10, 100)]))
    better = cost_report(side, 10, 200, 200, 100, np.array([fill(100 - 2 * sign, 10, 100)]))
    missed = cost_report(side, 10, 200, 200 + 4 * sign, 100, [])
    assert worse.shortfall_bps == pytest.approx(200) and worse.slippage_bps == pytest.approx(200)
    assert better.shortfall_bps == pytest.approx(-200) and better.slippage_bps == pytest.approx(-200)
    assert missed.shortfall_bps == pytest.approx(200) and missed.fill_rate_frac == 0
    assert missed.average_price_tick is None and missed.slippage_bps is None


def test_negative_prices_use_their_absolute_value_and_a_zero_arrival_has_no_basis_points():
    report = cost_report(0, 10, -2000, -2000, 100, np.array([fill(-990, 10)]))
    assert report.shortfall_bps == pytest.approx(100)
    free = cost_report(0, 10, 0, 0, 0, np.array([fill(1, 10, 0)]), tick_value_e8=1)
    assert (free.shortfall_bps, free.total_bps, free.slippage_bps, free.participation_frac) == (None,) * 4
    assert free.shortfall_half_tick_lots == 20


def test_the_ends_of_the_ranges_are_exact():
    top = 2**30
    report = cost_report(1, top, -2 * top, 2 * top, 1, np.array([fill(top, top, -top)]))
    assert report.execution_half_tick_lots == -4 * top * top and report.slippage_tick_lots == -2 * top * top


def test_numba_adds_up_what_the_reference_adds_up():
    rng = np.random.default_rng(0)
    count, rows = 50, 4_000
    side, arrival = rng.integers(0, 2, count), rng.integers(-4_000, 4_000, count)
    low, high = [0, -2_000, 1, -2_000, -(10**9)], [count, 2_000, 1_000, 2_000, 10**9]
    fills = rng.integers(low, high, (rows, 5))
    totals = [np.zeros((count, costs.NUM_TOTALS), np.int64) for _ in range(2)]
    costs.accumulate_reference(side, arrival, fills, totals[0])
    costs.accumulate(side, arrival, fills, totals[1])
    np.testing.assert_array_equal(*totals)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"side": 2}, "side"),
        ({"parent_lots": 0}, "parent_lots"),
        ({"arrival_half_tick": 100.5}, "arrival_half_tick"),
        ({"market_lots": -1}, "market_lots"),
        ({"fills": np.array([fill(1, 11)])}, "more than parent_lots"),
        ({"fills": np.array([fill(1, 0)])}, "lots below 1"),
        ({"fills": np.array([[0.0, 1.5, 1, 1, 0]])}, "integers"),
        ({"fills": np.zeros((2, 3), int)}, "integers"),
        ({"tick_value_e8": 0}, "tick_value_e8"),
    ],
)
def test_nonsense_is_refused_by_name(change, name):
    fields = {
        "side": 0,
        "parent_lots": 10,
        "arrival_half_tick": 200,
        "end_half_tick": 200,
        "market_lots": 100,
        "fills": [],
        "tick_value_e8": 1,
    }
    with pytest.raises(ValueError, match=name):
        cost_report(**{**fields, **change})
