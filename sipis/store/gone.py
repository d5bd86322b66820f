"""What stays of an erased instance: a tombstone for its app, and its Contact for late calls.

Refuses names: a tombstone has hashes, a gone contact is found by the hash of its token.
"""

import hashlib
import json
import sqlite3
from dataclasses import dataclass, field

from sipis.model import InstanceId
from sipis.store import records, registrars
from sipis.store.columns import (
    NEVER,
    NO_HASH,
    fixed_hash,
    pack_hex,
    to_ms,
    to_seconds,
    try_hex,
    unpack_hex,
)
from sipis.store.records import Kind


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Lets a repeated DELETE be answered as before and a replayed POST be refused."""

    id: InstanceId
    secret_hash: bytes = field(repr=False)
    commitment: bytes
    """Names the receipt."""
    erased_at: float


@dataclass(frozen=True, slots=True)
class GoneContact:
    """A Contact that a registrar may still know: calls to it from these addresses get 480."""

    sources: tuple[str, ...]
    expires_at: float


def bury(conn: sqlite3.Connection, stone: Tombstone, idempotency: bytes, expires_at: float) -> None:
    """Set a tombstone; `idempotency` is the hash under which the instance was created."""
    conn.execute(
        """
        INSERT OR REPLACE INTO tombstones (
          id, secret_hash, idempotency, commitment, erased_at, expires_at)
        VALUES (?, ?, ?, ?, ?, ?)
        """,
        (
            pack_hex(stone.id),
            fixed_hash(stone.secret_hash),
            fixed_hash(idempotency),
            fixed_hash(stone.commitment),
            to_ms(stone.erased_at),
            to_ms(expires_at),
        ),
    )


def by_id(conn: sqlite3.Connection, id: str, now: float) -> Tombstone | None:  # noqa: A002
    """The tombstone of an instance; None for anything that is no id."""
    packed = try_hex(id)
    if packed is None:
        return None
    found = conn.execute(
        "SELECT * FROM tombstones WHERE id = ? AND expires_at > ?", (packed, to_ms(now))
    )
    return _stone(found.fetchone())


def by_idempotency_key(conn: sqlite3.Connection, key: bytes, now: float) -> Tombstone | None:
    """The tombstone of the instance that was created under this hash."""
    found = conn.execute(
        f"SELECT * FROM tombstones WHERE idempotency = ? AND idempotency <> x'{NO_HASH.hex()}'"
        " AND expires_at > ?",
        (fixed_hash(key), to_ms(now)),
    )
    return _stone(found.fetchone())


def remember_contact(conn: sqlite3.Connection, row: sqlite3.Row, now: float) -> None:
    """Remember the Contact of a binding (contact_token, bound_until, registrar) while it stands."""
    if not to_ms(now) < row["bound_until"] < NEVER:
        return
    g = conn.execute(
        "INSERT OR REPLACE INTO gone_contacts (token_hash, expires_at) VALUES (?, ?)",
        (_hash(unpack_hex(row["contact_token"])), row["bound_until"]),
    ).lastrowid
    assert g is not None
    sources = registrars.sources_of(conn, row["registrar"])
    records.put(conn, Kind.GONE_CONTACT, g, json.dumps(sources).encode())


def contact(conn: sqlite3.Connection, token: str, now: float) -> GoneContact | None:
    """The gone Contact with this user part."""
    found = conn.execute(
        "SELECT g, expires_at FROM gone_contacts WHERE token_hash = ? AND expires_at > ?",
        (_hash(token), to_ms(now)),
    )
    row = found.fetchone()
    if row is None:
        return None
    stored = records.get(conn, Kind.GONE_CONTACT, row["g"]) or b"[]"
    return GoneContact(tuple(json.loads(stored)), to_seconds(row["expires_at"]))


def purge(conn: sqlite3.Connection, now: float, limit: int = 1000) -> int:
    """Remove what is past its time; returns how many rows, `limit` or more: there may be more."""
    stones = conn.execute(
        "DELETE FROM tombstones WHERE t IN"
        " (SELECT t FROM tombstones WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
        (to_ms(now), limit),
    ).rowcount
    found = conn.execute(
        "SELECT g FROM gone_contacts WHERE expires_at <= ? LIMIT ?", (to_ms(now), limit)
    )
    contacts = [row["g"] for row in found]
    records.erase(conn, Kind.GONE_CONTACT, contacts)
    conn.executemany("DELETE FROM gone_contacts WHERE g = ?", [(g,) for g in contacts])
    return max(stones, len(contacts))


def _stone(row: sqlite3.Row | None) -> Tombstone | None:
    if row is None:
        return None
    return Tombstone(
        InstanceId(unpack_hex(row["id"])),
        row["secret_hash"],
        row["commitment"],
        to_seconds(row["erased_at"]),
    )


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
