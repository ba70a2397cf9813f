"""Stylised facts of a tape, each one figure with its reason where it cannot be had.

Returns are log changes of the mid over whole bins of RETURN_S seconds, the last mid before a bin's end. Trades are
executions of the same nanosecond and side taken together; their signs are +1 where the taker bought.
Source: Cont 2001, "Empirical properties of asset returns", Quantitative Finance 1(2); signs: Lillo, Farmer 2004, "The
long memory of the efficient market", Studies in Nonlinear Dynamics & Econometrics 8(3).
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from kernels.lob.spec import SELL
from market_models.datasets.recording import VISIBLE_EXECUTION
from market_models.scorecard.tape import NS_PER_S, Stretch, Tape, cut

RETURN_S = 10
ABS_LAGS = 30
SIGN_LAGS = 100
JACKKNIFE_BLOCKS = 20
MIN_RETURNS, MIN_TRADES, MIN_RUNS = 100, 1000, 300
META_ORDERS = (
    "not identifiable: the files name no trader, so the orders that belong to one parent order are unknown; the "
    "impact of runs of same-sided trades stands in for it and is not the same thing"
)


class Fact(NamedTuple):
    """A figure, or None and why not."""

    name: str
    meaning: str
    value: float | None
    n: int
    reason: str = ""
    ci_low: float | None = None
    ci_high: float | None = None


class Trades(NamedTuple):
    """T trades of a stretch in order."""

    sign: np.ndarray  # float64[T]
    lots: np.ndarray  # int64[T]
    mid_before: np.ndarray  # float64[T] ticks
    mid_after: np.ndarray  # float64[T]


def stylised_facts(tape: Tape) -> list[Fact]:
    """Return every fact of a tape, always the same ones in the same order, with 95 % intervals.

    Intervals are value -+ 1.96 standard errors of the jackknife that leaves out one of JACKKNIFE_BLOCKS blocks of time:
    se^2 = (g - 1) / g sum (v_k - mean v)^2; none where the fact cannot be had without some block.
    """
    whole = _facts(tape.stretches)
    without = [_facts(_leave_out(tape, block)) for block in range(JACKKNIFE_BLOCKS)]
    return [_with_interval(fact, [part[i].value for part in without]) for i, fact in enumerate(whole)]


def _with_interval(fact: Fact, values: list[float | None]) -> Fact:
    known = np.array([value for value in values if value is not None])
    if fact.value is None or len(known) < len(values):
        return fact
    half = 1.96 * float(np.sqrt((len(known) - 1) * known.var()))
    return fact._replace(ci_low=fact.value - half, ci_high=fact.value + half)


def _leave_out(tape: Tape, block: int) -> tuple[Stretch, ...]:
    """Return a tape's stretches without one block of time: what is before and what is after it, apart."""
    start, end = (tape.duration_s * edge / JACKKNIFE_BLOCKS for edge in (block, block + 1))
    parts = [part for s in tape.stretches for part in (cut(s, s.at_s < start), cut(s, s.at_s >= end))]
    return tuple(part for part in parts if len(part.kind))


def _facts(stretches: tuple[Stretch, ...]) -> list[Fact]:
    returns = [_returns(s) for s in stretches]
    trades = [find_trades(s) for s in stretches]
    return [
        *_return_facts(returns),
        _first_sign_fact([t.sign for t in trades]),
        _sign_fact([t.sign for t in trades]),
        _run_fact(trades),
        Fact("meta_order_impact", "exponent; 0.5 in the literature", None, 0, META_ORDERS),
    ]


def _returns(s: Stretch) -> np.ndarray:
    known = np.flatnonzero(~np.isnan(s.mid_tick))
    at, mid = s.at_ns[known], s.mid_tick[known]
    if not len(at) or (mid <= 0).any():  # a log return needs positive prices
        return np.zeros(0)
    ends = np.arange(at[0], at[-1] + 1, RETURN_S * NS_PER_S)
    return np.diff(np.log(mid[np.searchsorted(at, ends, side="right") - 1]))


def _return_facts(parts: list[np.ndarray]) -> list[Fact]:
    r = np.concatenate(parts)
    meanings = {
        "excess_kurtosis": f"of {RETURN_S} s returns; above 0: heavy tails",
        "return_acf_lag_1": "autocorrelation of the returns; near 0 in a liquid market",
        "abs_return_acf": f"mean autocorrelation of |return| over lags 1..{ABS_LAGS}; above 0: volatility clusters",
    }
    if len(r) < MIN_RETURNS or r.std() == 0:
        why = f"{len(r)} returns of {RETURN_S} s, needed are {MIN_RETURNS} that are not all the same"
        return [Fact(name, meaning, None, len(r), why) for name, meaning in meanings.items()]
    z = (r - r.mean()) / r.std()
    values = (
        float((z**4).mean() - 3),
        float(autocorrelation(parts, 1)[0]),
        float(autocorrelation([np.abs(part) for part in parts], ABS_LAGS).mean()),
    )
    return [Fact(n, m, v, len(r)) for (n, m), v in zip(meanings.items(), values, strict=True)]


