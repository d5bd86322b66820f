"""The rows of the transparency log: lines, hashes of complete subtrees, counts per day.

Append-only: a line may be dropped after its time, a hash never. Refuses to understand a line, and
to hash: both arrive ready.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sipis.errors import StoreError

LINE_LENGTH: Final = 320
"""Bytes of a stored line; shorter ones are filled up with spaces."""

_TIER: Final = 1 << 48


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log; `text` is None when it was dropped after its time."""

    seq: int
    hash: bytes
    text: bytes | None


@dataclass(frozen=True, slots=True)
class DayCount:
    """How many leaves of a kind a day (UTC, as a date) brought; `detail` divides the kind."""

    day: str
    kind: str
    detail: str
    leaves: int


def size(conn: sqlite3.Connection) -> int:
    """How many leaves there are, dropped ones included."""
    return int(conn.execute("SELECT leaves FROM log_size").fetchone()[0])


def grow(conn: sqlite3.Connection, by: int) -> None:
    """Say that leaves were added."""
    conn.execute("UPDATE log_size SET leaves = leaves + ?", (by,))


def put_lines(conn: sqlite3.Connection, lines: Iterable[tuple[int, bytes, bytes]]) -> None:
    """Keep lines: number, text, and the commitment that the line ends (empty: none)."""
    padded = [(seq, ended, _padded(text)) for seq, text, ended in lines]
    conn.executemany("INSERT INTO log_leaves (seq, ended, line) VALUES (?, ?, ?)", padded)


def put_hashes(conn: sqlite3.Connection, tier: int, first: int, hashes: Sequence[bytes]) -> None:
    """Keep the hashes of complete subtrees of 16**tier leaves, the first being number `first`."""
    rows = [(tier * _TIER + first + i, it) for i, it in enumerate(hashes)]
    conn.executemany("INSERT INTO log_hashes (place, hash) VALUES (?, ?)", rows)


def hashes(conn: sqlite3.Connection, tier: int, first: int, count: int) -> list[bytes]:
    """Hashes of complete subtrees; StoreError when one is missing."""
    start = tier * _TIER + first
    rows = conn.execute(
        "SELECT hash FROM log_hashes WHERE place >= ? AND place < ? ORDER BY place",
        (start, start + count),
    )
    found = [row[0] for row in rows]
    if len(found) != count:
        raise StoreError("a hash of the log is missing")
    return found


def lines(conn: sqlite3.Connection, first: int, limit: int) -> list[Line]:
    """Lines from number `first` on, dropped ones with their hash alone."""
    rows = conn.execute(
        """
        SELECT h.place, h.hash, l.line FROM log_hashes h LEFT JOIN log_leaves l ON l.seq = h.place
        WHERE h.place >= ? AND h.place < ? ORDER BY h.place LIMIT ?
        """,
        (first, _TIER, limit),
    )
    return [Line(row[0], row[1], row[2] and row[2].rstrip()) for row in rows]


def line(conn: sqlite3.Connection, seq: int) -> bytes | None:
    """One line; None when it was dropped or does not exist yet."""
    row = conn.execute("SELECT line FROM log_leaves WHERE seq = ?", (seq,)).fetchone()
    return None if row is None else bytes(row[0]).rstrip()


def oldest(conn: sqlite3.Connection, limit: int) -> list[Line]:
    """The oldest lines that were not dropped."""
    rows = conn.execute(
        "SELECT l.seq, h.hash, l.line FROM log_leaves l JOIN log_hashes h ON h.place = l.seq"
        " ORDER BY l.seq LIMIT ?",
        (limit,),
    )
    return [Line(row[0], row[1], row[2].rstrip()) for row in rows]


def ended(conn: sqlite3.Connection, commitment: bytes) -> int | None:
    """The number of the last leaf that ends this commitment."""
    row = conn.execute(
        "SELECT max(seq) FROM log_leaves WHERE ended = ? AND ended <> x''", (commitment,)
    ).fetchone()
    return row[0] if row else None


def drop(conn: sqlite3.Connection, below: int, limit: int = 1000) -> int:
    """Drop lines with numbers below `below`; returns how many, `limit`: there may be more."""
    return conn.execute(
        "DELETE FROM log_leaves WHERE seq IN"
        " (SELECT seq FROM log_leaves WHERE seq < ? ORDER BY seq LIMIT ?)",
        (below, limit),
    ).rowcount


def count(conn: sqlite3.Connection, counts: Iterable[DayCount]) -> None:
    """Add to the counts of days."""
    conn.executemany(
        """
        INSERT INTO log_days (day, kind, detail, leaves) VALUES (?, ?, ?, ?)
        ON CONFLICT (day, kind, detail) DO UPDATE SET leaves = leaves + excluded.leaves
        """,
        [(it.day, it.kind, it.detail, it.leaves) for it in counts],
    )


def counts(conn: sqlite3.Connection, since: str = "") -> list[DayCount]:
    """The counts of all days from `since` on, in order."""
    rows = conn.execute(
        "SELECT day, kind, detail, leaves FROM log_days WHERE day >= ? ORDER BY day, kind, detail",
        (since,),
    )
    return [DayCount(*row) for row in rows]


def put_newest(conn: sqlite3.Connection, newest: Mapping[str, int]) -> None:
    """Note the newest leaf of these kinds."""
    conn.executemany("INSERT OR REPLACE INTO log_newest (kind, seq) VALUES (?, ?)", newest.items())


def newest(conn: sqlite3.Connection, kind: str) -> bytes | None:
    """The line of the newest leaf of a kind; None when there is none or it was dropped."""
    row = conn.execute("SELECT seq FROM log_newest WHERE kind = ?", (kind,)).fetchone()
    return None if row is None else line(conn, row[0])


def totals(conn: sqlite3.Connection) -> dict[str, int]:
    """How many leaves of each kind there ever were, and for each `kind/detail`."""
    rows = conn.execute("SELECT kind, detail, sum(leaves) FROM log_days GROUP BY kind, detail")
    found: dict[str, int] = {}
    for kind, detail, number in rows:
        found[kind] = found.get(kind, 0) + number
        if detail:
            found[f"{kind}/{detail}"] = number
    return found


def _padded(text: bytes) -> bytes:
    if len(text) > LINE_LENGTH:
        raise StoreError("a line of the log is too long")
    return text.ljust(LINE_LENGTH)
