"""Where the mean or the volatility of a series changed, found after the fact by PELT.

The best split minimises sum of segment costs + penalty * changes. Cost of a segment of n rows of D columns:
- `mean`: sum of squared distances from its mean, in units of the noise's variance, which is one throughout;
- `mean_and_variance`: n log det of its covariance (twice the negative log-likelihood of a normal, less constants).
The default penalty is Schwarz's: log N for each parameter that a change adds and one for its place.
A change is known only well after it happened, so rows labelled here may split history but must not be a feature.
Source: Killick, Fearnhead, Eckley 2012, JASA 107(500); implementation: ruptures. Cost: quadratic in N without changes.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np

from kernels import checks as check

MEAN, MEAN_AND_VARIANCE = "mean", "mean_and_variance"
KINDS = (MEAN, MEAN_AND_VARIANCE)
MAX_ROWS = 5_000  # about a minute without changes
_NORMAL_MAD = 1.4826  # standard deviations in a median absolute deviation of a normal


class Segments(NamedTuple):
    """S segments of a series of N rows."""

    first_row: np.ndarray  # int64[S], the first is 0
    mean: np.ndarray  # float64[S, D]
    std: np.ndarray  # float64[S, D]
    label: np.ndarray  # int64[N] the row's segment


def find_changes(values: Any, kind: str = MEAN, *, min_rows: int = 10, penalty: float | None = None) -> Segments:
    """Split float[N] or [N, D] where its `kind` changes; segments have `min_rows` or more, above D.

    The noise of kind `mean` is measured on the differences of neighbours by their median deviation, so that changes
    do not enter. ValueError where N is below 2 min_rows or above 5,000, or the noise is 0.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, it must be one of {KINDS}")
    x = np.asarray(values, np.float64)
    x = x[:, None] if x.ndim == 1 else x
    _check(x, check.whole("min_rows", min_rows, 2))
    z = (x - x.mean(0)) / (_noise_std(x) if kind == MEAN else _spread(x))
    columns = x.shape[1]
    added = columns if kind == MEAN else columns + columns * (columns + 1) // 2
    cost = (added + 1) * np.log(len(x)) if penalty is None else check.number("penalty", penalty, 0, open_low=True)
    return _segments(x, _pelt(z, kind, min_rows, float(cost)))


def _pelt(z: np.ndarray, kind: str, min_rows: int, penalty: float) -> list[int]:
    """Return the first row of each segment after the first."""
    import ruptures

    with warnings.catch_warnings():
        # It says at every construction that 1e-6 is added to the variance, here of columns of variance 1.
        warnings.filterwarnings("ignore", message="New behaviour in v1.1.5", category=UserWarning)
        search = ruptures.Pelt(model="l2" if kind == MEAN else "normal", min_size=min_rows, jump=1)
    return search.fit(z).predict(pen=penalty)[:-1]


def _segments(x: np.ndarray, changes: list[int]) -> Segments:
    label = np.zeros(len(x), np.int64)
    label[changes] = 1
    parts = np.split(x, changes)
    mean, std = np.array([part.mean(0) for part in parts]), np.array([part.std(0) for part in parts])
    return Segments(np.array([0, *changes], np.int64), mean, std, np.cumsum(label))


def _check(x: np.ndarray, min_rows: int) -> None:
    if x.ndim != 2 or not 2 * min_rows <= len(x) <= MAX_ROWS or not 1 <= x.shape[1] < min_rows:
        limits = f"{2 * min_rows}..{MAX_ROWS} rows and fewer columns than min_rows {min_rows}"
        raise ValueError(f"values have shape {x.shape}, they must have {limits}")
    if not np.isfinite(x).all():
        raise ValueError(f"values have a row, {int(np.argmin(np.isfinite(x).all(1)))}, that is not finite")


def _noise_std(x: np.ndarray) -> np.ndarray:
    step = np.diff(x, axis=0)
    return _above_zero(_NORMAL_MAD * np.median(np.abs(step - np.median(step, axis=0)), axis=0) / np.sqrt(2))


def _spread(x: np.ndarray) -> np.ndarray:
    return _above_zero(x.std(0))


def _above_zero(scale: np.ndarray) -> np.ndarray:
    if (scale <= 0).any():
        raise ValueError(f"column {int(np.argmin(scale))} of values has no noise to measure a change against")
    return scale
