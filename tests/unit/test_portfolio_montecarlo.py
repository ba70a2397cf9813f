"""Monte Carlo P&L against closed forms, a NumPy reference and itself on other numbers of threads."""

import numba
import numpy as np
import pytest
from scipy import special, stats
from threadpoolctl import threadpool_info, threadpool_limits

from kernels.risk import montecarlo as mc
from kernels.risk._chunks import for_each_chunk, one_blas_thread
from kernels.risk.covariance import elliptical_contributions
from kernels.risk.tails import elliptical_risk, standard_var, unit_scale
from kernels.risk.var import historical_risk

TAIL = 0.01


def _law(assets, seed=1):
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(assets, 3)) * 0.01
    matrix = loadings @ loadings.T + np.diag(rng.uniform(0.5, 2.0, assets) * 1e-4)
    return rng.normal(size=assets) * 1e4, matrix, rng.normal(size=assets) * 1e-3


def _errors(pnl, density):
    """Standard errors of VaR and ES of S draws: of an order statistic, and of a mean beyond it."""
    risk = historical_risk(pnl, TAIL)
    tail = pnl[pnl <= -risk.var]
    var_error = (TAIL * (1 - TAIL) / len(pnl)) ** 0.5 / density
    es_error = ((tail.var() + (1 - TAIL) * (risk.es - risk.var) ** 2) / (len(pnl) * TAIL)) ** 0.5
    return risk, var_error, es_error


@pytest.mark.parametrize("dof", [None, 5.0, 3.5])
def test_var_and_es_are_the_closed_forms_within_three_standard_errors(dof):
    weights, matrix, mean = _law(25)
    pnl = mc.linear_pnl(mc.make_scenarios(matrix, 200_000, 11, mean, dof), weights)
    deviation = float(weights @ matrix @ weights) ** 0.5
    truth = elliptical_risk(float(weights @ mean), deviation, TAIL, dof)
    quantile, scale = standard_var(TAIL, dof), deviation * unit_scale(dof)
    density = (stats.norm.pdf(quantile) if dof is None else stats.t.pdf(quantile, dof)) / scale
    risk, var_error, es_error = _errors(pnl, density)
    assert risk.var == pytest.approx(truth.var, abs=3 * var_error)
    assert risk.es == pytest.approx(truth.es, abs=3 * es_error)
    law = stats.norm if dof is None else stats.t(dof)
    assert stats.kstest((pnl - weights @ mean) / scale, law.cdf).pvalue > 0.001


@pytest.mark.parametrize("assets", [1, 3, 4, 9, 130])
@pytest.mark.parametrize("dof", [None, 4.0])
def test_numba_draws_what_numpy_draws(assets, dof):
    weights, matrix, mean = _law(assets)
    scenarios = mc.make_scenarios(matrix, 300, 2**40 + 3, mean, dof)
    slow = mc.draw_returns_numpy(scenarios, np.arange(300))
    scale = np.sqrt(np.diag(matrix)) * 10
    fast = mc.draw_returns(scenarios, np.arange(300))
    assert (np.abs(fast - slow) <= 1e-6 * scale).all()
    np.testing.assert_allclose(mc.linear_pnl(scenarios, weights), fast @ weights, rtol=1e-9, atol=1e-8)


def test_the_normal_quantile_is_scipys_to_seven_digits_at_both_ends_and_between():
    words = np.concatenate([np.arange(50_000), 2**32 - 1 - np.arange(50_000), np.arange(0, 2**32, 65_537)])
    found = np.array([mc._normal.py_func(float(word)) for word in words])
    np.testing.assert_allclose(found, special.ndtri((words + 0.5) / 2**32), rtol=1.5e-7)


def test_scenarios_of_one_covariance_have_it_within_three_standard_errors():
    _, matrix, _ = _law(4)
    drawn = mc.draw_returns(mc.make_scenarios(matrix, 100_000, 5), np.arange(100_000))
    products = drawn[:, :, None] * drawn[:, None, :]
    error = products.std(axis=0) / len(drawn) ** 0.5
    assert (np.abs(products.mean(axis=0) - matrix) <= 3 * error).all()


@pytest.mark.parametrize("dof", [None, 5.0])
def test_one_seed_gives_the_same_bits_on_any_number_of_threads(dof):
    weights, matrix, _ = _law(150)
    scenarios = mc.make_scenarios(matrix, 5000, 3, dof=dof)
    most, found = numba.config.NUMBA_NUM_THREADS, []  # pyright: ignore[reportAttributeAccessIssue]
    try:
        for threads in sorted({1, min(2, most), most}):
            numba.set_num_threads(threads)
            with threadpool_limits(threads):
                linear = mc.linear_pnl(scenarios, weights)
                found.append((linear, mc.revalued_pnl(scenarios, lambda returns: returns * weights)))
    finally:
        numba.set_num_threads(most)
    for linear, full in found:
        np.testing.assert_array_equal(linear, found[0][0])
        np.testing.assert_allclose(full, linear, rtol=0, atol=1e-9 * np.abs(linear).max())
        np.testing.assert_array_equal(full, found[0][1])
    assert not np.array_equal(found[0][0], mc.linear_pnl(scenarios._replace(seed=4), weights))


