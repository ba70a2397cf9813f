"""What recorded data the warehouse holds, and how much room it takes."""

from typing import Any

from clickhouse_connect.driver.client import Client

MARKET_TABLES = ("book_messages", "book_levels", "quotes", "trades", "bars")


def list_datasets(client: Client) -> list[dict[str, Any]]:
    """Return the imported data sets, oldest import first."""
    columns = (
        "name, format, instrument, rows, quarantined, gaps, crossed, stored_rows, first_ns, last_ns, tier, digest, "
        "run_id, raw_bytes, unpacked_bytes, imported_ns"
    )
    return _rows(client, f"SELECT {columns} FROM datasets ORDER BY imported_ns, name")


def list_market_tables(client: Client) -> list[dict[str, Any]]:
    """Return rows and bytes on disk of the tables of recorded markets, replaced rows included until they are merged."""
    names = ", ".join(f"'{name}'" for name in MARKET_TABLES)
    return _rows(
        client,
        "SELECT table, sum(rows) AS rows, sum(data_uncompressed_bytes) AS uncompressed_bytes, "
        "sum(bytes_on_disk) AS stored_bytes FROM system.parts WHERE active AND database = currentDatabase() "
        f"AND table IN ({names}) GROUP BY table ORDER BY table",
    )


def _rows(client: Client, query: str) -> list[dict[str, Any]]:
    result = client.query(query)
    return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]
