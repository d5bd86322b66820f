"""Instances as they come and change: one SIP account on one app installation each.

Refuses to make names, hashes or keys: they arrive ready. Look-ups are in lookup.py, the end is in
erasure.py.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sipis.model import InstanceId, Mode
from sipis.store import agenda, apps, gone, records, registrars, slots, targets
from sipis.store.columns import (
    MODES,
    NEVER,
    fixed_hash,
    pack_hex,
    to_ms,
    unpack_hex,
    widen,
)
from sipis.store.records import Kind
from sipis.store.targets import NewTarget


@dataclass(frozen=True, slots=True)
class NewInstance:
    """A new row. Hashes and indexes have 32 bytes; random names 32 lower-case hex digits."""

    id: InstanceId
    app: str
    secret_hash: bytes = field(repr=False)
    mode: Mode
    created_at: float
    expires_at: float
    ttl: float
    slot: int
    version: int
    sealed_credential: bytes = field(repr=False)
    sealed_targets: bytes = field(repr=False)
    contact_token: str
    call_id: str
    relay_user: str
    registrar: str
    """Key of the registrar: the domain or address under which it is paced; at most 256 bytes."""
    aor_index: bytes
    commitment: bytes
    targets: tuple[NewTarget, ...]
    preview: bool = False
    idempotency_key: bytes | None = None
    """Hash of app and Idempotency-Key."""


@dataclass(frozen=True, slots=True)
class NewBinding:
    """What a changed account brings: another registrar or AoR, and fresh names for the binding."""

    registrar: str
    aor_index: bytes
    contact_token: str
    call_id: str


@dataclass(frozen=True, slots=True)
class Replacement:
    """New records of an instance in a new key slot; None keeps what the row has."""

    slot: int
    version: int
    sealed_credential: bytes = field(repr=False)
    sealed_targets: bytes = field(repr=False)
    targets: tuple[NewTarget, ...] | None = None
    binding: NewBinding | None = None
    secret_hash: bytes | None = field(default=None, repr=False)
    relay_user: str | None = None
    commitment: bytes | None = None


_INSERT: Final = """
    INSERT INTO instances (
      id, app, secret_hash, mode, created_at, expires_at, ttl, slot, version, contact_token,
      relay_user, registrar, aor_index, commitment, idempotency, preview, warned,
      first_registered_at, account_since)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)
"""

_LIVE: Final = """
    SELECT i.n, i.id, i.slot, i.app, i.registrar, i.contact_token, s.bound_until
    FROM instances i JOIN schedule s ON s.n = i.n WHERE i.n = ? AND i.expires_at > ?
"""


def insert(conn: sqlite3.Connection, new: NewInstance) -> int:
    """Add an instance that is due at once; returns its number. StoreError for a name in use."""
    app = apps.number(conn, new.app)
    registrar = registrars.join(conn, new.registrar)
    n = conn.execute(_INSERT, _values(new, app, registrar)).lastrowid
    assert n is not None
    records.put(conn, Kind.CREDENTIAL, n, new.sealed_credential)
    records.put(conn, Kind.TARGETS, n, new.sealed_targets)
    targets.insert(conn, n, app, new.targets, new.created_at)
    agenda.insert(conn, n, registrar, new.call_id, new.created_at)
    apps.count(conn, app, instances=1)
    return n


def replace(conn: sqlite3.Connection, n: int, new: Replacement, now: float) -> bool:
    """Swap records and key slot; the old slot is owed its destruction. False: no such instance.

    With a new binding the instance is due at once under its new names and forgets the old ones; a
    REGISTER under way is settled without effect.
    """
    row = conn.execute(_LIVE, (n, to_ms(now))).fetchone()
    if row is None:
        return False
    slots.owe(conn, row["slot"], unpack_hex(row["id"]))
    _rename(conn, n, new)
    records.put(conn, Kind.CREDENTIAL, n, new.sealed_credential)
    records.put(conn, Kind.TARGETS, n, new.sealed_targets)
    if new.targets is not None:
        targets.replace(conn, n, row["app"], new.targets, now)
    if new.binding is not None:
        _rebind(conn, row, new.binding, now)
    return True


def extend(conn: sqlite3.Connection, n: int, expires_at: float, ttl: float, now: float) -> bool:
    """Move the expiry of a live instance; its warning is owed again. False: no such instance."""
    moved = conn.execute(
        "UPDATE instances SET expires_at = ?, ttl = ?, warned = 0 WHERE n = ? AND expires_at > ?",
        (to_ms(expires_at), _ttl(ttl), n, to_ms(now)),
    )
    return moved.rowcount > 0


def set_mode(conn: sqlite3.Connection, n: int, mode: Mode) -> None:
    """Change who keeps the registration while the app is in the foreground."""
    conn.execute("UPDATE instances SET mode = ? WHERE n = ?", (MODES.code(mode), n))


def set_preview(conn: sqlite3.Connection, n: int, *, preview: bool) -> None:
    """Change whether pushes may carry caller and text in clear."""
    conn.execute("UPDATE instances SET preview = ? WHERE n = ?", (preview, n))


def mark_warned(conn: sqlite3.Connection, ns: Sequence[int]) -> None:
    """Note that these apps were told of their coming expiry."""
    conn.executemany("UPDATE instances SET warned = 1 WHERE n = ?", [(n,) for n in ns])


def _values(new: NewInstance, app: int, registrar: int) -> tuple[int | bytes | bool, ...]:
    return (
        pack_hex(new.id),
        app,
        fixed_hash(new.secret_hash),
        MODES.code(new.mode),
        to_ms(new.created_at),
        to_ms(new.expires_at),
        _ttl(new.ttl),
        widen(new.slot),
        widen(new.version),
        pack_hex(new.contact_token),
        pack_hex(new.relay_user),
        registrar,
        fixed_hash(new.aor_index),
        fixed_hash(new.commitment),
        fixed_hash(new.idempotency_key),
        new.preview,
        NEVER,
        to_ms(new.created_at),
    )


def _rename(conn: sqlite3.Connection, n: int, new: Replacement) -> None:
    """Slot and version always, the names that were given."""
    changes: dict[str, int | bytes] = {"slot": widen(new.slot), "version": widen(new.version)}
    if new.secret_hash is not None:
        changes["secret_hash"] = fixed_hash(new.secret_hash)
    if new.relay_user is not None:
        changes["relay_user"] = pack_hex(new.relay_user)
    if new.commitment is not None:
        changes["commitment"] = fixed_hash(new.commitment)
    _update(conn, n, changes)


def _rebind(conn: sqlite3.Connection, row: sqlite3.Row, binding: NewBinding, now: float) -> None:
    if binding.contact_token != unpack_hex(row["contact_token"]):
        gone.remember_contact(conn, row, now)
    registrar = registrars.join(conn, binding.registrar)
    registrars.leave(conn, row["registrar"])
    changes: dict[str, int | bytes] = {
        "registrar": registrar,
        "aor_index": fixed_hash(binding.aor_index),
        "contact_token": pack_hex(binding.contact_token),
        "first_registered_at": NEVER,
        "account_since": to_ms(now),
    }
    _update(conn, row["n"], changes)
    agenda.restart(conn, row["n"], registrar, binding.call_id, now)


def _update(conn: sqlite3.Connection, n: int, changes: dict[str, int | bytes]) -> None:
    columns = ", ".join(f"{column} = ?" for column in changes)
    conn.execute(f"UPDATE instances SET {columns} WHERE n = ?", (*changes.values(), n))


def _ttl(seconds: float) -> int:
    return widen(round(seconds * 1000))
