"""The schedule: which registrations are due, who has taken them, and what came of it.

A claim commits everything that must not be used twice (a block of CSeq numbers, a nonce count) and
hides its row from other claims before anything is sent. It ends with a settlement, or with its time
in flight. Registrars are looked at one by one through their own earliest due time, so that a paused
one never hides the due rows of another and no claim reads rows that are not due.
Refuses to decide when to try again: settlements say so.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

from sipis.model import InstanceId, InstanceState, Mode
from sipis.store import agenda, records
from sipis.store.agenda import IN_FLIGHT, REASON_SIZE
from sipis.store.columns import (
    MODES,
    NEVER,
    STATES,
    narrow,
    pad,
    to_ms,
    to_ms_or_never,
    to_seconds,
    to_seconds_or_none,
    unpack_hex,
    unpad,
    widen,
)
from sipis.store.records import Kind

_UNAUTHORIZED: Final = STATES.code(InstanceState.UNAUTHORIZED)

CSEQ_PER_CLAIM: Final = 8
"""CSeq numbers that one claim may use: `cseq` to `cseq + 7`."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What the last registration left: texts that only the registrant reads.

    `nonce` is the remembered challenge, `place` the transport and addresses it was made from.
    """

    nonce: str = ""
    service_route: tuple[str, ...] = ()
    place: str = ""


class Claim(NamedTuple):
    """A registration that is due and now ours to make; times are Unix seconds."""

    n: int
    id: InstanceId
    app: str
    registrar: str
    mode: Mode
    expires_at: float
    slot: int
    version: int
    credential: bytes
    """The sealed record."""
    generation: int
    cseq: int
    """First of CSEQ_PER_CLAIM numbers."""
    call_id: str
    contact_token: str
    binding: Binding
    nonce_count: int
    """The count to use with the remembered nonce."""
    granted: int
    bound_until: float | None
    proven: bool
    """Whether a registrar ever accepted this account."""
    failures: int
    refusals: int
    due_at: float

    def __repr__(self) -> str:
        return f"Claim(n={self.n}, cseq={self.cseq})"


class Settlement(NamedTuple):
    """What came of a claim. `n`, `generation` and `cseq` are the claim's."""

    n: int
    generation: int
    cseq: int
    next_attempt_at: float | None
    """None: nothing more is sent until the app acts."""
    state: InstanceState
    reason: str = ""
    last_status: int = 0
    failures: int = 0
    refusals: int = 0
    granted: int = 0
    bound_until: float | None = None
    binding: Binding | None = None
    """None: as it was."""
    nonce_count: int | None = None
    """How often the nonce has been used; None: as claimed."""
    flow: int = 0
    """Number of the connection that the binding lives on; 0 for UDP."""


_DUE_REGISTRARS: Final = """
    SELECT id, key FROM registrars WHERE next_due_at <= ?1 AND paused_until <= ?1
    ORDER BY next_due_at
"""

_ROW: Final = f"""
    SELECT s.n, i.id, a.name, r.key, i.mode, i.expires_at, i.slot, i.version,
      {records.column(Kind.CREDENTIAL, "s.n")} AS credential, s.generation, s.cseq, s.call_id,
      i.contact_token, {records.column(Kind.BINDING, "s.n")} AS binding, s.nonce_count, s.granted,
      s.bound_until, i.first_registered_at, s.failures, s.refusals, s.next_attempt_at, s.held_until
    FROM schedule s JOIN instances i ON i.n = s.n JOIN apps a ON a.id = i.app
    JOIN registrars r ON r.id = s.registrar
"""

_DUE: Final = f"""
    {_ROW} WHERE s.registrar = ? AND s.next_attempt_at <= ? ORDER BY s.next_attempt_at LIMIT ?
"""

_TAKE: Final = f"""
    UPDATE schedule SET
      cseq = cseq + {CSEQ_PER_CLAIM}, nonce_count = nonce_count + 1,
      last_attempt_at = ?2, in_flight_until = ?3, next_attempt_at = ?3, again = 0,
      state = CASE state WHEN ?4 THEN ?5 ELSE state END
    WHERE n IN (SELECT value FROM json_each(?1))
"""

_NO_ALLOWANCES: Final[Mapping[str, int]] = MappingProxyType({})


def claim(
    conn: sqlite3.Connection,
    now: float,
    *,
    limit: int,
    per_registrar: int = 32,
    allowances: Mapping[str, int] = _NO_ALLOWANCES,
    in_flight_for: float = 180.0,
) -> list[Claim]:
    """Take what is due: at most `limit` in all and `per_registrar` of each registrar.

    `allowances` gives single registrars (by key) another bound; 0 passes one over. A claim that is
    not settled within `in_flight_for` seconds becomes due again.
    """
    claims: list[Claim] = []
    due = conn.execute(_DUE_REGISTRARS, (to_ms(now),)).fetchall()
    for registrar in due:
        key = unpad(registrar["key"])
        most = min(allowances.get(key, per_registrar), limit - len(claims))
        if most > 0:
            rows = conn.execute(_DUE, (registrar["id"], to_ms(now), most)).fetchall()
            claims += _take_fit(conn, rows, now, in_flight_for)
            _look_again(conn, registrar["id"])
        if len(claims) >= limit:
            break
    return claims


