"""The fit of a level recording: what rows it has, what it returns of a flow it was simulated from, and its bias."""

import numpy as np
import pytest

from market_models import queue_reactive_fit as qf
from market_models import zero_intelligence_fit as zf
from market_models.calibration import calibrate
from market_models.datasets import lobster
from market_models.datasets.binance_raw import open_session
from market_models.datasets.errors import DataError
from market_models.datasets.level_recording import to_recording
from market_models.datasets.recording import FULL_CANCEL, NEW, PARTIAL_CANCEL, VISIBLE_EXECUTION
from market_models.datasets.recording_format import read_for_fit
from market_models.exposure import collect_events
from market_models.level_fit import order_lots, order_seconds, row_weights
from sim.generate import generate_lobster
from tests.support.binance_feed import Feed
from tests.support.level_feed import write_session
from tests.support.markets import small_calibration

MS = 1000  # a second of the generated market is a thousand seconds of its session
RATES = ("limit_rate_per_s", "cancel_rate_per_s", "market_rate_per_s")


def hand_feed() -> Feed:
    feed = Feed().snapshot([["9.9", "5"], ["9.8", "4"]], [["10.0", "3"], ["10.2", "6"]], at=0)
    feed.depth([["9.9", "5"]], at=10)
    feed.depth([["9.8", "1"], ["9.7", "7"]], [["10.0", "0"], ["10.1", "2"]], at=20)
    return feed


def test_a_level_that_grows_is_a_limit_order_and_what_no_print_took_is_a_cancel(tmp_path):
    recording = to_recording(open_session([hand_feed().write(tmp_path)]), 2)
    bid, ask = 0, 1
    rows = np.column_stack([recording.kind, recording.side, recording.lots, recording.price_tick])[1:].tolist()
    # What shrinks first and from the deepest level on, then what grows; 9.7 is the third bid and not visible.
    assert rows == [[PARTIAL_CANCEL, bid, 3, 98], [FULL_CANCEL, ask, 3, 100], [NEW, ask, 2, 101]]
    np.testing.assert_array_equal(recording.book[-1], [[[99, 5], [98, 1]], [[101, 2], [102, 6]]])
    assert not recording.has_orders and recording.quarantined.tolist() == [True, False, False, False]


def test_a_print_takes_from_its_level_and_the_depth_event_that_tells_of_it_is_no_cancel(tmp_path):
    feed = Feed().snapshot([["9.9", "5"]], [["10.0", "3"]], at=0)
    feed.depth([["9.9", "5"]], at=10)
    feed.trade("SELL", "9.9", "2", at=15)
    feed.depth([["9.9", "3"]], at=20)
    recording = to_recording(open_session([feed.write(tmp_path)]), 2)
    rows = np.column_stack([recording.kind, recording.side, recording.lots, recording.price_tick])[1:].tolist()
    assert rows == [[VISIBLE_EXECUTION, 0, 2, 99]]


def test_orders_of_a_level_are_its_lots_over_the_mean_limit_order_rounded_up(tmp_path):
    recording = to_recording(open_session([hand_feed().write(tmp_path)]), 2)
    # From 10 to 20 ms the bids are 5 at distance 1 and 4 at 2, the asks 3 at 1 and 6 at 3.
    resting = order_seconds(recording, 0, 1e9, np.array([2.0, 3.0, 4.0]))
    np.testing.assert_allclose(resting[:3] / 0.02, [3 + 2, 2, 2])
    assert row_weights(recording).tolist() == [1, 1, 1.5, 1]  # 3 lots off the best ask, 2 in front of it


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """A market of equal orders, so that the rule for the number of orders at a level is exact."""
    folder = tmp_path_factory.mktemp("levels")
    truth = small_calibration(limit_lots=[10] * 128, market_lots=[10] * 128)
    return folder, lobster.read(generate_lobster(truth, folder, messages=12_000, seed=5, levels=24)), truth


