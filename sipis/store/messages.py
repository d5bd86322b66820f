"""Messages that wait for their app, sealed.

Refuses to know sender and text, and to keep a message beyond its time or the app's share.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sipis.store import records
from sipis.store.columns import (
    fixed_hash,
    pack_hex,
    to_ms,
    to_seconds,
    try_hex,
    unpack_hex,
)
from sipis.store.records import Kind


class Stored(StrEnum):
    """What became of a message that was to be kept."""

    KEPT = "kept"
    DUPLICATE = "duplicate"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to keep: `mid` is 32 hex digits, `dedupe` a hash of what makes it the same."""

    n: int
    mid: str
    dedupe: bytes
    received_at: float
    expires_at: float
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message as kept; times are Unix seconds."""

    n: int
    mid: str
    received_at: float
    expires_at: float
    delivered: bool
    sealed: bytes = field(repr=False)


def add(conn: sqlite3.Connection, new: NewMessage, *, most: int) -> Stored:
    """Keep a message unless its instance has it already or has `most` of them."""
    known = conn.execute(
        "SELECT 1 FROM messages WHERE n = ? AND dedupe = ?", (new.n, fixed_hash(new.dedupe))
    )
    if known.fetchone() is not None:
        return Stored.DUPLICATE
    if count(conn, new.n) >= most:
        return Stored.FULL
    m = conn.execute(
        """
        INSERT INTO messages (n, mid, dedupe, received_at, expires_at, delivered)
        VALUES (?, ?, ?, ?, ?, 0)
        """,
        (new.n, pack_hex(new.mid), new.dedupe, to_ms(new.received_at), to_ms(new.expires_at)),
    ).lastrowid
    assert m is not None
    records.put(conn, Kind.MESSAGE, m, new.sealed)
    return Stored.KEPT


def count(conn: sqlite3.Connection, n: int) -> int:
    """How many messages an instance has."""
    found: int = conn.execute("SELECT count(*) FROM messages WHERE n = ?", (n,)).fetchone()[0]
    return found


def list_for(conn: sqlite3.Connection, n: int, now: float, limit: int = 200) -> list[MessageRow]:
    """The messages of an instance, oldest first."""
    rows = conn.execute(
        "SELECT * FROM messages WHERE n = ? AND expires_at > ? ORDER BY m LIMIT ?",
        (n, to_ms(now), limit),
    )
    return [_message(conn, row) for row in rows.fetchall()]


def undelivered(conn: sqlite3.Connection, n: int, now: float, limit: int = 200) -> list[MessageRow]:
    """The messages that were not yet handed to the app, oldest first."""
    rows = conn.execute(
        "SELECT * FROM messages WHERE n = ? AND expires_at > ? AND delivered = 0"
        " ORDER BY m LIMIT ?",
        (n, to_ms(now), limit),
    )
    return [_message(conn, row) for row in rows.fetchall()]


def mark_delivered(conn: sqlite3.Connection, n: int, mid: str) -> None:
    """The app has this message; it stays until it is acknowledged or its time is over."""
    conn.execute("UPDATE messages SET delivered = 1 WHERE n = ? AND mid = ?", (n, pack_hex(mid)))


def remove(conn: sqlite3.Connection, n: int, mid: str) -> bool:
    """Erase a message; False where the instance has none of this name."""
    packed = try_hex(mid)
    found = conn.execute("SELECT m FROM messages WHERE n = ? AND mid = ?", (n, packed))
    rows = [row["m"] for row in found]
    _erase(conn, rows)
    return bool(rows)


def purge(conn: sqlite3.Connection, now: float, limit: int = 1000) -> int:
    """Erase messages past their time; returns how many, `limit`: there may be more."""
    found = conn.execute(
        "SELECT m FROM messages WHERE expires_at <= ? ORDER BY expires_at LIMIT ?",
        (to_ms(now), limit),
    )
    rows = [row["m"] for row in found]
    _erase(conn, rows)
    return len(rows)


def _erase(conn: sqlite3.Connection, rows: Sequence[int]) -> None:
    records.erase(conn, Kind.MESSAGE, rows)
    conn.executemany("DELETE FROM messages WHERE m = ?", [(m,) for m in rows])


def _message(conn: sqlite3.Connection, row: sqlite3.Row) -> MessageRow:
    return MessageRow(
        row["n"],
        unpack_hex(row["mid"]),
        to_seconds(row["received_at"]),
        to_seconds(row["expires_at"]),
        bool(row["delivered"]),
        records.get(conn, Kind.MESSAGE, row["m"]) or b"",
    )
