"""Order-flow imbalance and its price impact: closed form, statsmodels, and the figures of LOBSTER's files."""

import re
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm

from market_models.datasets import lobster
from market_models.microstructure.order_flow import FlowBins, bin_flow, order_flow_terms
from market_models.microstructure.price_impact import (
    depth_relation,
    impact_regressions,
    regress,
    window_depth_lots,
)

SAMPLE = "l3/lobster/LOBSTER_SampleFile_{}_2012-06-21_1.zip"
# Full day: slope OFI, R2, slope TI, R2; mean R2 of half hours on OFI and on TI; sum of OFI.
FIGURES = {
    "AMZN": (".002537", ".3120", ".006418", ".3191", "0.525", "0.359", -64_089),
    "AAPL": (".004096", ".4116", ".004855", ".3341", "0.509", "0.329", -218_913),
}


def side_of_full_book(position: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the best price and its queue where every level behind holds `depth` and `position` lots stand in all."""
    return (position - 1) // depth, (position - 1) % depth + 1


@pytest.mark.parametrize("depth", [1, 7, 200])
def test_in_the_stylised_book_the_imbalance_is_the_change_of_the_resting_lots(depth):
    rng = np.random.default_rng(depth)
    bid = 10**6 + np.cumsum(rng.integers(-1, 2, 20_000))  # one lot at a time: a best level is full when the next opens
    ask = 10**6 + np.cumsum(rng.integers(-1, 2, 20_000))  # lots missing from the ask side
    bid_tick, bid_lots = side_of_full_book(bid, depth)
    below, queue = side_of_full_book(-ask, depth)
    terms = order_flow_terms(bid_tick, bid_lots, -below, queue)
    np.testing.assert_array_equal(terms[1:], np.diff(bid) + np.diff(ask))
    moved = np.cumsum(np.diff(bid_tick - below)) / 2
    assert np.abs(moved - np.cumsum(terms[1:]) / (2 * depth)).max() <= 1  # dP = OFI / 2D + rounding
    assert np.abs(moved).max() * depth > 20


def test_the_regression_agrees_with_statsmodels_in_every_figure_and_both_kinds_of_error():
    rng = np.random.default_rng(1)
    x, z = rng.normal(50, 300, 200), rng.normal(size=200)
    y = 0.3 + 0.002 * x - 0.1 * z + rng.standard_t(4, 200) * (1 + np.abs(z))
    design = sm.add_constant(np.column_stack([x, z]))
    for lags, options in ((None, {}), (5, {"cov_type": "HAC", "cov_kwds": {"maxlags": 5}})):
        ours, theirs = regress(y, {"x": x, "z": z}, newey_west_lags=lags), sm.OLS(y, design).fit(**options)
        np.testing.assert_allclose(list(ours.coefficients.values()), theirs.params, rtol=1e-9)
        np.testing.assert_allclose(list(ours.standard_errors.values()), theirs.bse, rtol=1e-9)
        np.testing.assert_allclose(list(ours.t_values.values()), theirs.tvalues, rtol=1e-9)
        assert ours.r2_frac == pytest.approx(theirs.rsquared, rel=1e-10)
        assert list(ours.coefficients) == ["intercept", "x", "z"] and ours.observations == 200


def test_half_hours_return_the_slopes_that_made_the_data_and_depth_its_scale_and_exponent():
    rng = np.random.default_rng(2)
    depth = np.repeat(rng.uniform(50, 800, 13), 180)
    ofi = rng.integers(-2000, 2001, depth.size)
    moved = 0.5 / depth * ofi + rng.normal(size=depth.size) * 0.01
    bins = FlowBins(0, 10 * 10**9, ofi, rng.integers(-9, 10, depth.size), moved, depth)
    fits = impact_regressions(bins)
    slopes = [fit["ofi"].coefficients["ofi"] for fit in fits]
    errors = [fit["ofi"].standard_errors["ofi"] for fit in fits]
    assert (np.abs(slopes - 0.5 / depth[::180]) < 4 * np.array(errors)).all() and max(errors) < 1e-6
    relation = depth_relation(slopes, window_depth_lots(bins))
    assert relation.scale == pytest.approx(0.5, rel=1e-2) and relation.exponent == pytest.approx(1, abs=2e-3)
    assert max(abs(fit["both"].t_values["trade_imbalance"]) for fit in fits) < 4 < fits[0]["both"].t_values["ofi"]


def printed(value: float, like: str) -> str:
    text = f"{value:.{len(like.split('.')[1])}f}"
    return text if like.startswith("0") else text.removeprefix("0")


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(FIGURES))
def test_lobster_files_give_the_printed_slopes_and_shares_of_variance(data_dir: Path, name: str):
    bins = bin_flow(lobster.read(data_dir / SAMPLE.format(name)), 34_200, 57_600)
    halves = impact_regressions(bins)
    day = impact_regressions(bins, 23_400)[0]
    found = [
        day["ofi"].coefficients["ofi"],
        day["ofi"].r2_frac,
        day["trade_imbalance"].coefficients["trade_imbalance"],
        day["trade_imbalance"].r2_frac,
        *(float(np.mean([half[of].r2_frac for half in halves])) for of in ("ofi", "trade_imbalance")),
    ]
    *expected, total = FIGURES[name]
    assert [printed(value, like) for value, like in zip(found, expected, strict=True)] == expected
    assert bins.ofi_lots.sum() == total and len(halves) == 13
    slopes = [half["ofi"].coefficients["ofi"] for half in halves]
    relation = depth_relation(slopes, window_depth_lots(bins))
    assert relation.exponent > 0  # a deeper book moves less


@pytest.mark.data
def test_bins_from_the_middle_of_a_day_are_those_of_the_whole_day(data_dir: Path):
    recording = lobster.read(data_dir / SAMPLE.format("AMZN"))
    day, hour = bin_flow(recording, 34_200, 57_600), bin_flow(recording, 39_600, 43_200)
    for whole, part in zip(day[2:], hour[2:], strict=True):
        np.testing.assert_allclose(part, whole[540:900], rtol=1e-9)
    for i in (0, 3, 100, 255, 359):
        moments = (39_600 + 10 * i + np.linspace(0, 10, 20_001)[:-1]) * 1e9
        at = np.searchsorted(recording.time_total_ns, moments, side="right") - 1
        assert hour.depth_lots[i] == pytest.approx(recording.book[at, :, 0, 1].mean(), rel=2e-3)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: order_flow_terms([1, 1], [1, 0], [2, 2], [1, 1]), "bid_lots has 0 at 1"),
        (lambda: order_flow_terms([1, 1], [1, 1], [2], [1, 1]), "lengths differ"),
        (lambda: order_flow_terms([1.5], [1], [2], [1]), "bid_tick is float64"),
        (
            lambda: regress([1, 2, np.nan, 4], {"x": [1, 2, 3, 4]}),
            "target holds 1 values that are not finite",
        ),
        (lambda: regress([1, 2, 3, 4], {"x": [1, 1, 1, 1]}), "constant or depend"),
        (lambda: regress([1, 2, 3, 4], {"x": [1, 2, 3, 5]}, newey_west_lags=-1), "newey_west_lags is -1"),
        (lambda: depth_relation([0.1, 0.0, 0.2], [1, 2, 3]), "slope has a value at 1 that is not above 0"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call()
