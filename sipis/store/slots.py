"""Key slots that are owed their destruction.

A slot enters in the transaction that takes it out of use and leaves once its key is known to be
destroyed; what a crash left here is destroyed again at start. Refuses to give slots out: the vault
does.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from sipis.model import InstanceId
from sipis.store.columns import narrow, pack_hex, unpack_hex, widen


@dataclass(frozen=True, slots=True)
class OwedSlot:
    """A key slot out of use, and the instance whose keys it held."""

    slot: int
    id: InstanceId


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


def destroyed(conn: sqlite3.Connection, slots: Sequence[OwedSlot]) -> None:
    """The keys in these slots are destroyed: nothing is owed any more."""
    conn.executemany(
        "DELETE FROM pending_destroy WHERE slot = ? AND id = ?",
        [(widen(one.slot), pack_hex(one.id)) for one in slots],
    )
