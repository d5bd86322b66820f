import sqlite3

from sipis.store import notes


def test_a_note_is_kept_until_the_next_of_its_name(conn: sqlite3.Connection) -> None:
    notes.put(conn, "last ran", "yesterday")
    notes.put(conn, "last ran", "today")
    assert notes.get(conn, "last ran") == "today"
    assert notes.get(conn, "address") is None
