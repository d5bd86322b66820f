"""Look-ups: an instance by every name it has, and lists of instances that somebody must act on.

Refuses to tell whether a caller may act: it returns the hash of the secret, the caller compares. An
expired instance is invisible to every look-up, whether or not it has been erased yet.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sipis.model import InstanceId, InstanceState, Mode
from sipis.store import records, registrars
from sipis.store.columns import (
    LONG_AGO,
    MODES,
    NEVER,
    NO_HASH,
    STATES,
    fixed_hash,
    hash_or_none,
    narrow,
    to_ms,
    to_seconds,
    to_seconds_or_none,
    try_hex,
    unpack_hex,
    unpad,
    widen,
)
from sipis.store.records import Kind


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """All that is known of an instance without its key; times are Unix seconds."""

    n: int
    id: InstanceId
    app: str
    secret_hash: bytes = field(repr=False)
    mode: Mode
    state: InstanceState
    state_since: float
    reason: str
    created_at: float
    expires_at: float
    ttl: float
    slot: int
    version: int
    generation: int
    contact_token: str
    call_id: str
    relay_user: str
    registrar: str
    aor_index: bytes
    commitment: bytes
    idempotency_key: bytes | None
    preview: bool
    warned: bool
    verified: bool
    """Whether any of its targets has been proven."""
    foreground_until: float | None
    """End of the app's lease, perhaps past already; infinity: until it is given back."""
    first_registered_at: float | None
    registered_at: float | None
    """Since when the registrar has held the binding without a gap."""
    bound_until: float | None
    last_attempt_at: float | None
    next_attempt_at: float | None
    last_status: int
    failures: int
    refusals: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """The sealed records of an instance and where their key is."""

    n: int
    id: InstanceId
    app: str
    slot: int
    version: int
    credential: bytes = field(repr=False)
    targets: bytes = field(repr=False)


_SELECT: Final = """
    SELECT i.*, s.*, a.name AS app_name, r.key AS registrar_key,
      EXISTS (SELECT 1 FROM targets t WHERE t.n = i.n AND t.verified = 1) AS verified
    FROM instances i
    JOIN schedule s ON s.n = i.n
    JOIN apps a ON a.id = i.app
    JOIN registrars r ON r.id = i.registrar
"""

_EXCEPTION: Final = f"s.state <> {STATES.code(InstanceState.REGISTERED)}"
"""Rows that the partial index of exceptions holds."""


def by_n(conn: sqlite3.Connection, n: int, now: float) -> InstanceRow | None:
    """The live instance of this number."""
    return _one(conn, "i.n = ? AND i.expires_at > ?", (n, to_ms(now)))


def by_id(conn: sqlite3.Connection, id: str, now: float) -> InstanceRow | None:  # noqa: A002
    """The live instance of this public id; None for anything that is no id."""
    return _by_hex(conn, "i.id", id, now)


def by_contact_token(conn: sqlite3.Connection, token: str, now: float) -> InstanceRow | None:
    """The live instance whose Contact has this user part."""
    return _by_hex(conn, "i.contact_token", token, now)


def by_relay_user(conn: sqlite3.Connection, user: str, now: float) -> InstanceRow | None:
    """The live instance whose app logs in at the relay under this name."""
    return _by_hex(conn, "i.relay_user", user, now)


def by_aor(
    conn: sqlite3.Connection, aor_index: bytes, registrar: str, now: float
) -> list[InstanceRow]:
    """The live instances of an AoR at a registrar, oldest first."""
    number = registrars.find(conn, registrar)
    condition = "i.aor_index = ? AND i.registrar = ? AND i.expires_at > ? ORDER BY i.n"
    return _many(conn, condition, (fixed_hash(aor_index), number, to_ms(now)))


def alone_on(conn: sqlite3.Connection, flow: int, now: float) -> InstanceRow | None:
    """The live instance whose binding has a connection for itself; None where several share it."""
    condition = "s.flow = ? AND s.flow > ? AND i.expires_at > ? LIMIT 2"
    found = _many(conn, condition, (widen(flow), widen(0), to_ms(now)))
    return found[0] if len(found) == 1 else None


def by_token(conn: sqlite3.Connection, app: str, index: bytes, now: float) -> list[InstanceRow]:
    """The live instances of an app that have this push token, dead or not, oldest first."""
    condition = """
        i.n IN (SELECT n FROM targets WHERE token_index = ?)
        AND a.name = ? AND i.expires_at > ? ORDER BY i.n
    """
    return _many(conn, condition, (fixed_hash(index), app, to_ms(now)))


def by_idempotency_key(conn: sqlite3.Connection, key: bytes, now: float) -> InstanceRow | None:
    """The live instance that was created under this hash of app and Idempotency-Key."""
    condition = f"i.idempotency = ? AND i.idempotency <> x'{NO_HASH.hex()}' AND i.expires_at > ?"
    return _one(conn, condition, (fixed_hash(key), to_ms(now)))


def page(
    conn: sqlite3.Connection, now: float, *, after: int = 0, limit: int, app: str | None = None
) -> list[InstanceRow]:
    """Live instances with numbers above `after`, in order; for the operator."""
    condition = "i.n > ? AND i.expires_at > ? AND (? IS NULL OR a.name = ?) ORDER BY i.n LIMIT ?"
    return _many(conn, condition, (after, to_ms(now), app, app, limit))


