"""The fixed order in which a population is judged, as one pure function of its returns.

    returns float64[A, T] on validation episodes
      -> StepM on unit-variance columns: who beats doing nothing at all, family-wise
      -> deflated Sharpe ratio of the best, by the effective number of trials
      -> probability of backtest overfitting by CSCV
      -> members: the best by Sharpe ratio, none correlated with a better member above a cap, equal shares

Every figure is computed whether or not an earlier one fell short, and thresholds are fixed before looking. The deflated
ratio uses the larger of two effective numbers, rho + (1 - rho) N over all N trials ever made on this data, and the
effective rank of this population; the variance of the Sharpe ratios is this population's.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from agents import statistics
from agents.multiple_testing import probability_of_overfitting, stationary_bootstrap_counts, step_m

STAGES: Final = ("stepm", "dsr", "pbo")


@dataclass(frozen=True)
class SelectionConfig:
    """Thresholds and sizes, fixed before looking."""

    min_dsr: float = 0.95  # deflated Sharpe ratio, a probability
    max_pbo: float = 0.2  # probability of backtest overfitting
    pbo_blocks: int = 16  # at most; fewer where episodes are few
    stepm_size: float = 0.05  # family-wise error
    resamples: int = 1000
    block_length: float = 1.0  # episodes; above 1 where neighbours depend on each other, as in a recording
    max_members: int = 16
    max_correlation: float = 0.95  # between two members' returns
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("min_dsr", "max_pbo", "stepm_size"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}; valid: between 0 and 1")
        if not -1.0 <= self.max_correlation <= 1.0:
            raise ValueError(f"max_correlation is {self.max_correlation}; valid: -1 to 1")
        if self.pbo_blocks < 2 or self.pbo_blocks % 2:
            raise ValueError(f"pbo_blocks is {self.pbo_blocks}; valid: an even number from 2")
        for name in ("resamples", "max_members"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; valid: 1 or more")


class Judgement(NamedTuple):
    """What the procedure says of a population."""

    passed: bool
    failed: tuple[str, ...]  # stages that fell short, of STAGES
    trials: int  # ever made on this data, this population included
    effective_trials: float
    effective_rank: float  # of this population
    mean_correlation: float  # of this population
    best: int  # agent with the highest Sharpe ratio
    best_sharpe: float  # per episode
    expected_best_sharpe: float  # what the best of `effective_trials` worthless ones would show
    dsr: float  # by the effective number of trials
    dsr_counted: float  # by the counted number
    pbo: float
    pbo_blocks: int
    survivors: np.ndarray  # bool[A] of StepM against doing nothing
    members: tuple[int, ...]  # agents, best first
    sharpe: np.ndarray  # float64[A]


def judge(returns: np.ndarray, trials: int | None = None, config: SelectionConfig | None = None) -> Judgement:
    """Judge a population by its returns float64[A, T] on validation episodes.

    `trials`: strategies ever tried on this data set, this population included; by default this population alone.
    Where nobody survives, the members are the best of all. Raises ValueError for fewer than 2 agents or 8 episodes, or
    if `trials` is below A.
    """
    config = config or SelectionConfig()
    values = np.asarray(returns, np.float64)
    if values.ndim != 2 or values.shape[0] < 2 or values.shape[1] < 8:
        raise ValueError(f"returns have shape {values.shape}; selection needs [2 or more agents, 8 or more episodes]")
    num_agents, periods = values.shape
    counted = num_agents if trials is None else trials
    if counted < num_agents:
        raise ValueError(f"trials {counted} is below the {num_agents} agents judged here: they count too")
    moments = statistics.moments(values)
    best = int(np.argmax(moments.sharpe))
    rank, correlation = statistics.effective_rank(values), statistics.mean_correlation(values)
    effective = max(rank, statistics.effective_trials_by_correlation(values, counted))
    variance = float(np.var(moments.sharpe, ddof=1))
    dsr, dsr_counted = (
        float(
            statistics.deflated_sharpe(
                moments.sharpe[best], periods, moments.skewness[best], moments.kurtosis[best], number, variance
            )
        )
        for number in (effective, counted)
    )
    blocks = _blocks(config.pbo_blocks, periods)
    pbo = probability_of_overfitting(values, blocks).probability
    generator = np.random.default_rng(config.seed)
    counts = stationary_bootstrap_counts(generator, periods, config.resamples, config.block_length)
    survivors = step_m(values, counts, size=config.stepm_size).survivors
    verdicts = (bool(survivors.any()), dsr > config.min_dsr, pbo < config.max_pbo)
    failed = tuple(stage for stage, good in zip(STAGES, verdicts, strict=True) if not good)
    return Judgement(
        passed=not failed,
        failed=failed,
        trials=counted,
        effective_trials=effective,
        effective_rank=rank,
        mean_correlation=correlation,
        best=best,
        best_sharpe=float(moments.sharpe[best]),
        expected_best_sharpe=statistics.expected_maximum_sharpe(effective, variance),
        dsr=dsr,
        dsr_counted=dsr_counted,
        pbo=pbo,
        pbo_blocks=blocks,
        survivors=survivors,
        members=choose_members(values, survivors if survivors.any() else np.ones(num_agents, bool), config),
        sharpe=moments.sharpe,
    )


def _blocks(wanted: int, periods: int) -> int:
    """Return the largest even number of blocks, at most `wanted`, with two periods a block or more."""
    return max(2, min(wanted, periods // 2 // 2 * 2))


def choose_members(returns: np.ndarray, candidates: np.ndarray, config: SelectionConfig) -> tuple[int, ...]:
    """Return candidates by Sharpe ratio, leaving out who correlates above the cap with a member already in.

    `returns` float64[A, T], `candidates` bool[A].
    """
    sharpe = statistics.sharpe_ratio(returns)
    centred = returns - returns.mean(axis=1, keepdims=True)
    length = np.sqrt(np.sum(centred**2, axis=1))
    scores = centred / np.where(length > 0.0, length, 1.0)[:, None]
    members: list[int] = []
    for agent in np.argsort(-sharpe, kind="stable"):
        if len(members) == config.max_members:
            break
        if candidates[agent] and (not members or np.max(scores[members] @ scores[agent]) <= config.max_correlation):
            members.append(int(agent))
    return tuple(members)


class Power(NamedTuple):
    """How often the procedure passes populations whose truth is known."""

    noise_pass_rate: float  # populations without any skill
    planted_found_rate: float  # populations with one skilled agent, who passed with that agent as best


def measure_power(
    agents: int,
    periods: int,
    repetitions: int,
    *,
    sharpe: float = 0.5,
    seed: int = 0,
    config: SelectionConfig | None = None,
) -> Power:
    """Judge `repetitions` populations of independent normal returns, without and with one agent of Sharpe `sharpe`."""
    generator = np.random.default_rng(seed)
    noise_passed = planted_found = 0
    for _ in range(repetitions):
        returns = generator.normal(size=(agents, periods))
        noise_passed += judge(returns, config=config).passed
        planted = int(generator.integers(agents))
        returns[planted] += sharpe
        verdict = judge(returns, config=config)
        planted_found += verdict.passed and verdict.best == planted
    return Power(noise_passed / repetitions, planted_found / repetitions)
