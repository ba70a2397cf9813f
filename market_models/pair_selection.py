"""Which pairs of assets to trade: two tests of cointegration on a formation window, and how fast the spread returns.

A pair is kept where Engle-Granger rejects "not cointegrated" at `size` AND Johansen's trace test finds a relation at
the 5 % level. Its spread y - slope x - constant is an AR(1), s_t = a s_t-1 + e_t: half-life ln(1/2) / ln(a), stationary
deviation sd(e) / sqrt(1 - a^2). Among N assets N (N - 1) / 2 pairs are tried: `size` is divided by their number
(Bonferroni) unless `corrected` is false.
Assumptions and bias: a relation of the formation window may break in the trading window; a is estimated too low
(Kendall 1954), so half-lives are too short. Trade only after the window ends: nothing here is causal inside it.
Source: Engle, Granger 1987; Johansen 1991; pairs trading by cointegration: Vidyamurthy 2004.
"""

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from statsmodels.tsa.vector_ar.vecm import coint_johansen

from kernels import checks as check
from market_models.prices import base
from market_models.prices.cointegration import engle_granger

_TRACE_5_PERCENT = 1  # column of statsmodels' critical values 90, 95, 99 %


class Reversion(NamedTuple):
    """AR(1) of a spread."""

    slope: float  # a
    mean: float
    half_life_bars: float  # infinite where a is not in 0..1 or the spread does not return
    deviation: float  # stationary; of the sample where there is none


class Pair(NamedTuple):
    """One spread that was found to return: log price of `first` less slope x log price of `second` less constant."""

    first: int  # column of the prices
    second: int
    slope: float
    constant: float
    p_value: float  # Engle-Granger
    trace: float  # Johansen's trace statistic of "no relation"
    reversion: Reversion  # of the spread, about its constant

    @property
    def vector(self) -> np.ndarray:
        """Weights float64[2] of the two log prices."""
        return np.array([1.0, -self.slope])


def fit_reversion(spread: Any) -> Reversion:
    """Fit s_t = c + a s_t-1 + e by least squares to float[T], T at least 10; ValueError where it does not vary."""
    s = check.vector("spread", spread, least=10)
    before, after = s[:-1] - s[:-1].mean(), s[1:] - s[1:].mean()
    power = float(before @ before)
    if power == 0.0:
        raise ValueError("spread is constant, expected a series that varies")
    slope = float(before @ after / power)
    noise = float((after - slope * before).std())
    if not 0.0 < slope < 1.0:
        return Reversion(slope, float(s.mean()), 0.0 if slope <= 0.0 else np.inf, float(s.std()))
    mean = float((s[1:].mean() - slope * s[:-1].mean()) / (1.0 - slope))
    return Reversion(slope, mean, float(np.log(0.5) / np.log(slope)), float(noise / np.sqrt(1.0 - slope * slope)))


def johansen_trace(prices: Any, num_lags: int = 1) -> tuple[float, float]:
    """Return (trace statistic of "no relation", its 5 % critical value) of log prices [T, N], constant included."""
    logs = np.log(base.check_prices(prices, 50, num_axes=2))
    if not 2 <= logs.shape[1] <= 12:
        raise ValueError(f"prices holds {logs.shape[1]} assets, expected 2..12")
    found: Any = coint_johansen(logs, 0, check.whole("num_lags", num_lags, 0, len(logs) // 8))
    return float(found.lr1[0]), float(found.cvt[0, _TRACE_5_PERCENT])


def select_pairs(
    prices: Any, *, size: float = 0.05, corrected: bool = True, max_half_life_bars: float = np.inf
) -> list[Pair]:
    """Return the pairs of prices [T, N] that pass both tests, the fastest to return first.

    Each pair is tried in both orders and the one with the lower p-value is kept. ValueError for fewer than 2 assets or
    50 bars, or prices that are not finite and above 0.
    """
    prices = base.check_prices(prices, 50, num_axes=2)
    check.number("size", size, 0.0, 1.0, open_low=True)
    count = prices.shape[1]
    if count < 2:
        raise ValueError(f"prices holds {count} asset, expected at least 2")
    level = size / (count * (count - 1) / 2) if corrected else size
    found = []
    for i, j in combinations(range(count), 2):
        trace, critical = johansen_trace(prices[:, [i, j]])
        pair = min((fit_pair(prices, a, b, trace) for a, b in ((i, j), (j, i))), key=lambda one: one.p_value)
        if pair.p_value < level and trace > critical and pair.reversion.half_life_bars <= max_half_life_bars:
            found.append(pair)
    return sorted(found, key=lambda pair: pair.reversion.half_life_bars)


def fit_pair(prices: np.ndarray, first: int, second: int, trace: float | None = None) -> Pair:
    """Return the relation of two columns of prices [T, N], whether or not it holds."""
    both = np.asarray(prices)[:, [first, second]]
    test = engle_granger(both)
    slope, constant = float(test.slopes[0]), test.constant
    logs = np.log(both)
    reversion = fit_reversion(logs[:, 0] - slope * logs[:, 1] - constant)
    return Pair(
        first,
        second,
        slope,
        constant,
        test.p_value,
        johansen_trace(both)[0] if trace is None else trace,
        reversion,
    )
