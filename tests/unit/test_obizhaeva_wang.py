"""Obizhaeva-Wang: the rows of truths.md by closed and discrete formula, with a linear solver as independent judge."""

import numpy as np
import pytest

from kernels.execution import obizhaeva_wang as ow

# rho a day, end trades, total of the flow, for 100,000 lots in one day: truths.md section 4.
TABLE = [
    (0.001, 49_975, 50),
    (0.01, 49_751, 498),
    (0.5, 40_000, 20_000),
    (1, 33_333, 33_333),
    (2, 25_000, 50_000),
    (4, 16_667, 66_667),
    (5, 14_286, 71_429),
    (10, 8_333, 83_333),
    (20, 4_545, 90_909),
    (50, 1_923, 96_154),
    (300, 331, 99_338),
    (1000, 100, 99_800),
]


@pytest.mark.parametrize(("resilience", "end", "flow"), TABLE)
def test_end_trades_and_flow_of_the_papers_example(resilience, end, flow):
    found = ow.continuous(100_000, resilience, 1.0)
    assert found.end_lots == pytest.approx(end, abs=0.5) and found.flow_lots == pytest.approx(flow, abs=0.5)
    assert 2 * found.end_lots + found.flow_lots == pytest.approx(100_000)
    assert found.rate == pytest.approx(found.flow_lots)


@pytest.mark.parametrize("resilience", [0.001, 1.0, 20.0])
def test_many_discrete_trades_tend_to_the_continuous_optimum(resilience):
    lots = ow.discrete(100_000, resilience, 1.0, 20_001)
    limit = ow.continuous(100_000, resilience, 1.0)
    assert lots[0] == pytest.approx(limit.end_lots, rel=1e-3) and lots.sum() == pytest.approx(100_000)
    assert lots[1:-1].sum() == pytest.approx(limit.flow_lots, rel=2e-3)


@pytest.mark.parametrize(
    ("trades", "resilience", "permanent"), [(2, 3.0, 0.0), (3, 0.0, 0.1), (11, 2.2, 0.0), (40, 9.0, 0.3)]
)
def test_the_discrete_optimum_is_the_solution_of_the_quadratic_program(trades, resilience, permanent):
    depth, horizon, size = 2.0, 1.5, 1_000.0
    times = np.linspace(0, horizon, trades)
    decay = np.exp(-resilience * np.abs(times[:, None] - times[None]))
    matrix = permanent + (1 / depth - permanent) * decay  # cost = x' matrix x / 2
    lots = ow.discrete(size, resilience, horizon, trades)
    assert lots.sum() == pytest.approx(size) and lots[0] == pytest.approx(lots[-1])
    assert ow.impact_cost(lots, times, depth, permanent, resilience) == pytest.approx(lots @ matrix @ lots / 2)
    if resilience > 0:
        ones = np.ones(trades)
        solved = np.linalg.solve(matrix, ones)
        np.testing.assert_allclose(lots, size * solved / solved.sum(), rtol=1e-8)
    rng = np.random.default_rng(1)
    best = ow.impact_cost(lots, times, depth, permanent, resilience)
    for _ in range(50):
        other = lots + rng.normal(size=trades) * 20
        other *= size / other.sum()
        assert ow.impact_cost(other, times, depth, permanent, resilience) >= best - 1e-6


def test_the_inner_trades_are_what_has_refilled():
    lots = ow.discrete(1.0, 2.0, 1.0, 6)
    share = ow.refill_share(2.0, 1.0, 6)
    assert share == pytest.approx(1 - np.exp(-0.4))
    np.testing.assert_allclose(lots[1:-1], share * lots[0])
    np.testing.assert_array_equal(ow.discrete(5.0, 2.0, 1.0, 1), [5.0])


def test_nonsense_is_refused_by_name():
    with pytest.raises(ValueError, match="size"):
        ow.continuous(0, 1, 1)
    with pytest.raises(ValueError, match="resilience"):
        ow.continuous(1, -1, 1)
    with pytest.raises(ValueError, match="trades"):
        ow.discrete(1, 1, 1, 0)
    with pytest.raises(ValueError, match="horizon"):
        ow.discrete(1, 1, float("nan"), 2)
    with pytest.raises(ValueError, match="depth"):
        ow.impact_cost([1.0], [0.0], 0.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="ascending"):
        ow.impact_cost([1.0, 1.0], [1.0, 0.0], 1.0, 0.0, 1.0)
