"""Tables that the risk commands read: prices or returns, positions, weights. What is missing is refused."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

Kind = Literal["auto", "prices", "returns"]
POSITION_COLUMNS = ("asset", "quantity", "mark", "group")


class ReturnTable(NamedTuple):
    """Returns as fractions, one row a period, one column an asset."""

    source: str
    kind: str  # what the file held: prices or returns
    assets: tuple[str, ...]
    dates: tuple[str, ...]  # of each return, as in the file
    returns: np.ndarray  # float64[T, N]


class Positions(NamedTuple):
    """What is held; an asset whose mark is empty is missing in `marks`."""

    quantities: dict[str, float]  # signed units
    marks: dict[str, float]  # quote units a unit
    groups: dict[str, str]


def read_returns(path: Path, kind: Kind = "auto", assets: Sequence[str] = ()) -> ReturnTable:
    """Read a csv (also .gz) or Parquet table whose first column is the time and whose others are assets.

    `kind` auto takes the table for prices where every value is above 0. `assets` chooses columns; the others are not
    read. ValueError names the column and row of what is missing, no number, not above 0 (prices), at or below -1
    (returns are fractions, not percent), or out of order.
    """
    times, columns = _read_columns(path)
    chosen = list(assets) or list(columns)
    unknown = [name for name in chosen if name not in columns]
    if unknown or not chosen:
        raise ValueError(f"{path} has no column {unknown[:1]}; its assets are {', '.join(list(columns)[:20])}")
    values = np.column_stack([_numbers(path, name, columns[name], times) for name in chosen])
    if len(values) < 2:
        raise ValueError(f"{path} has {len(values)} rows, expected at least 2")
    _check_order(path, times)
    held = ("prices" if (values > 0).all() else "returns") if kind == "auto" else kind
    least = 0.0 if held == "prices" else -1.0
    if (values <= least).any():
        row, column = np.argwhere(values <= least)[0]
        told = f"{path}: {chosen[column]} at {times[row]} is {values[row, column]}"
        raise ValueError(f"{told}, expected {held} above {least:g}{'' if least == 0 else ' (fractions, not percent)'}")
    returns = values[1:] / values[:-1] - 1.0 if held == "prices" else values
    dates = tuple(str(one) for one in times[len(times) - len(returns) :])
    return ReturnTable(str(path), held, tuple(chosen), dates, returns)


def read_positions(path: Path) -> Positions:
    """Read a csv of asset, quantity, mark, group; ValueError names what is missing, no number or there twice."""
    found = Positions({}, {}, {})
    for line, row in _csv_rows(path, POSITION_COLUMNS):
        asset = row["asset"]
        if asset in found.quantities:
            raise ValueError(f"{path}, line {line}: {asset!r} is there twice, expected one row an asset")
        found.quantities[asset] = _number(path, line, "quantity", row["quantity"])
        if row["mark"]:
            found.marks[asset] = _number(path, line, "mark", row["mark"])
        if row["group"]:
            found.groups[asset] = row["group"]
    return found


def read_weights(choice: str, assets: Sequence[str]) -> np.ndarray:
    """Return float64[N] by asset: `equal` (1/N each), or those of a csv of asset, weight; one not named there is 0."""
    if choice == "equal":
        return np.full(len(assets), 1.0 / len(assets))
    weights: dict[str, float] = {}
    for line, row in _csv_rows(Path(choice), ("asset", "weight")):
        if row["asset"] in weights or row["asset"] not in assets:
            known = f"expected each asset of the table once: {', '.join(assets[:20])}"
            raise ValueError(f"{choice}, line {line}: {row['asset']!r} is unknown or there twice, {known}")
        weights[row["asset"]] = _number(Path(choice), line, "weight", row["weight"])
    if not any(weights.values()):
        raise ValueError(f"{choice} holds no weight that is not 0")
    return np.array([weights.get(asset, 0.0) for asset in assets])


def _read_columns(path: Path) -> tuple[list[Any], dict[str, Any]]:
    """Return the first column as a list, and the others by name."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv
    from pyarrow import parquet

    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table")
    try:
        table: Any = parquet.read_table(path) if path.suffix == ".parquet" else arrow_csv.read_csv(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is no table of csv or Parquet: {error}") from error
    names = table.column_names
    if "__index_level_0__" in names:  # a data frame's index, which Parquet stores last
        names = ["__index_level_0__", *(name for name in names if name != "__index_level_0__")]
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"{path} has the columns {names[:20]}, expected a time and assets, each name once")
    return table.column(names[0]).to_pylist(), {name: table.column(name) for name in names[1:]}


def _numbers(path: Path, name: str, column: Any, times: Sequence[Any]) -> np.ndarray:
    """Return float64[T]; ValueError for a missing value by its row's time."""
    import pyarrow as pa

    try:
        found = column.cast(pa.float64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"{path}: column {name} holds no numbers ({error}); choose columns with --assets") from error
    lacking = np.flatnonzero(~np.isfinite(found))
    if len(lacking):
        told = f"{len(lacking)} of {len(found)} values of {name} are missing, the first at {times[lacking[0]]}"
        raise ValueError(f"{path}: {told}; fill them, or leave the asset out with --assets")
    return found


def _check_order(path: Path, times: Sequence[Any]) -> None:
    for row in range(1, len(times)):
        if times[row] is None or times[row - 1] is None or not times[row] > times[row - 1]:
            raise ValueError(
                f"{path}: row {row + 1} is of {times[row]} after {times[row - 1]}, expected times that rise"
            )


def _csv_rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Return (line, row) of a csv with exactly those columns, values without spaces around them."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        if sorted(reader.fieldnames or ()) != sorted(columns):
            raise ValueError(f"{path} has the columns {reader.fieldnames}, expected {', '.join(columns)}")
        rows = [(reader.line_num, row) for row in reader]
    for line, row in rows:
        if None in row or None in row.values() or not row["asset"].strip():
            raise ValueError(f"{path}, line {line}: expected {len(columns)} values, the asset's name among them")
    if not rows:
        raise ValueError(f"{path} holds no rows")
    return [(line, {name: value.strip() for name, value in row.items()}) for line, row in rows]


def _number(path: Path, line: int, name: str, text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        raise ValueError(f"{path}, line {line}: {name} is {text!r}, expected a number") from None
    if not np.isfinite(found):
        raise ValueError(f"{path}, line {line}: {name} is {text!r}, expected a finite number")
    return found
