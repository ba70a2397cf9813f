"""Impact models: formulas, agreement with the execution kernels, fits that return the parameters, no arbitrage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.execution import almgren_chriss as ac
from kernels.execution import obizhaeva_wang as ow
from market_models.arbitrage import arbitrage_reasons, require_no_arbitrage, round_trip_cost, two_phase_cost
from market_models.datasets import lobster
from market_models.impact import IMPACTS, make_impact, run_impact
from market_models.impact_fit import fit_kernel, fit_linear, fit_square_root, recorded_flow

FIELDS = {  # a new model brings its line
    "linear": {"permanent": 0.02, "temporary": 0.3, "fixed_tick": 0.5},
    "square_root": {"prefactor": 0.8, "volatility_tick": 120.0, "volume_lots": 10_000.0, "forgetting": 0.01},
    "transient": {"depth": 20.0, "permanent": 0.01, "resilience": 0.1},
    "exponential": {"scale": 0.2, "rate": 0.05},
    "power_law": {"scale": 0.5, "offset_s": 2.0, "decay": 0.6, "exponent": 0.5},
}


@pytest.mark.parametrize("name", sorted(IMPACTS))
def test_every_model_is_odd_moves_with_the_trade_and_agrees_between_numpy_and_jax(name):
    model = make_impact(name, **FIELDS[name])
    lots = np.random.default_rng(0).integers(-50, 50, (3, 20))
    elapsed = np.random.default_rng(1).uniform(0.1, 5.0, 20)
    paid, mid = run_impact(model, lots, elapsed)
    mirrored = run_impact(model, -lots, elapsed)
    np.testing.assert_allclose(mirrored[0], -paid, atol=1e-12)
    np.testing.assert_allclose(mirrored[1], -mid, atol=1e-12)
    first = run_impact(model, [10], 1.0)
    assert first[0][0] > 0 and first[1][0] > 0
    assert run_impact(model, [0], 1.0)[0][0] == 0

    def advance(state, trade):
        state, paid_tick, mid_tick = model.step(jnp, state, *trade)
        return state, (paid_tick, mid_tick)

    trades = jnp.asarray(lots.T), jnp.broadcast_to(jnp.asarray(elapsed)[:, None], (20, 3))
    _, on_jax = jax.jit(lambda s, t: jax.lax.scan(advance, s, t))(model.init(jnp, (3,)), trades)
    np.testing.assert_allclose(on_jax[0].T, paid, rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(on_jax[1].T, mid, rtol=2e-4, atol=2e-4)


def test_linear_impact_costs_what_almgren_and_chriss_say():
    params = ac.ImpactParams(1e6, 5.0, 10, 0.95, 0.0625, 2.5e-7, 2.5e-6)
    model = make_impact("linear", permanent=2.5e-7, temporary=2.5e-6, fixed_tick=0.0625)
    for risk_aversion in (0.0, 1e-6):
        held = ac.trajectory(params, risk_aversion)
        sold = np.diff(held)
        paid, _ = run_impact(model, sold, 0.5)
        assert (sold * paid).sum() == pytest.approx(ac.expected_cost(params, held), rel=1e-12)


def test_transient_impact_costs_what_obizhaeva_and_wang_say():
    times = np.linspace(0, 60, 13)
    lots = ow.discrete(500.0, 0.1, 60.0, 13)
    paid, _ = run_impact(make_impact("transient", **FIELDS["transient"]), lots, np.diff(times, prepend=0.0))
    assert (lots * paid).sum() == pytest.approx(ow.impact_cost(lots, times, 20.0, 0.01, 0.1))


def test_the_square_root_law_costs_a_parent_the_same_however_it_is_sliced_without_forgetting():
    model = make_impact("square_root", prefactor=0.8, volatility_tick=120.0, volume_lots=10_000.0)
    whole = run_impact(model, [400], 1.0)
    sliced = run_impact(model, [100] * 4, 1.0)
    assert whole[1][0] == pytest.approx(0.8 * 120 * np.sqrt(0.04)) == pytest.approx(sliced[1][-1])
    assert whole[0][0] == pytest.approx(whole[1][0] * 2 / 3)  # the mean of a square root
    assert (sliced[0] * 100).sum() == pytest.approx(whole[0][0] * 400)


@pytest.mark.parametrize(("name", "exponent"), [("exponential", 0.5), ("power_law", 0.5), ("power_law", 0.8)])
def test_a_propagators_trade_pays_the_mean_of_the_force_over_itself(name, exponent):
    model = make_impact(name, **{**FIELDS[name], "exponent": exponent})
    (_, paid), _ = run_impact(model, [30.0, 9.0], 2.0)
    growth = np.linspace(0, 9.0, 100_001) ** exponent
    kept = 30.0**exponent * model.kernel(np, 2.0)
    assert paid == pytest.approx(kept + model.scale * growth.mean(), rel=2e-3)


@pytest.mark.parametrize("decay", [0.2, 0.5, 1.0, 2.0])
def test_the_mixture_of_exponentials_is_the_power_law(decay):
    model = make_impact("power_law", scale=3.0, offset_s=0.5, decay=decay)
    weights, rates = model.mixture(np)
    elapsed = np.concatenate([[0.0], np.geomspace(1e-3, 1e4, 60)])
    mixed = (weights * np.exp(-rates * elapsed[:, None])).sum(axis=1)
    np.testing.assert_allclose(mixed, model.kernel(np, elapsed), rtol=0.01)
    _, mid = run_impact(model, [4.0, *[0.0] * 60], np.diff(elapsed, prepend=0.0))
    np.testing.assert_allclose(mid, 2.0 * model.kernel(np, elapsed), rtol=0.01)


def within(fit, truth, errors=3.0):
    for field, value in truth.items():
        assert abs(fit.params[field] - value) < errors * fit.standard_errors[field], (field, fit)
        assert fit.standard_errors[field] < 0.5 * abs(value), (field, fit)


def simulate(model, rng, interval_s=1.0, count=20_000, noise=3.0):
    """Lots and the mid's changes over `count` intervals: impact along the way, on top of a random walk."""
    lots = rng.integers(-40, 41, count) * rng.integers(0, 2, count)
    _, mid = run_impact(model, lots, interval_s)
    return lots, np.diff(mid, prepend=0.0) + rng.normal(0, noise, count)


