"""Quantile and expected shortfall of the standard normal and the unscaled Student t, as positive losses.

Source: McNeil, Frey, Embrechts (2015), Quantitative Risk Management, 2nd ed., examples 2.11, 2.14 and 2.15.
"""

import numpy as np
from scipy import stats

from kernels.risk._series import checked_tail


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
