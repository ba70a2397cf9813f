"""Fit an impact model to trades and what the mid did: parameters with standard errors.

Least squares on price changes, whose noise is the price process and is taken as uncorrelated; standard errors are the
sandwich (Huber, White), so the noise need not have one size. Bias: flow that others would have traded anyway (an
informed parent order) is counted as impact, so the estimates are upper bounds.
Cost: a fit of the kernels is a few dozen FFT convolutions over the K intervals.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import least_squares
from scipy.signal import fftconvolve

from market_models.datasets.recording import HIDDEN_EXECUTION, VISIBLE_EXECUTION, Recording
from market_models.impact import IMPACTS, make_impact

_STARTS: dict[str, Callable[[float, float], dict[str, float]]] = {
    # (slope of the mid's change on the force, interval in seconds) -> where the search begins
    "transient": lambda slope, dt: {"depth": 1 / slope, "permanent": slope / 2, "resilience": 0.1 / dt},
    "exponential": lambda slope, dt: {"scale": slope, "rate": 0.1 / dt, "exponent": 1.0},
    "power_law": lambda slope, dt: {"scale": slope, "offset_s": dt, "decay": 0.5, "exponent": 0.5},
}


class ImpactFit(NamedTuple):
    """A fitted model."""

    model: Any  # of impact.py
    params: dict[str, float]  # what was estimated
    standard_errors: dict[str, float]
    residual_tick: float  # root mean square of what is left
    observations: int


def fit_linear(signed_lots: Any, elapsed_s: Any, mid_change_tick: Any, paid_tick: Any) -> ImpactFit:
    """Fit permanent, temporary and fixed impact by ordinary least squares.

    K intervals: our signed lots, their seconds, how far the mid moved over each, and what was paid beyond the mid at
    the interval's start. ValueError where the trades do not determine the parameters.
    """
    lots, seconds, moved, paid = _columns(signed_lots, elapsed_s, mid_change_tick, paid_tick)
    if np.any(seconds <= 0):
        raise ValueError("elapsed_s has a value that is not above 0")
    permanent, permanent_error, _ = _least_squares(lots[:, None], moved, ["permanent"])
    design = np.stack([lots / seconds, np.sign(lots)], axis=1)
    temporary, temporary_error, residual = _least_squares(design, paid, ["temporary", "fixed_tick"])
    params, errors = {**permanent, **temporary}, {**permanent_error, **temporary_error}
    return ImpactFit(IMPACTS["linear"](**params), params, errors, residual, len(lots))


def fit_square_root(signed_lots: Any, impact_tick: Any, volatility_tick: Any, volume_lots: Any) -> ImpactFit:
    """Fit prefactor and exponent to K parent orders: signed lots, the mid's move over each, and sigma and V then."""
    lots, moved, sigma, volume = _columns(signed_lots, impact_tick, volatility_tick, volume_lots)
    if np.any(lots == 0) or np.any(volume <= 0) or np.any(sigma <= 0):
        raise ValueError("signed_lots has a zero, or volume_lots or volatility_tick a value that is not above 0")
    share, toward = np.log(np.abs(lots) / volume), np.sign(lots) * sigma

    def predict(params: np.ndarray) -> np.ndarray:
        return params[0] * toward * np.exp(params[1] * share)

    params, errors, residual = _nonlinear(predict, moved, {"prefactor": 1.0, "exponent": 0.5})
    model = IMPACTS["square_root"](params["prefactor"], float(sigma.mean()), float(volume.mean()), params["exponent"])
    return ImpactFit(model, params, errors, residual, len(lots))


def fit_kernel(
    name: str, signed_lots: Any, interval_s: float, mid_change_tick: Any, *, fixed: dict[str, float] | None = None
) -> ImpactFit:
    """Fit `transient`, `exponential` or `power_law` to K equal intervals of `interval_s` seconds.

    `mid_change_tick[k]` is the mid after the trade of interval k less the mid after that of k - 1. Fields in `fixed`
    are not estimated. ValueError names an unknown model or field, or says that the fit did not converge.
    """
    if name not in _STARTS:
        raise ValueError(f"impact model {name!r} has no kernel to fit, not one of {sorted(_STARTS)}")
    lots, moved = _columns(signed_lots, mid_change_tick)
    given = fixed or {}
    slope = float(abs(lots @ moved) / (lots @ lots)) or 1e-9
    start = _STARTS[name](slope, float(interval_s))
    unknown = set(given) - set(start)
    if unknown:
        raise ValueError(f"fixed fields {sorted(unknown)} are not of {name!r}: {sorted(start)}")
    lags = np.arange(len(lots)) * float(interval_s)

    def predict(params: np.ndarray) -> np.ndarray:
        model = IMPACTS[name](**given, **dict(zip(free, params.tolist(), strict=True)))
        force = np.sign(lots) * np.abs(lots) ** getattr(model, "exponent", 1.0)
        return fftconvolve(force, np.diff(model.kernel(np, lags), prepend=0.0))[: len(lots)]

    free = [field for field in start if field not in given]
    params, errors, residual = _nonlinear(predict, moved, {field: start[field] for field in free})
    return ImpactFit(make_impact(name, **given, **params), params, errors, residual, len(lots))


