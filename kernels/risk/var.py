"""VaR and ES of one series of P&L or returns: historical, Gaussian, Student t and Cornish-Fisher.

All take float64[T], positive when it helps, and return positive losses in the same unit for a tail of `tail_frac`.
A number that the series cannot carry is refused: ValueError where a value is not finite, where there are fewer than 30
observations or fewer than 1/tail_frac, and, but for the historical one, where the series never moves.
Source: McNeil, Frey, Embrechts (2015), Quantitative Risk Management, 2nd ed., section 9.2.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from scipy import optimize, special, stats

from kernels import checks as check
from kernels.risk.tails import (
    MOMENTS_LEAST,
    TailRisk,
    checked_tail,
    checked_tail_series,
    elliptical_risk,
    standard_es,
    standard_var,
)

_DOF_RANGE: Final = (1.05, 1e4)  # below, the ES is all tail; above, the law is normal to four digits
_STILL: Final = 1e-12  # of the largest value: rounding, no movement


class StudentFit(NamedTuple):
    """Maximum likelihood of location + scale * Student t."""

    location: float
    scale: float
    dof: float
    log_likelihood: float


def checked_moving(name: str, series: np.ndarray) -> float:
    """Return the standard deviation (T-1 in the divisor); ValueError where the series never moves."""
    deviation = float(series.std(ddof=1))
    if not deviation > _STILL * float(np.abs(series).max()):
        raise ValueError(f"{name} never moves, so it says nothing of risk")
    return deviation


def historical_risk(pnl: Any, tail_frac: float) -> TailRisk:
    """Return minus the empirical quantile, linear between order statistics, and minus the mean at or below it."""
    series = checked_tail_series("pnl", pnl, tail_frac)
    quantile = np.quantile(series, tail_frac)
    return TailRisk(-float(quantile), -float(series[series <= quantile].mean()))


def gaussian_risk(pnl: Any, tail_frac: float) -> TailRisk:
    """Return VaR and ES of the normal distribution of the series' mean and standard deviation."""
    series = checked_tail_series("pnl", pnl, tail_frac)
    return elliptical_risk(float(series.mean()), checked_moving("pnl", series), tail_frac)


def student_risk(pnl: Any, tail_frac: float) -> TailRisk:
    """Return VaR and ES of Student's t fitted by maximum likelihood; ValueError as `fit_student`."""
    fit = fit_student(checked_tail_series("pnl", pnl, tail_frac))
    return TailRisk(
        -fit.location + fit.scale * standard_var(tail_frac, fit.dof),
        -fit.location + fit.scale * standard_es(tail_frac, fit.dof),
    )


def fit_student(pnl: Any) -> StudentFit:
    """Return location, scale and degrees of freedom of largest likelihood, dof in 1.05..10,000.

    ValueError where the search does not converge, or wants a smaller dof, whose ES does not exist or is all tail.
    """
    series = check.vector("pnl", pnl, least=MOMENTS_LEAST)
    deviation = checked_moving("pnl", series)
    low, middle, high = (float(value) for value in np.quantile(series, (0.25, 0.5, 0.75)))
    unit = (high - low) / 1.35 or deviation  # quartiles: a deviation may be one outlier
    scaled = (series - middle) / unit
    bounds = [(-3.0, 3.0), (np.log(1e-4), np.log(10.0)), (np.log(_DOF_RANGE[0]), np.log(_DOF_RANGE[1]))]
    start = [0.0, np.log(0.7), np.log(5.0)]
    found = optimize.minimize(_minus_log_student, start, (scaled,), method="L-BFGS-B", bounds=bounds)
    location, scale, dof = float(found.x[0]), float(np.exp(found.x[1])), float(np.exp(found.x[2]))
    if not found.success or dof <= _DOF_RANGE[0] * 1.001:
        raise ValueError(f"pnl has no Student t with an ES: the fit ended at dof {dof:.3g} ({found.message})")
    log_likelihood = -len(series) * (float(found.fun) + np.log(unit))
    return StudentFit(middle + unit * location, unit * scale, dof, float(log_likelihood))


