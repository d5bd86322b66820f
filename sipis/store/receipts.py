"""Receipts of deletions, found by the commitment that the app got when it enabled.

Refuses names and times finer than the receipt itself states.
"""

import sqlite3
from dataclasses import dataclass
from typing import Final

from sipis.model import DeletionReason
from sipis.store import records
from sipis.store.columns import Words, fixed_hash, to_ms, to_seconds
from sipis.store.records import Kind

_REASONS: Final = Words(
    (
        DeletionReason.DISABLED,
        DeletionReason.EXPIRED,
        DeletionReason.PUSH_GONE,
        DeletionReason.NEVER_REGISTERED,
        DeletionReason.REPLACED,
        DeletionReason.ADMIN,
        DeletionReason.APP_REMOVED,
        DeletionReason.KEY_LOST,
        DeletionReason.CANARY,
    )
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """One deletion; `document` is what the app gets, in the form its writer chose."""

    commitment: bytes
    reason: DeletionReason
    erased_at: float
    document: str = ""


def put(conn: sqlite3.Connection, receipt: Receipt) -> None:
    """Keep a receipt; a later one with the same commitment takes its place."""
    row = conn.execute(
        """
        INSERT INTO receipts (commitment, reason, erased_at) VALUES (?, ?, ?)
        ON CONFLICT (commitment) DO UPDATE SET
          reason = excluded.reason, erased_at = excluded.erased_at
        RETURNING r
        """,
        (fixed_hash(receipt.commitment), _REASONS.code(receipt.reason), to_ms(receipt.erased_at)),
    ).fetchone()
    records.put(conn, Kind.RECEIPT, row["r"], receipt.document.encode())


def get(conn: sqlite3.Connection, commitment: bytes) -> Receipt | None:
    """The receipt of a commitment."""
    found = conn.execute("SELECT * FROM receipts WHERE commitment = ?", (commitment,))
    row = found.fetchone()
    if row is None:
        return None
    document = records.get(conn, Kind.RECEIPT, row["r"]) or b""
    return Receipt(
        row["commitment"],
        _REASONS.member(row["reason"]),
        to_seconds(row["erased_at"]),
        document.decode(),
    )


def purge(conn: sqlite3.Connection, before: float, limit: int = 1000) -> int:
    """Remove receipts older than an instant; returns how many, `limit`: there may be more."""
    found = conn.execute(
        "SELECT r FROM receipts WHERE erased_at < ? ORDER BY erased_at LIMIT ?",
        (to_ms(before), limit),
    )
    old = [row["r"] for row in found]
    records.erase(conn, Kind.RECEIPT, old)
    conn.executemany("DELETE FROM receipts WHERE r = ?", [(r,) for r in old])
    return len(old)
