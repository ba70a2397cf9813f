"""VaR and ES of a series: computed figures of the S&P 500, closed forms, arch and scipy as judges."""

import numpy as np
import pandas as pd
import pytest
from arch import arch_model
from scipy import integrate, stats

from kernels.risk import filtered as fs
from kernels.risk import var as vr
from kernels.risk.tails import elliptical_risk


@pytest.fixture(scope="module")
def sp500():
    """Daily returns of the S&P 500, 1999 to 2018, in per cent."""
    from market_models.datasets import find_data

    root = find_data()
    path = root / "bars" / "daily" / "arch_sp500.csv.gz" if root else None
    if path is None or not path.exists():
        pytest.skip("recorded data not found: set BOOKSWARM_DATA to its directory, with arch_sp500 daily bars")
    close = pd.read_csv(path)["Adj Close"].to_numpy()
    return 100 * (close[1:] / close[:-1] - 1)


@pytest.mark.data
def test_historical_numbers_of_the_sp500_are_the_computed_ones(sp500):
    assert len(sp500) == 5030
    assert (round(sp500.mean(), 8), round(sp500.std(ddof=1), 8)) == (0.02142783, 1.20307397)
    assert (round(stats.skew(sp500), 6), round(stats.kurtosis(sp500) + 3, 6)) == (-0.020483, 11.336118)
    assert round(vr.historical_risk(sp500, 0.01).var, 6) == 3.305942
    assert round(vr.historical_risk(sp500, 0.025).es, 6) == 3.574467


@pytest.mark.data
def test_the_garch_fit_of_the_sp500_is_archs(sp500):
    found = fs.fit_garch(sp500)
    # The printed alpha .1022 is arch's .10215002 at its own tolerance; at 1e-13 arch ends at .10214982.
    assert found.garch == pytest.approx((0.0564, 0.0175, 0.1022, 0.8852), abs=5.1e-5)
    assert found.log_likelihood == pytest.approx(-6936.7185, abs=2e-4)
    oracle = arch_model(sp500).fit(disp="off")
    np.testing.assert_allclose(found.volatility, oracle.conditional_volatility, rtol=1e-3)
    assert found.log_likelihood >= oracle.loglikelihood
    ahead = oracle.forecast(horizon=1).variance.to_numpy()[-1, 0]
    assert found.next_volatility**2 == pytest.approx(ahead, rel=2e-3)


@pytest.mark.data
def test_every_method_agrees_on_the_sp500_to_within_the_choice_of_law(sp500):
    methods = (vr.historical_risk, vr.gaussian_risk, vr.student_risk)
    normal, others = vr.gaussian_risk(sp500, 0.01), [method(sp500, 0.01) for method in methods]
    assert all(risk.es > risk.var >= normal.var for risk in others)  # fat tails: the normal VaR is the smallest
    assert vr.student_risk(sp500, 0.01).es > normal.es


def _garch_series(total, seed, mean=0.05, omega=0.02, alpha=0.1, beta=0.85):
    rng = np.random.default_rng(seed)
    out, variance = np.empty(total), omega / (1 - alpha - beta)
    for day in range(total):
        shock = variance**0.5 * rng.standard_normal()
        out[day], variance = mean + shock, omega + alpha * shock**2 + beta * variance
    return out


def test_the_filter_is_archs_at_fixed_parameters():
    series = _garch_series(600, 4)
    fixed = arch_model(series).fix([0.03, 0.05, 0.08, 0.8])
    found = fs.apply_filter(series, fs.Garch(0.03, 0.05, 0.08, 0.8))
    np.testing.assert_allclose(found.volatility, fixed.conditional_volatility, rtol=1e-10)
    assert found.log_likelihood == pytest.approx(fixed.loglikelihood, rel=1e-12)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_fit_is_as_likely_as_archs_and_in_any_unit_the_same(seed):
    series = _garch_series(1500, seed)
    found, oracle = fs.fit_garch(series), arch_model(series).fit(disp="off")
    assert found.log_likelihood >= oracle.loglikelihood - 1e-3
    small = fs.fit_garch(series * 1e-4)
    np.testing.assert_allclose(small.volatility * 1e4, found.volatility, rtol=1e-4)