KERNELS = {
    "transient": ({"depth": 5.0, "permanent": 0.05, "resilience": 0.2}, {}),
    "exponential": ({"scale": 0.3, "rate": 0.15, "exponent": 1.0}, {}),
    "power_law": ({"scale": 1.5, "decay": 0.6, "exponent": 0.5}, {"offset_s": 2.0}),
}


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_fit_simulate_fit_returns_the_kernels_parameters_within_three_standard_errors(name):
    truth, fixed = KERNELS[name]
    first = fit_kernel(
        name, *with_interval(simulate(make_impact(name, **truth, **fixed), np.random.default_rng(5))), fixed=fixed
    )
    within(first, truth)
    again = fit_kernel(name, *with_interval(simulate(first.model, np.random.default_rng(6))), fixed=fixed)
    within(again, first.params)
    assert first.residual_tick == pytest.approx(3.0, rel=0.03)


def with_interval(simulated):
    return simulated[0], 1.0, simulated[1]


def test_fit_simulate_fit_returns_linear_impact_within_three_standard_errors():
    def simulate_linear(model, rng):
        lots, seconds = rng.integers(-100, 101, 5_000), rng.uniform(1, 20, 5_000)
        moved = model.permanent * lots + rng.normal(0, 2, 5_000)
        # What is paid beyond the mid at the start of each interval, by a fresh model each time.
        paid, _ = run_impact(model, lots[:, None], seconds[:, None])
        return lots, seconds, moved, paid[:, 0] + rng.normal(0, 1, 5_000)

    truth = FIELDS["linear"]
    first = fit_linear(*simulate_linear(make_impact("linear", **truth), np.random.default_rng(1)))
    within(first, truth)
    within(fit_linear(*simulate_linear(first.model, np.random.default_rng(2))), first.params)


def test_fit_simulate_fit_returns_the_square_root_law_within_three_standard_errors():
    def simulate_parents(model, rng):
        lots = rng.integers(10, 3_000, 4_000) * rng.choice([-1, 1], 4_000)
        sigma, volume = rng.uniform(50, 200, 4_000), rng.uniform(5e3, 5e4, 4_000)
        moved = np.array(
            [
                model._replace(volatility_tick=s, volume_lots=v).impact_tick(np, n)
                for n, s, v in zip(lots, sigma, volume, strict=True)
            ]
        )
        return lots, moved + rng.normal(0, sigma / 3), sigma, volume

    truth = {"prefactor": 0.8, "exponent": 0.5}
    first = fit_square_root(*simulate_parents(make_impact("square_root", **truth), np.random.default_rng(3)))
    within(first, truth)
    within(fit_square_root(*simulate_parents(first.model, np.random.default_rng(4))), first.params)


def test_standard_errors_are_of_the_size_of_the_estimates_scatter():
    truth = {"scale": 0.3, "rate": 0.15}
    fits = [
        fit_kernel(
            "exponential",
            *with_interval(simulate(make_impact("exponential", **truth), np.random.default_rng(seed), count=3_000)),
            fixed={"exponent": 1.0},
        )
        for seed in range(30)
    ]
    for field in truth:
        scatter = np.std([fit.params[field] for fit in fits])
        assert 0.6 < np.mean([fit.standard_errors[field] for fit in fits]) / scatter < 1.6


