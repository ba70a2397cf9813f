"""VPIN, Kyle's lambda, trade signs and intensity: closed forms, slow loops, and recorded sides."""

import re
from math import comb
from pathlib import Path

import numpy as np
import pytest

from kernels.lob.spec import SELL
from market_models.datasets import lobster
from market_models.datasets.recording import VISIBLE_EXECUTION
from market_models.microstructure.kyle import kyle_equilibrium, kyle_lambda, simulate_auctions
from market_models.microstructure.price_impact import regress
from market_models.microstructure.trades import (
    exponential_intensity,
    lee_ready_signs,
    rolling_sign_frac,
    tick_rule_signs,
)
from market_models.microstructure.vpin import bulk_bought_frac, volume_buckets, vpin


def fill_lot_by_lot(lots: list[int], bought: list[int], size: int) -> list[tuple[int, int]]:
    """Return (bought lots, row that filled it) of each bucket, one lot at a time."""
    buckets, held, buys = [], 0, 0
    for row, count in enumerate(lots):
        for _ in range(count):
            held, buys = held + 1, buys + bought[row]
            if held == size:
                buckets.append((buys, row))
                held, buys = 0, 0
    return buckets


@pytest.mark.parametrize("size", [1, 7, 100])
def test_buckets_are_those_that_fill_lot_by_lot(size):
    rng = np.random.default_rng(size)
    lots, bought = rng.integers(1, 40, 300), rng.integers(0, 2, 300)
    ours, slow = volume_buckets(lots, bought, size), fill_lot_by_lot(lots.tolist(), bought.tolist(), size)
    np.testing.assert_allclose(ours.bought_lots, [buys for buys, _ in slow], atol=1e-9)
    np.testing.assert_array_equal(ours.end_row, [row for _, row in slow])
    np.testing.assert_allclose(ours.bought_lots + ours.sold_lots, size)


def test_vpin_of_coin_flips_is_the_binomials_mean_deviation_and_of_informed_flow_their_share():
    rng = np.random.default_rng(0)
    ones = np.ones(200_000)
    fair = vpin(volume_buckets(ones, rng.integers(0, 2, 200_000), 20), 50)
    assert fair.mean() == pytest.approx(comb(20, 10) / 2**20, rel=0.02)
    # Informed traders take 40 % of the volume, all on one side in a bucket, the others toss a coin.
    side = np.repeat(rng.integers(0, 2, 100), 2000)
    signs = np.where(rng.uniform(size=200_000) < 0.4, side, rng.integers(0, 2, 200_000))
    assert vpin(volume_buckets(ones, signs, 2000), 100)[0] == pytest.approx(0.4, abs=0.01)


def test_bulk_volume_of_a_normal_price_is_uniform_so_vpin_is_one_half():
    change = np.random.default_rng(1).normal(0.0, 3.0, 40_000)
    share = bulk_bought_frac(change)
    assert np.sort(share)[::4000] == pytest.approx(np.arange(10) / 10, abs=0.01)
    buckets = volume_buckets(np.full(40_000, 5.0), share, 5.0)
    assert vpin(buckets, 40_000)[0] == pytest.approx(0.5, abs=0.005)
    np.testing.assert_allclose(bulk_bought_frac([0.0, 1.0, -1.0], 1.0), [0.5, 0.8413447461, 0.1586552539])


def test_a_bucket_is_known_at_the_row_that_fills_it():
    lots, share = np.full(100, 3.0), np.linspace(0, 1, 100)
    whole = volume_buckets(lots, share, 10.0)
    end = int(whole.end_row[11])
    part = volume_buckets(lots[: end + 1], share[: end + 1], 10.0)
    assert len(part.bought_lots) == 12
    np.testing.assert_allclose(part.bought_lots, whole.bought_lots[:12])
    assert len(volume_buckets(lots[:end], share[:end], 10.0).bought_lots) == 11


