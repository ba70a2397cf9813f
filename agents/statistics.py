"""Performance statistics that know how many periods and how many trials they rest on.

Arrays of returns are float64[..., T], one value a period (here: an episode), the last axis is time; Sharpe ratios are
per period, not annualised. Kurtosis is raw everywhere: 3 for a normal distribution. A series that never varies has a
Sharpe ratio of 0: it is no evidence either way.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

EULER_GAMMA = 0.5772156649015329
BOOTSTRAP_CHUNK = 4_000_000  # resampled means held at once, 32 MB


class Moments(NamedTuple):
    """Of a series of returns; every field float64[...]."""

    sharpe: np.ndarray  # mean / standard deviation (ddof 1), 0 where the series never varies
    skewness: np.ndarray
    kurtosis: np.ndarray  # raw: 3 for a normal distribution
    num_periods: int  # T


class Interval(NamedTuple):
    """An estimate with its confidence interval."""

    value: float
    low: float
    high: float


def sharpe_ratio(returns: np.ndarray) -> np.ndarray:
    """Return mean / standard deviation (ddof 1) over the last axis, float64[...]; 0 where the series never varies."""
    return moments(returns).sharpe


def moments(returns: np.ndarray) -> Moments:
    """Return Sharpe ratio, skewness and raw kurtosis over the last axis; raises ValueError for fewer than 2 periods."""
    values = _series(returns)
    mean = values.mean(axis=-1)
    centred = values - mean[..., None]
    second = np.mean(centred**2, axis=-1)
    varies = second > (1e-12 * np.maximum(np.abs(mean), 1e-300)) ** 2
    safe = np.where(varies, second, 1.0)
    deviation = np.sqrt(safe * values.shape[-1] / (values.shape[-1] - 1))
    return Moments(
        sharpe=np.where(varies, mean / deviation, 0.0),
        skewness=np.where(varies, np.mean(centred**3, axis=-1) / safe**1.5, 0.0),
        kurtosis=np.where(varies, np.mean(centred**4, axis=-1) / safe**2, 3.0),
        num_periods=values.shape[-1],
    )


def _series(returns: np.ndarray) -> np.ndarray:
    values = np.asarray(returns, np.float64)
    if values.ndim == 0 or values.shape[-1] < 2:
        raise ValueError(f"returns have shape {values.shape}; the last axis needs at least 2 periods")
    if not np.isfinite(values).all():
        raise ValueError("returns have a value that is not finite")
    return values


def sharpe_standard_error(
    sharpe: float | np.ndarray,
    num_periods: int,
    skewness: float | np.ndarray = 0.0,
    kurtosis: float | np.ndarray = 3.0,
) -> np.ndarray:
    """Return the standard error of an estimated Sharpe ratio, sqrt((1 - g3 SR + (g4 - 1)/4 SR^2) / (T - 1)).

    Source: Mertens 2002; Bailey, Lopez de Prado 2012, "The Sharpe ratio efficient frontier".
    """
    if num_periods < 2:
        raise ValueError(f"num_periods {num_periods} is below 2")
    sharpe = np.asarray(sharpe, np.float64)
    variance = 1.0 - skewness * sharpe + (np.asarray(kurtosis) - 1.0) / 4.0 * sharpe**2
    # g4 >= 1 + g3^2 keeps the variance at or above 0 for moments of real series; rounding may not.
    return np.sqrt(np.maximum(variance, 0.0) / (num_periods - 1))


def probabilistic_sharpe(
    sharpe: float | np.ndarray,
    benchmark: float | np.ndarray,
    num_periods: int,
    skewness: float | np.ndarray = 0.0,
    kurtosis: float | np.ndarray = 3.0,
) -> np.ndarray:
    """Return the probability that the true Sharpe ratio exceeds `benchmark` (PSR), per-period ratios throughout.

    PSR = Phi[(SR - SR*) sqrt(T - 1) / sqrt(1 - g3 SR + (g4 - 1)/4 SR^2)].
    Source: Bailey, Lopez de Prado 2012.
    """
    error = sharpe_standard_error(sharpe, num_periods, skewness, kurtosis)
    excess = np.asarray(sharpe, np.float64) - benchmark
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(error > 0.0, excess / error, np.sign(excess) * np.inf)
    return ndtr(np.where(np.isnan(score), 0.0, score))


def expected_maximum(trials: float) -> float:
    """Return the expected maximum of `trials` independent standard normals, 0 for one trial or less.

    E[max] = (1 - g) Phi^-1(1 - 1/N) + g Phi^-1(1 - 1/(N e)), g the Euler-Mascheroni constant; an approximation from
    extreme-value theory, 1.8 % high at N = 20 and 0.4 % at 1000. Source: Bailey, Lopez de Prado 2014.
    """
    if trials <= 1.0:
        return 0.0
    low = ndtri(1.0 - 1.0 / trials)
    high = ndtri(1.0 - 1.0 / (trials * math.e))
    return max(0.0, float((1.0 - EULER_GAMMA) * low + EULER_GAMMA * high))


def expected_maximum_sharpe(trials: float, sharpe_variance: float) -> float:
    """Return SR0, the Sharpe ratio that the best of `trials` worthless strategies is expected to show.

    `sharpe_variance` is the variance of the trials' Sharpe ratios, per period.
    """
    return math.sqrt(sharpe_variance) * expected_maximum(trials)


def deflated_sharpe(
    sharpe: float | np.ndarray,
    num_periods: int,
    skewness: float | np.ndarray,
    kurtosis: float | np.ndarray,
    trials: float,
    sharpe_variance: float,
) -> np.ndarray:
    """Return the deflated Sharpe ratio: PSR against what the best of `trials` would show by luck alone.

    Source: Bailey, Lopez de Prado 2014, "The deflated Sharpe ratio".
    """
    return probabilistic_sharpe(
        sharpe, expected_maximum_sharpe(trials, sharpe_variance), num_periods, skewness, kurtosis
    )


def minimum_track_record(
    sharpe: float, benchmark: float, skewness: float = 0.0, kurtosis: float = 3.0, confidence: float = 0.95
) -> float:
    """Return the periods after which a Sharpe ratio is above `benchmark` with `confidence` (MinTRL); inf if it is not.

    MinTRL = 1 + (1 - g3 SR + (g4 - 1)/4 SR^2) (Z / (SR - SR*))^2. Source: Bailey, Lopez de Prado 2012.
    """
    if sharpe <= benchmark:
        return math.inf
    spread = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    return 1.0 + spread * float(ndtri(confidence) / (sharpe - benchmark)) ** 2


def minimum_backtest_years(trials: float, annual_sharpe: float = 1.0) -> float:
    """Return the years of data below which the best of `trials` shows `annual_sharpe` by luck (MinBTL).

    MinBTL = (E[max_N] / SR)^2. Source: Bailey, Borwein, Lopez de Prado, Zhu 2014, "Pseudo-mathematics".
    """
    return (expected_maximum(trials) / annual_sharpe) ** 2


def mean_correlation(returns: np.ndarray) -> float:
    """Return the average correlation between two of the A series in float64[A, T], without the [A, A] matrix."""
    scores = _standardised(returns)
    count = len(scores)
    if count < 2:
        return 0.0
    return float((np.sum(scores.sum(axis=0) ** 2) - count) / (count * (count - 1)))


def effective_trials_by_correlation(returns: np.ndarray, trials: float) -> float:
    """Return rho + (1 - rho) N: how many independent trials N alike ones are worth, rho the mean correlation.

    Negative mean correlation counts as 0. Source: Bailey, Lopez de Prado 2014, appendix A.3.
    """
    rho = min(max(mean_correlation(returns), 0.0), 1.0)
    return rho + (1.0 - rho) * trials


def effective_rank(returns: np.ndarray) -> float:
    """Return exp(entropy) of the eigenvalues of the correlation matrix of the A series, scaled to sum 1.

    A for independent series (as long as T is well above A), 1 for identical ones. Series that never vary add nothing.
    Source: Roy, Vetterli 2007, "The effective rank".
    """
    scores = _standardised(returns)
    if len(scores) == 0:
        return 1.0
    gram = scores @ scores.T if scores.shape[0] <= scores.shape[1] else scores.T @ scores
    eigenvalues = np.maximum(np.linalg.eigvalsh(gram), 0.0)
    shares = eigenvalues / eigenvalues.sum()
    positive = shares[shares > 0.0]
    return float(np.exp(-np.sum(positive * np.log(positive))))


def _standardised(returns: np.ndarray) -> np.ndarray:
    """Return the series that vary, centred and of unit length, float64[A', T]."""
    values = _series(returns)
    if values.ndim != 2:
        raise ValueError(f"returns have shape {values.shape}; they must be [series, period]")
    centred = values - values.mean(axis=1, keepdims=True)
    length = np.sqrt(np.sum(centred**2, axis=1))
    varies = length > 1e-12 * np.maximum(np.abs(values).max(axis=1), 1e-300)
    return centred[varies] / length[varies, None]


def max_drawdown(equity: np.ndarray) -> np.ndarray:
    """Return the deepest fall below the highest point so far over the last axis, at least 0, in equity's unit.

    The path starts at 0 before its first value, so a first loss counts.
    """
    equity = np.asarray(equity, np.float64)
    peak = np.maximum(np.maximum.accumulate(equity, axis=-1), 0.0)
    return np.max(peak - equity, axis=-1)


def win_rate(returns: np.ndarray) -> np.ndarray:
    """Return the share of periods with a return above 0, over the last axis."""
    return np.mean(np.asarray(returns) > 0.0, axis=-1)


def sharpe_interval(returns: np.ndarray, confidence: float = 0.95) -> Interval:
    """Return the Sharpe ratio of one series float64[T] with a normal interval from its standard error."""
    m = moments(returns)
    error = float(sharpe_standard_error(m.sharpe, m.num_periods, m.skewness, m.kurtosis))
    reach = float(ndtri(0.5 + confidence / 2.0)) * error
    return Interval(float(m.sharpe), float(m.sharpe) - reach, float(m.sharpe) + reach)


def bootstrap_mean(
    values: np.ndarray, *, seed: int = 0, resamples: int = 10_000, confidence: float = 0.95, method: str = "bca"
) -> Interval:
    """Return the mean of float64[T] with a bootstrap interval; for a paired comparison give the differences."""
    sample = _series(values)
    low, high = bootstrap_mean_bounds(
        sample[None], seed=seed, resamples=resamples, confidence=confidence, method=method
    )
    return Interval(float(sample.mean()), float(low[0]), float(high[0]))


def bootstrap_mean_bounds(
    values: np.ndarray, *, seed: int = 0, resamples: int = 10_000, confidence: float = 0.95, method: str = "bca"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the interval of the mean, float64[K] each, of K series float64[K, T].

    `method` "percentile" or "bca" (bias corrected and accelerated). All series share the resamples, so that the means
    are one matrix product. Source: Efron 1987, "Better bootstrap confidence intervals".
    """
    if method not in ("percentile", "bca"):
        raise ValueError(f"method '{method}' is neither percentile nor bca")
    samples = _series(values)
    counts = bootstrap_counts(np.random.default_rng(seed), samples.shape[1], resamples)
    tail = (1.0 - confidence) / 2.0
    low, high = np.empty(len(samples)), np.empty(len(samples))
    rows = max(1, BOOTSTRAP_CHUNK // resamples)
    for start in range(0, len(samples), rows):
        chunk = samples[start : start + rows]
        centre = chunk.mean(axis=1, keepdims=True)
        means = counts @ (chunk - centre).T / samples.shape[1]  # [R, rows], about 0
        for column, sample in enumerate(chunk - centre):
            levels = np.array([tail, 1.0 - tail])
            if method == "bca" and np.ptp(sample) > 0.0:
                levels = _bca_levels(levels, means[:, column], sample)
            ends = np.quantile(means[:, column], levels) + centre[column]
            low[start + column], high[start + column] = ends
    return low, high


def bootstrap_counts(generator: np.random.Generator, periods: int, resamples: int) -> np.ndarray:
    """Return how often each of `periods` is drawn in each resample, float64[resamples, T]; rows sum to T."""
    return count_rows(generator.integers(0, periods, (resamples, periods)), periods)


def count_rows(index: np.ndarray, periods: int) -> np.ndarray:
    """Return how often each of 0..periods-1 stands in each row of index int64[R, T], float64[R, periods]."""
    flat = (index + periods * np.arange(len(index))[:, None]).ravel()
    return np.bincount(flat, minlength=len(index) * periods).reshape(len(index), periods).astype(np.float64)


def _bca_levels(levels: np.ndarray, means: np.ndarray, centred: np.ndarray) -> np.ndarray:
    # Ties count half, as in scipy: a discrete sample has many. A rounding of the product is no difference.
    slack = 1e-12 * np.abs(centred).max()
    share = (np.mean(means < -slack) + np.mean(means <= slack)) / 2.0
    bias = float(ndtri(np.clip(share, 1e-9, 1.0 - 1e-9)))
    # The jackknife's differences of a mean are proportional to the centred sample.
    acceleration = float(np.sum(centred**3) / (6.0 * np.sum(centred**2) ** 1.5))
    scores = bias + ndtri(levels)
    return ndtr(bias + scores / (1.0 - acceleration * scores))
