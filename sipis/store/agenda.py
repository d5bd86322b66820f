"""Rows of the schedule as they begin, begin anew, and tell their registrar when they are due.

Refuses attempts: claims and settlements are in schedule.py, moves without an attempt in timing.py.
"""

import sqlite3
from collections.abc import Iterable
from typing import Final

from sipis.model import InstanceState
from sipis.store import records, registrars
from sipis.store.columns import LONG_AGO, NEVER, STATES, pack_hex, pad, to_ms, widen
from sipis.store.records import Kind

FIRST_CSEQ: Final = 1 << 24
"""Where the CSeq numbers of a binding begin; below 2**31 they all take one width."""

REASON_SIZE: Final = 32

IN_FLIGHT: Final = f"in_flight_until < {NEVER}"
"""Rows under way, as the partial index has them."""


def insert(conn: sqlite3.Connection, n: int, registrar: int, call_id: str, now: float) -> None:
    """Enter a new instance, due at once."""
    conn.execute(
        """
        INSERT INTO schedule (
          n, registrar, call_id, next_attempt_at, state_since, state, in_flight_until, bound_until,
          registered_at, last_attempt_at, held_until, again, generation, flow, cseq, nonce_count,
          granted, last_status, failures, refusals, reason)
        VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?6, ?6, ?6, ?7, 0, ?8, ?8, ?9, ?8, ?8, ?8, ?8, ?8, ?10)
        """,
        (
            n,
            registrar,
            pack_hex(call_id),
            to_ms(now),
            STATES.code(InstanceState.IDLE),
            NEVER,
            LONG_AGO,
            widen(0),
            FIRST_CSEQ,
            pad("", REASON_SIZE),
        ),
    )
    registrars.due_by(conn, registrar, to_ms(now))


def restart(conn: sqlite3.Connection, n: int, registrar: int, call_id: str, now: float) -> None:
    """Begin anew with a changed account; a claim under way will settle without effect.

    It is due at once, except that a REGISTER under way with the same Call-ID is waited for.
    """
    conn.execute(
        f"""
        UPDATE schedule SET
          again = (call_id = ?3 AND {IN_FLIGHT}),
          next_attempt_at = CASE
            WHEN call_id = ?3 AND {IN_FLIGHT} THEN next_attempt_at ELSE max(?5, held_until) END,
          in_flight_until = CASE call_id WHEN ?3 THEN in_flight_until ELSE ?6 END,
          registrar = ?2, call_id = ?3, generation = generation + 1, state = ?4, state_since = ?5,
          bound_until = ?6, registered_at = ?6, flow = ?7, nonce_count = ?7, granted = ?7,
          last_status = ?7, failures = ?7, refusals = ?7, reason = ?8
        WHERE n = ?1
        """,
        (
            n,
            registrar,
            pack_hex(call_id),
            STATES.code(InstanceState.IDLE),
            to_ms(now),
            NEVER,
            widen(0),
            pad("", REASON_SIZE),
        ),
    )
    records.erase(conn, Kind.BINDING, [n])
    registrars.due_by(conn, registrar, to_ms(now))


def note_due(conn: sqlite3.Connection, rows: Iterable[sqlite3.Row]) -> None:
    """Tell the registrars of rows (registrar, next_attempt_at) when they are due."""
    earliest: dict[int, int] = {}
    for row in rows:
        known = earliest.get(row["registrar"], NEVER)
        earliest[row["registrar"]] = min(row["next_attempt_at"], known)
    for registrar, due_at in earliest.items():
        registrars.due_by(conn, registrar, due_at)
