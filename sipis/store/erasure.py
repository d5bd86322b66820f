"""The end of an instance: one job takes every row of it out of every table.

Refuses to destroy keys, which happens before; the slot stays owed here until that is confirmed.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from sipis.model import InstanceId
from sipis.store import apps, gone, receipts, records, registrars, slots
from sipis.store.columns import narrow, to_seconds, unpack_hex
from sipis.store.gone import Tombstone
from sipis.store.receipts import Receipt
from sipis.store.records import Kind


@dataclass(frozen=True, slots=True)
class Erasure:
    """An instance to erase and the receipt of its deletion."""

    n: int
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased, which key slot is owed its destruction, and what the log will say of it."""

    n: int
    id: InstanceId
    slot: int
    commitment: bytes
    expires_at: float


def erase(
    conn: sqlite3.Connection, erasures: Sequence[Erasure], *, tombstone_ttl: float
) -> list[Erased]:
    """Erase instances, expired or not; those that are gone already are passed over.

    What stays: the receipt, a tombstone for `tombstone_ttl` seconds, the owed slot, and the hash of
    the Contact with its source addresses while the registrar may still know it.
    """
    erased = [_erase(conn, one, tombstone_ttl) for one in erasures]
    return [one for one in erased if one is not None]


def _erase(conn: sqlite3.Connection, one: Erasure, tombstone_ttl: float) -> Erased | None:
    row = conn.execute(
        "SELECT i.*, s.bound_until FROM instances i JOIN schedule s ON s.n = i.n WHERE i.n = ?",
        (one.n,),
    ).fetchone()
    if row is None:
        return None
    instance = InstanceId(unpack_hex(row["id"]))
    _leave_traces(conn, row, instance, one.receipt, tombstone_ttl)
    slots.owe(conn, row["slot"], instance)
    _remove(conn, row)
    deadline = to_seconds(row["expires_at"])
    return Erased(one.n, instance, narrow(row["slot"]), row["commitment"], deadline)


def _leave_traces(
    conn: sqlite3.Connection,
    row: sqlite3.Row,
    instance: InstanceId,
    receipt: Receipt,
    tombstone_ttl: float,
) -> None:
    stone = Tombstone(instance, row["secret_hash"], receipt.commitment, receipt.erased_at)
    gone.bury(conn, stone, row["idempotency"], receipt.erased_at + tombstone_ttl)
    receipts.put(conn, receipt)
    gone.remember_contact(conn, row, receipt.erased_at)


def _remove(conn: sqlite3.Connection, row: sqlite3.Row) -> None:
    """Records first; what belongs to the instance by foreign key goes with its row."""
    n = row["n"]
    records.erase_instance(conn, n)
    messages = [m["m"] for m in conn.execute("SELECT m FROM messages WHERE n = ?", (n,))]
    records.erase(conn, Kind.MESSAGE, messages)
    calls = [c["c"] for c in conn.execute("SELECT c FROM calls WHERE n = ?", (n,))]
    records.erase(conn, Kind.CALL, calls)
    tokens = conn.execute("DELETE FROM targets WHERE n = ?", (n,)).rowcount
    conn.execute("DELETE FROM instances WHERE n = ?", (n,))
    apps.count(conn, row["app"], instances=-1, targets=-tokens)
    registrars.leave(conn, row["registrar"])
