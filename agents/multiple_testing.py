"""Tests that respect the number of strategies: PBO by CSCV and StepM, both as matrix products.

`returns` is float64[A, T]: A strategies, T periods (here: episodes).
"""

import itertools
from typing import NamedTuple

import numpy as np

from agents.statistics import count_rows

SPLITS_CHUNK = 4_000_000  # split x strategy values held at once, 32 MB an array
MAX_BLOCKS = 20  # C(20, 10) = 184,756 splits


class Overfitting(NamedTuple):
    """What combinatorially symmetric cross-validation says."""

    probability: float  # PBO: share of splits in which the in-sample best is at or below the out-of-sample median
    logits: np.ndarray  # float64[splits] log(w / (1 - w)), w the out-of-sample rank of the in-sample best, in (0, 1)
    loss_share: float  # share of splits in which the in-sample best has a negative out-of-sample Sharpe ratio


class StepM(NamedTuple):
    """What the stepwise multiple test says."""

    survivors: np.ndarray  # bool[A] better than the benchmark at the family-wise level
    critical_values: tuple[float, ...]  # of each step, in standard deviations of a period
    scores: np.ndarray  # float64[A] mean excess over the benchmark in standard deviations


def probability_of_overfitting(returns: np.ndarray, blocks: int = 16) -> Overfitting:
    """Return the probability of backtest overfitting by combinatorially symmetric cross-validation.

    Time is cut into `blocks` equal blocks (even; periods that do not fill a block are left off at the end). For each
    of the C(S, S/2) choices of half the blocks as the training set, the strategy with the best Sharpe ratio there is
    ranked by its Sharpe ratio in the other half: w = rank / (A + 1), ties at their middle rank. PBO is the share of
    splits with log(w / (1 - w)) <= 0. The sums of each half are one matrix product of the choices and the blocks' sums.
    Source: Bailey, Borwein, Lopez de Prado, Zhu 2017, "The probability of backtest overfitting".
    """
    values = _matrix(returns)
    if blocks % 2 or not 2 <= blocks <= MAX_BLOCKS:
        raise ValueError(f"blocks {blocks} must be even and in 2..{MAX_BLOCKS}")
    size = values.shape[1] // blocks
    if values.shape[0] < 2 or size * blocks // 2 < 2:
        raise ValueError(f"returns {list(values.shape)} need 2 strategies and {max(blocks, 4)} periods")
    choices = _half_choices(blocks)
    used = values[:, : size * blocks]
    mean = used.mean(axis=1, keepdims=True)
    cut = (used - mean).reshape(len(used), blocks, size)
    block_sum, block_square = cut.sum(axis=2), (cut**2).sum(axis=2)  # [A, S]
    half = size * blocks // 2
    rows = max(1, SPLITS_CHUNK // len(used))
    weights, chosen_out = [], []
    for start in range(0, len(choices), rows):
        inside = choices[start : start + rows]
        best = np.argmax(_half_sharpe(inside, block_sum, block_square, mean[:, 0], half), axis=1)
        outside = _half_sharpe(1.0 - inside, block_sum, block_square, mean[:, 0], half)
        chosen = outside[np.arange(len(best)), best]
        below = np.sum(outside < chosen[:, None], axis=1)
        equal = np.sum(outside == chosen[:, None], axis=1)
        weights.append((below + (equal + 1) / 2) / (len(used) + 1))
        chosen_out.append(chosen)
    w = np.concatenate(weights)
    logits = np.log(w / (1.0 - w))
    return Overfitting(float(np.mean(logits <= 0.0)), logits, float(np.mean(np.concatenate(chosen_out) < 0.0)))


def _half_choices(blocks: int) -> np.ndarray:
    """Return every choice of half the blocks as 0/1 rows, float64[C(S, S/2), S]."""
    chosen = np.array(list(itertools.combinations(range(blocks), blocks // 2)))
    choices = np.zeros((len(chosen), blocks))
    choices[np.arange(len(chosen))[:, None], chosen] = 1.0
    return choices


def _half_sharpe(
    choices: np.ndarray, block_sum: np.ndarray, block_square: np.ndarray, mean: np.ndarray, periods: int
) -> np.ndarray:
    """Return the Sharpe ratio of each strategy over each choice of blocks, float64[splits, A].

    The sums are of deviations from the whole series' mean, so that squares do not cancel.
    """
    shift = choices @ block_sum.T / periods
    variance = (choices @ block_square.T / periods - shift**2) * (periods / (periods - 1))
    varies = variance > 1e-20 * np.maximum(mean**2, 1e-300)
    return np.where(varies, (mean + shift) / np.sqrt(np.where(varies, variance, 1.0)), 0.0)


def stationary_bootstrap_counts(
    generator: np.random.Generator, periods: int, resamples: int, block_length: float = 1.0
) -> np.ndarray:
    """Return how often each period is drawn in each resample, float64[resamples, T], rows sum to T.

    Blocks start anywhere, wrap around, and have a geometric length with the mean `block_length` (1: independent
    periods). Source: Politis, Romano 1994.
    """
    if block_length < 1.0:
        raise ValueError(f"block_length {block_length} is below 1")
    index = generator.integers(0, periods, (resamples, periods))
    if block_length > 1.0:
        starts = generator.random((resamples, periods)) < 1.0 / block_length
        starts[:, 0] = True
        position = np.arange(periods)
        last_start = np.maximum.accumulate(np.where(starts, position, 0), axis=1)
        index = (np.take_along_axis(index, last_start, axis=1) + position - last_start) % periods
    return count_rows(index, periods)


def step_m(returns: np.ndarray, counts: np.ndarray, benchmark: np.ndarray | float = 0.0, size: float = 0.05) -> StepM:
    """Return the strategies whose mean return exceeds the benchmark's, all at once at family-wise error `size`.

    Columns are scaled to unit variance. The bootstrap distribution of the largest centred mean gives a critical value;
    who exceeds it is a survivor and leaves, and the test is repeated with the rest until nobody new exceeds it.
    `counts` float64[R, T] are the resamples (`stationary_bootstrap_counts`); the bootstrap is one product with them.
    A strategy so far below the benchmark that it cannot matter (Hansen's log log bound) is not centred.
    `benchmark`: float64[T] or a constant. Source: Romano, Wolf 2005; Hansen 2005.
    """
    values = _matrix(returns)
    periods = values.shape[1]
    if counts.ndim != 2 or counts.shape[1] != periods:
        raise ValueError(f"counts have shape {counts.shape}; they must be [resamples, {periods}]")
    if not 0.0 < size < 1.0:
        raise ValueError(f"size {size} is outside (0, 1)")
    excess = values - benchmark
    deviation = excess.std(axis=1)
    scaled = excess / np.where(deviation > 0.0, deviation, 1.0)[:, None]
    scaled[deviation <= 1e-12 * np.abs(excess).max(axis=1, initial=1e-300)] = 0.0  # no variation, no evidence
    scores = scaled.mean(axis=1)
    resampled = counts @ scaled.T / periods  # [R, A]
    bound = -resampled.std(axis=0) * np.sqrt(2.0 * np.log(np.log(max(periods, 3))))
    resampled -= np.where(scores >= bound, scores, 0.0)
    survivors = np.zeros(len(values), bool)
    critical_values: list[float] = []
    while not survivors.all():
        largest = resampled[:, ~survivors].max(axis=1)
        critical = float(np.quantile(largest, 1.0 - size))
        critical_values.append(critical)
        found = ~survivors & (scores > critical)
        if not found.any():
            break
        survivors |= found
    return StepM(survivors, tuple(critical_values), scores)


def _matrix(returns: np.ndarray) -> np.ndarray:
    values = np.asarray(returns, np.float64)
    if values.ndim != 2 or values.shape[0] < 1 or values.shape[1] < 2:
        raise ValueError(f"returns have shape {values.shape}; they must be [strategy, period] with at least 2 periods")
    if not np.isfinite(values).all():
        raise ValueError("returns have a value that is not finite")
    return values
