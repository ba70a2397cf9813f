"""What a table of the store wants, and Arrow rows made to fit it exactly or refused."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa
from clickhouse_connect.driver.client import Client

from warehouse.errors import WarehouseError

_ARROW_TYPES = {
    "String": pa.string(),
    "Bool": pa.bool_(),
    "Float32": pa.float32(),
    "Float64": pa.float64(),
    "Array(String)": pa.list_(pa.string()),
    **{f"Int{bits}": getattr(pa, f"int{bits}")() for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": getattr(pa, f"uint{bits}")() for bits in (8, 16, 32, 64)},
}


class Column(NamedTuple):
    """One stored column."""

    name: str
    arrow_type: pa.DataType
    names_by_code: Mapping[int, str]  # of an enumeration, else empty
    nullable: bool
    has_default: bool
    in_key: bool


def table_columns(client: Client, table: str) -> list[Column]:
    """Read a table's columns from the store, views and computed columns left out.

    Raises:
        WarehouseError: no such table; the message lists those that exist.
    """
    found = client.query(
        "SELECT name, type, default_kind, is_in_sorting_key FROM system.columns "
        "WHERE database = currentDatabase() AND table = {table:String} AND default_kind != 'ALIAS' ORDER BY position",
        parameters={"table": table},
    ).result_rows
    if not found:
        raise WarehouseError(f"no table {table!r}; the tables are {', '.join(table_names(client))}")
    return [_column(*row) for row in found]


def table_names(client: Client) -> list[str]:
    """Return the names of the tables that hold facts."""
    rows = client.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' "
        "AND name != 'schema_migrations' ORDER BY name"
    ).result_rows
    return [row[0] for row in rows]


def sorting_key(client: Client, table: str) -> str:
    """Return the columns that a table is sorted by, in that order, as SQL."""
    return client.query(
        "SELECT sorting_key FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
        parameters={"table": table},
    ).result_rows[0][0]


def _column(name: str, type_name: str, default_kind: str, in_key: int) -> Column:
    inner = re.sub(r"^LowCardinality\((.*)\)$", r"\1", type_name)
    nullable = inner.startswith("Nullable(")
    inner = re.sub(r"^Nullable\((.*)\)$", r"\1", inner)
    names: dict[int, str] = {}
    if inner.startswith("Enum8("):
        names = {int(code): label for label, code in re.findall(r"'([^']*)' = (-?\d+)", inner)}
        inner = "String"
    return Column(name, _ARROW_TYPES[inner], names, nullable, bool(default_kind), bool(in_key))


def conform(table: str, rows: pa.Table, columns: list[Column]) -> pa.Table:
    """Return the rows with the stored types, in the stored order; columns left to their default stay away.

    Raises:
        WarehouseError: a column is unknown or missing, a value does not fit, or two rows have the same key.
    """
    known = {column.name: column for column in columns}
    unknown = [name for name in rows.column_names if name not in known]
    if unknown:
        raise WarehouseError(f"{table}: unknown column {unknown[0]!r}; the columns are {', '.join(known)}")
    missing = [c.name for c in columns if c.name not in rows.column_names and not (c.has_default or c.nullable)]
    if missing:
        raise WarehouseError(f"{table}: column {missing[0]!r} is missing; got {', '.join(rows.column_names)}")
    present = [column for column in columns if column.name in rows.column_names]
    fitted = pa.table({column.name: _fit(table, column, rows[column.name]) for column in present})
    _check_keys(table, fitted, [column.name for column in present if column.in_key])
    return fitted


def _fit(table: str, column: Column, values: pa.ChunkedArray) -> pa.ChunkedArray:
    if values.null_count and not column.nullable:
        raise WarehouseError(f"{table}.{column.name}: {values.null_count} values are null")
    if column.names_by_code:
        return _enumeration(table, column, values)
    try:
        return values.cast(column.arrow_type, safe=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise WarehouseError(f"{table}.{column.name}: not {column.arrow_type}: {error}") from error


def _enumeration(table: str, column: Column, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Accept names or codes, store names; anything else is refused rather than stored as the default."""
    names = column.names_by_code
    values = _names_of_codes(values, names) if pa.types.is_integer(values.type) else values.cast(pa.string())
    strange = [value for value in values.unique().to_pylist() if value not in names.values()]
    if strange:
        raise WarehouseError(f"{table}.{column.name}: {strange[0]!r} is not one of {', '.join(names.values())}")
    return values


def _names_of_codes(codes: pa.ChunkedArray, names: Mapping[int, str]) -> pa.ChunkedArray:
    """Return names by code; a code without a name becomes its digits, which the caller refuses."""
    encoded = codes.combine_chunks().dictionary_encode()
    labels = [names.get(code, str(code)) for code in encoded.dictionary.to_pylist()]
    return pa.chunked_array([pa.DictionaryArray.from_arrays(encoded.indices, pa.array(labels, pa.string()))]).cast(
        pa.string()
    )


def _check_keys(table: str, rows: pa.Table, keys: list[str]) -> None:
    distinct = rows.group_by(keys).aggregate([([], "count_all")]).num_rows
    if distinct != rows.num_rows:
        raise WarehouseError(
            f"{table}: {rows.num_rows - distinct} of {rows.num_rows} rows repeat the key ({', '.join(keys)})"
        )
