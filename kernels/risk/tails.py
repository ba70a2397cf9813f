"""Quantile and expected shortfall of the standard normal and the unscaled Student t, as positive losses.

Source: McNeil, Frey, Embrechts (2015), Quantitative Risk Management, 2nd ed., examples 2.11, 2.14 and 2.15.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from scipy import stats

from kernels import checks as check

MOMENTS_LEAST: Final = 30  # observations below which a variance or a fit is not worth a limit


def checked_tail(tail_frac: float) -> float:
    """Return the probability of the loss tail; ValueError unless it is above 0 and below one half."""
    if not 0.0 < tail_frac < 0.5:
        raise ValueError(f"tail_frac is {tail_frac}, expected a probability above 0 and below 0.5, 0.01 for VaR 99 %")
    return float(tail_frac)


def checked_tail_series(name: str, values: Any, tail_frac: float) -> np.ndarray:
    """Return float64[T] whose tail holds at least one observation, T * tail_frac >= 1; else ValueError."""
    least = int(np.ceil(1.0 / checked_tail(tail_frac) - 1e-9))
    return check.vector(name, values, least=max(least, MOMENTS_LEAST))


def checked_dof(dof: float | None) -> float | None:
    """Return the degrees of freedom, None for the normal; ValueError unless above 1, where a mean exists."""
    if dof is not None and not (np.isfinite(dof) and dof > 1.0):
        raise ValueError(f"dof is {dof}, expected a finite number above 1, or None for the normal distribution")
    return dof


def standard_var(tail_frac: float, dof: float | None = None) -> float:
    """Return -F^-1(tail_frac) of the standard normal (dof None) or of Student's t, not scaled to unit variance."""
    checked_tail(tail_frac)
    law = stats.norm if checked_dof(dof) is None else stats.t(dof)
    return -float(law.ppf(tail_frac))


def standard_es(tail_frac: float, dof: float | None = None) -> float:
    """Return -E[X | X <= F^-1(tail_frac)] of the standard normal (dof None) or of Student's t, not scaled.

    Normal phi(z)/a; Student f(q)/a (nu + q^2)/(nu - 1).
    """
    quantile = standard_var(tail_frac, dof)
    if dof is None:
        return float(stats.norm.pdf(quantile)) / tail_frac
    return float(stats.t.pdf(quantile, dof)) / tail_frac * (dof + quantile**2) / (dof - 1.0)


class TailRisk(NamedTuple):
    """Value at risk and expected shortfall, both positive losses; below 0 where even the tail gains."""

    var: float
    es: float


def elliptical_risk(mean: float, deviation: float, tail_frac: float, dof: float | None = None) -> TailRisk:
    """Return VaR and ES of a P&L of that mean and standard deviation, normal (dof None) or Student t.

    VaR = -mean + s q, ES = -mean + s e with the standard quantile q and shortfall e; s = deviation for the normal,
    deviation sqrt((dof-2)/dof) for Student's t. ValueError for dof <= 2, where there is no deviation.
    """
    if not (np.isfinite(mean) and np.isfinite(deviation) and deviation >= 0):
        raise ValueError(f"mean is {mean} and deviation {deviation}, expected finite numbers, deviation at least 0")
    scale = deviation * unit_scale(dof)
    return TailRisk(-mean + scale * standard_var(tail_frac, dof), -mean + scale * standard_es(tail_frac, dof))


def unit_scale(dof: float | None) -> float:
    """Return what a standard Student t is multiplied by to have variance 1; ValueError for dof <= 2, which has none."""
    if dof is None:
        return 1.0
    if not (np.isfinite(dof) and dof > 2.0):
        raise ValueError(f"dof is {dof}, expected a finite number above 2, where a variance exists")
    return ((dof - 2.0) / dof) ** 0.5
