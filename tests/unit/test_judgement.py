"""The selection procedure passes skill and not luck."""

import dataclasses

import numpy as np
import pytest

from agents import statistics
from agents.judgement import SelectionConfig, choose_members, judge, measure_power
from agents.multiple_testing import probability_of_overfitting
from agents.selection import selection_document

CONFIG = SelectionConfig(pbo_blocks=8, resamples=400)


def skilled(sharpe: float = 0.8, agents: int = 30, periods: int = 200, seed: int = 0) -> np.ndarray:
    """Noise, and agent 17 with a true Sharpe ratio."""
    returns = np.random.default_rng(seed).normal(size=(agents, periods))
    returns[17] += sharpe
    return returns


def test_a_skilled_agent_passes_every_stage_and_is_the_member() -> None:
    verdict = judge(skilled(), config=CONFIG)
    assert verdict.passed and verdict.failed == ()
    assert verdict.best == 17 and verdict.members == (17,)
    assert verdict.survivors.tolist() == [agent == 17 for agent in range(30)]
    assert verdict.pbo == 0.0 and verdict.dsr > 0.99


def test_noise_passes_no_more_often_than_it_may_and_skill_is_found() -> None:
    power = measure_power(24, 100, 60, sharpe=0.7, config=dataclasses.replace(CONFIG, resamples=200))
    assert power.noise_pass_rate <= 0.05
    assert power.planted_found_rate >= 0.9


def test_the_figures_are_those_of_the_statistics() -> None:
    returns = skilled(0.3)
    verdict = judge(returns, trials=500, config=CONFIG)
    sharpe = returns.mean(axis=1) / returns.std(axis=1, ddof=1)
    rho = np.corrcoef(returns)[~np.eye(30, dtype=bool)].mean()
    effective = max(max(rho, 0.0) + (1 - max(rho, 0.0)) * 500, statistics.effective_rank(returns))
    best = returns[int(np.argmax(sharpe))]
    centred = best - best.mean()
    skewness, kurtosis = (np.mean(centred**k) / np.mean(centred**2) ** (k / 2) for k in (3, 4))
    hurdle = np.sqrt(sharpe.var(ddof=1)) * statistics.expected_maximum(effective)
    dsr = statistics.probabilistic_sharpe(sharpe.max(), hurdle, 200, skewness, kurtosis)
    assert verdict.effective_trials == pytest.approx(effective)
    assert verdict.expected_best_sharpe == pytest.approx(hurdle)
    assert verdict.dsr == pytest.approx(float(dsr))
    assert verdict.dsr_counted <= verdict.dsr  # more trials, a higher hurdle
    assert verdict.pbo == probability_of_overfitting(returns, 8).probability


def test_trials_made_before_count() -> None:
    returns = skilled(0.62)
    alone, tired = judge(returns, config=CONFIG), judge(returns, trials=10**7, config=CONFIG)
    assert alone.trials == 30 and alone.passed
    assert tired.failed == ("dsr",) and tired.members == alone.members
    with pytest.raises(ValueError, match="trials 29 is below the 30 agents"):
        judge(returns, trials=29, config=CONFIG)


def test_an_overfitted_population_fails_at_pbo() -> None:
    """Each agent is excellent in one half of the episodes and poor in the other: the best of one half is bad next."""
    generator = np.random.default_rng(3)
    blocks = generator.permuted(np.tile([1.0, -0.92], (40, 4)), axis=1)
    returns = 0.05 * generator.normal(size=(40, 160)) + np.repeat(blocks, 20, axis=1)
    verdict = judge(returns, config=CONFIG)
    assert "pbo" in verdict.failed and verdict.pbo > 0.5


def test_where_nobody_survives_the_best_are_named_and_nothing_passes() -> None:
    returns = np.random.default_rng(5).normal(size=(12, 64)) - 0.3
    verdict = judge(returns, config=CONFIG)
    assert not verdict.passed and "stepm" in verdict.failed and not verdict.survivors.any()
    assert verdict.members[0] == verdict.best and len(verdict.members) == 12


def test_agents_that_never_trade_do_not_pass() -> None:
    verdict = judge(np.zeros((5, 40)), config=CONFIG)
    assert not verdict.passed and {"stepm", "dsr"} <= set(verdict.failed)
    assert np.isfinite([verdict.dsr, verdict.pbo, verdict.effective_trials]).all()


def test_members_are_the_best_that_are_not_copies_of_each_other() -> None:
    generator = np.random.default_rng(6)
    base = generator.normal(size=(3, 500))
    returns = np.vstack(
        [base[0] + 0.5, base[0] + 0.05 * generator.normal(size=500) + 0.4, base[1] + 0.3, base[2] + 0.2]
    )
    everyone = np.ones(4, bool)
    config = SelectionConfig(max_correlation=0.9)
    assert choose_members(returns, everyone, config) == (0, 2, 3)
    assert choose_members(returns, everyone, dataclasses.replace(config, max_correlation=1.0)) == (0, 1, 2, 3)
    assert choose_members(returns, everyone, dataclasses.replace(config, max_members=2)) == (0, 2)
    assert choose_members(returns, np.array([False, True, True, False]), config) == (1, 2)


@pytest.mark.parametrize(("high", "released"), [(-0.5, False), (0.0, True), (3.0, True)])
def test_a_holdout_that_contradicts_takes_the_release_back(high: float, released: bool) -> None:
    verdict = judge(skilled(), config=CONFIG)
    holdout = {"looks": 1, "sim_mean_pnl_high": 4.0, "replay_mean_pnl_high": high}
    document = selection_document("run-1", verdict, skilled(), [1.0], holdout)
    assert document["released"] is released and document["status"] == ("passed" if released else "nobody")
    assert document["failed"] == ([] if released else ["holdout"])
    assert document["member_table"][0]["validation_mean_pnl"] == pytest.approx(skilled()[17].mean())


def test_the_same_returns_give_the_same_judgement() -> None:
    first, second = judge(skilled(), config=CONFIG), judge(skilled(), config=CONFIG)
    assert first.survivors.tolist() == second.survivors.tolist()
    assert first._replace(survivors=0, sharpe=0) == second._replace(survivors=0, sharpe=0)


@pytest.mark.parametrize("shape", [(1, 50), (5, 7), (50,)])
def test_too_little_is_not_judged(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="2 or more agents, 8 or more episodes"):
        judge(np.zeros(shape))


@pytest.mark.parametrize(
    "change",
    [
        {"min_dsr": 1.0},
        {"max_pbo": 0.0},
        {"pbo_blocks": 7},
        {"max_members": 0},
        {"max_correlation": 2.0},
        {"resamples": 0},
    ],
)
def test_thresholds_out_of_range_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(change))} is"):
        SelectionConfig(**change)  # pyright: ignore[reportArgumentType]
