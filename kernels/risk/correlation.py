"""Correlation between strategies and to what is held, exponentially weighted, as a state machine over returns.

Weights fall by half every `half_life` observations. With weight sum W, mean m and co-moment C about it:
W' = d W + 1, e = r - m, m' = m + e / W', C' = d C + (d W / W') e e'; correlation C_ij / sqrt(C_ii C_jj).
A correlation counts once there are `min_observations`, and only where both series move; until then it is unknown,
which is told apart from 0. Returns are those of the position as held (a short one's sign turned), so that only a
positive correlation adds risk.
Source: West (1979), Updating Mean and Variance Estimates, Communications of the ACM 22(9); RiskMetrics Technical
Document (1996), section 5.2, for the weights.
"""

from typing import Any, Final, NamedTuple

import numpy as np

from kernels import checks as check
from kernels.risk.exposure import Breach, BreachKind

MIN_OBSERVATIONS: Final = 3  # two points always lie on a line
STILL: Final = 1e-28  # variance of a series as a share of its mean square: rounding, no movement
MAX_RETURN: Final = 1e6  # a fraction: what is larger is a fault of the data


class CorrelationConfig(NamedTuple):
    """What is watched. Pairs of two holdings are not judged."""

    strategies: tuple[str, ...]
    holdings: tuple[str, ...] = ()
    half_life: float = 60.0  # observations
    min_observations: int = 60
    limit_frac: float = 0.80

    def checked(self) -> "CorrelationConfig":
        """Return the configuration; ValueError names the field that is impossible."""
        check.names("strategies", self.strategies)
        check.names("strategies and holdings", (*self.strategies, *self.holdings))
        check.number("half_life", self.half_life, 0, open_low=True)
        check.whole("min_observations", self.min_observations, MIN_OBSERVATIONS)
        check.number("limit_frac", self.limit_frac, 0, 1)
        return self


class CorrelationState(NamedTuple):
    """Weighted moments; N series, strategies first."""

    observations: int
    weight: float
    mean: np.ndarray  # float64[N]
    comoment: np.ndarray  # float64[N, N]
    scale: np.ndarray  # float64[N], weighted sum of squares


class Correlations(NamedTuple):
    """What is known now."""

    matrix: np.ndarray  # float64[N, N]; 0 where unknown
    known: np.ndarray  # bool[N, N]


def start(config: CorrelationConfig) -> CorrelationState:
    """Return the state before the first observation; ValueError for an impossible configuration."""
    config.checked()
    size = len(config.strategies) + len(config.holdings)
    return CorrelationState(0, 0.0, np.zeros(size), np.zeros((size, size)), np.zeros(size))


def observe(config: CorrelationConfig, state: CorrelationState, returns: Any) -> CorrelationState:
    """Return the state after one observation of all series at the same time, returns[N] as fractions.

    ValueError where one is missing or not finite; the state given stays as it was.
    """
    seen = check.vector("returns", returns, state.mean.size)
    if np.abs(seen).max() > MAX_RETURN:
        raise ValueError(f"returns hold {seen[np.abs(seen).argmax()]}, expected at most {MAX_RETURN} either way")
    decay = 0.5 ** (1.0 / config.half_life)
    weight = decay * state.weight + 1.0
    away = seen - state.mean
    comoment = decay * state.comoment + (decay * state.weight / weight) * np.outer(away, away)
    scale = decay * state.scale + np.square(seen)
    return CorrelationState(state.observations + 1, weight, state.mean + away / weight, comoment, scale)


def correlations(config: CorrelationConfig, state: CorrelationState) -> Correlations:
    """Return correlations float64[N, N] and where they are known."""
    variances = np.diag(state.comoment)
    moving = variances > STILL * state.scale
    known = np.outer(moving, moving) & (state.observations >= config.min_observations)
    deviation = np.sqrt(np.where(moving, variances, 1.0))
    matrix = np.clip(state.comoment / np.outer(deviation, deviation), -1.0, 1.0)
    return Correlations(np.where(known, matrix, 0.0), known)


def correlation_breaches(config: CorrelationConfig, state: CorrelationState) -> tuple[Breach, ...]:
    """Return the known pairs above the limit that hold a strategy; the pair's name is "one/other"."""
    names = (*config.strategies, *config.holdings)
    found = correlations(config, state)
    limit = config.limit_frac
    return tuple(
        Breach(BreachKind.CORRELATION, f"{names[one]}/{names[other]}", float(found.matrix[one, other]), limit)
        for one in range(len(config.strategies))
        for other in range(one + 1, len(names))
        if found.known[one, other] and found.matrix[one, other] > limit
    )
