"""The Hawkes fit: its likelihood, that it returns what it was simulated from, and clustering in a recording."""

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from market_models import hawkes as hk
from market_models import hawkes_events as he
from market_models import hawkes_fit as hf
from market_models import hawkes_likelihood as hl
from market_models.calibration import Calibration, load_calibration, pack_params, save_calibration
from market_models.datasets import lobster
from market_models.instrument import Instrument
from sim.generate import generate_lobster
from tests.support.hawkes import branching

DECAYS = (3.0, 80.0)
GRID = he.Grid(np.array([4]), np.array([12]), 6)
BASE = np.array(
    [[[0.5, 1.2, 0.3, 0.3, 0.3], [0.5, 0.6, 0.3, 0.9, 0.2]], [[0.8, 1.0, 0.2, 0.4, 0.2], [0.9, 0.7, 0.3, 0.8, 0.2]]]
)


def true_calibration() -> Calibration:
    """Return a lively market whose base rates differ by spread and depth, with marked excitation of two decays."""
    sizes = np.resize(np.arange(1, 9), 128).tolist()
    params = {
        "spread_edge_tick": GRID.spread_edge_tick.tolist(),
        "depth_edge_lots": GRID.depth_edge_lots.tolist(),
        "base_rate_per_s": BASE.tolist(),
        "decay_rate_per_s": list(DECAYS),
        "jump_rate_per_s": (branching() * np.array(DECAYS)[:, None, None, None]).tolist(),
        "mark_exponent": 0.5,
        "far_cancel_rate_per_s": 0.3,
        "window_tick": GRID.window_tick,
        "empty_spread_tick": 4,
        "behind_weight": [3, 2, 2, 1, 1, 0, 1],
        "inside_frac": ((np.arange(128) + 0.5) / 128).tolist(),
        "limit_lots": sizes,
        "market_lots": sizes,
        "mean_lots": [4.0] * 8,
        "mean_spread_tick": 4.0,
        "reference_tick": 10_000,
    }
    return Calibration("hawkes", Instrument("TEST", "0.01"), params, {}, 0.0, "", 0, 1)


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated")
    return lobster.read(generate_lobster(true_calibration(), folder, messages=15_000, seed=5, levels=12))


def window_of(recording):
    return 34_200, int(recording.time_s[-1])


def test_fit_simulate_fit_returns_the_parameters_within_three_standard_errors(generated):
    """Of some 90 parameters chance puts 0.27 % outside; those near 0 have one-sided errors and are left to the mean."""
    truth = true_calibration()
    window = window_of(generated)
    fitted = hf.fit(generated, *window, grid=GRID, decay_rate=DECAYS, mark_exponents=(0.25, 0.5))
    assert fitted.params["mark_exponent"] == 0.5
    scores = []
    for key in ("base_rate_per_s", "jump_rate_per_s"):
        ours, exact, error = (np.array(c[key]) for c in (fitted.params, truth.params, fitted.standard_errors))
        inner = (exact > 2 * error) & (error > 0)
        scores.append((ours - exact)[inner] / error[inner])
    z = np.concatenate(scores)
    assert len(z) >= 50
    assert (np.abs(z) > 3).sum() <= 2 and np.abs(z).max() < 4.5, z.round(1)
    assert 0.6 < (z**2).mean() < 1.6, (z**2).mean()
    ratios = [hk.branching_ratio(hf.rates_of(c)) for c in (fitted, truth)]
    assert abs(ratios[0] - ratios[1]) < 0.06
    far, error = fitted.params["far_cancel_rate_per_s"], fitted.standard_errors["far_cancel_rate_per_s"]
    assert abs(far - 0.3) < 4 * error
    weight = np.array(fitted.params["behind_weight"], float)
    np.testing.assert_allclose(weight / weight.sum(), np.array([3, 2, 2, 1, 1, 0, 1]) / 10, atol=0.02)
    assert max(fitted.params["residual_ks"]) < 0.03 < min(fitted.params["poisson_ks"])


