"""Registrars: when each has something due, and what was learnt about it.

A registrar's name can be somebody's own domain, so it goes with its last instance; what is owed to
it (a pause, refused credentials) stays under a hash. Refuses to decide about pauses.
"""

import hashlib
import sqlite3
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sipis.store.columns import (
    LONG_AGO,
    NEVER,
    narrow,
    pad,
    to_ms,
    to_seconds,
    unpad,
    widen,
)

KEY_SIZE: Final = 256
MOST_SOURCES: Final = 64
"""Addresses remembered per registrar; the least recently seen makes room."""

MOST_REFUSALS: Final = 16
_REFUSALS: Final = struct.Struct(f">{MOST_REFUSALS}Q")
_NOBODY: Final = bytes(KEY_SIZE)


@dataclass(frozen=True, slots=True)
class RegistrarRow:
    """One registrar; `min_expires` is what it asked for in a 423, 0 where it never did."""

    key: str
    instances: int
    next_due_at: float
    paused_until: float | None
    min_expires: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What an address of a registrar holds against us.

    Its pause, how often its breaker opened, and when it refused credentials of ours (the newest
    MOST_REFUSALS are kept).
    """

    paused_until: float | None = None
    trips: int = 0
    refused_at: tuple[float, ...] = ()


def find(conn: sqlite3.Connection, key: str) -> int | None:
    """The number of a registrar."""
    row = conn.execute("SELECT id FROM registrars WHERE key_hash = ?", (_hash(key),)).fetchone()
    return None if row is None else row[0]


def join(conn: sqlite3.Connection, key: str) -> int:
    """Count one more instance of a registrar; returns its number."""
    conn.execute(
        """
        INSERT INTO registrars (key_hash, key, instances, next_due_at, paused_until, min_expires)
        VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT (key_hash) DO UPDATE SET key = excluded.key, instances = instances + 1
        """,
        (_hash(key), pad(key, KEY_SIZE), widen(1), NEVER, LONG_AGO, widen(0)),
    )
    found = find(conn, key)
    assert found is not None
    return found


def leave(conn: sqlite3.Connection, number: int) -> None:
    """Count one instance less; the last one takes the registrar's name and addresses with it."""
    conn.execute("UPDATE registrars SET instances = instances - 1 WHERE id = ?", (number,))
    emptied = conn.execute(
        "UPDATE registrars SET key = ?, next_due_at = ? WHERE id = ? AND instances = ?",
        (_NOBODY, NEVER, number, widen(0)),
    )
    if emptied.rowcount:
        conn.execute("DELETE FROM varying.sources WHERE registrar = ?", (number,))


def due_by(conn: sqlite3.Connection, number: int, moment: int) -> None:
    """Note that a row of this registrar is due at `moment` (milliseconds)."""
    conn.execute(
        "UPDATE registrars SET next_due_at = ? WHERE id = ? AND next_due_at > ?",
        (moment, number, moment),
    )


def get(conn: sqlite3.Connection, key: str) -> RegistrarRow | None:
    """What is known of a registrar."""
    row = conn.execute("SELECT * FROM registrars WHERE key_hash = ?", (_hash(key),)).fetchone()
    return None if row is None else _registrar(row)


def in_use(conn: sqlite3.Connection) -> list[RegistrarRow]:
    """Every registrar that has instances."""
    rows = conn.execute("SELECT * FROM registrars WHERE instances > ?", (widen(0),))
    return [_registrar(row) for row in rows]


def pause(conn: sqlite3.Connection, key: str, until: float | None) -> None:
    """Claim nothing of this registrar before an instant; None ends the pause."""
    paused_until = LONG_AGO if until is None else to_ms(until)
    conn.execute(
        "UPDATE registrars SET paused_until = ? WHERE key_hash = ?", (paused_until, _hash(key))
    )


def set_min_expires(conn: sqlite3.Connection, key: str, seconds: int) -> None:
    """Remember the shortest interval that a registrar grants."""
    conn.execute(
        "UPDATE registrars SET min_expires = ? WHERE key_hash = ?", (widen(seconds), _hash(key))
    )


def learn(conn: sqlite3.Connection, key: str, addresses: Sequence[str], now: float) -> None:
    """Remember addresses (IP literals) that a registrar in use resolves to or answers from."""
    number = find(conn, key)
    if number is None:
        return
    conn.executemany(
        "INSERT OR REPLACE INTO varying.sources (registrar, address, seen_at) VALUES (?, ?, ?)",
        [(number, address, to_ms(now)) for address in addresses],
    )
    conn.execute(
        """
        DELETE FROM varying.sources WHERE registrar = ?1 AND address NOT IN (
          SELECT address FROM varying.sources WHERE registrar = ?1 ORDER BY seen_at DESC LIMIT ?2)
        """,
        (number, MOST_SOURCES),
    )


def sources(conn: sqlite3.Connection, key: str) -> tuple[str, ...]:
    """The addresses learnt of a registrar, most recently seen first."""
    number = find(conn, key)
    return () if number is None else sources_of(conn, number)


def sources_of(conn: sqlite3.Connection, number: int) -> tuple[str, ...]:
    """The addresses learnt of a registrar, by its number."""
    rows = conn.execute(
        "SELECT address FROM varying.sources WHERE registrar = ? ORDER BY seen_at DESC, address",
        (number,),
    )
    return tuple(row["address"] for row in rows)


def note_standing(conn: sqlite3.Connection, address: str, standing: Standing, now: float) -> None:
    """Remember what an address holds against us, so that a restart does not forget it."""
    paused_until = LONG_AGO if standing.paused_until is None else to_ms(standing.paused_until)
    conn.execute(
        """
        INSERT OR REPLACE INTO standings (key_hash, paused_until, trips, refused_at, updated_at)
        VALUES (?, ?, ?, ?, ?)
        """,
        (
            _hash(address),
            paused_until,
            widen(standing.trips),
            _pack_refusals(standing.refused_at),
            to_ms(now),
        ),
    )


def standing(conn: sqlite3.Connection, address: str) -> Standing:
    """What an address holds against us."""
    found = conn.execute("SELECT * FROM standings WHERE key_hash = ?", (_hash(address),))
    row = found.fetchone()
    if row is None:
        return Standing()
    paused_until = None if row["paused_until"] == LONG_AGO else to_seconds(row["paused_until"])
    return Standing(paused_until, narrow(row["trips"]), _unpack_refusals(row["refused_at"]))


def forget_unused(conn: sqlite3.Connection, now: float, keep: float) -> None:
    """Drop standings untouched for `keep` seconds, and nameless registrars that may be claimed."""
    conn.execute("DELETE FROM standings WHERE updated_at < ?", (to_ms(now - keep),))
    conn.execute(
        f"DELETE FROM registrars WHERE instances = {widen(0)} AND paused_until < ?", (to_ms(now),)
    )


def _registrar(row: sqlite3.Row) -> RegistrarRow:
    paused_until = None if row["paused_until"] == LONG_AGO else to_seconds(row["paused_until"])
    return RegistrarRow(
        unpad(row["key"]),
        narrow(row["instances"]),
        to_seconds(row["next_due_at"]),
        paused_until,
        narrow(row["min_expires"]),
    )


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _pack_refusals(moments: Sequence[float]) -> bytes:
    newest = [to_ms(moment) for moment in moments][-MOST_REFUSALS:]
    return _REFUSALS.pack(*newest, *[0] * (MOST_REFUSALS - len(newest)))


def _unpack_refusals(stored: bytes) -> tuple[float, ...]:
    return tuple(to_seconds(ms) for ms in _REFUSALS.unpack(stored) if ms)