def autocorrelation(parts: list[np.ndarray], lags: int) -> np.ndarray:
    """Return float64[lags], lags 1.. of series that are parts of one, pairs within a part only."""
    whole = np.concatenate(parts)
    mean, variance = whole.mean(), whole.var()
    out = np.zeros(lags)
    for lag in range(1, lags + 1):
        pairs = [((p[:-lag] - mean) * (p[lag:] - mean)) for p in parts if len(p) > lag]
        products = np.concatenate(pairs) if pairs else np.zeros(1)
        out[lag - 1] = products.mean() / variance
    return out


def find_trades(s: Stretch) -> Trades:
    """Return the trades of a stretch; the executions of one nanosecond and side in a row are one market order."""
    row = np.flatnonzero(s.kind == VISIBLE_EXECUTION)
    row = row[row > 0]
    starts = np.ones(len(row), bool)
    starts[1:] = (np.diff(row) > 1) | (np.diff(s.at_ns[row]) > 0) | (np.diff(s.side[row]) != 0)
    first = np.flatnonzero(starts)
    last = np.append(first[1:], len(row))[: len(first)] - 1  # none where there is no trade
    lots = np.add.reduceat(s.lots[row], first) if len(first) else np.zeros(0, np.int64)
    sign = np.where(s.side[row[first]] == SELL, 1.0, -1.0)
    return Trades(sign, lots, s.mid_tick[row[first] - 1], s.mid_tick[row[last]])


def _first_sign_fact(signs: list[np.ndarray]) -> Fact:
    name, meaning = "sign_acf_lag_1", "autocorrelation of successive trade signs; above 0: parent orders are sliced"
    count = sum(len(part) for part in signs)
    if count < MIN_TRADES or np.concatenate(signs).var() == 0:
        return Fact(name, meaning, None, count, f"{count} trades, needed are {MIN_TRADES} of both signs")
    return Fact(name, meaning, float(autocorrelation(signs, 1)[0]), count)


def _sign_fact(signs: list[np.ndarray]) -> Fact:
    """Fit gamma of C(l) ~ l^-gamma to the sign autocorrelation, at lags whose value is positive."""
    name = "sign_memory_exponent"
    meaning = f"gamma of C(l) ~ l^-gamma over lags 1..{SIGN_LAGS} trades; below 1: long memory"
    count = sum(len(part) for part in signs)
    if count < MIN_TRADES:
        return Fact(name, meaning, None, count, f"{count} trades, needed are {MIN_TRADES}")
    correlation = autocorrelation(signs, SIGN_LAGS) if np.concatenate(signs).var() > 0 else np.zeros(SIGN_LAGS)
    noise = 2 / np.sqrt(count)
    lags = np.unique(np.geomspace(1, SIGN_LAGS, 21).round().astype(int))
    means = np.array([correlation[a - 1 : b - 1].mean() for a, b in pairwise(lags)])
    centre = np.sqrt(lags[:-1] * (lags[1:] - 1.0))
    usable = means > noise
    if usable.sum() < 5:
        why = f"no memory: the autocorrelation is above its noise ({noise:.3f}) at {int(usable.sum())} groups of lags"
        return Fact(name, meaning, None, count, f"{why}, a slope needs 5")
    slope = np.polyfit(np.log(centre[usable]), np.log(means[usable]), 1)[0]
    return Fact(name, meaning, float(-slope), count)


def _run_fact(trades: list[Trades]) -> Fact:
    """Fit delta of mean impact ~ lots^delta to runs of same-sided trades, in eight groups of equally many runs."""
    name, meaning = "run_impact_exponent", "delta of (mid move of a run of same-sided trades) ~ lots^delta; 1: linear"
    runs = [_runs(part) for part in trades]
    lots, move = (np.concatenate(column) for column in zip(*runs, strict=True))
    if len(lots) < MIN_RUNS:
        return Fact(name, meaning, None, len(lots), f"{len(lots)} runs, needed are {MIN_RUNS}")
    parts = np.array_split(np.argsort(lots, kind="stable"), 8)
    size, impact = (np.array([column[part].mean() for part in parts]) for column in (lots, move))
    if (impact <= 0).any():
        return Fact(name, meaning, None, len(lots), "a group of runs moved the mid against itself on average")
    return Fact(name, meaning, float(np.polyfit(np.log(size), np.log(impact), 1)[0]), len(lots))


def _runs(trades: Trades) -> tuple[np.ndarray, np.ndarray]:
    """Return lots and signed mid move of each maximal run of one sign whose mids are known."""
    if not len(trades.sign):
        return np.zeros(0), np.zeros(0)
    first = np.flatnonzero(np.append(True, np.diff(trades.sign) != 0))
    last = np.append(first[1:], len(trades.sign)) - 1
    lots = np.add.reduceat(trades.lots, first).astype(np.float64)
    move = trades.sign[first] * (trades.mid_after[last] - trades.mid_before[first])
    return lots[np.isfinite(move)], move[np.isfinite(move)]
