"""Estimators of variance from bars and from returns within the day.

Of B bars with log prices o, h, l, c (open, high, low, close), the variance of a bar:
- close to close: sample variance of the B - 1 changes of c;
- Parkinson 1980: mean (h - l)^2 / (4 ln 2), no drift, no gap between bars;
- Garman, Klass 1980: mean 0.5 (h - l)^2 - (2 ln 2 - 1)(c - o)^2, no drift, no gap;
- Rogers, Satchell 1991: mean (h - c)(h - o) + (l - c)(l - o), any drift, no gap;
- Yang, Zhang 2000: var(gap) + k var(c - o) + (1 - k) Rogers-Satchell over bars 2..B, any drift, gaps (o less the
  previous c) included; k = 0.34 / (1.34 + (n + 1)/(n - 1)), n = B - 1.
Trading in discrete steps makes the range too small, so the range estimators are biased down.
Bipower variation (Barndorff-Nielsen, Shephard 2004): (pi/2) n/(n - 1) sum |r_i||r_i-1| of n returns; jumps drop out.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from kernels import checks as check


class LogBars(NamedTuple):
    """Log prices of B bars in order of time."""

    open: np.ndarray  # float64[B]
    high: np.ndarray  # float64[B]
    low: np.ndarray  # float64[B]
    close: np.ndarray  # float64[B]


def log_bars(open_price: Any, high_price: Any, low_price: Any, close_price: Any) -> LogBars:
    """Return the logarithms of B bars of at least three; ValueError if a price is not above 0 or outside its bar."""
    named = {"open": open_price, "high": high_price, "low": low_price, "close": close_price}
    bars = {name: check.positive(f"{name}_price", values, least=3) for name, values in named.items()}
    check.same_length(**bars)
    top, bottom = np.maximum(bars["open"], bars["close"]), np.minimum(bars["open"], bars["close"])
    bad = (bars["high"] < top) | (bars["low"] > bottom)
    if bad.any():
        raise ValueError(f"bar {int(np.argmax(bad))} has its open or close outside its low..high")
    return LogBars(**{name: np.log(values) for name, values in bars.items()})


def close_to_close(bars: LogBars) -> float:
    """Return the variance per bar from closes alone."""
    return float(np.diff(bars.close).var(ddof=1))


def parkinson(bars: LogBars) -> float:
    """Return the variance per bar from the range."""
    return float(((bars.high - bars.low) ** 2).mean() / (4 * np.log(2)))


def garman_klass(bars: LogBars) -> float:
    """Return the variance per bar from range, open and close."""
    body, reach = bars.close - bars.open, bars.high - bars.low
    return float((0.5 * reach**2 - (2 * np.log(2) - 1) * body**2).mean())


def rogers_satchell(bars: LogBars) -> float:
    """Return the variance per bar whatever the drift."""
    up, down = bars.high - bars.open, bars.low - bars.open
    body = bars.close - bars.open
    return float((up * (up - body) + down * (down - body)).mean())


def yang_zhang(bars: LogBars) -> float:
    """Return the variance per bar, from close to close, whatever the drift and the gaps."""
    rest = LogBars(*(column[1:] for column in bars))
    n = len(rest.open)
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    gap, body = rest.open - bars.close[:-1], rest.close - rest.open
    return float(gap.var(ddof=1) + k * body.var(ddof=1)) + (1 - k) * rogers_satchell(rest)


ESTIMATORS: dict[str, Callable[[LogBars], float]] = {
    "close_to_close": close_to_close,
    "parkinson": parkinson,
    "garman_klass": garman_klass,
    "rogers_satchell": rogers_satchell,
    "yang_zhang": yang_zhang,
}


def realised_variance(returns: Any) -> float:
    """Return the sum of squares of the log returns float[N], jumps included."""
    return float((check.vector("returns", returns) ** 2).sum())


def bipower_variation(returns: Any) -> float:
    """Return the part of the variance of log returns float[N] that is not jumps; N at least 2."""
    r = np.abs(check.vector("returns", returns, least=2))
    return float(np.pi / 2 * len(r) / (len(r) - 1) * (r[1:] * r[:-1]).sum())


def jump_variation(returns: Any) -> float:
    """Return the variance of log returns float[N] that jumps make: realised less bipower, at least 0."""
    return max(realised_variance(returns) - bipower_variation(returns), 0.0)