def test_the_next_day_of_a_filtered_series_is_its_residuals_rescaled():
    series = _garch_series(1500, 5)
    filtered = fs.ewma_filter(series, 0.94)
    plain, variance = [], filtered.volatility[0] ** 2
    for value in series:
        plain.append(value / variance**0.5)
        variance = 0.94 * variance + 0.06 * value**2
    np.testing.assert_allclose(filtered.residuals, plain, rtol=1e-9)
    risk = fs.filtered_risk(filtered, 0.01)
    assert risk.var == pytest.approx(variance**0.5 * vr.historical_risk(plain, 0.01).var, rel=1e-9)


def test_bootstrapped_paths_have_the_variance_of_the_recursion_within_three_standard_errors():
    filtered = fs.fit_garch(_garch_series(1500, 6))
    mean, omega, alpha, beta = filtered.garch
    first, second = filtered.residuals.mean(), (filtered.residuals**2).mean()
    paths = fs.filtered_paths(filtered, 1, 200_000, seed=2)
    error = paths.std() / len(paths) ** 0.5
    assert paths.mean() == pytest.approx(mean + filtered.next_volatility * first, abs=3 * error)
    # Days are uncorrelated where residuals have mean 0: centre them, then variances add.
    centred = filtered._replace(residuals=filtered.residuals - first)
    second -= first**2
    variance, total = filtered.next_volatility**2, 0.0
    for _ in range(10):
        total += second * variance
        variance = omega + (alpha * second + beta) * variance
    squares = (fs.filtered_paths(centred, 10, 200_000, seed=2) - 10 * mean) ** 2
    assert squares.mean() == pytest.approx(total, abs=3 * squares.std() / len(squares) ** 0.5)
    one = fs.filtered_path_risk(filtered, 0.01, 5, 5000, seed=9)
    assert one == fs.filtered_path_risk(filtered, 0.01, 5, 5000, seed=9)


def test_a_path_of_equal_shocks_follows_the_recursion_exactly():
    garch = fs.Garch(0.1, 0.5, 0.2, 0.6)
    filtered = fs.Filtered(garch, np.ones(3), np.ones(3), 2.0, 0.0)
    variance, total = 4.0, 0.0
    for _ in range(4):
        total += 0.1 + variance**0.5
        variance = 0.5 + 0.2 * variance + 0.6 * variance
    np.testing.assert_allclose(fs.filtered_paths(filtered, 4, 5, seed=1), total, rtol=1e-12)


def test_historical_numbers_are_those_of_the_sorted_losses():
    pnl = np.random.default_rng(1).permutation(np.arange(-50.0, 51.0))  # 101 values: the quantile is one of them
    assert vr.historical_risk(pnl, 0.05) == (45.0, np.mean([50, 49, 48, 47, 46, 45]))
    assert vr.historical_risk(pnl * 3 + 1, 0.05) == pytest.approx((3 * 45 - 1, 3 * 47.5 - 1))


def test_gaussian_numbers_recover_the_law_that_was_drawn():
    total = 400_000
    risk = vr.gaussian_risk(np.random.default_rng(2).normal(0.3, 2.0, total), 0.01)
    truth = elliptical_risk(0.3, 2.0, 0.01)
    error = 2.0 * ((1 + 2.326348**2 / 2) / total) ** 0.5
    assert risk.var == pytest.approx(truth.var, abs=3 * error)
    assert (truth.var, truth.es) == pytest.approx((2 * 2.3263479 - 0.3, 2 * 2.6652142 - 0.3), abs=1e-6)


@pytest.mark.parametrize("dof", [3.0, 6.0])
def test_the_student_fit_is_scipys_and_finds_the_law(dof):
    series = 0.01 * stats.t.rvs(dof, size=4000, random_state=3) + 0.002
    fit = vr.fit_student(series)
    free, location, scale = stats.t.fit(series)
    best = stats.t.logpdf(series, free, location, scale).sum()
    assert fit.log_likelihood >= best - 1e-3
    assert fit.log_likelihood == pytest.approx(
        stats.t.logpdf(series, fit.dof, fit.location, fit.scale).sum(), rel=1e-10
    )
    assert fit.dof == pytest.approx(dof, rel=0.2)
    risk = vr.student_risk(series, 0.01)
    law = stats.t(fit.dof, fit.location, fit.scale)
    mean = integrate.quad(law.ppf, 0, 0.01)[0] / 0.01
    assert (risk.var, risk.es) == pytest.approx((-law.ppf(0.01), -mean), rel=1e-4)


