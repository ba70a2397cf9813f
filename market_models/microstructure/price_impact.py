"""Linear price impact of order flow: dP = intercept + slope * flow, by window, and how the slope falls with depth.

Source: Cont, Kukanov, Stoikov 2014 (see `order_flow`); standard errors: least squares, or Newey and West 1987.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from kernels import checks as check
from market_models.microstructure.order_flow import FlowBins

INTERCEPT = "intercept"


class Regression(NamedTuple):
    """A least-squares fit; the dicts are keyed by `intercept` and the regressors' names."""

    coefficients: dict[str, float]
    standard_errors: dict[str, float]
    t_values: dict[str, float]
    r2_frac: float
    observations: int


class DepthRelation(NamedTuple):
    """slope = scale / depth ^ exponent, fitted in logarithms."""

    scale: float
    exponent: float
    exponent_standard_error: float
    r2_frac: float


def regress(target: Any, regressors: Mapping[str, Any], *, newey_west_lags: int | None = None) -> Regression:
    """Fit `target` float[N] on an intercept and the named float[N] columns.

    Standard errors are those of independent noise of one size (N - K degrees of freedom), or with `newey_west_lags`
    robust to heteroskedasticity and to autocorrelation up to that lag (Bartlett weights, no small-sample factor).
    ValueError where the columns do not determine the coefficients.
    """
    y = check.vector("target", target, least=len(regressors) + 2)
    columns = {name: check.vector(name, values) for name, values in regressors.items()}
    if not columns or INTERCEPT in columns:
        raise ValueError(f"regressors are {list(columns)}, name at least one and none of them {INTERCEPT!r}")
    check.same_length(target=y, **columns)
    design = np.column_stack([np.ones(len(y)), *columns.values()])
    if np.linalg.matrix_rank(design / np.maximum(np.abs(design).max(0), 1e-300)) < design.shape[1]:
        raise ValueError(f"regressors {list(columns)} are constant or depend on each other: no single fit")
    q, r = np.linalg.qr(design)
    beta = np.linalg.solve(r, q.T @ y)
    residual = y - design @ beta
    error = np.sqrt(np.diag(_covariance(design, np.linalg.inv(r), residual, newey_west_lags)))
    names = [INTERCEPT, *columns]
    total = float(((y - y.mean()) ** 2).sum())
    with np.errstate(divide="ignore", invalid="ignore"):  # an exact fit has no error: t is infinite, or nan at 0
        t = beta / error
    r2 = 1 - float(residual @ residual) / total if total > 0 else 0.0
    keyed = [dict(zip(names, column.tolist(), strict=True)) for column in (beta, error, t)]
    return Regression(keyed[0], keyed[1], keyed[2], r2, len(y))


def _covariance(design: np.ndarray, r_inverse: np.ndarray, residual: np.ndarray, lags: int | None) -> np.ndarray:
    bread = r_inverse @ r_inverse.T
    if lags is None:
        return bread * float(residual @ residual) / (len(residual) - design.shape[1])
    check.whole("newey_west_lags", lags, 0)
    score = design * residual[:, None]
    meat = score.T @ score
    for lag in range(1, min(lags, len(score) - 1) + 1):
        cross = score[lag:].T @ score[:-lag]
        meat += (1 - lag / (lags + 1)) * (cross + cross.T)
    return bread @ meat @ bread


def impact_regressions(bins: FlowBins, window_s: float = 1800.0) -> list[dict[str, Regression]]:
    """Fit each whole window: the mid's change in ticks on `ofi`, on `trade_imbalance` and on `both`, in lots.

    ValueError if the window is no whole number of bins or the bins hold no whole window.
    """
    width, rest = divmod(round(window_s * 1e9), bins.bin_ns)
    if rest or width < 4:
        raise ValueError(f"window_s is {window_s}, it must be a whole number of bins of {bins.bin_ns} ns, 4 or more")
    starts = range(0, len(bins.ofi_lots) - width + 1, width)
    if not starts:
        raise ValueError(f"{len(bins.ofi_lots)} bins hold no whole window of {window_s} s")
    return [_window(bins, slice(i, i + width)) for i in starts]


def _window(bins: FlowBins, rows: slice) -> dict[str, Regression]:
    flow = {"ofi": bins.ofi_lots[rows], "trade_imbalance": bins.trade_imbalance_lots[rows]}
    moved = bins.mid_change_tick[rows]
    single = {name: regress(moved, {name: column}) for name, column in flow.items()}
    return {**single, "both": regress(moved, flow)}


def window_depth_lots(bins: FlowBins, window_s: float = 1800.0) -> np.ndarray:
    """Return the mean depth at the touch of each window of `impact_regressions`, float64[W] lots."""
    width = round(window_s * 1e9) // bins.bin_ns
    whole = len(bins.depth_lots) // check.whole("window_s in bins", width, 1)
    return bins.depth_lots[: whole * width].reshape(whole, width).mean(1)


def depth_relation(slope: Any, depth_lots: Any) -> DepthRelation:
    """Fit log slope = log scale - exponent * log depth over W windows; both must be above 0.

    The stylised book of the paper, with the same D lots at every level, has scale 1/2 and exponent 1.
    """
    y = np.log(check.positive("slope", slope, least=3))
    fitted = regress(y, {"depth": np.log(check.positive("depth_lots", depth_lots))})
    error = fitted.standard_errors["depth"]
    scale, exponent = np.exp(fitted.coefficients[INTERCEPT]), -fitted.coefficients["depth"]
    return DepthRelation(float(scale), exponent, error, fitted.r2_frac)
