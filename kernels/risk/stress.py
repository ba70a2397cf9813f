"""Stress: what a book would make or lose under named scenarios.

A scenario moves prices by fractions s and multiplies volatilities by factors k, by asset or by group, and may draw
correlations together. For a position of q units at mark m, with value v = q m and optional gamma g (change of its
delta, in units, a unit of price) and vega n (quote units a unit of volatility a year, 0.01 being one point):

    profit = v s + g (m s)^2 / 2 + n sigma (k - 1)          (Taylor expansion)

and where the scenario holds a move of z standard deviations over a horizon of h years, the loss beside it

    diffusion = z sqrt(h) sqrt(x' R x),  x = v k sigma,  R = (1 - c) correlation + c T.

T is all ones (every asset moves as one, where long and short offset), or for `AGAINST` ones with the signs of the
positions (every hedge fails at once: sum |x|, the worst of all correlations).
Source: Kupiec (1998), Stress Testing in a Value at Risk Framework, Journal of Derivatives 6(1); Hull, Options, Futures,
and Other Derivatives, the chapter on Greek letters, for the expansion.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from kernels import checks as check
from kernels.risk.exposure import position_value


class Together(IntEnum):
    """What correlations are drawn to."""

    ONE = 1
    AGAINST = 2  # to one with the sign that hurts


class Scenario(NamedTuple):
    """A named shock; an asset's own value goes before its group's, and that before none (0, factor 1)."""

    name: str
    price_frac_by_asset: Mapping[str, float] = {}
    price_frac_by_group: Mapping[str, float] = {}
    volatility_factor_by_asset: Mapping[str, float] = {}
    volatility_factor_by_group: Mapping[str, float] = {}
    deviations: float = 0.0  # z
    horizon_years: float = 1 / 365
    to_one_frac: float = 0.0  # c: 0 leaves correlations, 1 replaces them
    together: Together = Together.ONE


class StressBook(NamedTuple):
    """Positions to be stressed, N assets in the order of `quantities`; N may be 0."""

    assets: tuple[str, ...]
    groups: tuple[str, ...]  # of each asset
    universe: Mapping[str, str]  # group of every asset that a scenario may name, held or not
    marks: np.ndarray  # float64[N], quote units
    values: np.ndarray  # float64[N], quote units, signed
    volatility_frac: np.ndarray | None  # float64[N], a year
    correlation: np.ndarray | None  # float64[N, N]
    gamma: np.ndarray  # float64[N], units a quote unit
    vega: np.ndarray  # float64[N], quote units a unit of volatility


class StressRow(NamedTuple):
    """One scenario's outcome in quote units."""

    scenario: str
    profit: float  # of prices and volatility less the diffusion; negative is a loss
    diffusion: float  # at least 0
    by_asset: dict[str, float]  # of prices and volatility


def stress_book(
    quantities: Mapping[str, float],
    marks: Mapping[str, float],
    groups: Mapping[str, str],
    volatility_frac: Mapping[str, float] | None = None,
    correlation: Any | None = None,
    gamma: Mapping[str, float] | None = None,
    vega: Mapping[str, float] | None = None,
) -> StressBook:
    """Return a checked book; ValueError names the field and the asset that is missing, unknown or not finite.

    quantities: signed units by asset; groups: those of assets that are not held may be there too. correlation[N, N] in
    the order of quantities. gamma and vega may leave out assets.
    """
    assets = tuple(quantities)
    values = [position_value(asset, quantities[asset], marks) for asset in assets]
    for asset in assets:
        if not isinstance(groups.get(asset), str):
            raise ValueError(f"groups has none for {asset!r}: every asset held needs one")
    matrix = None if correlation is None or not assets else check.covariance("correlation", correlation, len(assets))
    if matrix is not None and np.abs(np.diag(matrix) - 1).max() > 1e-9:
        raise ValueError("correlation has a diagonal that is not 1")
    return StressBook(
        assets,
        tuple(groups[asset] for asset in assets),
        dict(groups),
        np.array([float(marks[asset]) for asset in assets]),
        np.array(values),
        None if volatility_frac is None else _column("volatility_frac", volatility_frac, assets, low=0.0),
        matrix,
        _column("gamma", gamma or {}, assets, missing=0.0),
        _column("vega", vega or {}, assets, missing=0.0),
    )


