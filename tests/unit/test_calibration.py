"""Calibrations: exposure by hand, fit-simulate-fit, the file on disk, and the shipped one against its recording."""

import json
from dataclasses import replace

import numpy as np
import pytest

from kernels.lob import spec
from kernels.lob.host import HostBook
from kernels.lob.spec import LobConfig
from market_models import zero_intelligence as zi
from market_models import zero_intelligence_fit as zf
from market_models.calibration import (
    calibrate,
    load_calibration,
    pack_params,
    save_calibration,
    shipped_calibrations,
    start_messages,
    to_json,
)
from market_models.datasets import lobster
from market_models.datasets.recording import Recording
from market_models.exposure import collect_events, measure_exposure
from market_models.instrument import Instrument
from market_models.registry import MODELS, get_flow, get_model, resolve
from sim.generate import generate_lobster
from tests.support.markets import small_calibration

SHIPPED = "amzn_2012_06_21_zi"
QUEUE_REACTIVE = "amzn_2012_06_21_qr"
LATE = "amzn_2012_06_21_qr_late"  # of the second half of the morning: docs/scorecard.md
AGENT_BASED = "amzn_2012_06_21_abm"
HAWKES = "amzn_2012_06_21_hawkes"


def recording(rows, books) -> Recording:
    """Rows of (second, kind, side, lots, price); books [N][side][level] of (price, lots), (0, 0) where absent."""
    table = np.array(rows, np.int32)
    return Recording(
        path="hand",
        digest="d",
        instrument=Instrument("HAND", "0.01"),
        time_s=table[:, 0],
        time_ns=np.zeros(len(table), np.int32),
        kind=table[:, 1],
        side=table[:, 2],
        lots=table[:, 3],
        price_tick=table[:, 4],
        order_id=np.arange(1, len(table) + 1, dtype=np.int32),
        book=np.array(books, np.int32),
        quarantined=np.zeros(len(table), bool),
    )


# Two levels. Bids at distance 2 and 4, asks at 2 and 7 in the first book.
HAND = recording(
    [
        (100, 1, 0, 5, 98),
        (104, 1, 0, 3, 99),  # bid at distance 1 of the ask at 100
        (105, 3, 0, 3, 99),
        (107, 4, 1, 4, 100),
        (107, 4, 1, 1, 100),  # same time and side: the same market order
        (109, 4, 0, 2, 98),
    ],
    [
        [[(98, 5), (96, 8)], [(100, 6), (105, 9)]],
        [[(99, 3), (98, 5)], [(100, 6), (105, 9)]],
        [[(98, 5), (96, 8)], [(100, 6), (105, 9)]],
        [[(98, 5), (96, 8)], [(100, 2), (105, 9)]],
        [[(98, 5), (96, 8)], [(100, 1), (105, 9)]],
        [[(98, 3), (96, 8)], [(0, 0), (0, 0)]],
    ],
)


def test_exposure_counts_a_distance_only_while_it_is_visible():
    e = measure_exposure(HAND, 102, 109, 6)
    # Books in force: 102-104 (bids reach 4, asks 7), 104-105 (bids reach 2, asks 6), 105-109 (4 and 7).
    bids, asks = [7, 7, 6, 6, 0, 0], [7, 7, 7, 7, 7, 7]
    np.testing.assert_allclose(e.seen_s, np.add(bids, asks))
    # Bids 5 at 2 and 8 at 4 for six seconds; 3 at 1 and 5 at 2 for one. Asks (at distance 1 for that second) 6, then 1;
    # 9 at 7 (6 for one second), beyond D = 6 counted there.
    np.testing.assert_allclose(e.lot_s, [3 + 6, 6 * 5 + 5 + 4 * 6 + 2 * 1, 0, 8 * 6, 0, 9 * 7])
    np.testing.assert_allclose(e.behind_s, [2, 14, 13, 13, 7, 7])
    assert (e.total_s, e.both_s, e.takable_s) == (7, 7, 14)
    assert (e.spread_tick_s, e.mid_tick_s) == (13, 6 * 99 + 99.5)


def test_events_have_the_distance_of_the_book_before_them_and_executions_join_into_market_orders():
    events = collect_events(HAND, 100, 110, 6)
    np.testing.assert_array_equal(events.limit_distance, [1])
    np.testing.assert_array_equal(events.limit_lots, [3])
    np.testing.assert_array_equal(events.cancel_distance, [1])
    np.testing.assert_array_equal(events.cancel_level_lots, [3])
    np.testing.assert_array_equal(events.market_lots, [5, 2])
    assert len(collect_events(HAND, 105, 107, 6).market_lots) == 0


