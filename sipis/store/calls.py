"""Calls: what late wakers are told, and what a restart needs to end or continue them.

Refuses to know parties and dialogs: those are in the sealed record.
"""

import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sipis.model import CallState
from sipis.store import records
from sipis.store.columns import NEVER, Words, to_ms, to_ms_or_never, to_seconds, to_seconds_or_none
from sipis.store.records import Kind

_STATES: Final = Words(
    (
        CallState.RINGING,
        CallState.ANSWERED,
        CallState.CANCELLED,
        CallState.ELSEWHERE,
        CallState.DECLINED,
        CallState.MISSED,
    )
)


@dataclass(frozen=True, slots=True)
class CallRow:
    """A call of an instance; `call` is its UUID as text, times are Unix seconds."""

    n: int
    call: str
    state: CallState
    started_at: float
    ended_at: float | None
    """None while it rings or runs."""
    expires_at: float
    """When the row is erased."""
    sealed: bytes = field(repr=False)


def save(conn: sqlite3.Connection, call: CallRow) -> None:
    """Keep a call as it is now; StoreError for an instance that is not there."""
    row = conn.execute(
        """
        INSERT INTO calls (n, uuid, state, started_at, ended_at, expires_at)
        VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT (n, uuid) DO UPDATE SET
          state = excluded.state, ended_at = excluded.ended_at, expires_at = excluded.expires_at
        RETURNING c
        """,
        (
            call.n,
            uuid.UUID(call.call).bytes,
            _STATES.code(call.state),
            to_ms(call.started_at),
            to_ms_or_never(call.ended_at),
            to_ms(call.expires_at),
        ),
    ).fetchone()
    records.put(conn, Kind.CALL, row["c"], call.sealed)


def get(conn: sqlite3.Connection, n: int, call: str, now: float) -> CallRow | None:
    """A call of an instance; None for anything that is no UUID."""
    try:
        name = uuid.UUID(call).bytes
    except ValueError:
        return None
    found = conn.execute(
        "SELECT * FROM calls WHERE n = ? AND uuid = ? AND expires_at > ?", (n, name, to_ms(now))
    )
    row = found.fetchone()
    return None if row is None else _call(conn, row)


def list_for(conn: sqlite3.Connection, n: int, now: float, limit: int = 200) -> list[CallRow]:
    """The calls of an instance, newest first."""
    rows = conn.execute(
        "SELECT * FROM calls WHERE n = ? AND expires_at > ? ORDER BY c DESC LIMIT ?",
        (n, to_ms(now), limit),
    )
    return [_call(conn, row) for row in rows.fetchall()]


def under_way(conn: sqlite3.Connection, limit: int = 100_000) -> list[CallRow]:
    """At start: calls that rang or ran when the process ended, oldest first."""
    rows = conn.execute(
        f"SELECT * FROM calls WHERE ended_at = {NEVER} ORDER BY started_at LIMIT ?", (limit,)
    )
    return [_call(conn, row) for row in rows.fetchall()]


def purge(conn: sqlite3.Connection, now: float, limit: int = 1000) -> int:
    """Erase calls past their time; returns how many, `limit`: there may be more."""
    found = conn.execute(
        "SELECT c FROM calls WHERE expires_at <= ? ORDER BY expires_at LIMIT ?",
        (to_ms(now), limit),
    )
    old = [row["c"] for row in found]
    _erase(conn, old)
    return len(old)


def _erase(conn: sqlite3.Connection, rows: Sequence[int]) -> None:
    records.erase(conn, Kind.CALL, rows)
    conn.executemany("DELETE FROM calls WHERE c = ?", [(c,) for c in rows])


def _call(conn: sqlite3.Connection, row: sqlite3.Row) -> CallRow:
    return CallRow(
        row["n"],
        str(uuid.UUID(bytes=row["uuid"])),
        _STATES.member(row["state"]),
        to_seconds(row["started_at"]),
        to_seconds_or_none(row["ended_at"]),
        to_seconds(row["expires_at"]),
        records.get(conn, Kind.CALL, row["c"]) or b"",
    )