def recorded_flow(recording: Recording, interval_s: float, from_s: float, to_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (signed lots of takers, the mid's change in ticks) of each interval between two times in seconds.

    All flow is taken for one trader's, so a fit to it measures the response to the market's flow. Visible and hidden
    executions; ValueError where the window holds fewer than 10 intervals or begins before the book has two sides.
    """
    edges = np.arange(from_s, to_s + interval_s / 2, interval_s)
    at_s = recording.time_total_ns / 1e9
    slot = np.searchsorted(edges, at_s, side="right") - 1
    traded = np.isin(recording.kind, (VISIBLE_EXECUTION, HIDDEN_EXECUTION)) & (slot >= 0) & (slot < len(edges) - 1)
    before = np.searchsorted(at_s, edges, side="left") - 1
    if len(edges) < 11 or before[0] < 0 or not recording.present[before, :, 0].all():
        raise ValueError(
            f"{recording.path} has no two-sided book over 10 intervals of {interval_s} s in {from_s}..{to_s} s"
        )
    # `side` is the resting order's: its taker bought where it is a sell order.
    signed = recording.lots[traded] * (2.0 * recording.side[traded] - 1)
    lots = np.bincount(slot[traded], signed, len(edges) - 1)
    return lots, np.diff(recording.book[before, :, 0, 0].sum(axis=1) / 2)


def _columns(*values: Any) -> list[np.ndarray]:
    columns = [np.asarray(value, np.float64) for value in np.broadcast_arrays(*values)]
    if columns[0].ndim != 1 or len(columns[0]) < 10:
        raise ValueError(f"observations have shape {columns[0].shape}, expected one row of at least 10")
    if not all(np.isfinite(column).all() for column in columns):
        raise ValueError("observations hold a value that is not finite")
    return columns


def _least_squares(design: np.ndarray, target: np.ndarray, names: list[str]) -> tuple[dict, dict, float]:
    solution, _, rank, _ = np.linalg.lstsq(design, target, rcond=None)
    if rank < len(names):
        raise ValueError(f"the trades do not determine {names}: vary lots and durations")
    return _named(names, solution, design, target - design @ solution)


def _nonlinear(
    predict: Callable[[np.ndarray], np.ndarray], target: np.ndarray, start: dict[str, float]
) -> tuple[dict, dict, float]:
    # Logarithms keep every parameter positive and give them one scale.
    names, begin = list(start), np.log(list(start.values()))
    with np.errstate(over="ignore"):  # a step too far is taken back
        found = least_squares(lambda logs: predict(np.exp(logs)) - target, begin, bounds=(begin - 12, begin + 12))
    values = np.exp(found.x)
    ended = [f"{name} = {value:.3g}" for name, value, at in zip(names, values, found.active_mask, strict=True) if at]
    if not found.success or ended:
        raise ValueError(f"the fit of {names} did not converge: {', '.join(ended) or found.message}")
    return _named(names, values, found.jac / values, -found.fun)


def _named(
    names: list[str], values: np.ndarray, jacobian: np.ndarray, residual: np.ndarray
) -> tuple[dict, dict, float]:
    try:
        bread = np.linalg.inv(jacobian.T @ jacobian)
    except np.linalg.LinAlgError:
        raise ValueError(f"the observations do not determine {names}") from None
    weighted = jacobian * residual[:, None]
    covariance = bread @ (weighted.T @ weighted) @ bread
    errors = np.sqrt(np.diag(covariance) * len(residual) / max(len(residual) - len(names), 1))
    params = dict(zip(names, values.tolist(), strict=True))
    return params, dict(zip(names, errors.tolist(), strict=True)), float(np.sqrt(np.mean(residual**2)))
