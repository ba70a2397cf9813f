"""Exposure against exact sums, correlations against pandas and the definition."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.risk.correlation import (
    CorrelationConfig,
    CorrelationState,
    correlation_breaches,
    correlations,
    observe,
    start,
)
from kernels.risk.exposure import Breach, BreachKind, Exposure, ExposureLimits, exposure_breaches, exposures

GROUPS = {"BTC": "majors", "ETH": "majors", "DOGE": "memes", "SHIB": "memes"}
ASSETS = tuple(GROUPS)


def test_exposure_by_hand():
    book = exposures({"BTC": 2, "ETH": -10, "DOGE": 100}, {"BTC": 50, "ETH": 4, "DOGE": 0.5}, GROUPS, 1_000)
    assert book.whole == Exposure(190, 110)
    assert book.by_asset == {"BTC": Exposure(100, 100), "ETH": Exposure(40, -40), "DOGE": Exposure(50, 50)}
    assert book.by_group == {"majors": Exposure(140, 60), "memes": Exposure(50, 50)}


def test_a_value_at_its_limit_keeps_it_and_one_above_is_a_breach_of_that_kind():
    limits = ExposureLimits(gross_frac=0.5, net_frac=0.5, position_frac=0.25, concentration_frac=0.5)
    marks = dict.fromkeys(ASSETS, 1.0)
    assert exposure_breaches(exposures({"BTC": 25, "ETH": 25}, marks, GROUPS, 100), limits) == ()
    assert exposure_breaches(exposures({"BTC": 26, "ETH": -25}, marks, GROUPS, 100), limits) == (
        Breach(BreachKind.GROSS, "", 0.51, 0.5),
        Breach(BreachKind.POSITION, "BTC", 0.26, 0.25),
        Breach(BreachKind.CONCENTRATION, "majors", 0.51, 0.5),
    )
    short = exposure_breaches(exposures({"BTC": -25, "DOGE": -26}, marks, GROUPS, 100), limits)
    assert [(one.kind, one.name) for one in short] == [
        (BreachKind.GROSS, ""),
        (BreachKind.NET, ""),
        (BreachKind.POSITION, "DOGE"),
    ]


def test_the_default_limits_are_three_times_ten_percent_and_a_quarter_of_equity():
    assert ExposureLimits() == (3.0, 3.0, 0.10, 0.25)


def test_a_hedge_within_a_group_does_not_hide_its_concentration():
    book = exposures({"BTC": 20, "ETH": -20}, dict.fromkeys(ASSETS, 1.0), GROUPS, 100)
    assert book.by_group["majors"].net == 0
    found = {(one.kind, one.name): one.value_frac for one in exposure_breaches(book)}
    assert found[BreachKind.CONCENTRATION, "majors"] == pytest.approx(0.4)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from(ASSETS), st.integers(-100, 100), max_size=4),
    st.lists(st.integers(1, 64), min_size=4, max_size=4),
    st.integers(1, 10_000),
)
def test_sums_and_breaches_are_those_of_exact_fractions(quantities, marks, equity):
    """Marks are eighths, so that the sums are exact in float64 as well."""
    book = exposures(quantities, {a: m / 8 for a, m in zip(ASSETS, marks, strict=True)}, GROUPS, equity)
    value = {a: quantities[a] * Fraction(m, 8) for a, m in zip(ASSETS, marks, strict=True) if a in quantities}
    assert book.whole == (sum(map(abs, value.values())), sum(value.values()))
    expected = set()
    expected |= {(BreachKind.GROSS, "")} if sum(map(abs, value.values())) > 3 * equity else set()
    expected |= {(BreachKind.NET, "")} if abs(sum(value.values())) > 3 * equity else set()
    expected |= {(BreachKind.POSITION, a) for a in value if abs(value[a]) > Fraction(equity, 8)}
    for group in ("majors", "memes"):
        inside = sum(abs(value[a]) for a in value if GROUPS[a] == group)
        expected |= {(BreachKind.CONCENTRATION, group)} if inside > Fraction(equity, 4) else set()
    found = exposure_breaches(book, ExposureLimits(position_frac=0.125))
    assert {(one.kind, one.name) for one in found} == expected
    assert len(found) == len(expected)


PAIR = CorrelationConfig(("one", "other"), half_life=10, min_observations=20)


def follow(config: CorrelationConfig, returns: np.ndarray) -> CorrelationState:
    state = start(config)
    for row in returns:
        state = observe(config, state, row)
    return state


@pytest.mark.parametrize("half_life", [2.0, 17.5, 500.0])
def test_correlations_are_those_of_pandas_at_every_step(half_life):
    rng = np.random.default_rng(3)
    returns = rng.normal(0.001, 0.02, (80, 3)) @ rng.normal(size=(3, 3)) + 0.5
    config = CorrelationConfig(("a", "b"), ("c",), half_life, min_observations=3)
    theirs = pd.DataFrame(returns).ewm(halflife=half_life).corr().to_numpy().reshape(80, 3, 3)
    state = start(config)
    for step, row in enumerate(returns):
        state = observe(config, state, row)
        if step >= 2:
            assert np.allclose(correlations(config, state).matrix, theirs[step], atol=1e-9)


def test_a_very_long_half_life_is_the_plain_correlation():
    returns = np.random.default_rng(4).normal(size=(50, 2))
    config = PAIR._replace(half_life=1e12)
    found = correlations(config, follow(config, returns)).matrix
    assert np.allclose(found, np.corrcoef(returns.T), rtol=1e-9)


def test_nothing_is_known_before_enough_observations_and_then_the_breach_is_told():
    rng = np.random.default_rng(5)
    returns = rng.normal(size=(20, 1)) + 0.1 * rng.normal(size=(20, 2))
    early, ready = follow(PAIR, returns[:19]), follow(PAIR, returns)
    assert not correlations(PAIR, early).known.any()
    assert correlation_breaches(PAIR, early) == ()
    assert correlations(PAIR, ready).known.all()
    (breach,) = correlation_breaches(PAIR, ready)
    assert (breach.kind, breach.name, breach.limit_frac) == (BreachKind.CORRELATION, "one/other", 0.8)
    assert breach.value_frac > 0.9


def test_a_series_that_does_not_move_has_no_known_correlation():
    returns = np.column_stack([np.full(30, 0.1), np.random.default_rng(6).normal(size=30)])
    known = correlations(PAIR, follow(PAIR, returns)).known
    assert known.tolist() == [[False, False], [False, True]]


def test_what_rounding_leaves_of_a_series_that_has_stopped_is_no_movement():
    """The mean never becomes 0.3 to the last digit, so a variance below 1e-30 stays, and not 0."""
    config = PAIR._replace(half_life=2.0)
    stopped = np.concatenate([[1.0, 0.7], np.full(400, 0.3)])
    state = follow(config, np.column_stack([stopped, np.random.default_rng(9).normal(size=402)]))
    assert 0 < state.comoment[0, 0] < 1e-30
    assert correlations(config, state).known.tolist() == [[False, False], [False, True]]


def test_strategies_are_judged_among_themselves_and_to_holdings_but_holdings_not_among_themselves():
    rng = np.random.default_rng(7)
    common = rng.normal(size=(60, 1))
    config = CorrelationConfig(("a", "b"), ("X", "Y", "Z"), min_observations=20)
    noise = 0.05 * rng.normal(size=(60, 5))
    signs = np.array([1, 1, 1, 1, -1])
    state = follow(config, common * signs + noise)
    assert [one.name for one in correlation_breaches(config, state)] == ["a/b", "a/X", "a/Y", "b/X", "b/Y"]


def test_a_refused_observation_leaves_the_state_as_it_was():
    state = follow(PAIR, np.random.default_rng(8).normal(size=(25, 2)))
    before = correlations(PAIR, state).matrix.copy()
    for bad in ([np.nan, 0.0], [0.0], [np.inf, 0.0], [1e200, 0.0]):
        with pytest.raises(ValueError, match="returns"):
            observe(PAIR, state, bad)
    assert np.array_equal(correlations(PAIR, state).matrix, before)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: exposures({"BTC": 1}, {}, GROUPS, 1), "marks has none for 'BTC'"),
        (lambda: exposures({"BTC": 0}, {"ETH": 1}, GROUPS, 1), "marks has none for 'BTC'"),
        (lambda: exposures({"BTC": 1}, {"BTC": np.nan}, GROUPS, 1), r"marks\['BTC'\]"),
        (lambda: exposures({"BTC": np.inf}, {"BTC": 1}, GROUPS, 1), r"quantities\['BTC'\]"),
        (lambda: exposures({"BTC": 1e300}, {"BTC": 1e300}, GROUPS, 1), "value of 'BTC'"),
        (lambda: exposures({"XRP": 1}, {"XRP": 1}, GROUPS, 1), "groups has none for 'XRP'"),
        (lambda: exposures({}, {}, {}, -1), "equity"),
        (lambda: exposures({}, {}, {}, 0), "equity"),
        (lambda: exposures({}, {}, {}, np.nan), "equity"),
        (lambda: exposure_breaches(exposures({}, {}, {}, 1), ExposureLimits(net_frac=-1)), "net_frac"),
        (lambda: start(CorrelationConfig(())), "strategies"),
        (lambda: start(CorrelationConfig(("a",), ("a",))), "twice"),
        (lambda: start(CorrelationConfig(("a",), half_life=0)), "half_life"),
        (lambda: start(CorrelationConfig(("a",), min_observations=2)), "min_observations"),
        (lambda: start(CorrelationConfig(("a",), limit_frac=np.nan)), "limit_frac"),
    ],
)
def test_bad_input_is_refused_by_the_name_of_its_field(call, field):
    with pytest.raises(ValueError, match=field):
        call()
