"""Rolling VaR backtest: each method forecasts every day from the days before it, and is judged on all of them.

A forecast for day t sees returns[t - window : t] alone. Fits of many parameters (Student t, GARCH) are made anew every
`refit_days` and held in between; GARCH's volatility moves on every day.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from kernels import checks as check
from kernels.risk import backtests as bt
from kernels.risk import es_backtests as es
from kernels.risk import filtered as fs
from kernels.risk import var as vr
from kernels.risk.tails import TailRisk, checked_tail_series

LEAST_JUDGED: Final = 250  # days of forecasts that a verdict needs

Forecast = Callable[[np.ndarray], TailRisk]  # float64[window] -> the next day's numbers
MakeForecast = Callable[[np.ndarray, float], Forecast]  # fits on float64[window], for a tail


class RollingRow(NamedTuple):
    """How a method fared. A day that it refused to forecast is judged by nothing, and such a method never passes."""

    method: str
    days: int  # forecast and judged
    refused: int
    coverage: bt.Coverage | None  # None where fewer than 250 days were forecast
    shortfall: es.AcerbiSzekely | None
    light: bt.TrafficLight | None = None  # of the last 250 days judged
    zones: tuple[int, int, int] | None = None  # stretches of 250 days that are green, yellow and red

    def passes(self, size_frac: float = 0.05) -> bool:
        """Return whether it forecast every day and no test of Kupiec and Christoffersen rejects at that size."""
        if self.refused or self.coverage is None:
            return False
        ratios = self.coverage.unconditional, self.coverage.independence, self.coverage.conditional
        return all(ratio.p_value >= size_frac for ratio in ratios)


def _student(window: np.ndarray, tail_frac: float) -> Forecast:
    held = vr.student_risk(window, tail_frac)
    return lambda _: held


def _garch(window: np.ndarray, tail_frac: float) -> Forecast:
    garch = fs.fit_garch(window).garch
    return lambda days: fs.filtered_risk(fs.apply_filter(days, garch), tail_frac)


METHODS: Final[dict[str, MakeForecast]] = {
    "historical": lambda _, tail: lambda days: vr.historical_risk(days, tail),
    "gaussian": lambda _, tail: lambda days: vr.gaussian_risk(days, tail),
    "cornish_fisher": lambda _, tail: lambda days: vr.cornish_fisher_risk(days, tail),
    "student": _student,
    "filtered_ewma": lambda _, tail: lambda days: fs.filtered_risk(fs.ewma_filter(days), tail),
    "filtered_garch": _garch,
}


def rolling_forecasts(
    returns: Any, make_forecast: MakeForecast, tail_frac: float, window: int, refit_days: int
) -> np.ndarray:
    """Return float64[T - window, 2] VaR and ES of the days from `window` on, NaN where the method refuses.

    A VaR below 0, or an ES that is not positive or below its VaR, is no loss to be judged by, and counts as refused. A
    fit that is refused is tried again on the next day. ValueError where returns are not finite or no longer than the
    window.
    """
    series = check.vector("returns", returns, least=check.whole("window", window, 1, 10**7) + 1)
    check.whole("refit_days", refit_days, 1, 10**7)
    out = np.full((len(series) - window, 2), np.nan)
    forecast, fitted = None, 0
    for day in range(len(out)):
        history = series[day : day + window]
        try:
            if forecast is None or day - fitted >= refit_days:
                forecast, fitted = None, day
                forecast = make_forecast(history, tail_frac)
            risk = forecast(history)
            if risk.var >= 0 and risk.es > 0 and risk.es >= risk.var:
                out[day] = risk
        except ValueError:  # the method refuses this history: no number
            continue
    return out


def rolling_backtest(
    returns: Any,
    tail_frac: float = 0.01,
    window: int = 1000,
    refit_days: int = 250,
    methods: dict[str, MakeForecast] | None = None,
) -> list[RollingRow]:
    """Return one row per method, all on the same days.

    returns: float64[T] per period, T >= window + 250, window at least 250 and 1/tail_frac. ValueError otherwise.
    """
    least = check.whole("window", window, fs.GARCH_LEAST, 10**7)
    series = check.vector("returns", returns, least=least + LEAST_JUDGED)
    checked_tail_series("returns of a window", series[:window], tail_frac)
    rows = []
    for name, make_forecast in (METHODS if methods is None else methods).items():
        forecasts = rolling_forecasts(series, make_forecast, tail_frac, window, refit_days)
        rows.append(judge_forecasts(name, series[window:], forecasts, tail_frac))
    return rows


def judge_forecasts(method: str, pnl: Any, forecasts: np.ndarray, tail_frac: float) -> RollingRow:
    """Return the row of a method from the days that it answered.

    pnl: float64[T]; forecasts: float64[T, 2] VaR and ES, as `rolling_forecasts` returns them, NaN where it refused.
    ValueError where the lengths differ, or a forecast is no positive loss.
    """
    series = check.vector("pnl", pnl, len(forecasts))
    answered = ~np.isnan(forecasts[:, 0])
    days, refused = int(answered.sum()), int((~answered).sum())
    if days < LEAST_JUDGED:
        return RollingRow(method, days, refused, None, None)
    judged, (var, shortfall) = series[answered], forecasts[answered].T
    hits = bt.find_exceedances(judged, var)
    return RollingRow(
        method,
        days,
        refused,
        bt.christoffersen(hits, tail_frac),
        es.acerbi_szekely(judged, var, shortfall, tail_frac),
        bt.basel_traffic_light(int(hits[-LEAST_JUDGED:].sum()), LEAST_JUDGED, tail_frac),
        bt.count_zones(hits, tail_frac, LEAST_JUDGED),
    )
