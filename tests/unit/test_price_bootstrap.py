"""The stationary bootstrap against the closed forms of its blocks and the moments of its record."""

import numpy as np
import pytest
from arch.bootstrap import optimal_block_length
from arch.data import sp500

from market_models.prices import bootstrap, garch, geometric_walk

RAMP = bootstrap.Params(1.0, np.arange(50) / 1000, 8.0)  # a return tells its place in the record


def returns_of(params: bootstrap.Params, num_steps: int, num_paths: int, seed: int) -> np.ndarray:
    return np.diff(np.log(bootstrap.sample(params, num_steps, num_paths, seed)), axis=1)


@pytest.fixture(scope="module")
def sp500_fit() -> bootstrap.base.Fit:
    return bootstrap.fit(sp500.load()["Adj Close"].to_numpy())


def test_blocks_follow_the_record_round_its_ring_and_have_the_mean_length() -> None:
    places = np.rint(1000 * returns_of(RAMP, 400, 500, 3)).astype(int)
    follows = (places[:, 1:] - places[:, :-1]) % 50 == 1
    expected = 1 - 1 / 8 + (1 / 8) * (1 / 50)  # a new block may start at the next place by chance
    assert abs(follows.mean() - expected) < 4 * (expected * (1 - expected) / follows.size) ** 0.5
    wraps = (places[:, :-1] == 49) & (places[:, 1:] == 0)
    assert wraps.sum() > 1000


def test_every_recorded_bar_is_drawn_equally_often() -> None:
    places = np.rint(1000 * returns_of(RAMP, 1, 100_000, 3)).astype(int)
    counts = np.bincount(places.ravel(), minlength=50)
    assert np.abs(counts - 2000).max() < 4.5 * 2000**0.5


def test_blocks_of_one_bar_draw_independent_bars() -> None:
    places = np.rint(1000 * returns_of(RAMP._replace(mean_block_bars=1.0), 200, 500, 3))
    lag_1 = np.corrcoef(places[:, 1:].ravel(), places[:, :-1].ravel())[0, 1]
    assert abs(lag_1) < 4 / places.size**0.5


def test_the_variance_of_the_mean_is_that_of_politis_and_romano() -> None:
    record, count, keep = bootstrap.EXAMPLE.log_returns, 500, 1 - 1 / 20
    centred = record - record.mean()
    circular = np.array([(centred * np.roll(centred, -lag)).mean() for lag in range(count)])
    lags = np.arange(1, count)
    weights = (1 - lags / count) * keep**lags
    expected = (circular[0] + 2 * (weights * circular[1:]).sum()) / count
    means = returns_of(bootstrap.EXAMPLE, count, 4000, 5).mean(axis=1)
    assert means.var() == pytest.approx(expected, rel=4 * (2 / 4000) ** 0.5)


def test_the_sp500_keeps_mean_deviation_and_clustering_within_bootstrap_error(sp500_fit: bootstrap.base.Fit) -> None:
    paths = returns_of(sp500_fit.params, 5030, 100, 11)
    recorded = bootstrap.measure_moments(sp500_fit.params.log_returns)
    drawn = bootstrap.measure_moments(paths)
    for field in bootstrap.Moments._fields:
        error = getattr(sp500_fit.standard_errors, field)
        assert abs(getattr(drawn, field).mean() - getattr(recorded, field)) < error
        assert getattr(drawn, field).std() == pytest.approx(error, rel=0.3)
    assert recorded.squared_autocorrelation > 0.15


def test_fit_simulate_fit_keeps_the_moments_within_three_errors(sp500_fit: bootstrap.base.Fit) -> None:
    again = bootstrap.fit(bootstrap.sample(sp500_fit.params, 5030, 1, 4)[0])
    first, second = (bootstrap.measure_moments(one.params.log_returns) for one in (sp500_fit, again))
    for field in bootstrap.Moments._fields:
        difference = abs(getattr(first, field) - getattr(second, field))
        assert difference < 3 * getattr(sp500_fit.standard_errors, field)


def test_the_error_of_the_mean_of_independent_returns_is_sd_over_root_n() -> None:
    result = bootstrap.fit(geometric_walk.sample(geometric_walk.EXAMPLE, 2000, 1, 6)[0])
    expected = result.params.log_returns.std() / 2000**0.5
    assert result.standard_errors.mean == pytest.approx(expected, rel=0.25)


def test_clustered_returns_get_the_block_of_their_squares() -> None:
    prices = garch.sample(garch.EXAMPLE, 3000, 1, 6)[0]
    returns = np.diff(np.log(prices))
    expected = optimal_block_length(returns**2)["stationary"].iloc[0]
    assert bootstrap.fit(prices).params.mean_block_bars == pytest.approx(expected, rel=1e-6)
    assert expected > 2 * optimal_block_length(returns)["stationary"].iloc[0]


@pytest.mark.parametrize("changes", [{"mean_block_bars": 0.5}, {"log_returns": np.zeros((2, 2))}])
def test_a_record_or_block_that_makes_no_sense_is_refused_by_the_field(changes: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        bootstrap.sample(RAMP._replace(**changes), 5, 1, 0)
