"""Moves within the schedule that no attempt caused: holds, wakes, lost connections, restarts.

A row under way is never made due a second time: it is marked, and its settlement makes it due.
Refuses to touch what a registrar refused for good: only a changed account revives it.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

from sipis.model import InstanceState
from sipis.store import agenda
from sipis.store.agenda import IN_FLIGHT
from sipis.store.columns import LONG_AGO, NEVER, STATES, to_ms, widen

_UNAUTHORIZED: Final = STATES.code(InstanceState.UNAUTHORIZED)
_STOPPED: Final = f"state = {_UNAUTHORIZED}"

FARTHEST: Final = 3600.0
"""Seconds that exceed every lease and every back-off of ours."""

_SCATTER: Final = 10_007
"""Neighbouring numbers land far apart in a spread: a prime that their multiples never hit."""


def hold(conn: sqlite3.Connection, n: int, until: float) -> None:
    """The app has the registration until an instant (infinity: until release); then it is due."""
    conn.execute(
        f"""
        UPDATE schedule SET held_until = ?2, again = 0, next_attempt_at = CASE
          WHEN {IN_FLIGHT} THEN next_attempt_at WHEN {_STOPPED} THEN {NEVER} ELSE ?2 END
        WHERE n = ?1
        """,
        (n, to_ms(until)),
    )
    _note_due(conn, [n])


def interrupt(conn: sqlite3.Connection, n: int) -> None:
    """The attempt under way was given up, nobody will settle it: it is due when the hold ends."""
    conn.execute(
        f"""
        UPDATE schedule SET in_flight_until = {NEVER}, again = 0,
          next_attempt_at = max(next_attempt_at, held_until)
        WHERE n = ? AND {IN_FLIGHT}
        """,
        (n,),
    )
    _note_due(conn, [n])


def release(conn: sqlite3.Connection, n: int, now: float) -> None:
    """The app gave the registration back: it is due now."""
    conn.execute("UPDATE schedule SET held_until = ? WHERE n = ?", (LONG_AGO, n))
    make_due(conn, [n], now)


def make_due(conn: sqlite3.Connection, ns: Sequence[int], now: float) -> None:
    """These registrations are due now, unless the app has them or they were refused for good."""
    conn.executemany(
        f"""
        UPDATE schedule SET
          again = ({IN_FLIGHT}),
          next_attempt_at = CASE WHEN {IN_FLIGHT} THEN next_attempt_at ELSE ?2 END
        WHERE n = ?1 AND held_until <= ?2 AND NOT {_STOPPED}
        """,
        [(n, to_ms(now)) for n in ns],
    )
    _note_due(conn, ns)


def flow_lost(
    conn: sqlite3.Connection, flow: int | None, now: float, *, limit: int, spread: float
) -> int:
    """Bindings on a lost connection (None: on any) become due within `spread` seconds.

    Not those whose last attempt failed: a registrar that closes the connection after each refusal
    would get the next one at once.
    Returns how many were moved; fewer than `limit` means that none is left.
    """
    condition = "flow = ?1" if flow is not None else "flow > ?1"
    found = conn.execute(
        f"SELECT n, failures FROM schedule WHERE flow > {widen(0)} AND {condition} LIMIT ?2",
        (widen(flow or 0), limit),
    ).fetchall()
    numbers = [(widen(0), row["n"]) for row in found]
    conn.executemany("UPDATE schedule SET flow = ? WHERE n = ?", numbers)
    _scatter(conn, [row["n"] for row in found if row["failures"] == widen(0)], now, spread)
    return len(found)


def rebind(
    conn: sqlite3.Connection, now: float, *, after: int, limit: int, spread: float
) -> int | None:
    """Make the live bindings with numbers above `after` due within `spread` seconds, in batches.

    For a start at another address, after a pause in which NAT bindings closed, and after the clock
    was set back: then no lease and no back-off may end later than it would have. Returns the last
    number that was looked at, None at the end.
    """
    found = conn.execute("SELECT n FROM schedule WHERE n > ? ORDER BY n LIMIT ?", (after, limit))
    ns = [row["n"] for row in found]
    _bring_near(conn, ns, now)
    _scatter(conn, ns, now, spread)
    return ns[-1] if ns else None


def redo_interrupted(conn: sqlite3.Connection, now: float) -> int:
    """At start: claims that a crash left unsettled are due now; returns how many."""
    interrupted = conn.execute(f"SELECT n FROM schedule WHERE {IN_FLIGHT}").fetchall()
    ns = [row["n"] for row in interrupted]
    conn.executemany(
        f"""
        UPDATE schedule SET in_flight_until = {NEVER}, again = 0,
          next_attempt_at = max(?1, held_until) WHERE n = ?2
        """,
        [(to_ms(now), n) for n in ns],
    )
    _note_due(conn, ns)
    return len(ns)


def _bring_near(conn: sqlite3.Connection, ns: Sequence[int], now: float) -> None:
    """Let nothing that has an end wait for longer than FARTHEST."""
    conn.executemany(
        f"""
        UPDATE schedule SET
          held_until = CASE held_until WHEN {NEVER} THEN {NEVER} ELSE min(held_until, ?2) END,
          next_attempt_at = CASE
            WHEN next_attempt_at = {NEVER} OR {IN_FLIGHT} THEN next_attempt_at
            ELSE min(next_attempt_at, ?2) END
        WHERE n = ?1
        """,
        [(n, to_ms(now + FARTHEST)) for n in ns],
    )


def _scatter(conn: sqlite3.Connection, ns: Sequence[int], now: float, spread: float) -> None:
    """Bring live bindings forward to moments that only depend on their numbers."""
    live = to_ms(now)
    moments = [(n, to_ms(now + spread * (n * 7919 % _SCATTER) / _SCATTER), live) for n in ns]
    conn.executemany(
        f"""
        UPDATE schedule SET
          again = ({IN_FLIGHT}),
          next_attempt_at = CASE WHEN {IN_FLIGHT} THEN next_attempt_at
            ELSE min(next_attempt_at, ?2) END
        WHERE n = ?1 AND held_until <= ?2 AND bound_until > ?3 AND bound_until < {NEVER}
          AND NOT {_STOPPED}
        """,
        moments,
    )
    _note_due(conn, ns)


def _note_due(conn: sqlite3.Connection, ns: Sequence[int]) -> None:
    """Tell the registrars of these rows when they are due."""
    found = (
        conn.execute("SELECT registrar, next_attempt_at FROM schedule WHERE n = ?", (n,)).fetchone()
        for n in ns
    )
    agenda.note_due(conn, [row for row in found if row is not None])
