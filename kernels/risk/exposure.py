"""Exposure by asset and group against equity, and the limits that it must keep.

Value of a position = quantity x mark, signed. Gross = sum of |value|, net = |sum of value|; a group's concentration
is its gross over equity, so that a hedge within the group does not hide it (as in the pre-trade gate).
A value at its limit keeps it; above is a breach.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, NamedTuple

from kernels import checks as check


class BreachKind(IntEnum):
    """Which portfolio limit was exceeded. Numbers are on record and never change."""

    GROSS = 1
    NET = 2
    POSITION = 3  # one asset
    CONCENTRATION = 4  # one group
    CORRELATION = 5  # between two strategies, or a strategy and a holding


class Breach(NamedTuple):
    """One limit exceeded."""

    kind: BreachKind
    name: str  # asset, group or "one/other"; empty for the whole book
    value_frac: float
    limit_frac: float


class ExposureLimits(NamedTuple):
    """Shares of equity."""

    gross_frac: float = 3.0
    net_frac: float = 3.0
    position_frac: float = 0.10
    concentration_frac: float = 0.25

    def checked(self) -> "ExposureLimits":
        """Return the limits; ValueError names the field that is not finite or below 0."""
        return ExposureLimits(*(check.number(name, value, 0) for name, value in self._asdict().items()))


class Exposure(NamedTuple):
    """Value held, in quote units."""

    gross: float
    net: float  # signed


class Book(NamedTuple):
    """Exposure of a book of positions."""

    equity: float
    whole: Exposure
    by_asset: dict[str, Exposure]  # in the order of the positions
    by_group: dict[str, Exposure]  # in the order in which groups first appear


def exposures(
    quantities: Mapping[str, float], marks: Mapping[str, float], groups: Mapping[str, str], equity: float
) -> Book:
    """Return the exposure of positions (signed units by asset) at their marks (quote units a unit).

    ValueError names the asset without a mark or group, what is not finite, and equity that is not above 0.
    A position of 0 needs a mark too: a missing mark is a fault of the feed, not of the position.
    """
    capital = check.number("equity", equity, 0, open_low=True)
    values = {asset: position_value(asset, quantity, marks) for asset, quantity in quantities.items()}
    by_group: dict[str, list[float]] = {}
    for asset, value in values.items():
        if not isinstance(groups.get(asset), str):
            raise ValueError(f"groups has none for {asset!r}: every asset held needs one")
        by_group.setdefault(groups[asset], []).append(value)
    return Book(
        capital,
        _exposure("book", values.values()),
        {asset: _exposure(asset, [value]) for asset, value in values.items()},
        {group: _exposure(group, inside) for group, inside in by_group.items()},
    )


def position_value(asset: str, quantity: Any, marks: Mapping[str, float]) -> float:
    """Return quantity x mark; ValueError names the asset whose quantity or mark is missing or not finite."""
    if marks.get(asset) is None:
        raise ValueError(f"marks has none for {asset!r}: every asset held needs one")
    units, mark = check.number(f"quantities[{asset!r}]", quantity), check.number(f"marks[{asset!r}]", marks[asset])
    return check.number(f"value of {asset!r}", units * mark)


def exposure_breaches(book: Book, limits: ExposureLimits | None = None) -> tuple[Breach, ...]:
    """Return what exceeds its limit: the whole book first, then assets, then groups, in the book's order."""
    bounds = (limits or ExposureLimits()).checked()
    assets, groups = book.by_asset.items(), book.by_group.items()
    amounts = [
        (BreachKind.GROSS, "", book.whole.gross, bounds.gross_frac),
        (BreachKind.NET, "", abs(book.whole.net), bounds.net_frac),
        *((BreachKind.POSITION, name, held.gross, bounds.position_frac) for name, held in assets),
        *((BreachKind.CONCENTRATION, name, held.gross, bounds.concentration_frac) for name, held in groups),
    ]
    return tuple(
        Breach(kind, name, amount / book.equity, limit)
        for kind, name, amount, limit in amounts
        if amount > limit * book.equity
    )


def _exposure(name: str, values: Iterable[float]) -> Exposure:
    held = list(values)
    gross = check.number(f"gross exposure of {name!r}", sum(abs(value) for value in held))
    return Exposure(gross, float(sum(held)))
