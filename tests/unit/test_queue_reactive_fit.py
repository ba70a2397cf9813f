"""The fit of the queue-reactive flow returns what it was simulated from, and finds reactive queues in a recording."""

import json

import numpy as np
import pytest

from market_models import queue_reactive as qr
from market_models import queue_reactive_fit as qf
from market_models.calibration import Calibration, load_calibration, pack_params, save_calibration
from market_models.datasets import lobster
from market_models.instrument import Instrument
from sim.generate import generate_lobster


def true_calibration() -> Calibration:
    """Return a lively market whose rates differ by spread, band and queue."""
    base = np.array([1.0, 0.9, 0.8, 0.6, 0.5])
    limit = np.array([[0.8, 1.2, 0.9], [0.5, 1.4, 1.0]])[:, :, None] * base
    cancel = np.array([[0.5, 0.6, 0.4], [0.7, 0.5, 0.5]])[:, :, None] * np.array([0, 0.6, 1.2, 1.8, 2.2])
    sizes = np.resize(np.arange(1, 21), 128).tolist()
    params = {
        "band_edge_tick": [2, 4, 7],
        "spread_edge_tick": [2],
        "event_lots": 10,
        "top_bucket": 4,
        "limit_rate_per_s": limit.tolist(),
        "cancel_rate_per_s": cancel.tolist(),
        "market_rate_per_s": [[0, 0.9, 0.6, 0.4, 0.3], [0, 0.5, 0.4, 0.3, 0.2]],
        "far_limit_rate_per_s": [0.3, 0.2, 0.1],
        "far_cancel_rate_per_s": 0.15,
        "limit_lots": sizes,
        "market_lots": sizes,
        "mean_lots": [5.0] * 2 + [15.0] * 8,
        "mean_spread_tick": 3.0,
        "reference_tick": 10_000,
    }
    return Calibration("queue_reactive", Instrument("TEST", "0.01"), params, {}, 0.0, "", 0, 1)


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated")
    return lobster.read(generate_lobster(true_calibration(), folder, messages=25_000, seed=5, levels=6))


GRID = qf.Grid(np.array([2, 4, 7]), np.array([2]), 10, 4)


def test_fit_simulate_fit_returns_the_parameters_within_three_standard_errors(generated):
    """Chance puts 0.27% of the 60-odd rates with 30 events or more outside; three of them with probability 0.001."""
    window = (34_200, int(generated.time_s[-1]))
    fitted, truth = qf.fit(generated, *window, grid=GRID, distances=10, min_count=0), true_calibration()
    counts, _ = qf.cell_counts(generated, *window, GRID)
    scores = []
    for key in qf._RATES:
        ours, exact, error = (np.array(c[key]) for c in (fitted.params, truth.params, fitted.standard_errors))
        enough = counts.get(key.removesuffix("_rate_per_s"), np.full(ours.shape, 30)) >= 30
        scores.append((ours - exact)[enough] / error[enough])
    z = np.concatenate(scores)
    assert len(z) >= 50
    assert (np.abs(z) > 3).sum() <= 2 and np.abs(z).max() < 4.5, z.round(1)
    assert 0.6 < (z**2).mean() < 1.5, (z**2).mean()


def test_the_fit_is_where_the_likelihood_is_largest(generated):
    window = (34_200, int(generated.time_s[-1]))
    fitted = qf.fit(generated, *window, grid=GRID, min_count=0)
    counts, seconds = qf.cell_counts(generated, *window, GRID)

    def likelihood(factor):
        rate = {name: np.array(fitted.params[f"{name}_rate_per_s"]) * factor for name in counts}
        terms = (
            (n * np.log(np.where(n > 0, rate[k], 1))).sum() - (rate[k] * seconds[k]).sum() for k, n in counts.items()
        )
        return sum(terms)

    np.testing.assert_allclose(likelihood(1.0), fitted.log_likelihood, rtol=1e-9)
    assert max(likelihood(0.98), likelihood(1.02)) < fitted.log_likelihood
    assert qf.fit(generated, *window, grid=GRID, min_count=10**9).log_likelihood < fitted.log_likelihood - 50


def test_a_calibration_survives_the_disk_and_one_that_lacks_a_rate_is_refused(generated, tmp_path):
    fitted = qf.fit(generated, 34_200, int(generated.time_s[-1]))
    path = save_calibration(fitted, tmp_path / "c.json")
    words, again = pack_params(fitted), pack_params(load_calibration(path))
    assert np.abs(words - again).max() <= np.abs(words).max() * 1e-5 + 1 and words.shape == (qr.NUM_PARAMS,)
    record = json.loads(path.read_text())
    del record["params"]["market_rate_per_s"]
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="market_rate_per_s"):
        pack_params(load_calibration(path))


def test_a_window_or_a_grid_that_cannot_be_fitted_is_refused(generated):
    with pytest.raises(ValueError, match="is empty"):
        qf.fit(generated, 5, 5)
    with pytest.raises(ValueError, match="too little"):
        qf.fit(generated, 1, 2)
    with pytest.raises(ValueError, match="too little"):
        qf.fit(generated, 1, 2, grid=GRID)
    for field, value in (("bands", 9), ("spreads", 0), ("top_bucket", 16)):
        with pytest.raises(ValueError, match=field):
            qf.choose_grid(generated, 34_200, 35_000, **{field: value})


@pytest.mark.data
def test_queues_of_a_recorded_stock_are_reactive(data_dir):
    """AMZN's likelihood rises by far more than its extra parameters when rates may depend on queue and spread."""
    day = lobster.read(data_dir / "l3/lobster/LOBSTER_SampleFile_AMZN_2012-06-21_5.zip")
    window = (34_200, 45_900)
    fitted = qf.fit(day, *window)
    grid = qf.choose_grid(day, *window)
    blind = qf.fit(day, *window, grid=grid._replace(spread_edge_tick=np.array([], np.int64), top_bucket=1))
    extra = sum(np.array(fitted.params[f"{kind}_rate_per_s"]).size for kind in ("limit", "cancel", "market"))
    assert fitted.log_likelihood - blind.log_likelihood > 10 * extra
    # Huang et al., section 2.4: cancels grow with the queue, and slower than in proportion to it.
    cancel = np.array(fitted.params["cancel_rate_per_s"])[-1, 2:]
    assert (cancel[:, -1] > cancel[:, 1]).all() and (cancel[:, -1] < 5 * cancel[:, 1]).all()
    assert pack_params(fitted)[qr.NUM_BANDS] == 6
