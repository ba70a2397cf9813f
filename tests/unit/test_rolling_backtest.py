"""Rolling backtests: what a right and a wrong model get, no look ahead, and recorded S&P 500 portfolios."""

import numpy as np
import pandas as pd
import pytest

from kernels.risk import rolling as rb
from kernels.risk.tails import TailRisk, standard_es, standard_var


def _known(factor):
    """A method that knows the standard normal law, and multiplies its numbers."""
    risk = TailRisk(factor * standard_var(0.01), factor * standard_es(0.01))
    return lambda window, tail_frac: lambda days: risk


def test_the_right_model_passes_and_half_its_risk_does_not():
    days = np.random.default_rng(12).normal(size=3000)
    right, half = rb.rolling_backtest(days, window=250, methods={"right": _known(1.0), "half": _known(0.5)})
    assert right.passes()
    assert not half.passes()
    assert right.days == half.days == 2750
    assert right.coverage is not None
    assert right.coverage.exceedances == (days[250:] < -standard_var(0.01)).sum()
    assert half.shortfall is not None
    assert half.shortfall.z2 < -5  # about 12 % of days instead of 1 %


def test_no_forecast_sees_its_own_day_or_a_later_one():
    days = np.random.default_rng(1).standard_t(5, 330)
    changed = days.copy()
    changed[310:] *= 50
    for name, method in rb.METHODS.items():
        before = rb.rolling_forecasts(days, method, 0.01, 300, 10)
        after = rb.rolling_forecasts(changed, method, 0.01, 300, 10)
        np.testing.assert_array_equal(before[:11], after[:11], err_msg=name)
        assert not np.array_equal(before[11:], after[11:], equal_nan=True), name


def test_a_method_that_refuses_days_is_counted_and_never_passes():
    def moody(window, tail_frac):
        def forecast(days):
            if days[-1] > 1.5:
                raise ValueError("not after such a day")
            return TailRisk(standard_var(0.01), standard_es(0.01))

        return forecast

    days = np.random.default_rng(12).normal(size=3000)
    (row,) = rb.rolling_backtest(days, window=250, methods={"moody": moody})
    assert row.refused == (days[249:-1] > 1.5).sum() > 0
    assert row.days + row.refused == 2750
    assert not row.passes(1e-9)


def test_too_short_a_series_or_window_is_refused():
    days = np.random.default_rng(1).normal(size=600)
    with pytest.raises(ValueError, match="window is 249"):
        rb.rolling_backtest(days, window=249)
    with pytest.raises(ValueError, match="at least 650 values"):
        rb.rolling_backtest(days, window=400)
    with pytest.raises(ValueError, match="at least 1000 values"):
        rb.rolling_backtest(days, 0.001, window=250)
    with pytest.raises(ValueError, match="returns holds 600 values"):
        rb.rolling_backtest(days * np.nan, window=250)


def test_a_refused_fit_is_tried_again_the_next_day_and_a_good_one_is_held():
    fitted = []

    def make(window, tail_frac):
        fitted.append(int(window[-1]))
        if len(fitted) == 1:
            raise ValueError("no fit")
        return lambda days: TailRisk(float(fitted[-1]), 1e9)

    found = rb.rolling_forecasts(np.arange(300.0), make, 0.01, 280, 8)
    assert fitted == [279, 280, 288, 296]
    np.testing.assert_array_equal(found[:, 0], [np.nan] + [280] * 8 + [288] * 8 + [296] * 3)


@pytest.fixture(scope="module")
def equal_weights():
    """Daily returns of twenty stocks, equal weights, 1990 to December 2022."""
    from market_models.datasets import find_data

    root = find_data()
    path = root / "bars" / "daily" / "skfolio_sp500_dataset.csv.gz" if root else None
    if path is None or not path.exists():
        pytest.skip("recorded data not found: set BOOKSWARM_DATA to its directory, with skfolio's S&P 500 prices")
    price = pd.read_csv(path, index_col=0).to_numpy()
    return (price[1:] / price[:-1] - 1).mean(axis=1)


@pytest.mark.data
def test_over_29_years_of_recorded_stocks_filtered_simulation_passes_and_historical_does_not(equal_weights):
    methods = {name: rb.METHODS[name] for name in ("historical", "filtered_ewma")}
    historical, filtered = rb.rolling_backtest(equal_weights, methods=methods)
    assert (filtered.days, filtered.refused) == (7312, 0)
    assert filtered.passes()
    assert historical.coverage is not None
    assert filtered.coverage is not None
    # Measured here. GARCH has 92, which Kupiec rejects over all these years (p .033) and not over the last six.
    assert (filtered.coverage.exceedances, historical.coverage.exceedances) == (84, 116)
    assert historical.coverage.conditional.p_value < 1e-4


@pytest.mark.data
def test_over_the_last_six_years_filtered_simulation_by_garch_passes_and_gaussian_does_not(equal_weights):
    methods = {name: rb.METHODS[name] for name in ("gaussian", "filtered_garch")}
    gaussian, filtered = rb.rolling_backtest(equal_weights[-2500:], methods=methods)
    assert (filtered.days, filtered.refused) == (1500, 0)
    assert filtered.passes()
    assert gaussian.coverage is not None
    assert gaussian.coverage.conditional.p_value < 1e-4