def test_blas_has_one_thread_while_chunks_run_and_its_own_number_after_the_last():
    def blas():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    with threadpool_limits(2, user_api="blas"):
        seen = []
        for_each_chunk(10, 3, lambda chunk: seen.append((chunk.start, chunk.stop, blas())))
        assert sorted(seen)[0] == (0, 3, {1})
        assert sorted((start, stop) for start, stop, _ in seen) == [(0, 3), (3, 6), (6, 9), (9, 10)]
        outer, inner = one_blas_thread(), one_blas_thread()
        outer.__enter__()
        inner.__enter__()
        outer.__exit__(None, None, None)
        assert blas() == {1}
        inner.__exit__(None, None, None)
        assert blas() == {2}


def test_a_book_that_cannot_be_revalued_says_so_from_any_thread_and_leaves_blas_as_it_was():
    def refuse(returns):
        raise ValueError("no price below -100 %")

    before = threadpool_info()
    with pytest.raises(ValueError, match="no price below"):
        mc.revalued_pnl(mc.make_scenarios(np.eye(3), 50_000, 1), refuse)
    assert threadpool_info() == before


def test_a_scenario_drawn_alone_is_the_one_of_the_batch():
    _, matrix, mean = _law(7)
    scenarios = mc.make_scenarios(matrix, 1000, 9, mean, 6.0)
    batch = mc.draw_returns(scenarios, np.arange(1000))
    picked = np.array([999, 3, 500])
    np.testing.assert_allclose(mc.draw_returns(scenarios, picked), batch[picked], rtol=1e-12, atol=1e-16)


def test_a_short_gamma_book_loses_a_chi_squared_within_three_standard_errors():
    assets, sd = 8, 0.02
    scenarios = mc.make_scenarios(sd**2 * np.eye(assets), 100_000, 21)
    pnl = mc.revalued_pnl(scenarios, lambda returns: -0.5 * returns**2)
    law = stats.chi2(assets, scale=sd**2 / 2)
    quantile = law.isf(TAIL)
    risk, var_error, es_error = _errors(pnl, law.pdf(quantile))
    assert risk.var == pytest.approx(quantile, abs=3 * var_error)
    # E[X; X > q] of chi-squared n is n P(chi-squared n+2 > q).
    shortfall = sd**2 / 2 * assets * stats.chi2.sf(2 * quantile / sd**2, assets + 2) / TAIL
    assert risk.es == pytest.approx(shortfall, abs=3 * es_error)
    assert stats.kstest(-pnl, law.cdf).pvalue > 0.001


def test_components_sum_to_the_shortfall_and_are_eulers_within_three_standard_errors():
    weights, matrix, mean = _law(4)
    truth, runs = elliptical_contributions(weights, matrix, TAIL, mean, 5.0), []
    for seed in range(12):
        scenarios = mc.make_scenarios(matrix, 20_000, seed, mean, 5.0)
        pnl = mc.linear_pnl(scenarios, weights)
        parts = mc.component_es(scenarios, pnl, lambda returns: returns * weights, TAIL)
        assert parts.sum() == pytest.approx(historical_risk(pnl, TAIL).es, rel=1e-9)
        runs.append(parts)
    error = np.std(runs, axis=0, ddof=1) / len(runs) ** 0.5
    assert (np.abs(np.mean(runs, axis=0) - truth.component_es) <= 3 * error).all()


def test_what_cannot_be_simulated_is_refused_with_a_sentence():
    good = mc.make_scenarios(np.eye(2), 200, 1)
    with pytest.raises(ValueError, match="not positive definite"):
        mc.make_scenarios(np.ones((2, 2)), 200, 1)
    with pytest.raises(ValueError, match="covariance holds 1 values"):
        mc.make_scenarios([[np.nan]], 200, 1)
    for wrong in ({"count": 0, "seed": 1}, {"count": 1, "seed": -1}, {"count": 1, "seed": 1, "dof": 2.0}):
        with pytest.raises(ValueError, match=r"count is 0|seed is -1|dof is 2\.0"):
            mc.make_scenarios(np.eye(2), **wrong)
    with pytest.raises(ValueError, match=r"exposures has shape \[3\], expected one axis of 2 values"):
        mc.linear_pnl(good, np.ones(3))
    with pytest.raises(ValueError, match="exposures holds 1 values"):
        mc.linear_pnl(good, [1.0, np.inf])
    with pytest.raises(ValueError, match=r"rows are 0\.\.200"):
        mc.draw_returns(good, np.array([0, 200]))
    with pytest.raises(ValueError, match="revalue gave"):
        mc.revalued_pnl(good, lambda returns: returns.sum(axis=1))
    with pytest.raises(ValueError, match="pnl of revalue holds 200 values"):
        mc.revalued_pnl(good, lambda returns: returns * np.nan)
    pnl = mc.linear_pnl(good, np.ones(2))
    with pytest.raises(ValueError, match="not what revalue gives"):
        mc.component_es(good, pnl, lambda returns: 2 * returns, TAIL)
    with pytest.raises(ValueError, match=r"pnl has shape \[150\]"):
        mc.component_es(good, pnl[:150], lambda returns: returns, TAIL)
