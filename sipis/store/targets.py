"""Push targets: what is known of each token without knowing the token.

The token itself is in the sealed targets record; here it has a keyed index, by which it is found.
Refuses to judge a failure: callers say what a push service meant.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sipis.model import Environment, PushService, TargetKind
from sipis.store import apps
from sipis.store.columns import (
    LONG_AGO,
    NEVER,
    NO_HASH,
    Words,
    fixed_hash,
    to_ms,
    to_ms_or_never,
    to_seconds,
    to_seconds_or_none,
)


class _NoEnvironment(StrEnum):
    NONE = "none"


_SERVICES: Final = Words((PushService.APNS, PushService.FCM))
_KINDS: Final = Words((TargetKind.VOIP, TargetKind.ALERT, TargetKind.TOKEN, TargetKind.FID))
_ENVIRONMENTS: Final[Words[Environment | _NoEnvironment]] = Words(
    (_NoEnvironment.NONE, Environment.PRODUCTION, Environment.SANDBOX)
)


@dataclass(frozen=True, slots=True)
class NewTarget:
    """A target without its token; `index` is the vault's keyed index of it (32 bytes)."""

    index: bytes
    provider: PushService
    kind: TargetKind
    environment: Environment | None = None


@dataclass(frozen=True, slots=True)
class TargetRow:
    """A target as stored; times are Unix seconds."""

    n: int
    index: bytes
    provider: PushService
    kind: TargetKind
    environment: Environment | None
    registered_at: float
    """When the app last gave us this token."""
    last_ok_at: float | None
    verified: bool
    dead: bool


_INSERT: Final = f"""
    INSERT INTO targets (
      n, token_index, app, provider, kind, environment, registered_at, last_ok_at, verified, dead,
      code_hash, code_until)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?)
    ON CONFLICT (n, token_index) DO UPDATE SET
      provider = excluded.provider, kind = excluded.kind,
      environment = CASE WHEN last_ok_at < {NEVER} THEN environment ELSE excluded.environment END,
      registered_at = excluded.registered_at, dead = 0
"""


def insert(
    conn: sqlite3.Connection, n: int, app: int, new: Sequence[NewTarget], now: float
) -> None:
    """Add targets of an instance; a token that is there already counts as given again.

    It keeps the environment in which it has worked: a token belongs to one alone.
    """
    before = _count(conn, n)
    conn.executemany(_INSERT, [_values(n, app, target, now) for target in new])
    apps.count(conn, app, targets=_count(conn, n) - before)


def replace(
    conn: sqlite3.Connection, n: int, app: int, new: Sequence[NewTarget], now: float
) -> None:
    """Make these the targets of an instance; tokens that stay keep their proof and record."""
    staying = {target.index for target in new}
    gone = [row.index for row in list_for(conn, n) if row.index not in staying]
    conn.executemany(
        "DELETE FROM targets WHERE n = ? AND token_index = ?", [(n, index) for index in gone]
    )
    apps.count(conn, app, targets=-len(gone))
    insert(conn, n, app, new, now)


def list_for(conn: sqlite3.Connection, n: int) -> list[TargetRow]:
    """All targets of an instance, dead ones included, in the order they came."""
    rows = conn.execute("SELECT * FROM targets WHERE n = ? ORDER BY t", (n,))
    return [_target(row) for row in rows]


def live_count(conn: sqlite3.Connection, n: int) -> int:
    """How many targets of an instance are not dead."""
    found = conn.execute("SELECT count(*) FROM targets WHERE n = ? AND dead = 0", (n,))
    count: int = found.fetchone()[0]
    return count


def mark_ok(
    conn: sqlite3.Connection,
    n: int,
    index: bytes,
    now: float,
    environment: Environment | None,
) -> None:
    """A push was accepted for this token, in that environment."""
    conn.execute(
        "UPDATE targets SET last_ok_at = ?, environment = ? WHERE n = ? AND token_index = ?",
        (to_ms(now), _environment(environment), n, index),
    )


def mark_dead(
    conn: sqlite3.Connection,
    n: int,
    index: bytes,
    *,
    since: float | None = None,
    unless_proven: bool = False,
) -> bool:
    """The push service says that this token is gone; True when that was news and is believed.

    `since`: the service's instant; a token that the app gave us later lives on. `unless_proven`: a
    token for which a push was ever accepted lives on.
    """
    died = conn.execute(
        """
        UPDATE targets SET dead = 1
        WHERE n = ? AND token_index = ? AND dead = 0 AND registered_at <= ? AND last_ok_at >= ?
        """,
        (n, index, to_ms_or_never(since), NEVER if unless_proven else LONG_AGO),
    )
    return died.rowcount > 0


def expect_code(
    conn: sqlite3.Connection, n: int, index: bytes, code_hash: bytes, until: float
) -> None:
    """A verify push with a code of this hash goes to this token."""
    conn.execute(
        "UPDATE targets SET code_hash = ?, code_until = ? WHERE n = ? AND token_index = ?",
        (fixed_hash(code_hash), to_ms(until), n, index),
    )


def verify(conn: sqlite3.Connection, n: int, code_hash: bytes, now: float) -> bool:
    """Mark the target proven that awaits this code; a code works once. False: none awaits it."""
    if code_hash == NO_HASH:
        return False
    proven = conn.execute(
        """
        UPDATE targets SET verified = 1, code_hash = ?, code_until = ?
        WHERE n = ? AND code_hash = ? AND code_until > ?
        """,
        (NO_HASH, LONG_AGO, n, code_hash, to_ms(now)),
    )
    return proven.rowcount > 0


def mark_verified(conn: sqlite3.Connection, n: int) -> None:
    """All targets of an instance are proven: its app has shown itself in another way."""
    conn.execute("UPDATE targets SET verified = 1 WHERE n = ?", (n,))


def _count(conn: sqlite3.Connection, n: int) -> int:
    count: int = conn.execute("SELECT count(*) FROM targets WHERE n = ?", (n,)).fetchone()[0]
    return count


def _values(n: int, app: int, target: NewTarget, now: float) -> tuple[int | bytes, ...]:
    return (
        n,
        fixed_hash(target.index),
        app,
        _SERVICES.code(target.provider),
        _KINDS.code(target.kind),
        _environment(target.environment),
        to_ms(now),
        NEVER,
        NO_HASH,
        LONG_AGO,
    )


def _environment(environment: Environment | None) -> int:
    return _ENVIRONMENTS.code(environment or _NoEnvironment.NONE)


def _target(row: sqlite3.Row) -> TargetRow:
    environment = _ENVIRONMENTS.member(row["environment"])
    return TargetRow(
        n=row["n"],
        index=row["token_index"],
        provider=_SERVICES.member(row["provider"]),
        kind=_KINDS.member(row["kind"]),
        environment=environment if isinstance(environment, Environment) else None,
        registered_at=to_seconds(row["registered_at"]),
        last_ok_at=to_seconds_or_none(row["last_ok_at"]),
        verified=bool(row["verified"]),
        dead=bool(row["dead"]),
    )
