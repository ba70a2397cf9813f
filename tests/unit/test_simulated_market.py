"""The shipped market, left alone for an hour in sixteen copies, stays sane."""

import numpy as np
import pytest

from kernels.lob import spec
from kernels.lob.host import process_batch
from kernels.lob.spec import LobConfig, empty_book
from kernels.lob.step import new_market, run_market_step
from market_models.calibration import load_calibration, pack_params, start_messages
from market_models.registry import get_flow

MARKETS, BURN_IN_S, SECONDS = 16, 300, 3_600
CONFIG = LobConfig(capacity=128, max_fills=1, depth_levels=5, fills_mode=spec.FILLS_OWNED)


@pytest.fixture(scope="module")
def hour():
    """Per second and market: best bid, best ask, both there, orders a side; and the counters and number of events."""
    calibration = load_calibration("amzn_2012_06_21_zi")
    opening = np.stack([start_messages(calibration, seed) for seed in range(MARKETS)])
    books, _ = process_batch(empty_book(CONFIG, (MARKETS,)), opening, CONFIG)
    reference = calibration.reference_tick
    market = new_market(CONFIG, books, seed=1, next_order_id=opening.shape[1] + 1, reference_tick=reference)
    market.seed[:, 1] = np.arange(MARKETS)
    params, nothing = pack_params(calibration), np.zeros((1, 8), np.int32)
    bid, ask, both, orders, events = [], [], [], [], 0
    for second in range(BURN_IN_S + SECONDS):
        horizon = np.array([10_000, 1_000_000], np.int32)
        sampler = get_flow("zero_intelligence").numba_sampler
        summary = run_market_step(sampler, CONFIG, market, nothing, params, nothing, horizon).summary
        if second >= BURN_IN_S:
            bid.append(summary[:, spec.SUM_BEST_BID_TICK])
            ask.append(summary[:, spec.SUM_BEST_ASK_TICK])
            both.append((summary[:, spec.SUM_HAS_BID] & summary[:, spec.SUM_HAS_ASK]).astype(bool))
            orders.append(market.book.num_orders.copy())
            events += int(summary[:, spec.SUM_EVENTS].sum())
    return np.array(bid), np.array(ask), np.array(both), np.array(orders), market.book.counters.copy(), events


def test_nothing_is_evicted_or_rejected_and_orders_fit_easily(hour):
    _, _, _, orders, counters, _ = hour
    assert (counters == 0).all()
    assert orders.max() < 64
    assert 12 < orders.mean() < 30


def test_the_market_is_two_sided_and_its_spread_is_of_the_recorded_size(hour):
    bid, ask, both, *_ = hour
    recorded = load_calibration("amzn_2012_06_21_zi").params["mean_spread_tick"]
    assert both.mean() > 0.999
    assert 0.5 * recorded < (ask - bid)[both].mean() < 1.5 * recorded


def test_the_mid_moves_but_does_not_drift_away(hour):
    bid, ask, both, *_ = hour
    mid = np.where(both, (bid + ask) / 2, np.nan)
    minutes = np.diff(mid[::60], axis=0)
    assert 8 < np.nanstd(minutes) < 32  # ticks a minute; the recorded morning has 19
    moved = mid[-1] - mid[0]
    assert abs(np.nanmean(moved)) < 4 * np.nanstd(minutes) * 60**0.5 / MARKETS**0.5
    assert np.nanmax(np.abs(moved)) < 5 * np.nanstd(minutes) * 60**0.5


def test_events_come_at_the_calibrated_pace(hour):
    params = load_calibration("amzn_2012_06_21_zi").params
    arrivals = 2 * (sum(params["limit_rate_per_s"]) + params["market_rate_per_s"])
    per_s = hour[-1] / (MARKETS * SECONDS)
    assert arrivals < per_s < 2.2 * arrivals  # nearly every order that came also leaves by a cancel