def test_one_kyle_auction_has_the_impact_profit_and_posterior_variance_of_the_closed_form():
    rule, played = kyle_equilibrium(2.0, 50.0), simulate_auctions(2.0, 50.0, 200_000, seed=4)
    assert rule == (0.02, 25.0, 50.0, 2.0)
    fit = kyle_lambda(played.value, played.net_lots)  # the maker's belief: E[v | y] = lambda y
    assert abs(fit.coefficients["lambda"] - 0.02) < 4 * fit.standard_errors["lambda"] < 0.0005
    profit = (played.value - played.price) * played.insider_lots
    assert profit.mean() == pytest.approx(50.0, rel=0.01)
    assert (played.value - played.price).var() == pytest.approx(2.0, rel=0.02)
    assert kyle_lambda(played.price, played.net_lots).coefficients["lambda"] == pytest.approx(0.02, rel=1e-9)
    assert regress(played.value, {"price": played.price}).coefficients["price"] == pytest.approx(1.0, abs=0.02)


def test_no_other_aggressiveness_pays_the_insider_more():
    rule = kyle_equilibrium(2.0, 50.0)
    rate = np.linspace(0, 50, 501)
    profit = rate * 2.0**2 * (1 - rule.impact * rate)  # E[(v - lambda (rate v + u)) rate v]
    assert rate[profit.argmax()] == pytest.approx(rule.aggressiveness)
    assert profit.max() == pytest.approx(rule.insider_profit)


def test_tick_rule_and_lee_ready_sign_the_cases_of_the_paper():
    price = [10.0, 10.0, 10.1, 10.1, 10.0, 10.0, 10.2]
    assert tick_rule_signs(price).tolist() == [0, 0, 1, 1, -1, -1, 1]
    bid, ask = [9.9, 9.9, 10.0, 10.0, 9.8, 9.9, 10.2], [10.1, 10.1, 10.1, 10.2, 10.2, 10.2, 10.4]
    assert lee_ready_signs(price, bid, ask).tolist() == [0, 0, 1, 1, -1, -1, -1]


def test_intensity_is_the_faded_sum_of_past_events_and_returns_a_poisson_rate():
    at = np.cumsum(np.random.default_rng(6).exponential(1 / 5.0, 20_000))
    ours, k = exponential_intensity(at, 3.0), np.log(2) / 3.0
    for n in (0, 1, 500, 1999):
        assert ours[n] == pytest.approx((k * np.exp(-k * (at[n] - at[: n + 1]))).sum(), rel=1e-9)
    assert ours[500:].mean() == pytest.approx(5.0 + k, rel=0.02)


def test_rolling_sign_is_the_mean_of_the_last_trades():
    signs = np.random.default_rng(7).choice([-1, 1], 60)
    slow = [signs[max(0, i - 9) : i + 1].mean() for i in range(60)]
    np.testing.assert_allclose(rolling_sign_frac(signs, 10), slow, atol=1e-12)


@pytest.mark.data
def test_lee_ready_finds_the_recorded_aggressor_of_visible_trades(data_dir: Path):
    recording = lobster.read(data_dir / "l3/lobster/LOBSTER_SampleFile_AMZN_2012-06-21_1.zip")
    rows = np.flatnonzero((recording.kind == VISIBLE_EXECUTION) & (np.arange(len(recording.kind)) > 0))
    before = recording.book[rows - 1, :, 0, 0]
    found = lee_ready_signs(recording.price_tick[rows], before[:, 0], before[:, 1])
    recorded = np.where(recording.side[rows] == SELL, 1, -1)
    assert (found == recorded).mean() == 1.0 and len(rows) > 5000


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: volume_buckets([1, 2], [0.5, 1.5], 1), "bought_frac has a value outside 0..1"),
        (lambda: volume_buckets([1, 0], [0, 1], 1), "lots has a value at 1 that is not above 0"),
        (lambda: vpin(volume_buckets([5], [1], 1), 6), "5 full buckets are fewer than the window of 6"),
        (lambda: bulk_bought_frac([1.0, 1.0]), "sigma has a value at 0 that is not above 0"),
        (lambda: kyle_equilibrium(-1.0, 2.0), "value_std is"),
        (lambda: lee_ready_signs([1.0], [2.0], [2.0]), "bid at 0 is not below its ask"),
        (lambda: exponential_intensity([2.0, 1.0], 1.0), "at_s goes back at 1"),
        (lambda: rolling_sign_frac([1, -1], 0), "window is 0"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call()
