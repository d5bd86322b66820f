"""One connection to the two files of the store, opened the only way that is safe for secrets.

`sipis.db` is the main file, `varying.db` is attached to it as `varying`. Every pragma that deletion
and durability rest on is set and read back. Refuses to hand out a connection with any other value.
"""

import os
import sqlite3
from pathlib import Path
from typing import Final

from sipis.errors import StoreError

MAIN_FILE: Final = "sipis.db"
VARYING_FILE: Final = "varying.db"
SCHEMAS: Final = ("main", "varying")

BUSY_TIMEOUT_MS: Final = 50
"""A checkpoint waits at most this long for a reader before it gives way to other jobs."""

_CACHE_KIB: Final = {"main": 8192, "varying": 512}
_READER_CACHE_KIB: Final = {"main": 4096, "varying": 256}

_PER_CONNECTION: Final = {"temp_store": 2, "foreign_keys": 1, "busy_timeout": BUSY_TIMEOUT_MS}
_PER_SCHEMA: Final[dict[str, str | int]] = {
    "journal_mode": "wal",
    "synchronous": 2,
    "secure_delete": 1,
}


def open_writer(directory: Path) -> sqlite3.Connection:
    """Open both files for writing, readable by this user alone; they are made where missing.

    StoreError when a file is no database or a pragma does not hold.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in (MAIN_FILE, VARYING_FILE):
        os.close(os.open(directory / name, os.O_RDWR | os.O_CREAT, 0o600))
    return _open(directory, "rw", _CACHE_KIB)


def open_reader(directory: Path) -> sqlite3.Connection:
    """Open both files for reading; open_writer() must have been there before."""
    connection = _open(directory, "ro", _READER_CACHE_KIB)
    connection.execute("PRAGMA query_only = 1")
    return connection


def _open(directory: Path, access: str, cache_kib: dict[str, int]) -> sqlite3.Connection:
    connection = sqlite3.connect(
        _uri(directory / MAIN_FILE, access), uri=True, isolation_level=None, cached_statements=256
    )
    try:
        connection.row_factory = sqlite3.Row
        varying = _uri(directory / VARYING_FILE, access)
        connection.execute("ATTACH ? AS varying", (varying,))
        _set_pragmas(connection, cache_kib)
    except sqlite3.Error as failed:
        connection.close()
        raise StoreError(f"the database cannot be opened: {failed.sqlite_errorname}") from None
    except StoreError:
        connection.close()
        raise
    return connection


def _uri(path: Path, access: str) -> str:
    return f"{path.absolute().as_uri()}?mode={access}"


def _set_pragmas(connection: sqlite3.Connection, cache_kib: dict[str, int]) -> None:
    for name, wanted in _PER_CONNECTION.items():
        _enforce(connection, name, wanted)
    for schema in SCHEMAS:
        for name, text in _PER_SCHEMA.items():
            _enforce(connection, f"{schema}.{name}", text)
        connection.execute(f"PRAGMA {schema}.cache_size = {-cache_kib[schema]}")


def _enforce(connection: sqlite3.Connection, pragma: str, wanted: str | int) -> None:
    """Set a pragma and read it back: SQLite answers an impossible wish with silence."""
    connection.execute(f"PRAGMA {pragma} = {wanted}").fetchall()
    found = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
    if found != wanted:
        raise StoreError(f"pragma {pragma} is {found} and must be {wanted}")
