"""Ask the store: named queries with checked parameters, and whole tables as Arrow."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from warehouse.columns import sorting_key, table_columns
from warehouse.errors import QueryError, WarehouseError

QUERIES = Path(__file__).parent / "queries"

_PARAM = re.compile(r"^-- param (\w+) (\w+)(?: = ('[^']*'|-?\d+))?: (.+)$")
_INTEGER_TYPES = {"Int64": (-(2**63), 2**63 - 1), "UInt64": (0, 2**64 - 1)}


class Param(NamedTuple):
    """One parameter of a named query."""

    name: str
    type: str  # String, Int64 or UInt64
    default: str | int | None  # None: it must be given
    meaning: str


class Query(NamedTuple):
    """A named query: its text and what its header says."""

    name: str
    what: str
    units: str
    params: dict[str, Param]
    sql: str


def query_names() -> list[str]:
    """Return the names that `run_query` knows."""
    return sorted(path.stem for path in QUERIES.glob("*.sql"))


def load_query(name: str) -> Query:
    """Read one named query with its header.

    Raises:
        QueryError: no such query; the message lists those that exist.
    """
    if name not in query_names():
        raise QueryError(f"no query {name!r}; the queries are {', '.join(query_names())}")
    text = (QUERIES / f"{name}.sql").read_text()
    header = [line for line in text.splitlines() if line.startswith("--")]
    params = {match[1]: _param(match) for match in map(_PARAM.match, header) if match}
    return Query(name, _field(header, "what"), _field(header, "units"), params, text)


def run_query(
    client: Client, name: str, params: Mapping[str, Any] | None = None
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Run a named query and return its column names and rows.

    Values are bound by the engine, never pasted into the text; strings are accepted for integers (a command line gives
    strings).

    Raises:
        QueryError: unknown query or parameter, a missing one, or a value that is not of its type.
        WarehouseError: the store could not answer.
    """
    query = load_query(name)
    bound = bind(query, params or {})
    try:
        result = client.query(query.sql, parameters=bound)
        columns = tuple(result.column_names) or _columns_of_nothing(client, query.sql, bound)
    except ClickHouseError as error:
        raise WarehouseError(f"query {name}: {error}") from error
    return columns, [tuple(row) for row in result.result_rows]


def _columns_of_nothing(client: Client, sql: str, bound: dict[str, Any]) -> tuple[str, ...]:
    """Return the column names of a query without rows: the client leaves them out then."""
    return tuple(row[0] for row in client.query(f"DESCRIBE ({sql})", parameters=bound).result_rows)


def bind(query: Query, params: Mapping[str, Any]) -> dict[str, Any]:
    """Check parameters against a query's header and fill in its defaults."""
    valid = ", ".join(f"{p.name} ({p.type})" for p in query.params.values()) or "none"
    for name in params:
        if name not in query.params:
            raise QueryError(f"query {query.name}: no parameter {name!r}; the parameters are {valid}")
    bound = {}
    for param in query.params.values():
        value = params.get(param.name, param.default)
        if value is None:
            raise QueryError(f"query {query.name}: parameter {param.name!r} ({param.meaning}) must be given")
        bound[param.name] = _convert(query.name, param, value)
    return bound


def read_table(client: Client, table: str, run_id: str, source: str | None = None) -> pa.Table:
    """Return one run's rows of a table in key order, enumerations as names.

    Raises:
        WarehouseError: no such table.
    """
    columns = table_columns(client, table)
    selected = ", ".join(f"toString({c.name}) AS {c.name}" if c.names_by_code else c.name for c in columns)
    where = "run_id = {run_id:String}" + (" AND source = {source:String}" if source else "")
    parameters = {"run_id": run_id, **({"source": source} if source else {})}
    return client.query_arrow(
        f"SELECT {selected} FROM {table} WHERE {where} ORDER BY {sorting_key(client, table)}",
        parameters=parameters,
        settings={"output_format_arrow_low_cardinality_as_dictionary": 0, "prefer_column_name_to_alias": 1},
    )


def _convert(query: str, param: Param, value: Any) -> str | int:
    if param.type == "String":
        return str(value)
    low, high = _INTEGER_TYPES[param.type]
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise QueryError(f"query {query}: parameter {param.name!r} is {value!r}, not a whole number") from None
    if not low <= number <= high:
        raise QueryError(f"query {query}: parameter {param.name!r} is {number}, outside {low}..{high}")
    return number


def _param(match: re.Match) -> Param:
    name, type_name, default, meaning = match.groups()
    if default is None:
        return Param(name, type_name, None, meaning)
    return Param(name, type_name, default[1:-1] if type_name == "String" else int(default), meaning)


def _field(header: list[str], name: str) -> str:
    prefix = f"-- {name}: "
    return " ".join(line.removeprefix(prefix) for line in header if line.startswith(prefix))
