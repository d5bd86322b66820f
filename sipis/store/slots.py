"""Key slots that are owed their destruction.

A slot enters in the transaction that takes it out of use and leaves once its key is known to be
destroyed; what a crash left here is destroyed again at start. Refuses to give slots out: the vault
does.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from sipis.model import InstanceId
from sipis.store.columns import narrow, pack_hex, to_ms, unpack_hex, widen


@dataclass(frozen=True, slots=True)
class OwedSlot:
    """A key slot out of use, and the instance whose keys it held."""

    slot: int
    id: InstanceId


@dataclass(frozen=True, slots=True)
class SlotHolder:
    """An instance, expired or not, with its key slot and the name of its receipt."""

    n: int
    id: InstanceId
    slot: int
    commitment: bytes


def owe(conn: sqlite3.Connection, stored_slot: int, id: str) -> None:  # noqa: A002
    """Note that a slot (as stored in its instance) is out of use."""
    conn.execute(
        "INSERT OR REPLACE INTO pending_destroy (slot, id) VALUES (?, ?)",
        (stored_slot, pack_hex(id)),
    )


def owed(conn: sqlite3.Connection, limit: int = 100_000) -> list[OwedSlot]:
    """Slots whose destruction is not known to be on disk."""
    rows = conn.execute("SELECT slot, id FROM pending_destroy LIMIT ?", (limit,))
    return [OwedSlot(narrow(row["slot"]), InstanceId(unpack_hex(row["id"]))) for row in rows]


def holders(conn: sqlite3.Connection, *, after: int, limit: int) -> list[SlotHolder]:
    """The instances with numbers above `after`, in order."""
    return _holders(conn, "n > ? ORDER BY n LIMIT ?", (after, limit))


def holders_of(conn: sqlite3.Connection, ns: Sequence[int]) -> list[SlotHolder]:
    """The instances with these numbers that there are."""
    return [holder for n in ns for holder in _holders(conn, "n = ?", (n,))]


def expired_holders(conn: sqlite3.Connection, now: float, limit: int) -> list[SlotHolder]:
    """The instances whose time is over, longest first."""
    return _holders(conn, "expires_at <= ? ORDER BY expires_at LIMIT ?", (to_ms(now), limit))


def destroyed(conn: sqlite3.Connection, slots: Sequence[OwedSlot]) -> None:
    """The keys in these slots are destroyed: nothing is owed any more."""
    conn.executemany(
        "DELETE FROM pending_destroy WHERE slot = ? AND id = ?",
        [(widen(one.slot), pack_hex(one.id)) for one in slots],
    )


def _holders(conn: sqlite3.Connection, condition: str, values: tuple[int, ...]) -> list[SlotHolder]:
    rows = conn.execute(f"SELECT n, id, slot, commitment FROM instances WHERE {condition}", values)
    return [
        SlotHolder(
            row["n"], InstanceId(unpack_hex(row["id"])), narrow(row["slot"]), row["commitment"]
        )
        for row in rows
    ]
