"""Makers of store rows, for every test that needs an instance in a database."""

import sqlite3
from dataclasses import replace
from typing import Any

from sipis.model import Environment, InstanceId, InstanceState, Mode, PushService, TargetKind
from sipis.store.agenda import REASON_SIZE
from sipis.store.columns import STATES, pad, to_ms
from sipis.store.instances import NewInstance
from sipis.store.schedule import Claim, Settlement
from sipis.store.targets import NewTarget

NOW = 1_800_000_000.0
"""Where ManualClock begins."""

DAY = 86_400.0


def name(number: int) -> str:
    """A random name: 32 hex digits."""
    return f"{number:032x}"


def digest(number: int) -> bytes:
    """A hash of 32 bytes, never that of nothing."""
    return (number + 1).to_bytes(32, "big")


def new_target(number: int, **changes: Any) -> NewTarget:
    """A VoIP target whose token has this index."""
    target = NewTarget(digest(number), PushService.APNS, TargetKind.VOIP, Environment.PRODUCTION)
    return replace(target, **changes)


def new_instance(number: int = 0, **changes: Any) -> NewInstance:
    """An instance at example.org that expires a day after NOW; equal numbers collide."""
    instance = NewInstance(
        id=InstanceId(name(number)),
        app="phone",
        secret_hash=digest(number),
        mode=Mode.CONTINUOUS,
        created_at=NOW,
        expires_at=NOW + DAY,
        ttl=DAY,
        slot=number,
        version=1,
        sealed_credential=b"sealed credential %d" % number,
        sealed_targets=b"sealed targets %d" % number,
        contact_token=name(number + 0x1000),
        call_id=name(number + 0x2000),
        relay_user=name(number + 0x3000),
        registrar="example.org",
        aor_index=digest(number + 0x4000),
        commitment=digest(number + 0x5000),
        targets=(new_target(number),),
    )
    return replace(instance, **changes)


def registered(claim: Claim, at: float = NOW, **changes: Any) -> Settlement:
    """The settlement of a claim that was granted an hour, to be refreshed after half of it."""
    settlement = Settlement(
        n=claim.n,
        generation=claim.generation,
        cseq=claim.cseq,
        next_attempt_at=at + 1800,
        state=InstanceState.REGISTERED,
        last_status=200,
        granted=3600,
        bound_until=at + 3600,
    )
    return settlement._replace(**changes)


def set_state(
    conn: sqlite3.Connection, n: int, state: InstanceState, reason: str, now: float
) -> None:
    """Put an instance where attempts would bring it."""
    conn.execute(
        "UPDATE schedule SET state = ?, state_since = ?, reason = ? WHERE n = ?",
        (STATES.code(state), to_ms(now), pad(reason, REASON_SIZE), n),
    )