def sealed(conn: sqlite3.Connection, n: int, now: float) -> Sealed | None:
    """The sealed records of a live instance."""
    found = conn.execute(
        "SELECT i.id, a.name, i.slot, i.version FROM instances i JOIN apps a ON a.id = i.app"
        " WHERE i.n = ? AND i.expires_at > ?",
        (n, to_ms(now)),
    )
    row = found.fetchone()
    credential = records.get(conn, Kind.CREDENTIAL, n)
    targets = records.get(conn, Kind.TARGETS, n)
    if row is None or credential is None or targets is None:
        return None
    return Sealed(
        n=n,
        id=InstanceId(unpack_hex(row["id"])),
        app=row["name"],
        slot=narrow(row["slot"]),
        version=narrow(row["version"]),
        credential=credential,
        targets=targets,
    )


def expired(conn: sqlite3.Connection, now: float, limit: int) -> list[InstanceRow]:
    """Instances whose time is over and that wait for their erasure, longest first."""
    return _many(conn, "i.expires_at <= ? ORDER BY i.expires_at LIMIT ?", (to_ms(now), limit))


def next_expiry(conn: sqlite3.Connection) -> float | None:
    """When the next instance expires."""
    earliest = conn.execute("SELECT min(expires_at) FROM instances").fetchone()[0]
    return None if earliest is None else to_seconds(earliest)


def unwarned(conn: sqlite3.Connection, before: float, limit: int) -> list[InstanceRow]:
    """Instances that expire before an instant and whose app has not been told, soonest first."""
    condition = "i.warned = 0 AND i.expires_at < ? ORDER BY i.expires_at LIMIT ?"
    return _many(conn, condition, (to_ms(before), limit))


def never_registered(conn: sqlite3.Connection, before: float, limit: int) -> list[InstanceRow]:
    """Instances whose account came before an instant and was never accepted, oldest first."""
    condition = (
        f"i.first_registered_at = {NEVER} AND i.account_since < ? ORDER BY i.account_since LIMIT ?"
    )
    return _many(conn, condition, (to_ms(before), limit))


def stuck_in(
    conn: sqlite3.Connection, state: InstanceState, since: float, limit: int
) -> list[InstanceRow]:
    """Instances in a state other than `registered` since before an instant, longest first."""
    condition = f"s.state = ? AND {_EXCEPTION} AND s.state_since < ? ORDER BY s.state_since LIMIT ?"
    return _many(conn, condition, (STATES.code(state), to_ms(since), limit))


def count_states(conn: sqlite3.Connection) -> dict[InstanceState, int]:
    """How many instances stand in each state; reads the exceptions, never the whole table."""
    exceptions = conn.execute(
        f"SELECT state, count(*) AS instances FROM schedule s WHERE {_EXCEPTION} GROUP BY state"
    )
    counts = {STATES.member(row["state"]): row["instances"] for row in exceptions}
    total = conn.execute("SELECT coalesce(sum(instances), 0) FROM apps").fetchone()[0]
    counts[InstanceState.REGISTERED] = total - sum(counts.values())
    return counts


def _by_hex(conn: sqlite3.Connection, column: str, text: str, now: float) -> InstanceRow | None:
    packed = try_hex(text)
    if packed is None:
        return None
    return _one(conn, f"{column} = ? AND i.expires_at > ?", (packed, to_ms(now)))


def _one(
    conn: sqlite3.Connection, condition: str, values: Iterable[int | bytes | str | None]
) -> InstanceRow | None:
    found = _many(conn, condition, values)
    return found[0] if found else None


def _many(
    conn: sqlite3.Connection, condition: str, values: Iterable[int | bytes | str | None]
) -> list[InstanceRow]:
    rows = conn.execute(f"{_SELECT} WHERE {condition}", tuple(values))
    return [_instance(row) for row in rows]


def _instance(row: sqlite3.Row) -> InstanceRow:
    return InstanceRow(
        n=row["n"],
        id=InstanceId(unpack_hex(row["id"])),
        app=row["app_name"],
        secret_hash=row["secret_hash"],
        mode=MODES.member(row["mode"]),
        state=STATES.member(row["state"]),
        state_since=to_seconds(row["state_since"]),
        reason=unpad(row["reason"]),
        created_at=to_seconds(row["created_at"]),
        expires_at=to_seconds(row["expires_at"]),
        ttl=narrow(row["ttl"]) / 1000,
        slot=narrow(row["slot"]),
        version=narrow(row["version"]),
        generation=narrow(row["generation"]),
        contact_token=unpack_hex(row["contact_token"]),
        call_id=unpack_hex(row["call_id"]),
        relay_user=unpack_hex(row["relay_user"]),
        registrar=unpad(row["registrar_key"]),
        aor_index=row["aor_index"],
        commitment=row["commitment"],
        idempotency_key=hash_or_none(row["idempotency"]),
        preview=bool(row["preview"]),
        warned=bool(row["warned"]),
        verified=bool(row["verified"]),
        foreground_until=None if row["held_until"] == LONG_AGO else to_seconds(row["held_until"]),
        first_registered_at=to_seconds_or_none(row["first_registered_at"]),
        registered_at=to_seconds_or_none(row["registered_at"]),
        bound_until=to_seconds_or_none(row["bound_until"]),
        last_attempt_at=to_seconds_or_none(row["last_attempt_at"]),
        next_attempt_at=to_seconds_or_none(row["next_attempt_at"]),
        last_status=narrow(row["last_status"]),
        failures=narrow(row["failures"]),
        refusals=narrow(row["refusals"]),
    )
