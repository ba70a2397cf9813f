"""Signals event by event against the batch indicators, direct weighted sums, and recorded AMZN."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.features import signals as sg
from kernels.features.streams import kyle_stream, ofi_stream, trade_stream, volatility_stream, vpin_stream
from market_models.datasets import lobster
from market_models.microstructure.kyle import kyle_lambda
from market_models.microstructure.order_flow import order_flow_terms, signed_trades
from market_models.microstructure.trades import exponential_intensity
from market_models.microstructure.volatility import bipower_variation, realised_variance
from market_models.microstructure.vpin import volume_buckets, vpin

N = 3000


def random_touch(rng: np.random.Generator) -> np.ndarray:
    bid = 1000 + np.cumsum(rng.integers(-1, 2, N))
    return np.column_stack([bid, rng.integers(1, 50, N), bid + rng.integers(1, 4, N), rng.integers(1, 50, N)])


def slow_vpin(lots: np.ndarray, sign: np.ndarray, size: float, window: int) -> np.ndarray:
    """Return VPIN after each trade from the batch indicator on the trades so far, NaN while it has too few buckets."""
    out = np.full(len(lots), np.nan)
    buckets = volume_buckets(lots, (sign > 0).astype(float), size)
    if len(buckets.end_row) >= window:
        values = vpin(buckets, window)
        known = np.searchsorted(buckets.end_row[window - 1 :], np.arange(len(lots)), side="right") - 1
        out = np.where(known >= 0, values[np.maximum(known, 0)], np.nan)
    return out


def test_order_flow_imbalance_is_that_of_the_batch_and_its_sum_is_kept():
    touch = random_touch(np.random.default_rng(1))
    state = sg.new_ofi()
    e = ofi_stream(state, touch)
    np.testing.assert_array_equal(e, order_flow_terms(*touch.T))
    assert state[sg.OFI_TOTAL] == e.sum() and e.any()


@pytest.mark.parametrize(("size", "window"), [(7.0, 5), (100.0, 50), (3000.0, 3)])
def test_vpin_is_that_of_the_batch_whatever_part_of_a_bucket_a_trade_is(size, window):
    rng = np.random.default_rng(2)
    lots, sign = rng.integers(1, 60, N).astype(float), rng.choice([-1, 1], N)
    lots[[5, 900]] = 40 * size  # fills many buckets at once
    np.testing.assert_allclose(
        vpin_stream(sg.new_vpin(size, window), lots, sign), slow_vpin(lots, sign, size, window), rtol=0, atol=1e-12
    )


def test_kyles_lambda_that_forgets_nothing_is_the_least_squares_slope():
    rng = np.random.default_rng(3)
    lots = rng.normal(2, 50, N)
    change = 0.03 * lots + rng.normal(0, 2, N)
    ours = kyle_stream(sg.new_kyle(1.0), change, lots)
    for n in (3, 10, 500, N):
        assert ours[n - 1] == pytest.approx(kyle_lambda(change[:n], lots[:n]).coefficients["lambda"], rel=1e-12)
    assert np.isnan(ours[0])


def test_kyles_lambda_with_fading_weights_is_the_weighted_least_squares_slope():
    rng = np.random.default_rng(4)
    lots, change = rng.normal(0, 50, 400), rng.normal(0, 2, 400)
    change[200:] += 0.5 * lots[200:]
    ours = kyle_stream(sg.new_kyle(0.97), change, lots)
    for n in (5, 200, 400):
        weight = 0.97 ** np.arange(n)[::-1]
        x = lots[:n] - np.average(lots[:n], weights=weight)
        y = change[:n] - np.average(change[:n], weights=weight)
        assert ours[n - 1] == pytest.approx((weight * x * y).sum() / (weight * x * x).sum(), rel=1e-11)


def test_intensity_is_that_of_the_batch_and_the_sign_the_faded_mean():
    rng = np.random.default_rng(5)
    at_s, sign = np.cumsum(rng.exponential(0.3, N)), rng.choice([-1, 1], N)
    ours = trade_stream(sg.new_trades(4.0), at_s, sign)
    np.testing.assert_allclose(ours[:, 0], exponential_intensity(at_s, 4.0), rtol=1e-12)
    weight = 0.5 ** ((at_s[700] - at_s[:701]) / 4.0)
    assert ours[700, 1] == pytest.approx((weight * sign[:701]).sum() / weight.sum(), rel=1e-11)


def test_volatilities_are_those_of_the_batch_and_the_exponential_one_the_weighted_mean_of_squares():
    price = 100 * np.exp(np.cumsum(np.random.default_rng(6).normal(0, 0.01, N)))
    ours = volatility_stream(sg.new_volatility(0.94), price)
    for n in (3, 50, N):
        r = np.diff(np.log(price[:n]))
        assert ours[n - 1, 1] == pytest.approx(realised_variance(r), rel=1e-12)
        assert ours[n - 1, 2] == pytest.approx(bipower_variation(r), rel=1e-12)
        weight = 0.06 * 0.94 ** np.arange(n - 1)[::-1]
        weight[0] /= 0.06  # the first return starts the average
        assert ours[n - 1, 0] == pytest.approx((weight * r * r).sum(), rel=1e-12)
    assert np.isnan(ours[0, [0, 2]]).all() and np.isnan(ours[1, 2]) and ours[0, 1] == 0


def streams(rng: np.random.Generator) -> list[tuple[Any, Any, list[np.ndarray]]]:
    """Return (make the state, run, columns) of every signal."""
    sign = rng.choice([-1, 1], N)
    return [
        (sg.new_ofi, ofi_stream, [random_touch(rng)]),
        (lambda: sg.new_vpin(50.0, 10), vpin_stream, [rng.integers(1, 200, N).astype(float), sign]),
        (lambda: sg.new_kyle(0.9), kyle_stream, [rng.normal(size=N), rng.normal(size=N)]),
        (lambda: sg.new_trades(1.0), trade_stream, [np.cumsum(rng.random(N)), sign]),
        (sg.new_volatility, volatility_stream, [1 + rng.random(N)]),
    ]


@pytest.mark.parametrize("number", range(5))
def test_a_stream_cut_anywhere_gives_the_same_bits(number):
    rng = np.random.default_rng(7)
    make, run, columns = streams(rng)[number]
    whole, state = run(make(), *columns), make()
    cuts = np.sort(rng.integers(0, N, 9))
    parts = [run(state, *(part[a:b] for part in columns)) for a, b in zip([0, *cuts], [*cuts, N], strict=True)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@given(
    st.lists(st.tuples(st.floats(-1e100, 1e100), st.floats(-1e100, 1e100)), max_size=30),
    st.lists(st.floats(min_value=5e-324, max_value=1.7e308), max_size=30),
)
@settings(max_examples=60, deadline=None)
def test_no_accepted_number_makes_a_state_that_is_not_finite(pairs, prices):
    state = sg.new_kyle(0.9)
    kyle_stream(state, *(np.array([pair[i] for pair in pairs]) for i in (0, 1)))
    volatility = sg.new_volatility()
    volatility_stream(volatility, np.array(prices))
    assert np.isfinite(state).all() and np.isfinite(volatility).all() and (volatility[sg.VOL_EWMA :] >= 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_and_the_state_stays_as_it_was(bad):
    one = np.array([1.0, bad])
    cases = [
        (sg.new_kyle(), kyle_stream, (one, np.ones(2)), "price_change"),
        (sg.new_kyle(), kyle_stream, (np.ones(2), one), "signed_lots"),
        (sg.new_trades(1.0), trade_stream, (one, np.ones(2)), "at_s"),
        (sg.new_volatility(), volatility_stream, (one,), "price"),
    ]
    for state, run, columns, name in cases:
        before = state.copy()
        with pytest.raises(ValueError, match=f"{name} has a value at 1 that is not finite"):
            run(state, *columns)
        np.testing.assert_array_equal(state, before)
    with pytest.raises(ValueError, match="lots has a value at 1"):
        vpin_stream(sg.new_vpin(5.0), one, np.ones(2))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ofi_stream(sg.new_ofi(), np.ones((3, 4))), "whole numbers"),
        (lambda: ofi_stream(sg.new_ofi(), np.array([[1, 0, 2, 1]])), "fewer than 1 lot"),
        (lambda: ofi_stream(sg.new_ofi(), np.array([[2**60, 1, 2, 1]])), "beyond 2\\^53"),
        (lambda: vpin_stream(sg.new_vpin(5.0), [0.0], [1]), "not above 0"),
        (lambda: vpin_stream(sg.new_vpin(1e-9), [1e9], [1]), "buckets"),
        (lambda: vpin_stream(sg.new_vpin(5.0), [1.0, 1.0], [1]), "2 values and sign 1"),
        (lambda: trade_stream(sg.new_trades(1.0), [1.0, 0.5], [1, 1]), "goes back at 1"),
        (lambda: trade_stream(sg.new_trades(1.0), [1.0], [0.5]), "neither 1 nor -1"),
        (lambda: volatility_stream(sg.new_volatility(), [0.0]), "not above 0"),
        (lambda: kyle_stream(sg.new_kyle(), [1e101], [1.0]), "overflow"),
        (lambda: sg.new_vpin(0.0), "bucket_lots"),
        (lambda: sg.new_vpin(1.0, 0), "window"),
        (lambda: sg.new_kyle(0.0), "fade"),
        (lambda: sg.new_volatility(1.0), "fade"),
        (lambda: sg.new_trades(np.nan), "half_life_s"),
    ],
)
def test_bad_input_is_refused_by_name(call, said):
    with pytest.raises(ValueError, match=said):
        call()


@pytest.mark.data
def test_on_recorded_amzn_the_signals_are_those_of_the_batch(data_dir):
    day = lobster.read(data_dir / "l3/lobster/LOBSTER_SampleFile_AMZN_2012-06-21_5.zip")
    both = day.present[:, :, 0].all(1)
    touch = day.book[both][:, :, 0].reshape(-1, 4).astype(np.int64)
    np.testing.assert_array_equal(ofi_stream(sg.new_ofi(), touch), order_flow_terms(*touch.T))
    signed = signed_trades(day)
    traded = np.flatnonzero(signed)
    lots, sign = np.abs(signed[traded]).astype(float), np.sign(signed[traded])
    at_s = day.time_total_ns[traded] / 1e9
    np.testing.assert_allclose(
        vpin_stream(sg.new_vpin(2000.0), lots, sign), slow_vpin(lots, sign, 2000.0, 50), rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(
        trade_stream(sg.new_trades(10.0), at_s, sign)[:, 0], exponential_intensity(at_s, 10.0), rtol=1e-12
    )
    mid = touch[:, [0, 2]].mean(1)
    ours = volatility_stream(sg.new_volatility(), mid)[-1]
    r = np.diff(np.log(mid))
    np.testing.assert_allclose(ours[1:], [realised_variance(r), bipower_variation(r)], rtol=1e-11)
    change, flow = np.diff(mid[::50]), np.add.reduceat(order_flow_terms(*touch.T), np.arange(1, len(touch), 50))
    count = min(len(change), len(flow))
    ours = kyle_stream(sg.new_kyle(1.0), change[:count], flow[:count].astype(float))
    assert ours[-1] == pytest.approx(kyle_lambda(change[:count], flow[:count]).coefficients["lambda"], rel=1e-11)
    assert ours[-1] > 0
