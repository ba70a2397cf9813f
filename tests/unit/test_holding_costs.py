"""Fee tiers, funding and borrow: by hand, exact, positive when they hurt."""

import jax.numpy as jnp
import numpy as np
import pytest

from market_models.fees import YEAR_NS, Fees, FeeSchedule, FeeTier, borrow_money_e8, funding_money_e8, holding_tick_lots
from market_models.instrument import Instrument

COIN = Instrument("BTC/USDT", "0.10", "0.001", "USDT")  # a tick-lot is 1e-4 USDT = 10,000 e8
REGULAR, VIP = Fees(maker_bps=2.0, taker_bps=5.0), Fees(maker_bps=-0.5, taker_bps=3.0)


def test_the_tier_of_a_volume_starts_at_its_volume():
    schedule = FeeSchedule((FeeTier(0, REGULAR), FeeTier(10**15, VIP)))
    assert schedule.at(0) == REGULAR and schedule.at(10**15 - 1) == REGULAR
    assert schedule.at(10**15) == VIP and schedule.at(10**18) == VIP
    with pytest.raises(ValueError, match="volume_e8"):
        schedule.at(-1)


@pytest.mark.parametrize("starts", [(), (5,), (0, 0), (0, 9, 3)])
def test_tiers_that_do_not_ascend_from_zero_are_refused(starts):
    with pytest.raises(ValueError, match="tiers"):
        FeeSchedule(tuple(FeeTier(start, REGULAR) for start in starts))


def test_longs_pay_positive_funding_and_shorts_receive_it():
    # 2 BTC at 30,000.0 are 60,000 USDT; 0.01 % of that is 6 USDT.
    assert funding_money_e8(COIN, 2_000, 300_000, 10_000) == 6 * 10**8
    assert funding_money_e8(COIN, -2_000, 300_000, 10_000) == -6 * 10**8
    assert funding_money_e8(COIN, 2_000, 300_000, -10_000) == -6 * 10**8
    assert funding_money_e8(COIN, 2_000, -300_000, 10_000) == -6 * 10**8
    assert funding_money_e8(COIN, 0, 300_000, 10_000) == 0
    assert funding_money_e8(Instrument("T", "0.001", "0.00001"), 1, 1, 50_000_000) == 0  # half of 1e-8: to even


def test_only_shorts_borrow_and_a_year_costs_the_rate():
    year = borrow_money_e8(COIN, -2_000, 300_000, 5_000_000, YEAR_NS)
    assert year == 3_000 * 10**8
    assert borrow_money_e8(COIN, -2_000, 300_000, 5_000_000, YEAR_NS // 10) == 300 * 10**8
    assert borrow_money_e8(COIN, 2_000, 300_000, 5_000_000, YEAR_NS) == 0
    with pytest.raises(ValueError, match="annual_e8"):
        borrow_money_e8(COIN, -1, 1, -1, 1)


def test_the_simulators_form_is_the_exact_one_to_float32_in_both_namespaces():
    position, mark = np.array([2_000, -2_000, 0], np.int32), np.array([300_000, 300_000, 5], np.int32)
    exact = [
        (funding_money_e8(COIN, int(n), int(p), 10_000) + borrow_money_e8(COIN, int(n), int(p), 10_000, YEAR_NS))
        / 10_000
        for n, p in zip(position, mark, strict=True)
    ]
    for xp in (np, jnp):
        rates = xp.float32(1e-4), xp.float32(1e-4)
        found = holding_tick_lots(xp, xp.asarray(position), xp.asarray(mark), *rates)
        assert found.dtype == xp.float32
        np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-3)
