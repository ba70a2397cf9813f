"""Backtests of VaR forecasts by their exceedances: coverage, independence, the Basel traffic light.

An exceedance is a day whose loss is larger than its VaR; VaR is a positive loss, `tail_frac` its probability.
"""

from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
from scipy import special, stats

from kernels import checks as check
from kernels.risk.tails import checked_tail

_BASEL_ADD_ONS: Final = (0.40, 0.50, 0.65, 0.75, 0.85)  # 5 to 9 exceedances in 250 days
_YELLOW_FROM: Final = 0.95
_RED_FROM: Final = 0.9999


class LikelihoodRatio(NamedTuple):
    """A likelihood ratio and the chance of a larger one where the model is right (asymptotic chi-squared)."""

    statistic: float
    p_value: float


class Transitions(NamedTuple):
    """How often a day of one kind (0 no exceedance, 1 exceedance) was followed by a day of another."""

    n00: int
    n01: int
    n10: int
    n11: int


class Coverage(NamedTuple):
    """Christoffersen's tests of one series; conditional = unconditional + independence, with 2 degrees of freedom."""

    exceedances: int
    transitions: Transitions
    unconditional: LikelihoodRatio
    independence: LikelihoodRatio
    conditional: LikelihoodRatio


class Zone(IntEnum):
    """Zone of the Basel traffic light."""

    GREEN = 0
    YELLOW = 1
    RED = 2


class TrafficLight(NamedTuple):
    """Basel's verdict. `add_on` to the capital multiplier of 3 is None unless 250 days of VaR 99 % were judged."""

    probability: float  # P(X <= exceedances) for a right model
    zone: Zone
    add_on: float | None


def find_exceedances(pnl: Any, var: Any) -> np.ndarray:
    """Return bool[T]: the loss is larger than the VaR.

    pnl, var: float64[T] in the same unit; ValueError where they differ in length, are not finite, or a VaR is below 0.
    """
    gains, limits = check.vector("pnl", pnl), check.vector("var", var)
    check.same_length(pnl=gains, var=limits)
    if (limits < 0).any():
        raise ValueError("var holds a value below 0, expected VaR as positive losses")
    return gains < -limits


def _bernoulli(misses: float, hits: float, chance: float) -> float:
    """Return the log likelihood of independent days; 0 log 0 is 0."""
    return float(special.xlogy(hits, chance) + special.xlog1py(misses, -chance))


def kupiec(exceedances: int, observations: int, tail_frac: float) -> LikelihoodRatio:
    """Return the test of unconditional coverage (proportion of failures), chi-squared with 1 degree of freedom.

    LR_uc = 2 [log L(x/T) - log L(p)], L(q) = (1-q)^(T-x) q^x. ValueError for x outside 0..T.
    Source: Kupiec (1995), Techniques for verifying the accuracy of risk measurement models, J. Derivatives 3(2).
    """
    total = check.whole("observations", observations, 1, 2**31)
    hits = check.whole("exceedances", exceedances, 0, total)
    best = _bernoulli(total - hits, hits, hits / total)
    statistic = max(2.0 * (best - _bernoulli(total - hits, hits, checked_tail(tail_frac))), 0.0)
    return LikelihoodRatio(statistic, float(stats.chi2.sf(statistic, 1)))


def kupiec_region(observations: int, tail_frac: float, size_frac: float = 0.05) -> tuple[int, int]:
    """Return the fewest and the most exceedances that `kupiec` does not reject at a test of size `size_frac`.

    ValueError for a size outside 0..1, and where the test rejects every count.
    """
    if not 0.0 < size_frac < 1.0:
        raise ValueError(f"size_frac is {size_frac}, expected a probability above 0 and below 1")
    total, chance = check.whole("observations", observations, 1, 10**7), checked_tail(tail_frac)
    hits = np.arange(total + 1)
    best = special.xlogy(hits, hits / total) + special.xlogy(total - hits, 1.0 - hits / total)
    ratio = 2.0 * (best - special.xlogy(hits, chance) - special.xlog1py(total - hits, -chance))
    kept = np.flatnonzero(ratio <= stats.chi2.isf(size_frac, 1))
    if not len(kept):
        raise ValueError(f"size_frac {size_frac} rejects every count of exceedances in {total} observations")
    return int(kept[0]), int(kept[-1])


