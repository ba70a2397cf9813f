"""Stress by hand, against full revaluation of an option, and against the worst of all correlations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from kernels.risk.stress import Scenario, StressBook, Together, format_table, stress, stress_book, stress_table

GROUPS = {"BTC": "majors", "ETH": "majors", "DOGE": "memes", "SOL": "majors"}
MARKS = {"BTC": 50_000.0, "ETH": 2_500.0, "DOGE": 0.1}
HELD = {"BTC": 2.0, "ETH": -20.0, "DOGE": 100_000.0}  # values 100,000, -50,000, 10,000
VOLATILITY = {"BTC": 0.5, "ETH": 0.8, "DOGE": 1.2}
CORRELATION = np.array([[1, 0.8, 0.3], [0.8, 1, 0.4], [0.3, 0.4, 1]])
EXPOSED = np.array([50_000.0, -40_000.0, 12_000.0])  # value x volatility


def held(**changes) -> StressBook:
    fields = {"volatility_frac": VOLATILITY, "correlation": CORRELATION} | changes
    return stress_book(HELD, MARKS, GROUPS, **fields)


def test_shocks_by_group_and_by_asset_add_up_by_hand_and_the_assets_own_goes_first():
    crash = Scenario("crash", {"ETH": -0.5}, {"majors": -0.3, "memes": -0.6})
    row = stress(held(), crash)
    assert row.by_asset == pytest.approx({"BTC": -30_000, "ETH": 25_000, "DOGE": -6_000})
    assert row.profit == pytest.approx(-11_000)
    assert row.diffusion == 0


def test_gamma_and_vega_by_hand():
    book = held(gamma={"BTC": -0.001}, vega={"ETH": -10_000.0})
    row = stress(book, Scenario("both", {"BTC": 0.1}, volatility_factor_by_group={"majors": 1.5}))
    assert row.by_asset["BTC"] == pytest.approx(10_000 - 0.001 * 5_000**2 / 2)
    assert row.by_asset["ETH"] == pytest.approx(-10_000 * 0.8 * 0.5)


def black_scholes(spot: float, volatility: float, strike: float = 100.0, years: float = 0.5) -> float:
    high = (np.log(spot / strike) + volatility**2 * years / 2) / (volatility * np.sqrt(years))
    return float(spot * norm.cdf(high) - strike * norm.cdf(high - volatility * np.sqrt(years)))


@pytest.mark.parametrize(("of", "order"), [("price", 3), ("volatility", 2)])
def test_the_expansion_of_an_option_nears_its_full_revaluation_at_its_order(of, order):
    """Halving a shock divides the error by 2^order: cubic with gamma, quadratic with vega alone."""
    spot, sigma, years = 95.0, 0.4, 0.5
    high = (np.log(spot / 100) + sigma**2 * years / 2) / (sigma * np.sqrt(years))
    density = float(norm.pdf(high))
    book = stress_book(
        {"C": float(norm.cdf(high))},
        {"C": spot},
        {"C": "options"},
        {"C": sigma},
        gamma={"C": density / (spot * sigma * np.sqrt(years))},
        vega={"C": spot * density * np.sqrt(years)},
    )
    errors = []
    for shock in (0.02, 0.01, 0.005):
        if of == "price":
            found = stress(book, Scenario("s", {"C": -shock}))
            true = black_scholes(spot * (1 - shock), sigma)
        else:
            found = stress(book, Scenario("s", volatility_factor_by_asset={"C": 1 + shock}))
            true = black_scholes(spot, sigma * (1 + shock))
        errors.append(abs(found.profit - (true - black_scholes(spot, sigma))))
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.10)
    assert errors[1] / errors[2] == pytest.approx(2**order, rel=0.05)


def test_diffusion_is_the_parametric_loss_and_grows_with_the_volatility_factor():
    base = Scenario("two sigma, ten days", deviations=2.0, horizon_years=10 / 365)
    expected = 2 * np.sqrt(10 / 365) * np.sqrt(EXPOSED @ CORRELATION @ EXPOSED)
    assert stress(held(), base).diffusion == pytest.approx(expected)
    doubled = base._replace(volatility_factor_by_group={"majors": 2.0, "memes": 2.0})
    assert stress(held(), doubled).profit == pytest.approx(-2 * expected)


@pytest.mark.parametrize(("together", "expected"), [(Together.ONE, 22_000), (Together.AGAINST, 102_000)])
def test_correlation_one_offsets_long_and_short_and_against_breaks_every_hedge(together, expected):
    scenario = Scenario("one", deviations=1.0, horizon_years=1.0, to_one_frac=1.0, together=together)
    assert stress(held(correlation=None), scenario).diffusion == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 1), st.sampled_from(Together))
def test_a_blend_is_that_of_the_matrices_and_against_is_the_worst_of_all_correlations(seed, drawn, together):
    factors = np.random.default_rng(seed).normal(size=(3, 4))
    factors /= np.linalg.norm(factors, axis=1)[:, None]
    correlation = factors @ factors.T
    signs = np.sign(EXPOSED) if together is Together.AGAINST else np.ones(3)
    blend = (1 - drawn) * correlation + drawn * np.outer(signs, signs)
    book = held(correlation=correlation)
    scenario = Scenario("blend", deviations=1.0, horizon_years=1.0, to_one_frac=drawn, together=together)
    found = stress(book, scenario).diffusion
    assert found == pytest.approx(np.sqrt(EXPOSED @ blend @ EXPOSED))
    worst = stress(book, scenario._replace(to_one_frac=1.0, together=Together.AGAINST)).diffusion
    assert found <= worst * (1 + 1e-12)


def test_the_table_has_the_worst_scenario_first_and_shows_shares_of_equity():
    calm = Scenario("calm")
    up, down = Scenario("up", {}, {"majors": 0.1}), Scenario("down", {}, {"majors": -0.1, "memes": -0.5})
    rows = stress_table(held(), [calm, up, down])
    assert [(row.scenario, round(row.profit)) for row in rows] == [("down", -10_000), ("calm", 0), ("up", 5_000)]
    lines = format_table(rows, 100_000).splitlines()
    assert lines[2] == "| down | -10,000.00 | -10.00% | 0.00 | BTC -10,000.00 |"
    assert len(lines) == 5


def test_a_flat_book_loses_nothing():
    book = stress_book({}, MARKS, GROUPS)
    rows = stress_table(book, [Scenario("crash", {}, {"majors": -0.5})])
    assert rows[0].profit == 0
    assert "none 0.00" in format_table(rows, 1.0)


def test_a_scenario_may_name_what_is_known_but_not_held():
    assert stress(held(), Scenario("sol", {"SOL": -0.9})).profit == 0


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: stress_book({"SOL": 1}, MARKS, GROUPS), "marks has none for 'SOL'"),
        (lambda: stress_book({"BTC": 1}, {"BTC": np.nan}, GROUPS), r"marks\['BTC'\]"),
        (lambda: stress_book({"BTC": np.inf}, MARKS, GROUPS), r"quantities\['BTC'\]"),
        (lambda: stress_book({"BTC": 1}, MARKS, {}), "groups has none for 'BTC'"),
        (lambda: held(volatility_frac={"BTC": 0.5}), "volatility_frac has none for 'ETH'"),
        (lambda: held(volatility_frac=VOLATILITY | {"BTC": -0.1}), r"volatility_frac\['BTC'\]"),
        (lambda: held(gamma={"SOL": 1.0}), "gamma names 'SOL'"),
        (lambda: held(gamma={"BTC": np.nan}), r"gamma\['BTC'\]"),
        (lambda: held(vega={"BTC": np.inf}), r"vega\['BTC'\]"),
        (lambda: held(correlation=2 * np.eye(3)), "correlation has a diagonal"),
        (lambda: held(correlation=np.eye(2)), "correlation has shape"),
        (lambda: held(correlation=3 * CORRELATION - 2 * np.eye(3)), "correlation has eigenvalue"),
        (lambda: stress(held(), Scenario("s", {}, {"stocks": -0.1})), "price_frac_by_group names 'stocks'"),
        (lambda: stress(held(), Scenario("s", {"XRP": -0.1})), "price_frac_by_asset names 'XRP'"),
        (lambda: stress(held(), Scenario("s", {"BTC": -1.1})), r"price_frac_by_asset\['BTC'\]"),
        (lambda: stress(held(), Scenario("s", {"BTC": np.nan})), r"price_frac_by_asset\['BTC'\]"),
        (
            lambda: stress(held(), Scenario("s", volatility_factor_by_group={"memes": -1})),
            r"volatility_factor_by_group\['memes'\]",
        ),
        (lambda: stress(held(), Scenario("s", deviations=np.inf)), "deviations"),
        (lambda: stress(held(), Scenario("s", to_one_frac=1.1)), "to_one_frac"),
        (lambda: stress(held(), Scenario("s", horizon_years=-1)), "horizon_years"),
        (lambda: stress(held(correlation=None), Scenario("s", deviations=1)), "correlation is missing"),
        (lambda: stress(held(volatility_frac=None), Scenario("s", deviations=1)), "volatility_frac is missing"),
        (lambda: stress(held(gamma={"BTC": 1e300}), Scenario("s", {"BTC": 10.0})), "profit under 's'"),
        (lambda: stress_table(held(), [Scenario("s"), Scenario("s")]), "scenarios holds a name twice"),
        (lambda: stress_table(held(), []), "scenarios"),
        (lambda: format_table([], 0), "equity"),
    ],
)
def test_bad_input_is_refused_by_the_name_of_its_field(call, field):
    with pytest.raises(ValueError, match=field):
        call()
