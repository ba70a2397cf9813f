"""What a portfolio risks: VaR and ES, each asset's part, stress, exposure, and the size that a target would allow.

Nothing is filled in: a position without a mark or group, or returns with a hole, end the report with a sentence.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.console import ProgressFn
from experiments.risk_tables import Positions, ReturnTable
from kernels.risk import exposure, sizing, stress
from kernels.risk.caps import Caps, within
from kernels.risk.covariance import elliptical_contributions, ledoit_wolf, scenario_component_es
from kernels.risk.rolling import METHODS
from kernels.risk.stress import Scenario, Together

MAX_VAR_FRAC = 0.03  # of equity: the limit that ARCHITECTURE's risk levels set for VaR 99 % of a day
LEAST_ROWS = 250


def portfolio_report(
    held: Positions,
    table: ReturnTable,
    equity: float,
    tail_frac: float,
    window: int,
    target_frac: float,
    periods_per_year: float,
    advance: ProgressFn,
) -> dict[str, Any]:
    """Return the parts of the report by name; money in quote units, losses positive.

    table: a column for each position, in the positions' order; the last `window` rows are used. ValueError names what
    is missing, not finite, or too short (250 rows).
    """
    book = exposure.exposures(held.quantities, held.marks, held.groups, equity)
    values = np.array([exposure.position_value(name, held.quantities[name], held.marks) for name in table.assets])
    returns = table.returns[-window:]
    if len(returns) < LEAST_ROWS:
        raise ValueError(f"{table.source} has {len(returns)} returns, expected at least {LEAST_ROWS}")
    covariance = ledoit_wolf(returns).covariance
    parts: list[tuple[str, Callable[[], Any]]] = [
        ("exposure", lambda: _exposure(book)),
        ("limits", lambda: _limits(book)),
        ("risk", lambda: _risk(returns @ values, tail_frac, equity)),
        ("contributions", lambda: _contributions(table.assets, values, returns, covariance, tail_frac)),
        ("stress", lambda: _stress(held, table, values, covariance, equity, periods_per_year)),
        ("sizing", lambda: _sizing(table, values, covariance, equity, tail_frac, target_frac, periods_per_year)),
    ]
    found: dict[str, Any] = {
        "equity": equity,
        "assets": len(table.assets),
        "rows": len(returns),
        "first_date": table.dates[-len(returns)],
        "last_date": table.dates[-1],
        "level_frac": 1.0 - tail_frac,
        "unit": "quote units over one row of the returns; losses positive",
    }
    for done, (name, make) in enumerate(parts):
        advance(done, len(parts), name)
        found[name] = make()
    advance(len(parts), len(parts))
    return found


def _exposure(book: exposure.Book) -> list[dict[str, Any]]:
    rows = [("whole", "", book.whole), *(("asset", name, one) for name, one in book.by_asset.items())]
    rows += [("group", name, one) for name, one in book.by_group.items()]
    return [
        {"of": of, "name": name, "gross": one.gross, "net": one.net, "gross_frac": one.gross / book.equity}
        for of, name, one in rows
    ]


def _limits(book: exposure.Book) -> list[dict[str, Any]]:
    return [
        {"kind": breach.kind.name.lower(), "name": breach.name, "frac": breach.value_frac, "limit": breach.limit_frac}
        for breach in exposure.exposure_breaches(book)
    ]


def _risk(pnl: np.ndarray, tail_frac: float, equity: float) -> list[dict[str, Any]]:
    """Return VaR and ES by every method of the backtest; one that refuses these returns gives its reason."""
    rows: list[dict[str, Any]] = []
    for name, make in METHODS.items():
        try:
            risk = make(pnl, tail_frac)(pnl)
        except ValueError as error:
            rows.append({"method": name, "var": None, "es": None, "var_frac": None, "refused": str(error)})
            continue
        rows.append({"method": name, "var": risk.var, "es": risk.es, "var_frac": risk.var / equity, "refused": ""})
    if all(row["var"] is None for row in rows):
        raise ValueError(f"no method gives a VaR of these returns: {rows[0]['refused']}")
    return rows


def _contributions(
    assets: tuple[str, ...], values: np.ndarray, returns: np.ndarray, covariance: np.ndarray, tail_frac: float
) -> list[dict[str, Any]]:
    """Return each asset's part: normal returns (Euler), and its mean loss on the portfolio's worst days."""
    normal = elliptical_contributions(values, covariance, tail_frac)
    worst = scenario_component_es(returns * values, tail_frac)
    columns = {
        "value": values,
        "marginal_var": normal.marginal_var,
        "component_var": normal.component_var,
        "marginal_es": normal.marginal_es,
        "component_es": normal.component_es,
        "historical_component_es": worst,
    }
    rows = [
        {"asset": asset} | {name: float(column[index]) for name, column in columns.items()}
        for index, asset in enumerate(assets)
    ]
    total: dict[str, Any] = {name: float(columns[name].sum()) for name in columns if not name.startswith("marginal")}
    return [*rows, {"asset": "total"} | {name: total.get(name) for name in columns}]


def _stress(
    held: Positions,
    table: ReturnTable,
    values: np.ndarray,
    covariance: np.ndarray,
    equity: float,
    periods_per_year: float,
) -> list[dict[str, Any]]:
    deviation = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(deviation, deviation)
    np.fill_diagonal(correlation, 1.0)
    by_asset = dict(zip(table.assets, (deviation * np.sqrt(periods_per_year)).tolist(), strict=True))
    book = stress.stress_book(held.quantities, held.marks, held.groups, by_asset, correlation)
    rows = stress.stress_table(book, _scenarios(held, table, values, 1.0 / periods_per_year))
    return [
        {
            "scenario": row.scenario,
            "profit": row.profit,
            "of_equity": row.profit / equity,
            "worst_asset": min(row.by_asset, key=lambda asset: row.by_asset[asset]),
        }
        for row in rows
    ]


def _scenarios(held: Positions, table: ReturnTable, values: np.ndarray, day_years: float) -> list[Scenario]:
    """Return the shocks: all prices, each group, the worst recorded day again, and three deviations together."""
    everything = dict.fromkeys(held.groups.values())
    shocks = [
        Scenario(f"all prices {move:+.0%}", price_frac_by_group=dict.fromkeys(everything, move))
        for move in (-0.2, -0.1, 0.1, 0.2)
    ]
    shocks += [Scenario(f"group {group} -20%", price_frac_by_group={group: -0.2}) for group in everything]
    day = int(np.argmin(table.returns @ values))
    again = dict(zip(table.assets, table.returns[day].tolist(), strict=True))
    shocks.append(Scenario(f"worst recorded day again, {table.dates[day]}", price_frac_by_asset=again))
    shocks.append(Scenario("3 deviations of a day", deviations=3.0, horizon_years=day_years))
    every = shocks[-1]._replace(name="3 deviations of a day, every hedge fails", to_one_frac=1.0)
    return [*shocks, every._replace(together=Together.AGAINST)]


def _sizing(
    table: ReturnTable,
    values: np.ndarray,
    covariance: np.ndarray,
    equity: float,
    tail_frac: float,
    target_frac: float,
    periods_per_year: float,
) -> dict[str, Any]:
    """Return the factor on all positions that reaches the volatility target, VaR limit and caps, whichever is least."""
    weights = values / equity
    now = sizing.volatility_frac(weights, covariance, periods_per_year)
    wanted = sizing.target_volatility(weights, covariance, target_frac, periods_per_year=periods_per_year)
    to_target = wanted.leverage_frac / float(np.abs(weights).sum())
    normal = elliptical_contributions(values, covariance, tail_frac).total.var
    to_var = MAX_VAR_FRAC * equity / normal
    capped = sizing.scale_into(wanted.weights * min(1.0, to_var / to_target), Caps())
    factor = float(np.abs(capped).sum() / np.abs(weights).sum())
    return {
        "volatility_frac_a_year": now,
        "target_frac": target_frac,
        "factor_to_target": to_target,
        "factor_to_var_limit": to_var,
        "factor": factor,
        "within_caps_now": within(weights, Caps()),
        "values": dict(zip(table.assets, (capped * equity).tolist(), strict=True)),
    }
