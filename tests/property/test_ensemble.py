"""Every backend of the ensemble gives what the rule says."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.ensemble.cpu import CpuBackend
from kernels.ensemble.ensemble import BACKENDS, Ensemble
from kernels.ensemble.golden import make_golden_check
from kernels.ensemble.spec import NonFiniteError, collect_weights, empty_output
from protos.artifact.manifest import NetworkSpec
from tests.support.artifacts import make_golden, make_network, make_weights, scalar_ensemble

TOLERANCE = 1e-5  # of a probability, what live is promised; the largest seen with tanh is 6e-7


def shares_of(parts: list[int]) -> tuple[float, ...]:
    return tuple(part / sum(parts) for part in parts)


@settings(max_examples=60, deadline=None)
@given(
    layers=st.lists(st.integers(1, 9), max_size=3).map(tuple),
    parts=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    activation=st.sampled_from(["tanh", "relu"]),
    size=st.floats(0.1, 30),
    seed=st.integers(0, 2**20),
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_each_backend_gives_what_scalar_arithmetic_gives(
    backend: str, layers: tuple[int, ...], parts: list[int], activation: str, size: float, seed: int
) -> None:
    network = make_network(layers, activation)
    weights = make_weights(network, shares_of(parts), seed)
    obs = (size * np.random.default_rng(seed).normal(size=(4, 3))).astype(np.float32)
    ensemble = Ensemble.from_weights(weights, network, backend)
    bounded = activation == "tanh" and layers
    scale = 1.0 if bounded else 1.0 + size  # otherwise rounding grows with the observation
    for row, batched in zip(obs, zip(*ensemble.act_batch(obs), strict=True), strict=True):
        decision = ensemble.act(row)
        _, probs, apart = scalar_ensemble(weights, network, row)
        assert np.abs(decision.probs - probs).max() < TOLERANCE * scale
        assert abs(decision.disagreement - apart) < TOLERANCE * scale
        assert probs[decision.action] > max(probs) - 2 * TOLERANCE * scale
        assert np.abs(decision.probs - batched[1]).max() < (TOLERANCE * scale if backend == "reference" else 1e-30)


@pytest.mark.parametrize("layers", [(64, 64), (33,), (17, 5, 3)])
def test_the_backends_agree_on_networks_of_ordinary_size(layers: tuple[int, ...]) -> None:
    network = NetworkSpec("mlp", layers, "tanh", observation_dim=47, num_actions=25)
    weights = make_weights(network, shares_of([1] * 16))
    weights = {k: v / np.sqrt(v.shape[1]).astype(np.float32) if v.ndim == 3 else v for k, v in weights.items()}
    obs = np.random.default_rng(1).normal(size=(200, 47)).astype(np.float32)
    answers = [Ensemble.from_weights(weights, network, name).act_batch(obs) for name in BACKENDS]
    assert np.abs(answers[0].probs - answers[1].probs).max() < 2e-6
    assert np.abs(answers[0].disagreement - answers[1].disagreement).max() < 2e-6


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_lowest_action_wins_a_tie(backend: str) -> None:
    network = make_network((3,))
    weights = make_weights(network, (1.0,))
    weights["actor/1/kernel"][:] = 0.0
    weights["actor/1/bias"][:] = np.array([0.0, 1.0, 1.0, 0.5], np.float32)
    decision = Ensemble.from_weights(weights, network, backend).act(np.ones(3, np.float32))
    assert decision.action == 1
    assert decision.probs[1] == decision.probs[2]


@pytest.mark.parametrize("backend", BACKENDS)
def test_disagreement_is_zero_among_equals_and_half_between_opposites(backend: str) -> None:
    network = make_network(())
    weights = make_weights(network, (0.5, 0.5))
    for tensor in ("actor/0/kernel", "actor/0/bias"):
        weights[tensor][1] = weights[tensor][0]
    obs = np.ones(3, np.float32)
    assert Ensemble.from_weights(weights, network, backend).act(obs).disagreement < 1e-7
    weights["actor/0/kernel"][:] = 0.0
    weights["actor/0/bias"][:] = np.array([[90, 0, 0, 0], [0, 90, 0, 0]], np.float32)
    assert Ensemble.from_weights(weights, network, backend).act(obs).disagreement == pytest.approx(0.5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_observation_that_is_not_finite_is_refused(backend: str, value: float) -> None:
    network = make_network()
    ensemble = Ensemble.from_weights(make_weights(network, (1.0,)), network, backend)
    obs = np.array([0.0, value, 0.0], np.float32)
    with pytest.raises(NonFiniteError, match="observation column 1 is not finite"):
        ensemble.act(obs)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_an_overflow_inside_the_network_is_refused(backend: str, activation: str) -> None:
    network = make_network((4,), activation)
    weights = make_weights(network, (0.5, 0.5))
    weights["actor/0/kernel"][1] = np.array([[3e38], [-3e38], [3e38]], np.float32)
    weights["actor/0/bias"][1] = 0.0
    ensemble = Ensemble.from_weights(weights, network, backend)
    with pytest.raises(NonFiniteError, match="probabilities are not finite"):
        ensemble.act(np.array([3e38, 3e38, 0.0], np.float32))
    assert np.isfinite(ensemble.act(np.zeros(3, np.float32)).probs).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_another_shape_or_type_is_refused(backend: str) -> None:
    network = make_network()
    ensemble = Ensemble.from_weights(make_weights(network, (1.0,)), network, backend)
    for obs, sentence in (
        (np.zeros(4, np.float32), r"shape \(4,\)"),
        (np.zeros(3, np.float64), "float64; it must be float32"),
        (np.zeros((1, 3), np.float32), r"shape \(1, 3\)"),
    ):
        with pytest.raises(ValueError, match=sentence):
            ensemble.act(obs)


def test_weights_that_do_not_fit_the_network_are_named() -> None:
    network = make_network()
    weights = make_weights(network, (0.5, 0.5))
    surplus = {**weights, "actor/3/kernel": np.zeros((2, 4, 4), np.float32)}
    uneven = {**weights, "member_weight": np.array([0.5, 0.6], np.float32)}
    halved = {**weights, "actor/1/bias": weights["actor/1/bias"].astype(np.float16)}
    absent = {name: tensor for name, tensor in weights.items() if name != "actor/2/kernel"}
    for broken, sentence in (
        (surplus, "'actor/3/kernel' is one layer more"),
        (uneven, "'member_weight' must be at least 0 and sum to 1"),
        (halved, r"'actor/1/bias' must be float32\[2, 4\]; it is float16"),
        (absent, r"'actor/2/kernel' must be float32\[2, 4, 4\]; it is absent"),
    ):
        with pytest.raises(ValueError, match=sentence):
            Ensemble.from_weights(broken, network)
    with pytest.raises(ValueError, match="backend 'gpu' is not one of cpu, reference"):
        Ensemble.from_weights(weights, network, "gpu")
    with pytest.raises(ValueError, match="kind 'gru' cannot be run here"):
        Ensemble.from_weights(weights, NetworkSpec("gru", (5, 4), "tanh", 3, 4))


def test_the_probabilities_returned_are_the_callers_own() -> None:
    network = make_network()
    ensemble = Ensemble.from_weights(make_weights(network, (1.0,)), network)
    first = ensemble.act(np.zeros(3, np.float32)).probs
    kept = first.copy()
    ensemble.act(np.ones(3, np.float32))
    assert np.array_equal(first, kept)


def test_the_kernel_allocates_nothing_per_call() -> None:
    network = NetworkSpec("mlp", (64, 64), "tanh", 3, 4)
    backend = CpuBackend(collect_weights(make_weights(network, (0.5, 0.5)), network))
    obs, out = np.zeros((1, 3), np.float32), empty_output(1, 4)
    backend.run(obs, out)
    tracemalloc.start()
    before = tracemalloc.take_snapshot()
    for _ in range(50):
        backend.run(obs, out)
    grown = sum(
        row.size_diff for row in tracemalloc.take_snapshot().compare_to(before, "filename") if "ensemble" in str(row)
    )
    tracemalloc.stop()
    assert grown < 1024  # a single hidden layer would be 256 bytes a call


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_golden_check_measures_the_difference(backend: str) -> None:
    network = make_network()
    weights = make_weights(network, (0.5, 0.5))
    golden = make_golden(weights, network)
    check = make_golden_check(backend=backend)
    assert check(weights, network, golden) < 1e-6
    shifted = {**golden, "disagreement": golden["disagreement"] + np.float32(1e-4)}
    with pytest.raises(ValueError, match=r"differs by 0\.0001"):
        check(weights, network, shifted)
    with pytest.raises(ValueError, match="differs by nan"):
        check(weights, network, {**golden, "probs": np.full_like(golden["probs"], np.nan)})
    for name in golden:
        with pytest.raises(ValueError, match="golden"):
            check(weights, network, {key: value for key, value in golden.items() if key != name})
    with pytest.raises(ValueError, match="no golden observations"):
        check(weights, network, {key: value[:0] for key, value in golden.items()})
    with pytest.raises(ValueError, match=r"outside 0\.\.3"):
        check(weights, network, {**golden, "action": np.full_like(golden["action"], 4)})
