"""VaR and ES backtests against printed tables, computed figures of recorded forecasts, and slow second ways."""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from kernels.risk import backtests as bt
from kernels.risk import es_backtests as es
from kernels.risk.tails import standard_es, standard_var

# Kupiec (1995): failures above the first and below the second number are not rejected at 95 %; T = 255, 510, 1000.
KUPIEC = {
    0.01: ((0, 7), (1, 11), (4, 17)),
    0.025: ((2, 12), (6, 21), (15, 36)),
    0.05: ((6, 21), (16, 36), (37, 65)),
    0.075: ((11, 28), (27, 51), (59, 92)),
    0.10: ((16, 36), (38, 65), (81, 120)),
}
CELLS = [(t, p, low, high) for p, row in KUPIEC.items() for t, (low, high) in zip((255, 510, 1000), row, strict=True)]


@pytest.mark.parametrize(("observations", "tail", "low", "high"), CELLS)
def test_kupiecs_non_rejection_regions_are_the_papers(observations, tail, low, high):
    assert bt.kupiec_region(observations, tail) == (low + 1, high - 1)


@pytest.mark.parametrize(
    ("hits", "total", "tail", "ratio", "p_value"),
    [
        (0, 250, 0.01, 5.0252, None),
        (3, 250, 0.01, 0.0949, 0.758),
        (7, 250, 0.01, 5.4970, 0.0190),
        (10, 250, 0.01, 12.9555, None),
        (20, 252, 0.05, 3.9126, 0.0479),
        (0, 255, 0.01, 5.13, None),
    ],
)
def test_kupiecs_ratio_is_the_computed_one(hits, total, tail, ratio, p_value):
    found = bt.kupiec(hits, total, tail)
    assert round(found.statistic, 2 if ratio == 5.13 else 4) == ratio
    if p_value is not None:
        assert found.p_value == pytest.approx(p_value, abs=5e-4 if p_value == 0.758 else 5e-5)


def test_kupiecs_region_and_ratio_agree_at_every_count():
    low, high = bt.kupiec_region(300, 0.02)
    kept = [hits for hits in range(301) if bt.kupiec(hits, 300, 0.02).p_value >= 0.05]
    assert (kept[0], kept[-1]) == (low, high)
    assert bt.kupiec(300, 300, 0.02).statistic == pytest.approx(-600 * np.log(0.02))


def test_basel_probabilities_and_zones_are_the_printed_ones():
    printed = [8.11, 28.58, 54.32, 75.81, 89.22, 95.88, 98.63, 99.60, 99.89, 99.97, 99.99]
    lights = [bt.basel_traffic_light(hits) for hits in range(11)]
    assert [round(100 * light.probability, 2) for light in lights] == printed
    assert [light.zone for light in lights] == [bt.Zone.GREEN] * 5 + [bt.Zone.YELLOW] * 5 + [bt.Zone.RED]
    add_ons = [light.add_on if light.add_on is not None else np.nan for light in lights]
    assert add_ons[:5] == [0.0] * 5
    assert (np.diff(add_ons[4:]) > 0).all()
    assert bt.basel_traffic_light(5, 500).add_on is None


@pytest.fixture(scope="module")
def forecasts():
    """P&L, VaR, ES and volatility of the recorded S&P 500 forecasts, VaR and ES as positive losses."""
    from market_models.datasets import find_data

    root = find_data()
    path = root / "risk" / "esback_sp500_var_es_forecasts.csv.gz" if root else None
    if path is None or not path.exists():
        pytest.skip("recorded data not found: set BOOKSWARM_DATA to its directory, with the forecasts of esback")
    table = pd.read_csv(path)
    return table.r.to_numpy(), -table.q.to_numpy(), -table.e.to_numpy(), table.s.to_numpy()


@pytest.mark.data
def test_the_recorded_forecasts_have_the_computed_coverage(forecasts):
    pnl, var, _, _ = forecasts
    coverage = bt.christoffersen(bt.find_exceedances(pnl, var), 0.025)
    assert (len(pnl), coverage.exceedances) == (4527, 155)
    assert round(100 * coverage.exceedances / len(pnl), 3) == 3.424
    assert coverage.transitions == (4232, 139, 139, 16)
    ratios = coverage.unconditional, coverage.independence, coverage.conditional
    assert [round(ratio.statistic, 4) for ratio in ratios] == [14.2394, 15.5152, 29.7546]
    assert ratios[2].p_value == pytest.approx(np.exp(-29.7546 / 2), rel=1e-4)  # chi-squared of 2 is exponential


@pytest.mark.data
def test_the_recorded_forecasts_have_the_computed_shortfall_statistics(forecasts):
    pnl, var, shortfall, volatility = forecasts
    found = es.acerbi_szekely(pnl, var, shortfall, 0.025)
    assert found.z1 is not None
    assert [round(found.z1, 6), round(found.z2, 6)] == [-0.048040, -0.435354]
    test = es.exceedance_residuals(pnl, var, shortfall, volatility)
    assert (round(test.mean, 7), round(test.standardised_mean, 7), round(test.t_statistic, 4)) == (
        -0.0898467,
        -0.1133756,
        -1.3407,
    )
    hits = pnl < -var
    judge = stats.ttest_1samp((pnl + shortfall)[hits] / volatility[hits], 0.0, alternative="less")
    assert test.p_value == pytest.approx(judge.pvalue)