def stress(book: StressBook, scenario: Scenario) -> StressRow:
    """Return a scenario's outcome.

    ValueError for assets or groups that are not in the book's universe, prices falling by more than all, factors
    below 0, and where the scenario needs volatilities or correlations that the book lacks.
    """
    shocks = _shocks(book, "price_frac", scenario.price_frac_by_asset, scenario.price_frac_by_group, 0.0, -1.0)
    by_asset, by_group = scenario.volatility_factor_by_asset, scenario.volatility_factor_by_group
    factors = _shocks(book, "volatility_factor", by_asset, by_group, 1.0, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        profit = book.values * shocks + book.gamma * np.square(book.marks * shocks) / 2
        if book.vega.any() and (factors != 1).any():
            profit = profit + book.vega * _volatility(book, scenario) * (factors - 1)
        diffusion = _diffusion(book, scenario, factors)
    total = check.number(f"profit under {scenario.name!r}", profit.sum() - diffusion)
    return StressRow(scenario.name, total, diffusion, dict(zip(book.assets, profit.tolist(), strict=True)))


def stress_table(book: StressBook, scenarios: Iterable[Scenario]) -> tuple[StressRow, ...]:
    """Return one row a scenario, the worst first; ValueError where there is none, or a name comes twice."""
    listed = list(scenarios)
    check.names("scenarios", [scenario.name for scenario in listed])
    return tuple(sorted((stress(book, scenario) for scenario in listed), key=lambda row: row.profit))


def format_table(rows: Sequence[StressRow], equity: float) -> str:
    """Return the rows as a Markdown table, profit in quote units and as a share of equity, with the worst asset."""
    capital = check.number("equity", equity, 0, open_low=True)
    lines = ["| scenario | profit | of equity | diffusion | worst asset |", "|---|---:|---:|---:|---|"]
    for row in rows:
        profit, asset = min(((profit, asset) for asset, profit in row.by_asset.items()), default=(0.0, "none"))
        share, worst = f"{row.profit / capital:.2%}", f"{asset} {profit:,.2f}"
        lines.append(f"| {row.scenario} | {row.profit:,.2f} | {share} | {row.diffusion:,.2f} | {worst} |")
    return "\n".join(lines)


def _column(
    name: str, values: Mapping[str, float], assets: Sequence[str], missing: float | None = None, low: float = -np.inf
) -> np.ndarray:
    """Return float64[N] in the order of the assets; a value for an asset that is not held is refused."""
    _known(name, values, assets)
    lacking = [asset for asset in assets if asset not in values]
    if lacking and missing is None:
        raise ValueError(f"{name} has none for {lacking[0]!r}: every asset held needs one")
    return np.array([check.number(f"{name}[{asset!r}]", values.get(asset, missing), low) for asset in assets])


def _known(name: str, values: Mapping[str, float], known: Iterable[str]) -> None:
    known = sorted(set(known))
    unknown = [one for one in values if one not in known]
    if unknown:
        raise ValueError(f"{name} names {unknown[0]!r}, which is unknown; known: {', '.join(known)}")


def _shocks(
    book: StressBook, name: str, by_asset: Mapping[str, float], by_group: Mapping[str, float], none: float, low: float
) -> np.ndarray:
    _known(f"{name}_by_asset", by_asset, book.universe)
    _known(f"{name}_by_group", by_group, book.universe.values())
    assets = {one: check.number(f"{name}_by_asset[{one!r}]", value, low) for one, value in by_asset.items()}
    groups = {one: check.number(f"{name}_by_group[{one!r}]", value, low) for one, value in by_group.items()}
    pairs = zip(book.assets, book.groups, strict=True)
    return np.array([assets.get(asset, groups.get(group, none)) for asset, group in pairs])


def _volatility(book: StressBook, scenario: Scenario) -> np.ndarray:
    if book.volatility_frac is None:
        raise ValueError(f"volatility_frac is missing: scenario {scenario.name!r} needs it")
    return book.volatility_frac


def _diffusion(book: StressBook, scenario: Scenario, factors: np.ndarray) -> float:
    """Return z sqrt(h) sqrt(x' R x)."""
    deviations = check.number("deviations", scenario.deviations, 0)
    horizon = check.number("horizon_years", scenario.horizon_years, 0)
    drawn = check.number("to_one_frac", scenario.to_one_frac, 0, 1)
    together = Together(scenario.together)
    if deviations == 0:
        return 0.0
    moves = book.values * factors * _volatility(book, scenario)
    variance = drawn * (np.abs(moves).sum() if together is Together.AGAINST else moves.sum()) ** 2
    if drawn < 1:
        if book.correlation is None:
            raise ValueError(f"correlation is missing: scenario {scenario.name!r} needs it below to_one_frac 1")
        variance += (1 - drawn) * max(moves @ book.correlation @ moves, 0.0)
    return check.number(f"diffusion under {scenario.name!r}", deviations * np.sqrt(horizon * variance))
