"""The fit of the agent-based flow returns what it was simulated from, and its moments are those of a recording."""

import json
from dataclasses import replace

import numpy as np
import pytest

from kernels.lob import spec
from market_models import agent_based_fit as af
from market_models import agent_based_moments as am
from market_models.calibration import Calibration, load_calibration, pack_params, save_calibration
from market_models.datasets import lobster
from market_models.instrument import Instrument
from market_models.registry import get_model
from sim.generate import generate_lobster

SETTINGS = ("noise_tick", "edge_tick", "smoothing_frac", "max_walk_tick")


def true_calibration() -> Calibration:
    """Return a slow market with fundamentalists and chartists, so that few messages last for hours."""
    sizes = np.resize(np.arange(1, 21), 128).tolist()
    params = {
        "arrival_rate_per_s": [2.0, 0.15, 0.2],
        "fundamental_weight": [0, 1.0, 0],
        "trend_weight": [0, 0, 1.0],
        "noise_tick": [0, 0.5, 0.5],
        "edge_tick": [0, 1.0, 1.5],
        "impatience_frac": [0.06, 0, 0],
        "placement": np.exp(-np.arange(12) / 6).tolist(),
        "cancel_rate_per_s": [0.02] * 6 + [0.03] * 6,
        "limit_lots": sizes,
        "market_lots": sizes,
        "news_rate_per_s": 1.0,
        "news_tick": 0.3,
        "smoothing_frac": [1 / 30],
        "reversion_frac": 0.0,
        "max_walk_tick": 8,
        "makers": 0,
        "maker_rate_per_s": 0.0,
        "maker_spread_tick": 2.0,
        "maker_tolerance_tick": 1,
        "maker_lots": 1,
        "mean_lots": [20.0] * 12,
        "mean_spread_tick": 2.0,
        "reference_tick": 10_000,
    }
    return Calibration("agent_based", Instrument("TEST", "0.01"), params, {}, 0.0, "", 0, 1)


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated")
    return lobster.read(generate_lobster(true_calibration(), folder, messages=25_000, seed=6, levels=8))


@pytest.fixture(scope="module")
def fitted(generated):
    truth = true_calibration().params
    settings = {key: np.asarray(truth[key]) for key in SETTINGS}
    return af.fit(
        generated, 34_200, int(generated.time_s[-1]), windows=8, iterations=4, settings=settings, distances=12
    )


def test_fit_simulate_fit_returns_the_parameters_within_three_standard_errors(fitted):
    """Five by simulated moments, in logarithms as they are searched; cancel rates and placement shares directly."""
    truth, z = true_calibration().params, []
    for key in ("arrival_rate_per_s", "impatience_frac", "news_tick"):
        ours, exact, error = (np.atleast_1d(c[key]) for c in (fitted.params, truth, fitted.standard_errors))
        used = exact > 0
        z.extend((np.log(ours[used] / exact[used]) * ours[used] / error[used]).tolist())
    assert len(z) == 5 and np.abs(z).max() < 3, np.round(z, 2)
    cancel = [np.array(c["cancel_rate_per_s"]) for c in (fitted.params, truth, fitted.standard_errors)]
    ours, exact, error = fitted.params["placement"], truth["placement"], fitted.standard_errors["placement"]
    share = [np.array(v) / np.sum(total) for v, total in ((ours, ours), (exact, exact), (error, ours))]
    for name, (estimate, true, scatter) in (("cancel", cancel), ("placement", share)):
        pool = np.cumsum(np.append(0, np.diff(estimate) != 0))  # thin distances share one rate: that of their mean
        pooled = (np.bincount(pool, true) / np.bincount(pool))[pool]
        assert pool[-1] >= 5 and np.abs((estimate - pooled) / scatter).max() < 3.5, name
    # The errors say something, the least of chartists in two hours; and the moments are met within chance.
    relative = np.array(fitted.standard_errors["arrival_rate_per_s"]) / fitted.params["arrival_rate_per_s"]
    assert (relative < [0.05, 0.5, 1.5]).all(), relative
    assert fitted.counts["excess"] < 25


