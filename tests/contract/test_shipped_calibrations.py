"""Every calibration that ships loads, packs, opens a book, and gives a market that stays alive with its spread."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from kernels.lob import spec
from kernels.lob.host import HostBook
from kernels.lob.spec import LobConfig
from market_models.calibration import (
    calibrate,
    load_calibration,
    pack_params,
    shipped_calibrations,
    start_messages,
    to_json,
)
from market_models.datasets.recording_format import read_for_fit
from market_models.registry import get_flow
from sim.generation.market import MarketRows

MESSAGES = 200_000
CAPACITY = 128

# Time-weighted median spread in the window of the fit, ticks: test_..._is_that_of_its_recording measures it.
SPREAD_TICK = {
    "amzn_2012_06_21": 14,
    "aapl_2012_06_21": 17,
    "btcusdt_perp_2024_07_18": 1,
    "ethusdt_perp_2024_07_18": 1,
}
RECORDED = {
    "amzn_2012_06_21": ["l3/lobster/LOBSTER_SampleFile_AMZN_2012-06-21_5.zip"],
    "aapl_2012_06_21": ["l3/lobster/LOBSTER_SampleFile_AAPL_2012-06-21_1.zip"],
    "btcusdt_perp_2024_07_18": [f"l2/binance_raw/usdm/btcusdt_202407{day}.gz" for day in (18, 19)],
    "ethusdt_perp_2024_07_18": [f"l2/binance_raw/usdm/ethusdt_202407{day}.gz" for day in (18, 19)],
}
SHIPPED = shipped_calibrations()
REFITTED = ("zero_intelligence", "queue_reactive")  # in seconds; the other models' own tests hold their fits
# Most messages without any order, share of messages and of time with an empty side. The Hawkes flow excites cancels and
# market orders at once, and its book is thin: measured 3-10, 0.024-0.026 and 0.032-0.037 over seeds 1-3.
USUAL_GAPS = (2, 0.01, 0.004)
GAPS = {"hawkes": (20, 0.04, 0.06)}


def market_of(name: str) -> str:
    return next(market for market in RECORDED if name.startswith(market))


def weighted_median(values: np.ndarray, weight: np.ndarray) -> float:
    order = np.argsort(values, kind="stable")
    whole = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(whole, whole[-1] / 2)])


def test_every_market_has_both_models_and_every_file_its_market():
    assert {f"{market}_{model}" for market in RECORDED for model in ("zi", "qr")} <= set(SHIPPED)
    assert {market_of(name) for name in SHIPPED} == set(RECORDED)


@pytest.mark.parametrize("name", SHIPPED)
def test_it_loads_packs_and_opens_a_two_sided_book_of_its_spread(name):
    calibration = load_calibration(name)
    assert pack_params(calibration).shape == (get_flow(calibration.model).num_params,)
    assert calibration.params.keys() >= {"limit_lots", "market_lots", "reference_tick", "mean_spread_tick"}
    rates = {key for key in calibration.params if key.endswith("_rate_per_s")}
    if calibration.model not in REFITTED:  # what such a fit sets or searches on a grid has no error
        rates &= calibration.standard_errors.keys()
        assert calibration.standard_errors
    for key in rates:
        error, rate = np.array(calibration.standard_errors[key]), np.array(calibration.params[key])
        assert error.shape == rate.shape and (error >= 0).all() and ((error > 0) | (rate == 0)).all()
    host = HostBook(LobConfig(CAPACITY), "oracle")
    out = host.apply(start_messages(calibration, 3))
    assert (out.reason == spec.OK).all() and out.summary[spec.SUM_NUM_TRADES] == 0
    bid, ask = host.best(spec.BUY), host.best(spec.SELL)
    assert bid is not None and ask is not None
    assert ask[0] - bid[0] == max(round(calibration.params["mean_spread_tick"]), 1)


@pytest.mark.parametrize("name", SHIPPED)
def test_its_market_stays_alive_and_keeps_half_to_twice_the_recorded_spread(name):
    """Measured (seed 1): median spreads 13-15 (recorded: AAPL 17), 10-13 (AMZN 14), 1 (BTC and ETH 1) ticks. A market
    order walks the book at any price, so that a side is empty now and then and fills again: after 17 to 1,384 of the
    200,000 messages, for 0.007-0.05 % of the time, AAPL (whose deeper orders were not recorded) 0.3 %; both at once
    after one message in three of the eight markets."""
    market = MarketRows(load_calibration(name), 1, levels=5, capacity=CAPACITY)
    times, depths, count = [], [], 0
    while count < MESSAGES:
        block = market.next_block(MESSAGES - count)
        count += len(block.time_ns)
        times.append(block.time_ns.copy())
        depths.append(block.depth[:, :, 0].copy())
    time_ns, depth = np.concatenate(times), np.concatenate(depths)[:-1]
    lasts = np.diff(time_ns).astype(np.float64)
    there = depth[:, :, 1] > 0
    both = there.all(1)
    most_none, most_messages, most_time = GAPS.get(load_calibration(name).model, USUAL_GAPS)
    assert (~there.any(1)).sum() <= most_none
    assert (~both).mean() < most_messages and lasts[~both].sum() < most_time * lasts.sum()
    spread = depth[both][:, spec.SELL, 0] - depth[both][:, spec.BUY, 0]
    recorded = SPREAD_TICK[market_of(name)]
    assert recorded / 2 <= weighted_median(spread, lasts[both]) <= 2 * recorded
    assert market.counters["evicted"] + market.counters["rejected"] < MESSAGES // 1000
    mid = depth[both].astype(np.int64)[:, :, 0].mean(1)
    assert 1 < mid.max() - mid.min() < 0.5 * mid.mean()


@pytest.mark.data
@pytest.mark.parametrize("market", sorted(RECORDED))
def test_it_is_the_fit_of_its_recording_and_the_spread_is_the_recorded_one(data_dir: Path, market: str):
    recording = read_for_fit([data_dir / path for path in RECORDED[market]])
    for name in (name for name in SHIPPED if market_of(name) == market):
        shipped = load_calibration(name)
        if shipped.model not in REFITTED:
            continue
        fitted = json.loads(to_json(calibrate(recording, shipped.from_s, shipped.to_s, shipped.model)))
        own = json.loads(to_json(shipped))
        for key in ("model", "instrument", "params", "standard_errors", "data_digest", "from_s", "to_s", "counts"):
            assert fitted[key] == own[key], key
        assert math.isclose(fitted["log_likelihood"], own["log_likelihood"], rel_tol=1e-9)
    shipped = load_calibration(f"{market}_zi")
    time_s = recording.time_total_ns / 1e9
    lasts = np.diff(np.clip(np.append(time_s, time_s[-1]), shipped.from_s, shipped.to_s))
    both = recording.present[:, :, 0].all(1)
    spread = recording.book[both][:, spec.SELL, 0, 0] - recording.book[both][:, spec.BUY, 0, 0]
    assert weighted_median(spread, lasts[both]) == SPREAD_TICK[market]
