import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipis.errors import StoreError
from sipis.store.connection import VARYING_FILE, open_writer
from sipis.store.migrate import Migration, known, migrate
from sipis.store.runner import open_migrated

FIRST = Migration("main", 1, "CREATE TABLE one (x);")
SECOND = Migration("main", 2, "CREATE TABLE two (x); INSERT INTO two VALUES (7);")
BROKEN = Migration("main", 2, "CREATE TABLE half (x); CREATE TABLE one (x);")


@pytest.fixture
def empty(directory: Path) -> Iterator[sqlite3.Connection]:
    opened = open_writer(directory)
    yield opened
    opened.close()


def tables(conn: sqlite3.Connection) -> set[str]:
    return {row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def version(conn: sqlite3.Connection, schema: str) -> int:
    found: int = conn.execute(f"PRAGMA {schema}.user_version").fetchone()[0]
    return found


def test_this_release_numbers_the_migrations_of_each_file_without_gaps() -> None:
    for schema in ("main", "varying"):
        numbers = [one.number for one in known() if one.schema == schema]
        assert numbers == list(range(1, len(numbers) + 1))
        assert numbers


def test_migrations_are_applied_once_and_in_order(empty: sqlite3.Connection) -> None:
    migrate(empty, [FIRST])
    migrate(empty, [FIRST, SECOND])
    migrate(empty, [FIRST, SECOND])
    assert tables(empty) == {"one", "two"}
    assert version(empty, "main") == 2
    assert empty.execute("SELECT count(*) FROM two").fetchone()[0] == 1


def test_a_failing_migration_leaves_nothing_behind(empty: sqlite3.Connection) -> None:
    with pytest.raises(StoreError, match="main_0002"):
        migrate(empty, [FIRST, BROKEN])
    assert tables(empty) == {"one"}
    assert version(empty, "main") == 1
    assert not empty.in_transaction


def test_a_store_that_a_newer_release_has_written_is_refused(empty: sqlite3.Connection) -> None:
    migrate(empty, [FIRST, SECOND])
    with pytest.raises(StoreError, match="newer release"):
        migrate(empty, [FIRST])


def test_a_lost_varying_file_is_made_anew(directory: Path) -> None:
    open_migrated(directory).close()
    (directory / VARYING_FILE).unlink()
    again = open_migrated(directory)
    assert again.execute("SELECT count(*) FROM varying.sources").fetchone()[0] == 0
    again.close()