def test_a_fit_without_information_is_refused():
    with pytest.raises(ValueError, match="at least 10"):
        fit_kernel("transient", [1.0], 1.0, [1.0])
    with pytest.raises(ValueError, match="finite"):
        fit_kernel("transient", [1.0] * 20, 1.0, [float("nan")] * 20)
    with pytest.raises(ValueError, match="power_law"):
        fit_kernel("linear", [1.0] * 20, 1.0, [0.0] * 20)
    with pytest.raises(ValueError, match="colour"):
        fit_kernel("transient", [1.0] * 20, 1.0, [0.0] * 20, fixed={"colour": 1.0})
    with pytest.raises(ValueError, match="do not determine"):
        fit_linear([5.0] * 20, 1.0, [1.0] * 20, [1.0] * 20)
    with pytest.raises(ValueError, match="zero"):
        fit_square_root([0.0] * 20, 1.0, 1.0, 1.0)


SHARES = np.concatenate([np.geomspace(1e-6, 0.5, 200), 1 - np.geomspace(1e-6, 0.5, 200)])


@pytest.mark.parametrize(
    ("exponent", "decay"),
    [(1, 0.5), (0.5, 0.3), (0.5, 0.45), (0.5, 0.5), (0.5, 0.6), (0.7, 0.2), (0.8, 0.1), (0.7, 0.4)],
)
def test_a_power_law_pays_a_round_trip_exactly_where_the_check_says_so(exponent, decay):
    pays = two_phase_cost(exponent, SHARES, decay=decay).min() < 0
    model = IMPACTS["power_law"](1.0, 1.0, decay, exponent)
    assert pays == bool(arbitrage_reasons(model)) == (exponent + decay < 1)


@pytest.mark.parametrize(("exponent", "rate"), [(1.0, 1.0), (1.0, 50.0), (0.5, 1.0), (0.9, 1.0), (1.2, 1.0)])
def test_exponential_decay_pays_a_round_trip_exactly_where_impact_is_not_linear(exponent, rate):
    pays = two_phase_cost(exponent, SHARES, rate=rate).min() < 0
    assert pays == bool(arbitrage_reasons(make_impact("exponential", rate=rate, exponent=exponent))) == (exponent != 1)


@pytest.mark.parametrize("name", ["linear", "square_root", "transient", "exponential"])
def test_models_without_reasons_never_pay_random_round_trips(name):
    model = make_impact(name, **FIELDS[name])
    require_no_arbitrage(model)
    rng = np.random.default_rng(8)
    trades = rng.normal(size=(2_000, 12)) * rng.choice([0.1, 1, 30], (2_000, 12))
    trades -= trades.mean(axis=1, keepdims=True)
    assert round_trip_cost(model, trades, rng.uniform(0.1, 10, 12)).min() >= -1e-9


def test_a_round_trip_that_pays_is_found_by_stepping_the_model_too():
    greedy = make_impact("exponential", scale=1.0, rate=0.001, exponent=0.5)
    push = np.array([1.0] * 100 + [-100.0])
    assert round_trip_cost(greedy, push, 1.0) < 0
    with pytest.raises(ValueError, match="exponential decay"):
        require_no_arbitrage(greedy)
    with pytest.raises(ValueError, match="round trip"):
        round_trip_cost(greedy, [1.0, 1.0], 1.0)
    with pytest.raises(ValueError, match="either"):
        two_phase_cost(1.0, 0.5)


def test_models_are_found_by_name_and_checked():
    assert set(FIELDS) == set(IMPACTS)
    for name, fields, message in (
        ("magic", {}, "power_law"),
        ("linear", {"permanent": -1.0}, "permanent"),
        ("transient", {"depth": 0.0}, "depth"),
        ("transient", {"depth": 2.0, "permanent": 0.6}, "1 / depth"),
        ("power_law", {"decay": 0.1}, "decay"),
        ("power_law", {"offset_s": 0.0}, "offset_s"),
        ("square_root", {"volume_lots": 0.0}, "volume_lots"),
    ):
        with pytest.raises(ValueError, match=message):
            make_impact(name, **fields)


def test_recorded_flow_moves_the_mid_by_the_published_share_of_its_variance(data_dir):
    files = sorted((data_dir / "l3" / "lobster").glob("*AAPL*_1.zip"))
    if not files:
        pytest.skip("no l3/lobster/*AAPL*_1.zip in BOOKSWARM_DATA")
    recording = lobster.read(files[0])
    # truths.md section 5: the whole day in bins of 10 s, R2 of the mid's change on the trade imbalance is 0.3341.
    lots, moved = recorded_flow(recording, 10.0, 34_210, 57_600)
    assert np.corrcoef(lots, moved)[0, 1] ** 2 == pytest.approx(0.3341, abs=0.01)
    assert lots @ moved / (lots @ lots) == pytest.approx(0.004855, rel=0.03)
    fit = fit_kernel("transient", lots, 10.0, moved)
    for field in ("depth", "permanent", "resilience"):
        assert fit.params[field] > 2 * fit.standard_errors[field]
    with pytest.raises(ValueError, match="10 intervals"):
        recorded_flow(recording, 10.0, 34_210, 34_240)