def test_thin_neighbours_are_pooled_from_the_touch_outwards():
    np.testing.assert_array_equal(zf.pools(np.array([5, 1, 1, 9, 2, 1]), 5), [0, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(zf.pools(np.array([5, 1, 4, 9, 2, 3]), 5), [0, 1, 1, 2, 3, 3])
    np.testing.assert_array_equal(zf.pools(np.array([1, 1]), 5), [0, 0])
    np.testing.assert_array_equal(zf.pools(np.array([0, 0, 7]), 1), [0, 0, 0])


def test_a_size_table_keeps_the_mean_and_every_repeated_size():
    lots = np.repeat([100, 7], [900, 100])
    table = np.array(zf.size_table(lots))
    assert abs(table.mean() - lots.mean()) < 0.5
    assert set(table[:12]) == {7} and set(table[14:]) == {100}
    assert zf.size_table(np.array([3, 3])) == [3] * 128


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> Recording:
    """Three visible levels only, so that the exposure of the distances matters."""
    folder = tmp_path_factory.mktemp("generated")
    return lobster.read(generate_lobster(small_calibration(), folder, messages=20_000, seed=5, levels=3))


def test_fit_simulate_fit_returns_the_parameters(generated):
    truth = small_calibration().params
    fitted = zf.fit(generated, 34_200, int(generated.time_s[-1]), distances=10, min_count=1)
    for key in ("limit_rate_per_s", "cancel_rate_per_s", "market_rate_per_s"):
        ours, exact = np.atleast_1d(fitted.params[key]), np.atleast_1d(truth[key])
        z = (ours - exact) / np.atleast_1d(fitted.standard_errors[key])
        assert np.abs(z).max() < 4.5, (key, z.round(1))
        assert (z**2).mean() < 2.5, (key, z.round(1))
    for key in ("limit_lots", "market_lots"):
        np.testing.assert_allclose(np.mean(fitted.params[key]), np.mean(truth[key]), rtol=0.04)
    assert fitted.counts["limit"] > 5_000


def test_the_fit_is_where_the_likelihood_is_largest(generated):
    window = (34_200, int(generated.time_s[-1]))
    fitted = zf.fit(generated, *window, distances=10, min_count=1)
    events, exposure = collect_events(generated, *window, 10), measure_exposure(generated, *window, 10)
    best = zf._log_likelihood(events, exposure, fitted.params)
    assert best == fitted.log_likelihood
    for key in ("limit_rate_per_s", "market_rate_per_s"):
        for factor in (0.97, 1.03):
            moved = {**fitted.params, key: (np.array(fitted.params[key]) * factor).tolist()}
            assert zf._log_likelihood(events, exposure, moved) < best


def test_calibrate_takes_the_whole_recording_by_default(generated):
    whole = calibrate(generated)
    assert (whole.from_s, whole.to_s) == (34_200, int(generated.time_s[-1]) + 1)
    assert whole.data_digest == generated.digest
    with pytest.raises(ValueError, match="is empty"):
        calibrate(generated, 5, 5)
    with pytest.raises(ValueError, match="too little"):
        calibrate(generated, 1, 2)
    with pytest.raises(ValueError, match="cannot be calibrated"):
        calibrate(generated, model="replay")


def test_a_calibration_survives_the_disk_and_a_second_write_replaces_the_first(tmp_path):
    path = tmp_path / "deep" / "c.json"
    save_calibration(small_calibration(), path)
    save_calibration(replace(small_calibration(), note="second"), path)
    again = load_calibration(path)
    assert again.note == "second" and again.params == small_calibration().params
    assert [file.name for file in path.parent.iterdir()] == ["c.json"]
    np.testing.assert_array_equal(pack_params(again), pack_params(small_calibration()))


def test_a_bad_calibration_file_is_named_with_the_key(tmp_path):
    path = tmp_path / "c.json"
    good = json.loads(to_json(small_calibration()))
    for change, message in (
        ({"schema_version": 2}, "schema_version"),
        ({"colour": 1}, "colour"),
        ({"params": []}, "params"),
        ({"instrument": {"name": "X", "tick_size": "0"}}, "tick_size"),
        ({"fees": {"maker_bps": 1e9}}, "maker_bps"),
    ):
        path.write_text(json.dumps({**good, **change}))
        with pytest.raises(ValueError, match=message):
            load_calibration(path)
    path.write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        load_calibration(path)
    with pytest.raises(ValueError, match=SHIPPED):
        load_calibration("nowhere")
    del good["params"]["market_rate_per_s"]
    path.write_text(json.dumps(good))
    with pytest.raises(ValueError, match="market_rate_per_s"):
        pack_params(load_calibration(path))


def test_start_books_are_two_sided_the_same_for_a_seed_and_other_for_another():
    calibration = load_calibration(SHIPPED)
    first, again, other = (start_messages(calibration, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == other.shape == (2 * zf.START_ORDERS, 8) and (first != other).any()
    host = HostBook(LobConfig(64), "oracle")
    out = host.apply(first)
    assert (out.reason == spec.OK).all() and out.summary[spec.SUM_NUM_TRADES] == 0
    bid, ask = host.best(spec.BUY), host.best(spec.SELL)
    assert bid is not None and ask is not None
    assert ask[0] - bid[0] == round(calibration.params["mean_spread_tick"])
    assert abs(bid[0] + ask[0] - 2 * calibration.reference_tick) <= 1


def test_every_registered_model_has_a_flow_whose_xla_twin_exists():
    for name in MODELS:
        flow = get_flow(name)
        assert flow.name == name and flow.num_params >= 1
        assert callable(flow.numba_sampler) and callable(resolve(flow.xla_sampler_path))
    with pytest.raises(ValueError, match="zero_intelligence"):
        get_model("nonesuch")


def test_the_shipped_calibration_holds_parameters_only():
    calibration = load_calibration(SHIPPED)
    assert {AGENT_BASED, HAWKES, LATE, QUEUE_REACTIVE, SHIPPED} <= set(shipped_calibrations())
    assert pack_params(calibration).shape == (zi.NUM_PARAMS,)
    assert (calibration.from_s, calibration.to_s) == (34_200, 45_900)
    assert (calibration.fees.maker_bps, calibration.fees.taker_bps) == (0.5, 1.5)
    assert "assumption" in calibration.note
    longest = max(len(value) for value in calibration.params.values() if isinstance(value, list))
    assert longest <= zi.MAX_DISTANCES
