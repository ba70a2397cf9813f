"""Instrument, fees and latency: exact money, one formula for NumPy and JAX, refusals that name the field."""

from decimal import Decimal
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest

from market_models.fees import Fees, fee_money_e8, fee_tick_lots
from market_models.instrument import Instrument, divide_half_even
from market_models.latency import ConstantLatency, arrival, make_latency

STOCK = Instrument("AMZN", "0.01")
COIN = Instrument("BTC/USDT", "0.10", "0.00001", "USDT")


def test_prices_and_sizes_convert_exactly_both_ways():
    assert STOCK.to_tick("223.81") == 22381
    assert STOCK.to_price(22381) == Decimal("223.81")
    assert STOCK.to_tick(Decimal("-37.63")) == -3763
    assert COIN.to_lots("0.00123") == 123
    assert COIN.to_size(123) == Decimal("0.00123")


@pytest.mark.parametrize("price", ["223.811", "nan", "inf", "x", 223.81, "0.01000000000000000000000000000000000001"])
def test_a_price_that_is_no_multiple_of_the_tick_is_refused(price):
    with pytest.raises(ValueError, match="AMZN"):
        STOCK.to_tick(price)


def test_sizes_below_zero_and_beyond_the_engines_range_are_refused():
    with pytest.raises(ValueError, match=r"outside 0\.\."):
        STOCK.to_lots(-1)
    with pytest.raises(ValueError, match=r"outside 0\.\."):
        STOCK.to_lots(2**30 + 1)
    with pytest.raises(ValueError, match="outside"):
        STOCK.to_tick(2**30)


@pytest.mark.parametrize("tick", ["0", "-0.01", "0.000000001", "1e-2", "", "abc"])
def test_a_step_that_is_no_plain_positive_decimal_is_refused_at_construction(tick):
    with pytest.raises(ValueError, match="tick_size"):
        Instrument("X", tick)


def test_a_tick_lot_is_worth_what_the_steps_say():
    assert STOCK.money_e8(22381 * 100) == 22381 * 100 * 10**6
    assert COIN.money_e8(1) == 100  # 0.1 x 1e-5 = 1e-6
    tiny = Instrument("T", "0.001", "0.000001")
    assert [tiny.money_e8(n) for n in (4, 5, 6, 15, -5)] == [0, 0, 1, 2, 0]  # tenths of 1e-8, ties to even


def test_half_even_division_agrees_with_fractions():
    for numerator in range(-50, 51):
        for denominator in (1, 2, 3, 4, 10):
            assert divide_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


def test_fees_hurt_rebates_help_and_takers_pay_their_own_rate():
    fees = Fees(maker_bps=-0.5, taker_bps=1.5)
    # 100 shares at 223.81: notional 22,381.00; 1.5 bps are 3.35715.
    assert fee_money_e8(fees, STOCK, 22381, 100, is_maker=False) == 335_715_000
    assert fee_money_e8(fees, STOCK, 22381, 100, is_maker=True) == -111_905_000
    assert fee_money_e8(fees, STOCK, -22381, 100, is_maker=False) == 335_715_000
    per_share = Fees(maker_per_lot_tick=-0.2, taker_per_lot_tick=0.3)
    assert fee_money_e8(per_share, STOCK, 22381, 100, is_maker=False) == 30_000_000


@pytest.mark.parametrize(
    ("rounding", "fee", "rebate"),
    [("half_even", 336_000_000, -336_000_000), ("up", 336_000_000, -335_000_000), ("down", 335_000_000, -336_000_000)],
)
def test_the_venues_rounding_is_applied_per_fill(rounding, fee, rebate):
    for bps, expected in ((1.5, fee), (-1.5, rebate)):
        fees = Fees(taker_bps=bps, rounding=rounding, rounding_unit_e8=1_000_000)  # 3.35715 to a cent
        assert fee_money_e8(fees, STOCK, 22381, 100, is_maker=False) == expected


def test_ties_round_to_even_or_up_as_told():
    half_cent = {"taker_per_lot_tick": 0.5, "rounding_unit_e8": 1_000_000}
    assert fee_money_e8(Fees(rounding="half_even", **half_cent), STOCK, 1, 1, is_maker=False) == 0
    assert fee_money_e8(Fees(rounding="half_up", **half_cent), STOCK, 1, 1, is_maker=False) == 1_000_000


def test_the_simulators_fee_is_the_exact_one_to_float32_in_numpy_and_in_jax():
    price, lots = np.array([22381, -50, 2**30], np.int32), np.array([100, 7, 3], np.int32)
    fees = Fees(taker_bps=1.5, taker_per_lot_tick=0.3)
    exact = [fee_money_e8(fees, STOCK, p, q, is_maker=False) / 10**6 for p, q in zip(price, lots, strict=True)]
    bps, per_lot = np.float32(fees.taker_bps), np.float32(fees.taker_per_lot_tick)
    ours = fee_tick_lots(price, lots, bps, per_lot)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, exact, rtol=1e-6)
    np.testing.assert_allclose(fee_tick_lots(jnp.asarray(price), jnp.asarray(lots), bps, per_lot), exact, rtol=1e-6)


def test_a_fee_schedule_that_makes_no_sense_is_refused():
    for fields, name in (
        ({"maker_bps": float("nan")}, "maker_bps"),
        ({"taker_bps": 1001.0}, "taker_bps"),
        ({"taker_per_lot_tick": float("inf")}, "taker_per_lot_tick"),
        ({"rounding": "nearest"}, "rounding"),
        ({"rounding_unit_e8": 0}, "rounding_unit_e8"),
    ):
        with pytest.raises(ValueError, match=name):
            Fees(**fields)


def test_arrival_carries_nanoseconds_into_seconds_in_numpy_and_in_jax():
    now_s, now_ns = np.array([34_200, 5, 0], np.int32), np.array([999_999_999, 0, 999_999_999], np.int32)
    latency = np.array([1, 0, 2_000_000_000], np.int32)
    total = now_s.astype(np.int64) * 10**9 + now_ns + latency
    for xp in (np, jnp):
        s, ns = arrival(xp, xp.asarray(now_s), xp.asarray(now_ns), xp.asarray(latency))
        np.testing.assert_array_equal(np.asarray(s, np.int64) * 10**9 + np.asarray(ns), total)
        assert s.dtype == xp.int32 and ns.dtype == xp.int32


def test_latency_models_are_found_by_name_and_checked():
    model = make_latency("constant", entry_ns=250_000)
    assert isinstance(model, ConstantLatency) and model.entry_arrival_ns(10) == 250_010
    with pytest.raises(ValueError, match="constant"):
        make_latency("instant")
    with pytest.raises(ValueError, match="feed_ns"):
        ConstantLatency(feed_ns=-1)