@pytest.mark.parametrize(
    ("dof", "five", "rare"),
    [(3, -0.811, -4.19), (5, -0.733, -2.05), (10, -0.713, -1.87), (100, -0.702, -1.80), (None, -0.700, -1.83)],
)
def test_simulated_critical_values_are_the_computed_ones_within_three_standard_errors(dof, five, rare):
    runs = 200_000  # as many as behind the figures, so that both errors count
    _, second = es.simulate_acerbi_szekely(250, 0.025, dof, runs, seed=7)
    for size, value in ((0.05, five), (1e-4, rare)):
        error = (2 * size * (1 - size) / runs) ** 0.5
        assert (second < value).mean() == pytest.approx(size, abs=3 * error)


def test_drawing_only_the_tail_gives_the_law_of_whole_years():
    rng = np.random.default_rng(3)
    days = rng.standard_t(5, (20_000, 250))
    var, shortfall = standard_var(0.025, 5), standard_es(0.025, 5)
    whole = [es.acerbi_szekely(d, np.full(250, var), np.full(250, shortfall), 0.025) for d in days[:4000]]
    first, second = es.simulate_acerbi_szekely(250, 0.025, 5, 4000, seed=1)
    assert stats.ks_2samp([w.z2 for w in whole], second).pvalue > 0.001
    ones = [w.z1 for w in whole if w.z1 is not None]
    assert stats.ks_2samp(ones, first[~np.isnan(first)]).pvalue > 0.001
    # The share of years without an exceedance is (1 - a)^T.
    assert np.isnan(first).mean() == pytest.approx(0.975**250, abs=3 * (0.975**250 / 4000) ** 0.5)


def test_critical_values_are_quantiles_and_repeat_for_a_seed():
    first, second = es.critical_values(250, 0.025, 0.05, None, 20_000, seed=5)
    assert (first, second) == es.critical_values(250, 0.025, 0.05, None, 20_000, seed=5)
    z1, z2 = es.simulate_acerbi_szekely(250, 0.025, None, 20_000, seed=5)
    assert (z2 < second).mean() == pytest.approx(0.05, abs=1e-3)
    assert (z1[~np.isnan(z1)] < first).mean() == pytest.approx(0.05, abs=1e-3)


def test_standard_shortfalls_are_the_computed_ones():
    assert round(standard_es(0.025), 6) == 2.337803
    assert round(standard_var(0.01), 6) == 2.326348
    assert [round(standard_es(0.025, dof), 4) for dof in (3, 5, 10)] == [5.0396, 3.5216, 2.8190]


def test_the_independence_ratio_is_the_maximum_that_a_search_finds():
    rng = np.random.default_rng(8)
    hits = np.zeros(400, bool)
    for day in range(1, 400):
        hits[day] = rng.random() < (0.4 if hits[day - 1] else 0.05)

    def minus_log(chances):
        after = np.array(chances)[hits[:-1].astype(int)]
        return -np.log(np.where(hits[1:], after, 1 - after)).sum()

    free = optimize.minimize(minus_log, [0.1, 0.1], bounds=[(1e-6, 1 - 1e-6)] * 2, method="L-BFGS-B").fun
    tied = optimize.minimize_scalar(lambda p: minus_log([p, p]), bounds=(1e-6, 0.99), method="bounded").fun
    assert bt.christoffersen(hits, 0.05).independence.statistic == pytest.approx(2 * (tied - free), abs=1e-5)


def test_a_year_without_an_exceedance_says_nothing_of_independence():
    coverage = bt.christoffersen(np.zeros(250, bool), 0.01)
    assert coverage.independence == (0.0, 1.0)
    assert coverage.unconditional.statistic == pytest.approx(-500 * np.log(0.99))
    calm = np.ones(250)
    assert es.acerbi_szekely(calm, calm, calm, 0.01) == (0, None, 1.0)


def test_zones_of_stretches_are_basels_table_by_the_number_of_exceedances_in_each():
    hits = np.zeros(1000, bool)
    hits[300:304] = hits[700:710] = True  # 4 are green, 5 to 9 yellow, 10 red
    counts = np.array([hits[start : start + 250].sum() for start in range(751)])
    yellow, red = ((counts >= 5) & (counts <= 9)).sum(), (counts >= 10).sum()
    assert bt.count_zones(hits) == (751 - yellow - red, yellow, red)
    assert min(yellow, red) > 5
    with pytest.raises(ValueError, match="days is 250, expected a whole number from 1 to 9"):
        bt.count_zones(np.zeros(9, bool))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bt.kupiec(4, 3, 0.01), "exceedances is 4"),
        (lambda: bt.kupiec(1, 10, 0.99), "tail_frac is 0.99"),
        (lambda: bt.kupiec_region(10, 0.01, 1.5), "size_frac is 1.5"),
        (lambda: bt.find_exceedances([1.0, np.nan], [1.0, 1.0]), "pnl holds 1 values"),
        (lambda: bt.find_exceedances([1.0], [1.0, 1.0]), "lengths differ: pnl 1, var 2"),
        (lambda: bt.find_exceedances([1.0], [-1.0]), "var holds a value below 0"),
        (lambda: bt.christoffersen([0, 1, 0], 0.01), "expected bool"),
        (lambda: es.acerbi_szekely([-3.0], [2.0], [1.0], 0.01), "es holds a value"),
        (lambda: es.critical_values(250, 0.025, 1e-4, runs=1000), "runs is 1000, expected at least 100000"),
        (lambda: es.exceedance_residuals([-3.0, 1.0], [1, 1], [2, 2], [1, 1]), "1 exceedances, expected at least 2"),
        (lambda: es.exceedance_residuals([-3.0, -3.0], [1, 1], [2, 2], [1, 1]), "all equal"),
        (lambda: standard_es(0.01, 1.0), "dof is 1.0"),
    ],
)
def test_what_cannot_be_judged_is_refused_with_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
