"""Monte Carlo P&L of a portfolio: N assets, S scenarios, normal or multivariate Student t returns.

Returns are mean + m_s L z_s, L the lower Cholesky factor of the covariance, m_s = sqrt((dof-2)/chi2_dof), 1 for the
normal. Random numbers are counter-based: z of scenario s, asset n is the normal quantile of word n mod 4 of Philox
4x32-7 at key = seed, counter = (s, n div 4), so that a scenario can be drawn again alone and no result depends on the
number of threads. Uniform numbers have 32 bits: no |z| is above 6.4. S x N numbers are never held at once: chunks
of 1 MB pass from the draw through the product with L to the P&L while they are in a core's cache, one chunk a thread.
Source: Glasserman (2004), Monte Carlo methods in financial engineering, sections 2.3 and 9.3; Wichura (1988), Algorithm
AS 241, Applied Statistics 37(3), PPND7, for the normal quantile to 7 digits.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit, prange
from scipy import special

from kernels import checks as check
from kernels.lob.philox import philox4x32, philox4x32_numpy
from kernels.risk._chunks import chunk_rows, for_each_chunk
from kernels.risk.covariance import checked_portfolio
from kernels.risk.tails import checked_tail_series, unit_scale

MAX_SCENARIOS: Final = 2**31
_COLUMNS: Final = 64  # of a product with the factor: what is above its diagonal is left out
MIX_BLOCK: Final = 2**31  # counter of the chi-squared number, above every asset's
_UNIT: Final = 1.0 / 2**32

Revalue = Callable[[np.ndarray], np.ndarray]  # float64[C, N] returns -> float64[C, N] P&L by asset


class Scenarios(NamedTuple):
    """A law of returns and the seed of its draws; made by `make_scenarios`."""

    mean: np.ndarray  # float64[N]
    factor: np.ndarray  # float64[N, N], lower Cholesky factor of the covariance
    dof: float | None
    count: int
    seed: int


def make_scenarios(covariance: Any, count: int, seed: int, mean: Any = None, dof: float | None = None) -> Scenarios:
    """Return the scenarios of a law; nothing is drawn yet.

    covariance: float64[N, N] of the returns, for Student's t too; count: 1..2^31; seed: 0..2^64-1; dof above 2 or None.
    ValueError where an input is not finite or the covariance is not positive definite.
    """
    unit_scale(dof)
    _, matrix, drift = checked_portfolio(np.zeros(len(np.atleast_1d(covariance))), covariance, mean)
    check.whole("count", count, 1, MAX_SCENARIOS)
    check.whole("seed", seed, 0, 2**64 - 1)
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise ValueError("covariance is not positive definite: shrink it, or leave out the redundant assets") from None
    return Scenarios(drift, factor, dof, count, seed)


@njit(nogil=True, inline="always")
def _normal(word):
    """Return the standard normal quantile of (word + 1/2) / 2^32, to 7 digits."""
    centre = (word + 0.5) * _UNIT - 0.5
    if abs(centre) <= 0.425:
        r = 0.180625 - centre * centre
        top = ((5.9109374720e1 * r + 1.5929113202e2) * r + 5.0434271938e1) * r + 3.3871327179
        return centre * top / (((6.7187563600e1 * r + 7.8757757664e1) * r + 1.7895169469e1) * r + 1.0)
    r = np.sqrt(-np.log(0.5 - abs(centre))) - 1.6  # at most 3.2: the third range of AS 241 needs more than 32 bits
    top = ((1.7023821103e-1 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777
    size = top / ((1.2021132975e-1 * r + 7.3700164250e-1) * r + 1.0)
    return size if centre > 0 else -size


@njit(nogil=True, parallel=True, cache=True)
def _project(weights, count, key_0, key_1):
    """Return float64[count] weights @ z_s; weights float64[4 B], padded by 0. One thread per scenario, fixed order."""
    out = np.empty(count)
    for s in prange(count):
        total = 0.0
        for block in range(len(weights) // 4):
            w0, w1, w2, w3 = philox4x32(key_0, key_1, s, block)
            n = 4 * block
            total += weights[n] * _normal(w0) + weights[n + 1] * _normal(w1)
            total += weights[n + 2] * _normal(w2) + weights[n + 3] * _normal(w3)
        out[s] = total
    return out


@njit(nogil=True, cache=True)
def _fill(rows, mix, assets, key_0, key_1):
    """Return m_s z_s float64[C, assets] of the scenarios rows int64[C], mix m float64[C]."""
    out = np.empty((len(rows), assets))
    for c in range(len(rows)):
        for block in range((assets + 3) // 4):
            w0, w1, w2, w3 = philox4x32(key_0, key_1, rows[c], block)
            n = 4 * block
            out[c, n] = mix[c] * _normal(w0)
            if n + 1 < assets:
                out[c, n + 1] = mix[c] * _normal(w1)
            if n + 2 < assets:
                out[c, n + 2] = mix[c] * _normal(w2)
            if n + 3 < assets:
                out[c, n + 3] = mix[c] * _normal(w3)
    return out


def _key(seed: int) -> tuple[int, int]:
    return seed & 0xFFFFFFFF, seed >> 32


def _mix(scenarios: Scenarios, rows: np.ndarray) -> np.ndarray:
    """Return float64[C] what the normal scenarios are multiplied by: 1, or sqrt((dof-2)/chi-squared)."""
    if scenarios.dof is None:
        return np.ones(len(rows))
    counter = np.zeros((len(rows), 4), np.uint32)
    counter[:, 0], counter[:, 1] = rows, MIX_BLOCK
    words = philox4x32_numpy(_key(scenarios.seed), counter)[:, 0]
    chi_squared = 2.0 * special.gammaincinv(scenarios.dof / 2, (words + 0.5) * _UNIT)
    return np.sqrt((scenarios.dof - 2.0) / chi_squared)


def draw_returns(scenarios: Scenarios, rows: np.ndarray) -> np.ndarray:
    """Return float64[C, N] returns of the scenarios rows int64[C], each in 0..count-1.

    Cost: C x N random numbers and a C x N x N/2 matrix product, on as many threads as numba has.
    """
    wanted = np.asarray(rows)
    if wanted.ndim != 1 or wanted.dtype.kind not in "iu" or not len(wanted):
        raise ValueError(f"rows is {wanted.dtype}{list(wanted.shape)}, expected whole numbers [C], C >= 1")
    if wanted.min() < 0 or wanted.max() >= scenarios.count:
        raise ValueError(f"rows are {wanted.min()}..{wanted.max()}, expected 0..{scenarios.count - 1}")
    out = np.empty((len(wanted), len(scenarios.mean)))

    def work(chunk: slice) -> None:
        out[chunk] = _draw(scenarios, wanted[chunk])

    for_each_chunk(len(wanted), chunk_rows(len(scenarios.mean)), work)
    return out


def _draw(scenarios: Scenarios, rows: np.ndarray) -> np.ndarray:
    """Return float64[C, N] returns on the calling thread."""
    assets = len(scenarios.mean)
    normal = _fill(rows.astype(np.int64), _mix(scenarios, rows), assets, *_key(scenarios.seed))
    out = np.empty_like(normal)
    for start in range(0, assets, _COLUMNS):
        stop = min(start + _COLUMNS, assets)
        np.matmul(normal[:, :stop], scenarios.factor[start:stop, :stop].T, out=out[:, start:stop])
    if scenarios.mean.any():
        out += scenarios.mean
    return out


def draw_returns_numpy(scenarios: Scenarios, rows: np.ndarray) -> np.ndarray:
    """Return what `draw_returns` does, without numba and by scipy's normal quantile: the reference, to 7 digits."""
    assets = len(scenarios.mean)
    blocks = np.arange((assets + 3) // 4)
    counter = np.zeros((len(rows), len(blocks), 4), np.uint32)
    counter[..., 0], counter[..., 1] = np.asarray(rows)[:, None], blocks
    words = philox4x32_numpy(_key(scenarios.seed), counter).reshape(len(rows), -1)[:, :assets]
    normal = special.ndtri((words + 0.5) * _UNIT)
    return scenarios.mean + _mix(scenarios, np.asarray(rows))[:, None] * (normal @ scenarios.factor.T)


def linear_pnl(scenarios: Scenarios, exposures: Any) -> np.ndarray:
    """Return float64[S] P&L of a portfolio that is linear in its returns, w'r_s: no matrix product per scenario.

    exposures w: float64[N]. w'(L z) = (L'w)'z holds for linear portfolios only; others need `revalued_pnl`. Bit for bit
    the same on any number of threads. ValueError where exposures are not finite or not N.
    """
    projected, mean = projected_weights(scenarios, exposures)
    normal = _project(projected, scenarios.count, *_key(scenarios.seed))
    return mean + normal * _mix(scenarios, np.arange(scenarios.count))


def projected_weights(scenarios: Scenarios, exposures: Any) -> tuple[np.ndarray, float]:
    """Return L'w, padded by 0 to whole Philox blocks float64[4 B], and w'mean; ValueError as `linear_pnl`."""
    assets = len(scenarios.mean)
    weights = check.vector("exposures", exposures, assets)
    projected = np.zeros(4 * ((assets + 3) // 4))
    projected[:assets] = scenarios.factor.T @ weights
    return projected, float(weights @ scenarios.mean)


def _revalue_rows(scenarios: Scenarios, revalue: Revalue, rows: np.ndarray) -> np.ndarray:
    """Return float64[C, N] P&L by asset; ValueError where revalue returns another shape."""
    pnl = np.asarray(revalue(_draw(scenarios, rows)), np.float64)
    if pnl.shape != (len(rows), len(scenarios.mean)):
        raise ValueError(f"revalue gave {list(pnl.shape)}, expected P&L [{len(rows)}, {len(scenarios.mean)}]")
    return pnl


def revalued_pnl(scenarios: Scenarios, revalue: Revalue) -> np.ndarray:
    """Return float64[S] P&L of any portfolio: revalue maps returns float64[C, N] to P&L by asset float64[C, N].

    revalue is called from several threads at once, each with an array of its own, and must not start numba's parallel
    kernels. Memory: a few MB a thread and S numbers. The random numbers are `linear_pnl`'s, so that both give the same
    scenarios; each chunk is one BLAS thread's, so that the bits are the same on any number of threads.
    """
    out = np.empty(scenarios.count)

    def work(chunk: slice) -> None:
        out[chunk] = _revalue_rows(scenarios, revalue, np.arange(chunk.start, chunk.stop)).sum(axis=1)

    for_each_chunk(scenarios.count, chunk_rows(len(scenarios.mean)), work)
    return check.vector("pnl of revalue", out)  # a sum is finite only where all its parts are


def component_es(scenarios: Scenarios, pnl: Any, revalue: Revalue, tail_frac: float) -> np.ndarray:
    """Return float64[N] each asset's part in the ES of pnl float64[S]; the parts sum to it.

    Only the tail's scenarios are drawn again. pnl: of `linear_pnl` or `revalued_pnl` of the same scenarios, revalue as
    there. ValueError where pnl is not of these scenarios.
    """
    checked_tail_series("pnl", pnl, tail_frac)
    series = check.vector("pnl", pnl, scenarios.count)
    tail = np.flatnonzero(series <= np.quantile(series, tail_frac))
    sums, size = np.empty(len(tail)), chunk_rows(len(scenarios.mean))
    parts = np.zeros((-(-len(tail) // size), len(scenarios.mean)))

    def work(chunk: slice) -> None:
        drawn = _revalue_rows(scenarios, revalue, tail[chunk])
        sums[chunk] = drawn.sum(axis=1)
        parts[chunk.start // size] = -drawn.sum(axis=0)

    for_each_chunk(len(tail), size, work)
    if not np.allclose(sums, series[tail], rtol=1e-6, atol=1e-9 * float(np.abs(series).max())):
        raise ValueError("pnl is not what revalue gives in these scenarios, expected both of one seed and law")
    return parts.sum(axis=0) / len(tail)
