"""Open the store: the ClickHouse engine in this process, or a server by URL, behind the same client."""

import fcntl
import os
import re
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from warehouse.errors import WarehouseError, WarehouseLockedError
from warehouse.migrate import migrate

_SERVER_SCHEMES = ("http", "https")
# Facts are kept by ReplacingMergeTree: reading with `final` is what makes a batch that was sent twice count once.
_READ_SETTINGS = {"final": 1}


def open_warehouse(where: str | Path, *, create: bool = True) -> Client:
    """Open the warehouse and bring its schema up to date.

    `where` is a home directory (the store is its `warehouse/` folder; one process at a time) or the URL of a server
    (`http://user:password@host:8123/database`). Close the client, or use it in a `with` statement.

    Raises:
        WarehouseError: no such directory (with `create=False`), not a directory, a server that does not answer, or a
            schema that another version wrote.
        WarehouseLockedError: another process has the directory open.
    """
    text = str(where)
    scheme = text.partition("://")[0] if "://" in text else ""
    if scheme and scheme not in _SERVER_SCHEMES:
        raise WarehouseError(f"{mask(text)}: unknown scheme {scheme!r}; use a directory, http:// or https://")
    client = _open_server(text, scheme) if scheme else _open_embedded(Path(where), create)
    try:
        migrate(client)
    except BaseException:
        client.close()
        raise
    return client


def mask(url: str) -> str:
    """Return the URL without its password, for messages and logs."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=re.sub(r":[^:@]*@", ":***@", parts.netloc)))


def _open_server(url: str, scheme: str) -> Client:
    try:
        return clickhouse_connect.get_client(dsn=url, interface=scheme, settings=_READ_SETTINGS)
    except ClickHouseError as error:
        raise WarehouseError(f"the ClickHouse server {mask(url)} does not answer: {_first_line(error)}") from error


def _open_embedded(home: Path, create: bool) -> Client:
    if home.exists() and not home.is_dir():
        raise WarehouseError(f"{home} is a file; the warehouse needs a home directory")
    path = home / "warehouse"
    if not create and not path.is_dir():
        raise WarehouseError(f"there is no warehouse in {home}; run a command that writes one, or set BOOKSWARM_HOME")
    path.mkdir(parents=True, exist_ok=True)
    _refuse_if_locked(path)
    try:
        return clickhouse_connect.get_client(interface="chdb", path=str(path), settings=_READ_SETTINGS)
    except ClickHouseError as error:
        text = str(error)
        if "already initialized with path" in text:
            raise WarehouseError(f"this process has another warehouse open; close it before {path}") from error
        _refuse_if_locked(path)  # it may have been taken between the first look and now
        raise WarehouseError(f"the embedded ClickHouse engine cannot open {path}: {_first_line(error)}") from error


def _refuse_if_locked(path: Path) -> None:
    """Raise if another process holds the engine's lock; the engine itself only says so on standard error."""
    status = path / "status"
    if not status.exists():
        return
    with status.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            found = re.search(rb"PID: (\d+)", file.read())
            if found and int(found[1]) == os.getpid():
                return  # clients of one process share the engine
            holder = f"process {int(found[1])}" if found else "another client"
            raise WarehouseLockedError(
                f"{path} is open in {holder}; one process at a time can use the embedded warehouse: "
                "wait for it, stop it, or use a ClickHouse server by URL"
            ) from None
        fcntl.flock(file, fcntl.LOCK_UN)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:400]
