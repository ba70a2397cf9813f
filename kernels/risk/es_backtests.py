"""Backtests of expected shortfall: Acerbi-Szekely Z1 and Z2 with simulated critical values, and exceedance residuals.

VaR and ES are positive losses of the same tail; P&L is positive when it helps. A right model has Z1 and Z2 around 0,
one that understates its risk below 0.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from scipy import special, stats

from kernels import checks as check
from kernels.risk.backtests import find_exceedances
from kernels.risk.tails import checked_tail, standard_es

_RUNS_A_BLOCK: Final = 50_000  # bounds the memory of a simulation
LEAST_EXCEEDANCES: Final = 2  # a standard error needs two


class AcerbiSzekely(NamedTuple):
    """Statistics of one series of forecasts. `z1` is None without an exceedance, where it is not defined."""

    exceedances: int
    z1: float | None
    z2: float


class ResidualTest(NamedTuple):
    """Exceedance residuals: mean 0 where the ES is right, below 0 where it is too small."""

    exceedances: int
    mean: float  # in the unit of the P&L
    standardised_mean: float  # of residuals over the forecast volatility
    t_statistic: float  # of the standardised residuals
    p_value: float  # one-sided: the ES is too small


def _tail_losses(pnl: Any, var: Any, es: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return exceedances bool[T], and of those days alone P&L and ES."""
    hits = find_exceedances(pnl, var)
    gains, limits, shortfalls = np.asarray(pnl, np.float64), np.asarray(var, np.float64), check.vector("es", es)
    check.same_length(pnl=gains, es=shortfalls)
    if (shortfalls <= 0).any() or (shortfalls < limits).any():
        raise ValueError("es holds a value that is not positive or below its VaR, expected ES as positive losses")
    return hits, gains[hits], shortfalls[hits]


def acerbi_szekely(pnl: Any, var: Any, es: Any, tail_frac: float) -> AcerbiSzekely:
    """Return Z1 = 1 + mean(X/ES | exceedance) and Z2 = 1 + sum(X I/ES)/(T tail_frac).

    pnl X, var, es: float64[T]. ValueError where they are not finite, of other lengths, or ES is below VaR.
    Source: Acerbi, Szekely (2014), Back-testing expected shortfall, Risk, December, tests 1 and 2.
    """
    hits, gains, shortfalls = _tail_losses(pnl, var, es)
    scaled = gains / shortfalls
    first = 1.0 + float(scaled.mean()) if len(scaled) else None
    return AcerbiSzekely(len(scaled), first, 1.0 + float(scaled.sum()) / (len(hits) * checked_tail(tail_frac)))


def simulate_acerbi_szekely(
    observations: int, tail_frac: float, dof: float | None = None, runs: int = 100_000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return Z1 and Z2 float64[runs] of a right model whose days are independent Student t (None: normal).

    Days outside the tail add nothing, so that only exceedances are drawn: their number is binomial, each one the
    quantile at tail_frac times a uniform number. Z1 is NaN in runs without one. Cost: runs x T x tail_frac quantiles.
    """
    total = check.whole("observations", observations, 1, 10**6)
    count = check.whole("runs", runs, 1, 10**8)
    shortfall = standard_es(tail_frac, dof)
    rng = np.random.Generator(np.random.Philox(seed))
    first, second = np.full(count, np.nan), np.empty(count)
    for start in range(0, count, _RUNS_A_BLOCK):
        hits = rng.binomial(total, tail_frac, min(_RUNS_A_BLOCK, count - start))
        chances = tail_frac * (1.0 - rng.random(int(hits.sum())))  # above 0, where the quantile is finite
        gains = special.ndtri(chances) if dof is None else special.stdtrit(dof, chances)
        owner = np.repeat(np.arange(len(hits)), hits)
        sums = np.bincount(owner, gains / shortfall, minlength=len(hits))
        block = slice(start, start + len(hits))
        second[block] = 1.0 + sums / (total * tail_frac)
        np.divide(sums, hits, out=first[block], where=hits > 0)
    return 1.0 + first, second


def critical_values(
    observations: int,
    tail_frac: float,
    size_frac: float,
    dof: float | None = None,
    runs: int = 100_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the Z1 and the Z2 below which a right model falls with probability size_frac.

    ValueError where fewer than ten runs lie below the critical value, or no run has an exceedance.
    """
    if not 0.0 < size_frac < 1.0:
        raise ValueError(f"size_frac is {size_frac}, expected a probability above 0 and below 1")
    if runs * size_frac < 10:
        raise ValueError(f"runs is {runs}, expected at least {int(np.ceil(10 / size_frac))} at size_frac {size_frac}")
    first, second = simulate_acerbi_szekely(observations, tail_frac, dof, runs, seed)
    first = first[~np.isnan(first)]
    if not len(first):
        raise ValueError(f"observations is {observations}: no run has an exceedance, Z1 is nowhere defined")
    return float(np.quantile(first, size_frac)), float(np.quantile(second, size_frac))


def exceedance_residuals(pnl: Any, var: Any, es: Any, volatility: Any) -> ResidualTest:
    """Return the t test that standardised residuals (X + ES)/volatility of exceedances have mean 0.

    pnl X, var, es, volatility: float64[T]. ValueError with fewer than two exceedances, equal residuals or a volatility
    that is not positive. The p-value is Student's with n-1 degrees of freedom; the paper bootstraps it.
    Source: McNeil, Frey (2000), Estimation of tail-related risk measures for heteroscedastic financial time series,
    J. Empirical Finance 7, section 4.2.
    """
    hits, gains, shortfalls = _tail_losses(pnl, var, es)
    scale = check.vector("volatility", volatility)
    if len(scale) != len(hits) or (scale <= 0).any():
        raise ValueError(f"volatility has {len(scale)} values, expected {len(hits)} above 0")
    residuals = gains + shortfalls
    if len(residuals) < LEAST_EXCEEDANCES:
        raise ValueError(f"pnl has {len(residuals)} exceedances, expected at least {LEAST_EXCEEDANCES}")
    standard = residuals / scale[hits]
    if not (error := float(standard.std(ddof=1)) / len(standard) ** 0.5) > 0:
        raise ValueError("pnl has exceedance residuals that are all equal, so that they have no standard error")
    mean = float(standard.mean())
    p_value = float(stats.t.cdf(mean / error, len(standard) - 1))
    return ResidualTest(len(standard), float(residuals.mean()), mean, mean / error, p_value)
