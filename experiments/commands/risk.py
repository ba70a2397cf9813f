"""`bookswarm risk backtest | report`: judge VaR and ES on recorded returns, and say what a portfolio risks."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from experiments.commands.options import Json, Quiet, Seed
from experiments.console import CommandFailed, Output, print_value

Kind = Annotated[
    Literal["auto", "prices", "returns"], typer.Option(help="What the table holds; auto: prices where all are above 0.")
]
Level = Annotated[float, typer.Option(help="Confidence level of VaR and ES, above 0.5 and below 1.")]


def register(app: typer.Typer) -> None:
    """Attach the group."""
    group = typer.Typer(help="Portfolio risk: backtest VaR and ES, report on positions.", no_args_is_help=True)
    group.command()(backtest)
    group.command()(report)
    app.add_typer(group, name="risk")


def backtest(
    data: Annotated[Path, typer.Option("--data", help="csv (.gz) or Parquet: time, then a column an asset.")],
    out_file: Annotated[Path, typer.Option("--out", help="Page to write.")],
    methods: Annotated[
        str, typer.Option(help="Methods, separated by commas; default: all that ship.", show_default=False)
    ] = "",
    level: Level = 0.99,
    window: Annotated[int, typer.Option(help="Days that each forecast sees, at least 250.", min=250)] = 1000,
    refit: Annotated[int, typer.Option(help="Days between fits of Student t and GARCH.", min=1)] = 250,
    weights: Annotated[str, typer.Option(help="equal, or a csv of asset,weight.")] = "equal",
    assets: Annotated[str, typer.Option(help="Columns, separated by commas; default: all.", show_default=False)] = "",
    kind: Kind = "auto",
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Backtest one-day VaR and ES of a portfolio by every method, and write the page. Exit 1 where none passes.

    Example: bookswarm risk backtest --data bars/daily/skfolio_sp500_dataset.csv.gz --out backtest.html

    Example: bookswarm risk backtest --data prices.parquet --weights mine.csv --methods historical,filtered_ewma --level
    0.975 --out backtest.html --json
    """
    from experiments.risk_backtest import method_rows, run_backtest
    from experiments.risk_page import write_backtest_page
    from experiments.risk_tables import read_returns, read_weights

    out = Output(json_mode, quiet)
    table = read_returns(data, kind, _listed(assets))
    held = read_weights(weights, table.assets)
    with out.progress("backtest", "methods") as advance:
        done = run_backtest(table, held, _listed(methods), tail(level), window, refit, advance)
    arguments = ["--data", str(data), "--level", str(level), "--window", str(window), "--refit", str(refit)]
    arguments += ["--weights", weights, "--kind", kind, "--out", str(out_file)]
    for name, value in (("--methods", methods), ("--assets", assets)):
        arguments += [name, value] if value else []
    result = write_backtest_page(done, arguments, out_file)
    if json_mode:
        out.result(result)
    else:
        brief = ("method", "passes", "days", "exceedances", "expected", *_TOLD)
        print_value("methods", [{name: row[name] for name in brief} for row in method_rows(done)])
        for name in ("days", "first_date", "last_date", "unit", "path"):
            print_value(name, result[name])
    if not done.passing:
        raise CommandFailed(1, f"not one of {len(done.results)} methods passes on {len(done.pnl)} days: {out_file}")


_TOLD = ("kupiec_p", "independence_p", "conditional_p", "zone", "z1", "z2", "es_rejected")


def report(
    positions: Annotated[Path, typer.Option("--positions", help="csv of asset,quantity,mark,group.")],
    returns: Annotated[Path, typer.Option("--returns", help="csv (.gz) or Parquet: time, then a column an asset.")],
    equity: Annotated[float, typer.Option(help="Capital in quote units, above 0.")],
    level: Level = 0.99,
    window: Annotated[int, typer.Option(help="Latest days of returns that are used, at least 250.", min=250)] = 1000,
    target: Annotated[float, typer.Option(help="Volatility a year that sizing aims at, of equity.")] = 0.12,
    periods: Annotated[float, typer.Option(help="Periods of the table a year.")] = 252.0,
    kind: Kind = "auto",
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Say what positions risk: VaR, ES, contributions, stress, exposure, sizing; exit 2 where a mark is missing.

    Example: bookswarm risk report --positions held.csv --returns prices.csv.gz --equity 1000000

    Example: bookswarm risk report --positions held.csv --returns prices.csv.gz --equity 1e6 --level 0.975 --json
    """
    from experiments.risk_report import portfolio_report
    from experiments.risk_tables import read_positions, read_returns

    held = read_positions(positions)
    table = read_returns(returns, kind, list(held.quantities))
    out = Output(json_mode, quiet)
    with out.progress("report", "parts") as advance:
        found = portfolio_report(held, table, equity, tail(level), window, target, periods, advance)
    out.result(found)


def tail(level: float) -> float:
    """Return 1 - level without the digits that the subtraction makes up; ValueError outside 0.5..1."""
    if not 0.5 < level < 1.0:
        raise ValueError(f"--level is {level}, expected above 0.5 and below 1, such as 0.99")
    return round(1.0 - level, 12)


def _listed(text: str) -> list[Any]:
    return [name.strip() for name in text.split(",") if name.strip()]