def _minus_log_student(parameters: np.ndarray, series: np.ndarray) -> float:
    """Return the mean negative log likelihood at (location, log scale, log dof)."""
    location, log_scale, dof = parameters[0], parameters[1], np.exp(parameters[2])
    squares = ((series - location) * np.exp(-log_scale)) ** 2
    constant = special.gammaln((dof + 1) / 2) - special.gammaln(dof / 2) - 0.5 * np.log(dof * np.pi) - log_scale
    return float((dof + 1) / 2 * np.log1p(squares / dof).mean() - constant)


def cornish_fisher_risk(pnl: Any, tail_frac: float) -> TailRisk:
    """Return VaR and ES of the third-order Cornish-Fisher quantile of the series' four moments.

    w(z) = z + (z^2-1) S/6 + (z^3-3z) K/24 - (2z^3-5z) S^2/36 with skewness S and excess kurtosis K (divisors T);
    VaR = -mean - s w(z), ES = -mean - s E[w(Z) | Z <= z], s with divisor T-1. ValueError where w is no quantile there.
    Source: Cornish, Fisher (1937), Moments and cumulants in the specification of distributions; Maillard (2012), A
    user's guide to the Cornish Fisher expansion, for its domain.
    """
    series = checked_tail_series("pnl", pnl, tail_frac)
    deviation = checked_moving("pnl", series)
    skew, excess = float(stats.skew(series)), float(stats.kurtosis(series))
    quantile, shortfall = cornish_fisher(tail_frac, skew, excess)
    mean = float(series.mean())
    return TailRisk(-mean - deviation * quantile, -mean - deviation * shortfall)


def cornish_fisher(tail_frac: float, skew: float, excess_kurtosis: float) -> tuple[float, float]:
    """Return w(z) and E[w(Z) | Z <= z] at z = the normal quantile of tail_frac, both negative in a loss tail.

    The mean in the tail is exact: the integral of He_n(x) phi(x) up to z is -He_(n-1)(z) phi(z).
    ValueError where w does not grow up to z or falls below w(z) after it, but for a thousandth of tail_frac at either
    end: then w(z) is not the quantile of w(Z).
    """
    if not (np.isfinite(skew) and np.isfinite(excess_kurtosis)):
        raise ValueError(f"skew is {skew} and excess_kurtosis {excess_kurtosis}, expected finite numbers")
    z = -standard_var(checked_tail(tail_frac))
    # w = h1 He_1 + h2 He_2 + h3 He_3, He_1 = z, He_2 = z^2 - 1, He_3 = z^3 - 3z.
    h1, h2, h3 = 1.0 - skew**2 / 36, skew / 6, excess_kurtosis / 24 - skew**2 / 18
    cubic = np.polynomial.Polynomial([-h2, h1 - 3 * h3, h2, h3])
    _check_quantile(cubic, z, skew, excess_kurtosis)
    density = float(stats.norm.pdf(z))
    tail_mean = -density / tail_frac * (h1 + h2 * z + h3 * (z**2 - 1))
    return float(cubic(z)), tail_mean


def _check_quantile(cubic: np.polynomial.Polynomial, z: float, skew: float, excess_kurtosis: float) -> None:
    """Raise ValueError unless the cubic grows up to z and stays above its value there afterwards.

    Both ends are cut where a thousandth of tail_frac is left: a thin-tailed cubic turns somewhere, far outside.
    """
    far = float(special.ndtri(special.ndtr(z) / 1000))
    roots = cubic.deriv().trim().roots() if np.any(cubic.coef[2:]) else np.empty(0)
    turns = roots.real[np.abs(roots.imag) < 1e-12]
    turns = turns[(turns > far) & (turns < -far)]
    later = np.append(turns[turns > z], -far)
    if (turns <= z).any() or cubic(far) >= cubic(z) or (cubic(later) < cubic(z)).any():
        raise ValueError(
            f"skew {skew:.3g} and excess_kurtosis {excess_kurtosis:.3g} are outside the domain of Cornish-Fisher: "
            "its quantile does not grow with the probability"
        )
