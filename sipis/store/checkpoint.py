"""What may only happen between transactions: emptying the logs, rewriting the varying file.

Refuses to wait for a reader: it says that one was in the way.
"""

import sqlite3

from sipis.store.connection import SCHEMAS


def truncate_logs(connection: sqlite3.Connection) -> bool:
    """Move all commits into both files and empty both logs; False when a reader was in the way."""
    busy = 0
    for schema in SCHEMAS:
        busy += connection.execute(f"PRAGMA {schema}.wal_checkpoint(TRUNCATE)").fetchone()[0]
    return busy == 0


def vacuum_varying(connection: sqlite3.Connection) -> None:
    """Rewrite the varying file: old copies of moved rows stay in the free parts of its pages."""
    connection.execute("VACUUM varying")