def test_the_search_moves_the_decays_towards_the_true_ones(generated):
    path, start = he.event_path(generated, 34_200, 34_400, GRID), np.array([0.8, 500.0])
    found = hf._search_decays(path, GRID, start, evaluations=9)
    value, poor = (hf._profile(path, GRID, decay, 0.0, None, errors=False)[0] for decay in (found, start))
    assert value > poor + 1
    near, far = (np.abs(np.log(decay / np.array(DECAYS))).max() for decay in (found, start))
    assert near < far


def naive(path: he.Path, mark, decay, base, jump) -> float:
    """Return the log-likelihood by its definition: every event looks back at all before it."""
    total, rows = 0.0, len(path.event)
    when = path.time_s
    for i in range(rows):
        past = [j for j in range(i) if path.event[j] >= 0]
        if i and path.event[i] >= 0:
            total += np.log(intensity(path, mark, decay, base, jump, i - 1, past, path.event[i], when[i]))
        for target in np.nonzero(path.possible[i])[0]:
            side, kind = divmod(target, 5)
            total -= base[kind, path.cell[i, side]] * (when[i + 1] - when[i])
            for j in [*past, *([i] if path.event[i] >= 0 else [])]:
                of, source = divmod(path.event[j], 5)
                for k, beta in enumerate(decay):
                    age = np.exp(-beta * (when[i] - when[j])) - np.exp(-beta * (when[i + 1] - when[j]))
                    total -= jump[kind, k, int(of != side), source] * mark[j] * age / beta
    return total


def intensity(path, mark, decay, base, jump, state, past, target, now) -> float:
    side, kind = divmod(target, 5)
    rate = base[kind, path.cell[state, side]]
    for j in past:
        of, source = divmod(path.event[j], 5)
        for k, beta in enumerate(decay):
            rate += jump[kind, k, int(of != side), source] * mark[j] * np.exp(-beta * (now - path.time_s[j]))
    return rate


@cache
def random_path(rows=150):
    rng = np.random.default_rng(3)
    event = rng.integers(-1, 10, rows)
    possible = rng.random((rows, 10)) < 0.8
    possible[np.arange(rows - 1), np.maximum(event[1:], 0)] = True
    times = np.cumsum(rng.exponential(0.3, rows + 1) * (rng.random(rows + 1) < 0.9))
    return he.Path(times, event, event, event, event, rng.integers(0, 4, (rows, 2)), possible), rng.random(rows) + 0.5


def test_the_recursion_is_the_definition_of_the_likelihood():
    path, mark = random_path()
    rng, decay = np.random.default_rng(4), np.array([0.8, 9.0])
    base, jump = rng.random((5, 4)) + 0.1, rng.random((5, 2, 2, 5))
    f = hl.features(path, mark, decay, 4)
    value = 0.0
    for kind in range(5):
        mine = f.kind == kind
        arguments = (f.cell[mine], f.excitation[mine], f.base_s[kind], f.excitation_s[kind])
        at = np.append(base[kind], jump[kind].ravel())
        one, *slope = hl.log_likelihood_and_gradient(at[:4], at[4:], *arguments)
        value += one

        def log_likelihood(rate, arguments=arguments):
            return hl.log_likelihood_and_gradient(rate[:4], rate[4:], *arguments)[0]

        numeric: Any = approx_fprime(at, log_likelihood, 1e-7)
        np.testing.assert_allclose(numeric, np.concatenate(slope), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(value, naive(path, mark, decay, base, jump), rtol=1e-10)


def test_residuals_add_up_to_the_integral_of_the_likelihood():
    path, mark = random_path()
    rng, decay = np.random.default_rng(4), np.array([0.8, 9.0])
    base, jump = rng.random((5, 4)) + 0.1, rng.random((5, 20))
    event, integral = hl.residuals(path, mark, decay, base, jump)
    for target in range(10):
        rows = np.nonzero(path.event == target)[0]
        first, last = rows[0], rows[-1]

        def upto(row, target=target):
            """Integral of the type's intensity to the time of a row, from the features of the path cut there."""
            held = path.possible[:row] & (np.arange(10) == target)
            cut = path._replace(
                time_s=path.time_s[: row + 1], event=path.event[:row], cell=path.cell[:row], possible=held
            )
            f = hl.features(cut, mark[:row], decay, 4)
            return float(f.base_s[target % 5] @ base[target % 5] + f.excitation_s[target % 5] @ jump[target % 5])

        assert (event == target).sum() == len(rows) - 1
        np.testing.assert_allclose(integral[event == target].sum(), upto(last) - upto(first), rtol=1e-9)


def test_a_calibration_survives_the_disk_and_one_that_lacks_a_rate_is_refused(generated, tmp_path):
    fitted = hf.fit(generated, 34_200, 35_000, grid=GRID, decay_rate=DECAYS, mark_exponents=(0.5,))
    path = save_calibration(fitted, tmp_path / "c.json")
    words, again = pack_params(fitted), pack_params(load_calibration(path))
    assert np.abs(words - again).max() <= np.abs(words).max() * 1e-5 + 1 and words.shape == (hk.NUM_PARAMS,)
    record = json.loads(path.read_text())
    del record["params"]["jump_rate_per_s"]
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="jump_rate_per_s"):
        pack_params(load_calibration(path))