@pytest.mark.parametrize(("skew", "excess"), [(0.0, 0.0), (-0.4, 1.2), (0.3, 2.0), (-0.02, 8.3)])
def test_the_cornish_fisher_tail_mean_is_the_integral_of_its_quantile(skew, excess):
    def quantile(z):
        return z + (z**2 - 1) * skew / 6 + (z**3 - 3 * z) * excess / 24 - (2 * z**3 - 5 * z) * skew**2 / 36

    z = stats.norm.ppf(0.01)
    found, shortfall = vr.cornish_fisher(0.01, skew, excess)
    assert found == pytest.approx(quantile(z), rel=1e-12)
    mean = integrate.quad(lambda x: quantile(x) * stats.norm.pdf(x), -np.inf, z)[0] / 0.01
    assert shortfall == pytest.approx(mean, rel=1e-8)
    # The quantile is one: 1 % of w(Z) lies below it.
    grid = quantile(stats.norm.ppf((np.arange(10**6) + 0.5) / 10**6))
    assert (grid < found).mean() == pytest.approx(0.01, abs=2e-6)


def test_cornish_fisher_outside_its_domain_is_refused_and_there_it_would_be_wrong():
    def quantile(z, skew, excess):
        return z + (z**2 - 1) * skew / 6 + (z**3 - 3 * z) * excess / 24 - (2 * z**3 - 5 * z) * skew**2 / 36

    z = stats.norm.ppf((np.arange(10**5) + 0.5) / 10**5)
    for skew, excess in [(-3.0, 4.0), (1.5, 0.0), (0.0, -2.0), (0.0, 60.0)]:
        with pytest.raises(ValueError, match="outside the domain of Cornish-Fisher"):
            vr.cornish_fisher(0.05, skew, excess)
        below = (quantile(z, skew, excess) < quantile(stats.norm.ppf(0.05), skew, excess)).mean()
        assert abs(below - 0.05) > 1e-4


METHODS = [vr.historical_risk, vr.gaussian_risk, vr.student_risk, vr.cornish_fisher_risk]


@pytest.mark.parametrize("method", METHODS)
def test_a_series_that_carries_no_number_gets_none(method):
    good = np.random.default_rng(4).standard_t(6, 100)
    assert method(good, 0.01).es >= method(good, 0.01).var > 0
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="pnl holds 1 values that are not finite"):
            method(np.where(np.arange(100) == 7, bad, good), 0.01)
    with pytest.raises(ValueError, match="at least 100 values"):
        method(good[:99], 0.01)
    with pytest.raises(ValueError, match="at least 30 values"):
        method(good[:29], 0.1)
    with pytest.raises(ValueError, match="one axis"):
        method(good.reshape(10, 10), 0.1)


def test_series_that_stand_still_and_wrong_filters_are_refused():
    still = np.full(300, 0.1)
    for method in METHODS[1:]:
        with pytest.raises(ValueError, match="never moves"):
            method(still, 0.01)
    with pytest.raises(ValueError, match="never moves"):
        fs.fit_garch(still)
    series = _garch_series(300, 1)
    with pytest.raises(ValueError, match="at least 250"):
        fs.fit_garch(series[:249])
    with pytest.raises(ValueError, match=r"alpha \+ beta at most 1"):
        fs.apply_filter(series, fs.Garch(0.0, 0.1, 0.5, 0.6))
    with pytest.raises(ValueError, match=r"decay is 1\.0"):
        fs.ewma_filter(series, 1.0)
    with pytest.raises(ValueError, match="horizon is 0"):
        fs.filtered_paths(fs.ewma_filter(series), 0, 10, 1)
    with pytest.raises(ValueError, match="no Student t with an ES"):
        vr.fit_student(np.random.default_rng(0).standard_cauchy(2000) ** 3)