def count_transitions(hits: Any) -> Transitions:
    """Return the transitions between neighbouring days of bool[T], T >= 2; ValueError for another type or shape."""
    days = np.asarray(hits)
    if days.ndim != 1 or days.dtype != np.bool_ or len(days) < 2:
        raise ValueError(f"hits is {days.dtype}{list(days.shape)}, expected bool[T] with T >= 2")
    counts = np.bincount(2 * days[:-1].astype(np.int64) + days[1:], minlength=4)
    return Transitions(*(int(count) for count in counts))


def christoffersen(hits: Any, tail_frac: float) -> Coverage:
    """Return the tests of unconditional coverage, independence and conditional coverage of exceedances bool[T].

    LR_ind = 2 [log L(pi01, pi11) - log L(pi)] of a first-order Markov chain on T-1 transitions, LR_cc = LR_uc + LR_ind.
    Without an exceedance there is nothing to be dependent: LR_ind is 0.
    Source: Christoffersen (1998), Evaluating interval forecasts, Int. Economic Review 39(4).
    """
    moves = count_transitions(hits)
    days = np.asarray(hits)
    uncond = kupiec(int(days.sum()), len(days), tail_frac)
    calm, after = moves.n00 + moves.n01, moves.n10 + moves.n11
    chained = _bernoulli(moves.n00, moves.n01, moves.n01 / calm if calm else 0.0)
    chained += _bernoulli(moves.n10, moves.n11, moves.n11 / after if after else 0.0)
    plain = _bernoulli(moves.n00 + moves.n10, moves.n01 + moves.n11, (moves.n01 + moves.n11) / (calm + after))
    dependent = max(2.0 * (chained - plain), 0.0)
    both = uncond.statistic + dependent
    return Coverage(
        int(days.sum()),
        moves,
        uncond,
        LikelihoodRatio(dependent, float(stats.chi2.sf(dependent, 1))),
        LikelihoodRatio(both, float(stats.chi2.sf(both, 2))),
    )


def count_zones(hits: Any, tail_frac: float = 0.01, days: int = 250) -> tuple[int, int, int]:
    """Return how many of the T - days + 1 stretches of `days` neighbouring days are green, yellow and red.

    hits: bool[T], T >= days. The stretches overlap: shares of them are not independent verdicts.
    """
    count_transitions(hits)
    total = check.whole("days", days, 1, len(hits))
    sums = np.cumsum(np.concatenate([[0], np.asarray(hits, np.int64)]))
    seen = np.bincount(sums[total:] - sums[:-total], minlength=1)
    zones = [basel_traffic_light(count, total, tail_frac).zone for count in range(len(seen))]
    green, yellow, red = (int(seen[[zone == one for zone in zones]].sum()) for one in Zone)
    return green, yellow, red


def basel_traffic_light(exceedances: int, observations: int = 250, tail_frac: float = 0.01) -> TrafficLight:
    """Return the zone: yellow from a cumulative binomial probability of 95 %, red from 99.99 %.

    Source: Basel Committee (1996), Supervisory framework for the use of "backtesting" in conjunction with the internal
    models approach to market risk capital requirements, table 2.
    """
    total = check.whole("observations", observations, 1, 2**31)
    hits = check.whole("exceedances", exceedances, 0, total)
    probability = float(stats.binom.cdf(hits, total, checked_tail(tail_frac)))
    zone = Zone((probability >= _YELLOW_FROM) + (probability >= _RED_FROM))
    if (total, tail_frac) != (250, 0.01):
        return TrafficLight(probability, zone, None)
    return TrafficLight(probability, zone, (0.0, 1.0, 1.0)[zone] if zone != Zone.YELLOW else _BASEL_ADD_ONS[hits - 5])