def peek(conn: sqlite3.Connection, n: int) -> Claim | None:
    """What a claim of this row would give now, due or not, held or not; nothing is taken.

    For the last word of an instance that is about to be erased.
    """
    row = conn.execute(f"{_ROW} WHERE s.n = ?", (n,)).fetchone()
    return None if row is None or row["credential"] is None else _claim(row)


def read_again(conn: sqlite3.Connection, taken: Claim) -> Claim:
    """The claim with the account as it is sealed now, unless it is another binding's."""
    now = peek(conn, taken.n)
    if now is None or now.call_id != taken.call_id:
        return taken
    return taken._replace(slot=now.slot, version=now.version, credential=now.credential)


def seize(
    conn: sqlite3.Connection, n: int, now: float, *, in_flight_for: float = 180.0
) -> Claim | None:
    """Claim this row, due or not, held or not, whether or not an earlier claim is under way.

    None, and nothing taken, where there is no row or its account was refused for good.
    """
    row = conn.execute(f"{_ROW} WHERE s.n = ? AND s.state <> ?", (n, _UNAUTHORIZED)).fetchone()
    if row is None or row["credential"] is None:
        return None
    _take(conn, [n], now, in_flight_for, idle_becomes=InstanceState.IDLE)
    return _claim(row)


_SETTLE: Final = f"""
    UPDATE schedule SET
      in_flight_until = {NEVER}, again = 0,
      next_attempt_at = CASE
        WHEN again = 1 AND ?9 <= failures THEN max(?4, held_until)
        WHEN ?5 = {NEVER} THEN {NEVER}
        WHEN held_until > ?4 THEN held_until
        ELSE ?5 END,
      state = ?6, state_since = CASE state WHEN ?6 THEN state_since ELSE ?4 END,
      reason = ?7, last_status = ?8, failures = ?9, refusals = ?10, granted = ?11,
      bound_until = ?12, flow = ?13, nonce_count = coalesce(?14, nonce_count),
      registered_at = CASE WHEN ?15 THEN min(registered_at, ?4) ELSE {NEVER} END
    WHERE n = ?1 AND generation = ?2 AND cseq = ?3
"""

_SETTLE_RESTARTED: Final = f"""
    UPDATE schedule SET
      in_flight_until = {NEVER}, again = 0, next_attempt_at = max(?4, held_until)
    WHERE n = ?1 AND generation <> ?2 AND cseq = ?3 AND {IN_FLIGHT}
"""

_AS_SETTLED: Final = """
    SELECT n, registrar, next_attempt_at, registered_at FROM schedule
    WHERE n IN (SELECT value FROM json_each(?))
"""


@dataclass(frozen=True, slots=True)
class Settled:
    """For which instances settlements counted, and when the first of the rows is due again."""

    counted: set[int]
    due_at: float | None


def settle(conn: sqlite3.Connection, settlements: Sequence[Settlement], now: float) -> Settled:
    """Write back what came of claims.

    A settlement of a row that was erased or claimed again since changes nothing; one of a row that
    was restarted only lets its new account begin. A row that was to be done again is due at once,
    unless this attempt has failed: then it waits as any other.
    """
    counted: set[int] = set()
    restarted: list[int] = []
    for one in settlements:
        outcome = _outcome(one, now)
        if conn.execute(_SETTLE, outcome).rowcount:
            counted.add(one.n)
            if one.binding is not None:
                records.put(conn, Kind.BINDING, one.n, _written_binding(one.binding))
        elif conn.execute(_SETTLE_RESTARTED, outcome[:4]).rowcount:
            restarted.append(one.n)
    planned = conn.execute(_AS_SETTLED, (json.dumps([*counted, *restarted]),)).fetchall()
    _note_first_registrations(conn, planned, now)
    agenda.note_due(conn, planned)
    earliest = min((row["next_attempt_at"] for row in planned), default=NEVER)
    return Settled(counted, to_seconds_or_none(earliest))


def next_due(conn: sqlite3.Connection, now: float, *, skip: Collection[str] = ()) -> float | None:
    """When to claim next; registrars in `skip` (by key) are passed over.

    It may be too early, never too late: a claim that finds nothing sets it right.
    """
    rows = conn.execute(
        "SELECT key, max(next_due_at, paused_until) AS due_at FROM registrars"
        " WHERE next_due_at < ? ORDER BY due_at",
        (NEVER,),
    )
    for row in rows:
        if unpad(row["key"]) not in skip:
            return max(to_seconds(row["due_at"]), now)
    return None


