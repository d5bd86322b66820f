import sqlite3
from pathlib import Path

from sipis.store import notes
from sipis.store.checkpoint import truncate_logs, vacuum_varying
from sipis.store.connection import open_reader
from tests.support.store import NOW


def test_the_logs_of_both_files_are_emptied(conn: sqlite3.Connection, directory: Path) -> None:
    conn.execute("INSERT INTO apps (name) VALUES ('phone')")
    notes.put(conn, "a", "x")
    assert truncate_logs(conn)
    assert (directory / "sipis.db-wal").stat().st_size == 0
    assert (directory / "varying.db-wal").stat().st_size == 0


def test_a_reader_in_the_way_is_reported(conn: sqlite3.Connection, directory: Path) -> None:
    reader = open_reader(directory)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM apps").fetchall()
    conn.execute("INSERT INTO apps (name) VALUES ('phone')")
    assert not truncate_logs(conn)
    reader.close()
    assert truncate_logs(conn)


def test_vacuuming_leaves_no_erased_note(conn: sqlite3.Connection, directory: Path) -> None:
    marker = "marker-" * 10
    for number in range(200):
        notes.put(conn, f"{number}", marker + "x" * (number * 7 % 300))
    conn.execute("DELETE FROM varying.notes WHERE name % 2 = 1")
    conn.execute("UPDATE varying.notes SET value = ?", (str(NOW),))
    vacuum_varying(conn)
    assert truncate_logs(conn)
    assert marker.encode() not in (directory / "varying.db").read_bytes()
