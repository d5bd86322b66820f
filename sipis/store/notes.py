"""Notes: small texts about the server itself that outlive a restart, such as when it last ran.

Refuses anything about an instance. A lost note must cost no more than a round trip.
"""

import sqlite3


def put(conn: sqlite3.Connection, name: str, value: str) -> None:
    """Keep a note in place of the one of that name."""
    conn.execute("INSERT OR REPLACE INTO varying.notes (name, value) VALUES (?, ?)", (name, value))


def get(conn: sqlite3.Connection, name: str) -> str | None:
    """The note of that name."""
    row = conn.execute("SELECT value FROM varying.notes WHERE name = ?", (name,)).fetchone()
    return None if row is None else row["value"]
