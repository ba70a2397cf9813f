"""PBO and StepM as matrix products give what loops and `arch` give."""

import itertools
import math
import time

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap
from arch.bootstrap import StepM as ArchStepM

from agents.multiple_testing import probability_of_overfitting, stationary_bootstrap_counts, step_m


def truth_returns() -> np.ndarray:
    t, j = np.arange(60)[None], np.arange(5)[:, None]
    return 0.01 * np.sin(0.7 * (t + 1) * (j + 1)) + 0.0005 * (j - 1) * np.where(t < 30, 1, -1)


def test_pbo_gives_the_deterministic_check() -> None:
    """truths.md section 6: 20 combinations, PBO 1.0, mean logit -1.2652360, share of losses .70."""
    result = probability_of_overfitting(truth_returns(), blocks=6)
    assert len(result.logits) == 20
    assert result.probability == 1.0
    assert result.logits.mean() == pytest.approx(-1.2652360, abs=5e-8)
    assert result.loss_share == pytest.approx(0.70)


def loop_pbo(returns: np.ndarray, blocks: int) -> list[float]:
    size = returns.shape[1] // blocks
    logits = []
    for chosen in itertools.combinations(range(blocks), blocks // 2):
        inside = [t for b in range(blocks) if b in chosen for t in range(b * size, (b + 1) * size)]
        outside = [t for b in range(blocks) if b not in chosen for t in range(b * size, (b + 1) * size)]
        quality = [np.mean(row[inside]) / np.std(row[inside], ddof=1) for row in returns]
        verdict = [np.mean(row[outside]) / np.std(row[outside], ddof=1) for row in returns]
        best = int(np.argmax(quality))
        rank = 1 + sum(value < verdict[best] for value in verdict)
        w = rank / (len(returns) + 1)
        logits.append(math.log(w / (1 - w)))
    return logits


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_pbo_by_matrix_products_is_pbo_by_loops(offset: float) -> None:
    returns = np.random.default_rng(4).standard_t(4, (9, 83)) + offset + np.linspace(0, 0.3, 9)[:, None]
    fast = probability_of_overfitting(returns, blocks=8)
    assert fast.logits.tolist() == pytest.approx(loop_pbo(returns, 8))


def test_pbo_is_near_a_half_for_noise_and_near_zero_for_one_real_strategy() -> None:
    generator = np.random.default_rng(7)
    noise = [probability_of_overfitting(generator.normal(size=(50, 320)), 10).probability for _ in range(12)]
    assert 0.35 < np.mean(noise) < 0.65
    real = generator.normal(size=(50, 320))
    real[17] += 0.5
    assert probability_of_overfitting(real, 10).probability == 0.0


def test_strategies_that_never_trade_do_not_disturb_pbo() -> None:
    flat = np.vstack([truth_returns(), np.zeros((2, 60))])
    result = probability_of_overfitting(flat, blocks=6)
    assert np.isfinite(result.logits).all()
    assert probability_of_overfitting(np.zeros((3, 60)), 6).probability == 1.0  # all equal: the median, no evidence


def test_pbo_refuses_what_it_cannot_split() -> None:
    for blocks in (5, 0, 22):
        with pytest.raises(ValueError, match="must be even and in"):
            probability_of_overfitting(truth_returns(), blocks)
    with pytest.raises(ValueError, match="need 2 strategies"):
        probability_of_overfitting(truth_returns()[:1], 6)
    with pytest.raises(ValueError, match="need 2 strategies"):
        probability_of_overfitting(truth_returns()[:, :5], 6)
    with pytest.raises(ValueError, match="not finite"):
        probability_of_overfitting(np.full((3, 10), np.nan), 2)


def arch_counts(values: np.ndarray, block: int, resamples: int, seed: int) -> np.ndarray:
    """The resamples that arch draws with this seed, as counts."""
    bootstrap = StationaryBootstrap(block, values, seed=np.random.default_rng(seed))
    rows = []
    for _ in bootstrap.bootstrap(resamples):
        rows.append(np.bincount(bootstrap.index, minlength=len(values)))
    return np.array(rows, np.float64)


@pytest.mark.parametrize("block", [1, 6])
@pytest.mark.parametrize("seed", range(4))
def test_stepm_finds_the_survivors_that_arch_finds(block: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    returns = generator.normal(size=(12, 250)) + np.linspace(-0.4, 0.35, 12)[:, None]
    returns /= returns.std(axis=1, keepdims=True)  # arch's studentize does nothing in StepM: columns are pre-scaled
    oracle = ArchStepM(np.zeros(250), -returns.T, size=0.05, block_size=block, reps=400, seed=np.random.default_rng(99))
    oracle.compute()
    counts = arch_counts(returns.T, block, 400, 99)
    result = step_m(returns, counts, size=0.05)
    assert np.flatnonzero(result.survivors).tolist() == sorted(oracle.superior_models)
    assert 0 < result.survivors.sum() < 12
    oracle.spa.compute()
    assert result.critical_values[0] == pytest.approx(float(oracle.spa.critical_values(0.05)["consistent"]), rel=1e-9)


def test_stepm_takes_more_than_one_step_where_that_helps() -> None:
    """A strategy of hopeless spread no longer counts once the strong ones have left."""
    generator = np.random.default_rng(21)
    returns = generator.normal(size=(40, 300)) + np.linspace(0, 0.4, 40)[:, None]
    counts = stationary_bootstrap_counts(np.random.default_rng(0), 300, 2000)
    result = step_m(returns, counts)
    assert len(result.critical_values) >= 2
    assert all(a > b for a, b in itertools.pairwise(result.critical_values))
    once = result.scores > result.critical_values[0]
    assert result.survivors.sum() >= once.sum()
    assert result.survivors[once].all()


def test_stepm_holds_its_family_wise_error_on_noise() -> None:
    generator = np.random.default_rng(8)
    counts = stationary_bootstrap_counts(generator, 100, 500)
    false = sum(step_m(generator.normal(size=(64, 100)), counts).survivors.any() for _ in range(300))
    assert 0.02 <= false / 300 <= 0.09  # 5 % with 300 trials has a standard error of 1.3 %


def test_stepm_measures_against_a_benchmark() -> None:
    generator = np.random.default_rng(9)
    common = 0.5 + generator.normal(size=200)  # good by itself
    returns = np.vstack([common + 0.3 + 0.5 * generator.normal(size=200), common, 0.5 * common])
    counts = stationary_bootstrap_counts(generator, 200, 800)
    assert step_m(returns, counts, benchmark=common).survivors.tolist() == [True, False, False]
    assert not step_m(np.vstack([common, np.zeros(200)]), counts, benchmark=common).survivors.any()


def test_stationary_blocks_have_the_mean_length_asked_for() -> None:
    generator = np.random.default_rng(3)
    assert (stationary_bootstrap_counts(generator, 50, 20).sum(axis=1) == 50).all()
    # Var(mean) of a persistent series grows with the block; for independent periods it is 1/T.
    series = np.sin(np.arange(400) / 15.0)
    series = (series - series.mean()) / series.std()
    spread = [
        float((stationary_bootstrap_counts(generator, 400, 3000, block) @ series / 400).std() * 20) for block in (1, 8)
    ]
    assert spread[0] == pytest.approx(1.0, abs=0.05)
    p = 1 / 8
    lags = np.arange(1, 400)
    correlation = np.array([np.dot(series, np.roll(series, -lag)) / 400 for lag in lags])  # blocks wrap around
    weight = (1 - lags / 400) * (1 - p) ** lags  # two periods of a resample lie in one block
    expected = math.sqrt(1 + 2 * np.sum(weight * correlation))
    assert spread[1] == pytest.approx(expected, rel=0.05)
    with pytest.raises(ValueError, match=r"block_length 0\.5"):
        stationary_bootstrap_counts(generator, 10, 2, 0.5)


def test_stepm_refuses_resamples_of_another_length() -> None:
    with pytest.raises(ValueError, match=r"they must be \[resamples, 60\]"):
        step_m(truth_returns(), np.ones((5, 61)))
    with pytest.raises(ValueError, match="outside"):
        step_m(truth_returns(), np.ones((5, 60)), size=0.0)


@pytest.mark.slow
def test_thousands_of_agents_take_seconds() -> None:
    """Not a benchmark: a loop over splits or resamples would take minutes."""
    returns = np.random.default_rng(0).normal(size=(2048, 256))
    started = time.monotonic()
    step_m(returns, stationary_bootstrap_counts(np.random.default_rng(1), 256, 1000))
    probability_of_overfitting(returns, 12)
    assert time.monotonic() - started < 60
