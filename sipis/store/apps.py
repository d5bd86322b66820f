"""Apps: the mobile apps that instances belong to, and how many rows each has.

Refuses to know keys and settings of an app: those are configuration.
"""

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AppCount:
    """How many instances and targets an app has, erased ones not counted."""

    instances: int
    targets: int


def number(conn: sqlite3.Connection, name: str) -> int:
    """The number of an app, which is given at its first instance."""
    conn.execute("INSERT OR IGNORE INTO apps (name) VALUES (?)", (name,))
    found: int = conn.execute("SELECT id FROM apps WHERE name = ?", (name,)).fetchone()[0]
    return found


def count(conn: sqlite3.Connection, app: int, *, instances: int = 0, targets: int = 0) -> None:
    """Add to the counts of an app; negative numbers take away."""
    conn.execute(
        "UPDATE apps SET instances = instances + ?, targets = targets + ? WHERE id = ?",
        (instances, targets, app),
    )


def counts(conn: sqlite3.Connection) -> dict[str, AppCount]:
    """The counts of every app that ever had an instance."""
    rows = conn.execute("SELECT name, instances, targets FROM apps ORDER BY name")
    return {row["name"]: AppCount(row["instances"], row["targets"]) for row in rows}
