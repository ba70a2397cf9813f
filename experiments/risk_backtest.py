"""The rolling backtest of a portfolio's VaR and ES: every method over the same days, and what the tests say of each."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.console import ProgressFn
from experiments.risk_tables import ReturnTable
from kernels.risk import es_backtests, rolling

SIZE_FRAC = 0.05  # of every test
DOF = 5.0  # of the law that ES is judged under: tails as heavy as daily returns of stocks
RUNS = 20_000  # of a right model, for the critical value of Z2


class MethodResult(NamedTuple):
    """One method's forecasts and how they fared."""

    row: rolling.RollingRow
    forecasts: np.ndarray  # float64[D, 2] VaR and ES as fractions of the portfolio; NaN where it refused


class Backtest(NamedTuple):
    """All methods over the same days."""

    table: ReturnTable
    weights: np.ndarray  # float64[N], held constant: traded back to every day
    tail_frac: float
    window: int  # days that each forecast sees
    refit_days: int
    dates: tuple[str, ...]  # of the days forecast
    pnl: np.ndarray  # float64[D], fraction of the portfolio
    results: tuple[MethodResult, ...]
    z2_critical: float  # below it, the ES is rejected

    @property
    def passing(self) -> list[str]:
        """Methods that no test of VaR rejects."""
        return [result.row.method for result in self.results if result.row.passes(SIZE_FRAC)]


def run_backtest(
    table: ReturnTable,
    weights: np.ndarray,
    methods: Sequence[str],
    tail_frac: float,
    window: int,
    refit_days: int,
    advance: ProgressFn,
) -> Backtest:
    """Forecast every day from the `window` days before it, by every method, and judge.

    ValueError for an unknown method, a window below 250 or 1/tail_frac, or fewer than window + 250 days.
    """
    chosen = list(methods) or list(rolling.METHODS)
    unknown = [name for name in chosen if name not in rolling.METHODS]
    if unknown:
        raise ValueError(f"method {unknown[0]!r} is unknown, expected some of {', '.join(rolling.METHODS)}")
    pnl = table.returns @ weights
    rolling.rolling_backtest(pnl, tail_frac, window, refit_days, methods={})  # refuses what cannot be judged
    days, results = pnl[window:], []
    for done, name in enumerate(chosen):
        advance(done, len(chosen), name)
        forecasts = rolling.rolling_forecasts(pnl, rolling.METHODS[name], tail_frac, window, refit_days)
        results.append(MethodResult(rolling.judge_forecasts(name, days, forecasts, tail_frac), forecasts))
    advance(len(chosen), len(chosen))
    _, critical = es_backtests.critical_values(len(days), tail_frac, SIZE_FRAC, DOF, RUNS)
    return Backtest(table, weights, tail_frac, window, refit_days, table.dates[window:], days, tuple(results), critical)


def method_rows(backtest: Backtest) -> list[dict[str, Any]]:
    """Return one mapping a method, passing or not; None where it forecast too few days to be judged."""
    return [_row(backtest, result) for result in backtest.results]


def _row(backtest: Backtest, result: MethodResult) -> dict[str, Any]:
    row = result.row
    cover, short, light, zones = row.coverage, row.shortfall, row.light, row.zones
    var, shortfall = result.forecasts[~np.isnan(result.forecasts[:, 0])].T
    windows = sum(zones) if zones else 1
    return {
        "method": row.method,
        "passes": row.passes(SIZE_FRAC),
        "days": row.days,
        "refused": row.refused,
        "exceedances": cover.exceedances if cover else None,
        "expected": row.days * backtest.tail_frac,
        "kupiec_p": cover.unconditional.p_value if cover else None,
        "independence_p": cover.independence.p_value if cover else None,
        "conditional_p": cover.conditional.p_value if cover else None,
        "zone": light.zone.name.lower() if light else None,
        "zone_exceedances": _latest(backtest, result) if light else None,
        "zone_frac": [count / windows for count in zones] if zones else None,
        "z1": short.z1 if short else None,
        "z2": short.z2 if short else None,
        "es_rejected": short.z2 < backtest.z2_critical if short else None,
        "mean_var_frac": float(var.mean()) if len(var) else None,
        "mean_es_frac": float(shortfall.mean()) if len(var) else None,
        "last_var_frac": float(var[-1]) if len(var) else None,
        "last_es_frac": float(shortfall[-1]) if len(var) else None,
    }


def exceedances(backtest: Backtest, result: MethodResult) -> np.ndarray:
    """Return bool[D]: the days whose loss was above the VaR; a day without a forecast is none."""
    return backtest.pnl < -np.nan_to_num(result.forecasts[:, 0], nan=np.inf)


def _latest(backtest: Backtest, result: MethodResult) -> int:
    answered = ~np.isnan(result.forecasts[:, 0])
    return int(exceedances(backtest, result)[answered][-rolling.LEAST_JUDGED :].sum())


def summary(backtest: Backtest) -> dict[str, Any]:
    """Return what `risk backtest --json` prints, but for the page's path."""
    table = backtest.table
    return {
        "data": table.source,
        "kind": table.kind,
        "assets": len(table.assets),
        "days": len(backtest.pnl),
        "first_date": backtest.dates[0],
        "last_date": backtest.dates[-1],
        "window_days": backtest.window,
        "refit_days": backtest.refit_days,
        "level_frac": 1.0 - backtest.tail_frac,
        "unit": "fraction of the portfolio, one day",
        "test_size_frac": SIZE_FRAC,
        "z2_critical": backtest.z2_critical,
        "passing": backtest.passing,
        "methods": method_rows(backtest),
    }