def binding(conn: sqlite3.Connection, n: int) -> Binding:
    """What the last registration of an instance left."""
    stored = records.get(conn, Kind.BINDING, n)
    return Binding() if stored is None else _read_binding(stored)


def _take_fit(
    conn: sqlite3.Connection, rows: Sequence[sqlite3.Row], now: float, in_flight_for: float
) -> list[Claim]:
    """Take those of the due rows that may be sent for, and put the others off."""
    at, fit = to_ms(now), []
    for row in rows:
        if row["expires_at"] <= at or row["held_until"] > at or row["credential"] is None:
            _put_off(conn, row, now)
        else:
            fit.append(_claim(row))
    ns = [claim.n for claim in fit]
    _take(conn, ns, now, in_flight_for, idle_becomes=InstanceState.REGISTERING)
    return fit


def _take(
    conn: sqlite3.Connection,
    ns: Sequence[int],
    now: float,
    in_flight_for: float,
    *,
    idle_becomes: InstanceState,
) -> None:
    until, idle = to_ms(now + in_flight_for), STATES.code(InstanceState.IDLE)
    values = (json.dumps(ns), to_ms(now), until, idle, STATES.code(idle_becomes))
    conn.execute(_TAKE, values)


def _put_off(conn: sqlite3.Connection, row: sqlite3.Row, now: float) -> None:
    """A held row waits for the end of its hold; an expired one is never due again."""
    until = row["held_until"] if row["expires_at"] > to_ms(now) else NEVER
    conn.execute(
        "UPDATE schedule SET next_attempt_at = ?, in_flight_until = ? WHERE n = ?",
        (until if until > to_ms(now) else NEVER, NEVER, row["n"]),
    )


def _look_again(conn: sqlite3.Connection, registrar: int) -> None:
    """Set the earliest due time of a registrar to what its rows say."""
    conn.execute(
        f"""
        UPDATE registrars SET next_due_at = coalesce(
          (SELECT min(next_attempt_at) FROM schedule WHERE registrar = registrars.id), {NEVER})
        WHERE id = ?
        """,
        (registrar,),
    )


def _claim(row: sqlite3.Row) -> Claim:
    """A row as a claim; its columns are taken in order, for a look-up by name costs more."""
    (
        n, id_, app, registrar, mode, expires_at, slot, version, credential, generation, cseq,
        call_id, contact_token, binding, nonce_count, granted, bound_until, first_registered_at,
        failures, refusals, due_at, _,
    ) = row  # fmt: skip
    return Claim(
        n,
        InstanceId(unpack_hex(id_)),
        app,
        unpad(registrar),
        MODES.member(mode),
        to_seconds(expires_at),
        narrow(slot),
        narrow(version),
        records.unpadded(credential),
        narrow(generation),
        cseq + CSEQ_PER_CLAIM,
        unpack_hex(call_id),
        unpack_hex(contact_token),
        _read_binding(records.unpadded(binding)) if binding else Binding(),
        narrow(nonce_count) + 1,
        narrow(granted),
        to_seconds_or_none(bound_until),
        first_registered_at < NEVER,
        narrow(failures),
        narrow(refusals),
        to_seconds(due_at),
    )


def _written_binding(left: Binding) -> bytes:
    """A line for each text: none of them holds a line break, or it would not fit a header."""
    return "\n".join([left.nonce, left.place, *left.service_route]).encode()


def _read_binding(stored: bytes) -> Binding:
    nonce, place, *service_route = stored.decode().split("\n")
    return Binding(nonce, tuple(service_route), place)


def _outcome(one: Settlement, now: float) -> tuple[int | bytes | None, ...]:
    """The values of _SETTLE; the first four are those of _SETTLE_RESTARTED."""
    return (
        one.n,
        widen(one.generation),
        one.cseq,
        to_ms(now),
        to_ms_or_never(one.next_attempt_at),
        STATES.code(one.state),
        _reason(one.reason),
        widen(one.last_status),
        widen(one.failures),
        widen(one.refusals),
        widen(one.granted),
        to_ms_or_never(one.bound_until),
        widen(one.flow),
        None if one.nonce_count is None else widen(one.nonce_count),
        one.state is InstanceState.REGISTERED,
    )


@lru_cache(maxsize=64)
def _reason(text: str) -> bytes:
    """One of the few words that stand there."""
    return pad(text, REASON_SIZE)


def _note_first_registrations(
    conn: sqlite3.Connection, settled: Iterable[sqlite3.Row], now: float
) -> None:
    """Where a gap in the registration has just ended, it may be the first one."""
    at = to_ms(now)
    newly = [row["n"] for row in settled if row["registered_at"] == at]
    conn.executemany(
        "UPDATE instances SET first_registered_at = ? WHERE n = ? AND first_registered_at = ?",
        [(at, n, NEVER) for n in newly],
    )