@pytest.fixture(scope="module")
def by_message(generated):
    folder, recording, _ = generated
    return read_for_fit([write_session(recording, folder / "each.gz", 0)], 24)


def test_fit_simulate_fit_returns_the_parameters_within_three_standard_errors(generated, by_message):
    """Measured: the largest of 21 is 2.4 standard errors, the mean square 1.3."""
    truth = generated[2].params
    fitted = zf.fit(by_message, 0, float(by_message.time_s[-1]), distances=10, min_count=1)
    scores = []
    for key in RATES:
        ours, exact, error = (np.atleast_1d(c[key]) for c in (fitted.params, truth, fitted.standard_errors))
        scores.append((ours * MS - exact) / (error * MS))
    z = np.concatenate(scores)
    assert len(z) == 21 and np.abs(z).max() < 3 and 0.4 < (z**2).mean() < 2, z.round(1)
    assert fitted.counts["limit"] > 4_000
    assert np.mean(fitted.params["limit_lots"]) == 1  # the lot that is found is the size of every order


def test_updates_that_net_an_interval_lower_the_rates_by_a_bounded_share_and_keep_the_market_orders(
    generated, by_message
):
    folder, recording, _ = generated
    window = (0, float(by_message.time_s[-1]))
    exact = zf.fit(by_message, *window, distances=10, min_count=1).params
    found = []
    for interval_us in (50_000, 400_000):
        session = read_for_fit([write_session(recording, folder / f"{interval_us}.gz", interval_us)], 24)
        netted = zf.fit(session, *window, distances=10, min_count=1).params
        found.append([np.sum(netted[key]) / np.sum(exact[key]) for key in RATES])
    (limit, cancel, market), (limit_slow, cancel_slow, market_slow) = found
    # Measured: 0.947, 0.949, 1.000 with 1.2 events an interval; 0.687, 0.692, 1.000 with 9.7.
    assert 0.92 < limit < 0.97 and 0.92 < cancel < 0.97 and market == pytest.approx(1, abs=0.005), found
    assert 0.64 < limit_slow < 0.74 and 0.64 < cancel_slow < 0.74 and market_slow == pytest.approx(1, abs=0.005), found


def test_a_queue_reactive_fit_of_levels_balances_the_lots_of_the_best_queue(by_message):
    fitted = calibrate(by_message, model="queue_reactive")
    assert fitted.counts["limit"] > 4_000
    weight = row_weights(by_message)
    np.testing.assert_allclose(weight[by_message.kind == NEW].mean(), 1, rtol=1e-6)
    grid = qf.choose_grid(by_message, 0, 1e9)
    counts, _ = qf.cell_counts(by_message, 0, 1e9, grid, weight)
    plain, _ = qf.cell_counts(by_message, 0, 1e9, grid)
    np.testing.assert_allclose(counts["limit"].sum(), plain["limit"].sum(), rtol=0.02)
    assert (counts["market"] == plain["market"]).all()


def test_the_mean_order_of_equal_orders_is_one_of_them(by_message):
    events = collect_events(by_message, 0, 1e9, 10)
    label = np.repeat([0, 1], 5)
    assert len(events.limit_lots) > 4_000
    np.testing.assert_allclose(order_lots(events, label), [1] * 10)


def test_a_session_with_lost_updates_or_of_another_format_is_refused(tmp_path):
    feed = hand_feed()
    feed.u += 5
    feed.depth([["9.8", "3"]])
    with pytest.raises(DataError, match="1 gaps"):
        to_recording(open_session([feed.write(tmp_path)]))
    with pytest.raises(ValueError, match=r"not 1\.\.512"):
        to_recording(open_session([hand_feed().write(tmp_path)]), 0)
    table = tmp_path / "table.parquet"
    table.write_bytes(b"PAR1 and more")
    with pytest.raises(ValueError, match="cme_five_level"):
        read_for_fit([table])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="without files"):
        read_for_fit([tmp_path / "empty"])