def test_the_moments_of_a_recording_are_those_of_its_rows(generated):
    """Row by row in plain Python, without the grid's searches and sums."""
    from_s, bins = 34_500, 150
    grid = am.recorded_grid(generated, from_s, from_s + bins * am.BIN_S, orders=1000)
    flow, mid, traded = [0.0] * bins, [0.0] * bins, 0
    for row in range(len(generated.kind)):
        place = (generated.time_total_ns[row] - from_s * 10**9) // (am.BIN_S * 10**9)
        best = generated.book[row, :, 0]
        for later in range(max(int(place), 0), bins):
            if best[:, 1].min() == 0:
                break
            mid[later] = (int(best[0, 0]) + int(best[1, 0])) / 2
        if generated.kind[row] == 4 and 0 <= place < bins:
            flow[place] += int(generated.lots[row]) * (1 if generated.side[row] == spec.SELL else -1)
            traded += int(generated.lots[row])
    np.testing.assert_array_equal(grid.flow_lots[:, 0], flow)
    np.testing.assert_array_equal(grid.mid_tick[:, 0], mid)
    assert grid.traded_lots[0] == traded


def test_moments_have_their_closed_forms_on_a_made_market():
    """A random walk whose takers follow the mid change of the bin before with a known correlation."""
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(6000, 8))
    mid = np.cumsum(steps, axis=0)
    sign = np.sign(np.roll(steps, 1, axis=0) + 0.0)
    grid = am.Grid(mid, np.full(mid.shape, 3.0), sign * 7, np.full(8, 600.0), np.full(8, 90_000.0))
    found = dict(zip(am.NAMES, am.moments(grid).mean(axis=0), strict=True))
    exact = {"orders": np.log(3), "traded_lots": np.log(0.02), "spread": np.log(3), "sign_memory": 0}
    exact |= {"variance_10s": np.log(2), "variance_60s": np.log(12), "trend_60s": 0, "trend_240s": 0}
    exact |= {"trend_30s": (2 / np.pi) ** 0.5 / 6**0.5}  # corr(sign x, x) over six steps
    for name, value in exact.items():
        np.testing.assert_allclose(found[name], value, atol=0.03, err_msg=name)


def test_a_calibration_survives_the_disk_and_one_that_lacks_a_field_is_refused(fitted, tmp_path):
    path = save_calibration(fitted, tmp_path / "c.json")
    words, again = pack_params(fitted), pack_params(load_calibration(path))
    assert np.abs(words.astype(np.int64) - again).max() <= np.abs(words.astype(np.int64)).max() * 1e-4 + 1
    record = json.loads(path.read_text())
    del record["params"]["placement"]
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="placement"):
        pack_params(load_calibration(path))


def test_a_window_that_cannot_be_fitted_is_refused(generated):
    for window, options, match in (
        ((5, 5), {}, "is empty"),
        ((1, 2), {}, "too little"),
        ((34_200, 34_500), {}, "at least 120"),
        ((34_200, 36_000), {"windows": 3}, "windows"),
        ((34_200, 36_000), {"iterations": 0}, "iterations"),
        ((34_200, 36_000), {"settings": {"trend_weight": np.array([0, 0, np.nan])}}, "trend_weight"),
    ):
        with pytest.raises(ValueError, match=match):
            af.fit(generated, *window, **options)


def test_the_shipped_calibration_packs_and_opens_a_market():
    shipped = load_calibration("amzn_2012_06_21_abm")
    assert shipped.model == "agent_based" and (shipped.from_s, shipped.to_s) == (34_200, 45_900)
    model = get_model("agent_based")
    grid = am.simulated_grid(model.pack_params(shipped), 4, 200, 1, shipped.reference_tick)
    found = dict(zip(am.NAMES, am.moments(grid).mean(axis=0), strict=True))
    for name in ("orders", "traded_lots", "variance_10s", "spread"):
        assert abs(found[name] - shipped.params["recorded_moments"][name]) < 0.7, name
    start = model.start_messages(shipped, 1)
    assert (start[:, spec.KIND] == spec.LIMIT).sum() > 10
    assert replace(shipped, params={}).model == "agent_based"
