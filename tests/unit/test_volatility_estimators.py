"""Variance estimators against Brownian motion: means, known efficiencies, drift, gaps and jumps."""

import re

import numpy as np
import pytest

from market_models.microstructure.volatility import (
    ESTIMATORS,
    LogBars,
    bipower_variation,
    close_to_close,
    garman_klass,
    jump_variation,
    log_bars,
    parkinson,
    realised_variance,
    rogers_satchell,
    yang_zhang,
)

BARS, STEPS, SIGMA = 20_000, 120, 0.02
ZETA_3 = 1.2020569031595942


def brownian_bars(drift: float = 0.0, gap_std: float = 0.0, seed: int = 0) -> LogBars:
    """Draw log bars of variance SIGMA^2 and, within each step, the true extreme of the bridge."""
    rng = np.random.default_rng(seed)
    step = SIGMA / np.sqrt(STEPS)
    moves = rng.normal(drift / STEPS, step, (BARS, STEPS))
    at = np.cumsum(moves, axis=1)
    before = at - moves
    reach = [np.sqrt(moves**2 - 2 * step**2 * np.log(rng.uniform(size=moves.shape))) for _ in range(2)]
    high, low = ((before + at + reach[0]) / 2).max(1), ((before + at - reach[1]) / 2).min(1)
    gap = rng.normal(0, gap_std, BARS) if gap_std else np.zeros(BARS)
    opened = np.concatenate([[0.0], np.cumsum(at[:, -1])[:-1]]) + np.cumsum(gap)
    return LogBars(opened, opened + high, opened + low, opened + at[:, -1])


def test_every_estimator_returns_the_variance_of_driftless_brownian_motion():
    bars = brownian_bars()
    for name, estimate in ESTIMATORS.items():
        assert estimate(bars) == pytest.approx(SIGMA**2, rel=0.03 if name == "close_to_close" else 0.015), name


def test_the_spread_of_single_bars_is_that_of_the_published_efficiencies():
    bars = brownian_bars(seed=3)
    single = {}
    for name in ("parkinson", "garman_klass", "rogers_satchell"):
        ones = [ESTIMATORS[name](LogBars(*(column[i : i + 1] for column in bars))) for i in range(8000)]
        single[name] = 2 / np.var(np.array(ones) / SIGMA**2)
    # Parkinson's fourth moment of the range is 9 zeta(3); Garman and Klass give 7.4, Rogers and Satchell 6.0.
    assert single["parkinson"] == pytest.approx(2 / (9 * ZETA_3 / (16 * np.log(2) ** 2) - 1), rel=0.08)
    assert single["garman_klass"] == pytest.approx(7.4, rel=0.08)
    assert single["rogers_satchell"] == pytest.approx(6.0, rel=0.08)


def test_with_drift_only_the_drift_free_estimators_stay_right():
    bars = brownian_bars(drift=0.03, seed=1)
    for right in (close_to_close, rogers_satchell, yang_zhang):
        assert right(bars) == pytest.approx(SIGMA**2, rel=0.03), right.__name__
    for wrong in (parkinson, garman_klass):
        assert wrong(bars) > 1.1 * SIGMA**2, wrong.__name__


def test_with_gaps_only_close_to_close_and_yang_zhang_count_them():
    bars = brownian_bars(drift=0.01, gap_std=0.015, seed=2)
    whole = SIGMA**2 + 0.015**2
    assert close_to_close(bars) == pytest.approx(whole, rel=0.03)
    assert yang_zhang(bars) == pytest.approx(whole, rel=0.02)
    assert rogers_satchell(bars) == pytest.approx(SIGMA**2, rel=0.02)


def test_bipower_variation_leaves_jumps_out_that_realised_variance_counts():
    rng = np.random.default_rng(5)
    returns = rng.normal(0, 1e-3, 100_000)
    assert bipower_variation(returns) == pytest.approx(0.1, rel=0.02)
    returns[rng.choice(100_000, 20, replace=False)] += 0.05
    assert realised_variance(returns) == pytest.approx(0.1 + 20 * 0.05**2, rel=0.02)
    assert bipower_variation(returns) == pytest.approx(0.1, rel=0.05)
    assert jump_variation(returns) == pytest.approx(0.05, rel=0.1)
    assert jump_variation([1.0, 1.0, 1.0]) == 0.0  # bipower is above realised here


def test_yang_zhang_weighs_gap_and_body_as_published_where_the_range_adds_nothing():
    opened, closed = np.array([0.0, 0.2, 0.5]), np.array([0.1, 0.6, 0.3])
    bars = LogBars(opened, np.maximum(opened, closed), np.minimum(opened, closed), closed)
    # Gaps 0.1 and -0.1, bodies 0.4 and -0.2: variances 0.02 and 0.18; n = 2, so k = 0.34 / 4.34.
    assert yang_zhang(bars) == pytest.approx(0.02 + 0.34 / 4.34 * 0.18)
    assert rogers_satchell(bars) == pytest.approx(0.0)


def test_bipower_of_two_returns_is_pi_times_their_product():
    assert bipower_variation([0.3, -0.2]) == pytest.approx(np.pi * 0.06)


def test_prices_outside_their_bar_or_not_above_zero_are_refused():
    good = [10.0, 11.0, 12.0]
    with pytest.raises(ValueError, match=re.escape("bar 1 has its open or close outside")):
        log_bars(good, [11.0, 10.5, 13.0], [9.0] * 3, good)
    with pytest.raises(ValueError, match="low_price has a value at 2 that is not above 0"):
        log_bars(good, [20.0] * 3, [1.0, 1.0, 0.0], good)
    bars = log_bars(good, [20.0] * 3, [1.0] * 3, good)
    assert parkinson(bars) == pytest.approx(np.log(20) ** 2 / (4 * np.log(2)))