def test_a_window_or_a_grid_that_cannot_be_fitted_is_refused(generated):
    with pytest.raises(ValueError, match="is empty"):
        hf.fit(generated, 5, 5)
    with pytest.raises(ValueError, match="no book"):
        hf.fit(generated, 1, 2)
    with pytest.raises(ValueError, match="too little"):
        hf.fit(generated, 1, 2, grid=GRID)
    for field, value in (("spreads", 5), ("depths", 0)):
        with pytest.raises(ValueError, match=field):
            he.choose_grid(generated, 34_200, 35_000, **{field: value})


@pytest.mark.data
def test_the_shipped_calibration_is_the_maximum_and_far_nearer_to_exponential_gaps_than_poisson(data_dir):
    """Decays and mark exponent as shipped: their search takes half a minute."""
    day = lobster.read(data_dir / "l3/lobster/LOBSTER_SampleFile_AMZN_2012-06-21_5.zip")
    shipped = load_calibration("amzn_2012_06_21_hawkes")
    decays, exponent = shipped.params["decay_rate_per_s"], shipped.params["mark_exponent"]
    fitted = hf.fit(day, 34_200, 45_900, decay_rate=decays, mark_exponents=(exponent,))
    assert fitted.data_digest == shipped.data_digest and fitted.counts == shipped.counts
    assert abs(fitted.log_likelihood - shipped.log_likelihood) < 1
    for key in ("base_rate_per_s", "jump_rate_per_s"):
        ours, theirs, error = (np.array(c[key]) for c in (fitted.params, shipped.params, shipped.standard_errors))
        assert (np.abs(ours - theirs) < 0.1 * error + 1e-4 * theirs.max()).all()
    ours, poisson = (np.array(fitted.params[key]) for key in ("residual_ks", "poisson_ks"))
    np.testing.assert_allclose(ours, shipped.params["residual_ks"], atol=2e-3)
    assert (ours < 0.5 * poisson).all() and ours.mean() < 0.25 * poisson.mean(), (ours, poisson)


def test_the_shipped_calibration_has_the_stated_residuals_and_errors():
    shipped = load_calibration("amzn_2012_06_21_hawkes")
    assert max(shipped.params["residual_ks"]) < 0.15 and min(shipped.params["poisson_ks"]) > 0.3
    assert 0.6 < hk.branching_ratio(hf.rates_of(shipped)) < 0.95
    base, error = np.array(shipped.params["base_rate_per_s"]), np.array(shipped.standard_errors["base_rate_per_s"])
    assert base.shape == error.shape and (error[base > 0.05] < 0.35 * base[base > 0.05]).all()
