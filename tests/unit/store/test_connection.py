import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipis.errors import StoreError
from sipis.store import connection
from sipis.store.connection import MAIN_FILE, VARYING_FILE, open_reader, open_writer


@pytest.fixture
def writer(directory: Path) -> Iterator[sqlite3.Connection]:
    opened = open_writer(directory)
    yield opened
    opened.close()


def pragma(conn: sqlite3.Connection, name: str) -> object:
    return conn.execute(f"PRAGMA {name}").fetchone()[0]


@pytest.mark.parametrize("schema", ["main", "varying"])
def test_d2_both_files_are_safe_for_deletion_and_power_loss(
    writer: sqlite3.Connection, schema: str
) -> None:
    assert pragma(writer, f"{schema}.journal_mode") == "wal"
    assert pragma(writer, f"{schema}.synchronous") == 2
    assert pragma(writer, f"{schema}.secure_delete") == 1


def test_nothing_goes_to_temporary_files_and_foreign_keys_hold(writer: sqlite3.Connection) -> None:
    assert pragma(writer, "temp_store") == 2
    assert pragma(writer, "foreign_keys") == 1


def test_the_files_are_for_their_owner_alone(writer: sqlite3.Connection, directory: Path) -> None:
    writer.execute("CREATE TABLE t (x)")
    writer.execute("CREATE TABLE varying.t (x)")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert {MAIN_FILE, VARYING_FILE, f"{MAIN_FILE}-wal"} <= modes.keys()
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_the_reader_cannot_write(writer: sqlite3.Connection, directory: Path) -> None:
    writer.execute("CREATE TABLE t (x)")
    reader = open_reader(directory)
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("INSERT INTO t VALUES (1)")
    reader.close()


def test_a_file_that_is_no_database_is_refused_and_kept(directory: Path) -> None:
    directory.mkdir()
    (directory / MAIN_FILE).write_bytes(b"something else entirely" * 100)
    with pytest.raises(StoreError, match="SQLITE_NOTADB"):
        open_writer(directory)
    assert (directory / MAIN_FILE).read_bytes().startswith(b"something else")


def test_d2_a_pragma_that_does_not_hold_is_named(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_PER_SCHEMA", {"page_size": 12_345})
    with pytest.raises(StoreError, match=r"main\.page_size is 4096 and must be 12345"):
        open_writer(directory)
