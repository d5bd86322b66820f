"""From rows and receipts to answers: what the app and the operator are shown.

Refuses to show a credential, a token or a peer's words.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime

from sipis.api import schema
from sipis.audit.receipt import Receipt
from sipis.lifecycle.orders import Export
from sipis.model import InstanceState
from sipis.store.lookup import InstanceRow
from sipis.store.targets import TargetRow

EXPIRING_WITHIN = 12 * 3600


def time_of(seconds: float) -> str:
    """Unix seconds as RFC 3339 in UTC."""
    return datetime.fromtimestamp(round(seconds), UTC).isoformat().replace("+00:00", "Z")


def optional_time(seconds: float | None) -> str | None:
    """The same, where never and not yet are no times."""
    return None if seconds is None or math.isinf(seconds) else time_of(seconds)


def instance_answer(row: InstanceRow, now: float) -> schema.InstanceAnswer:
    """Where an instance stands, as its app may see it."""
    return schema.InstanceAnswer(
        instance=row.id,
        state=state_of(row, now),
        reason=row.reason,
        mode=row.mode,
        ttl=round(row.ttl),
        created_at=time_of(row.created_at),
        expires_at=time_of(row.expires_at),
        verified=row.verified,
        registered_until=optional_time(row.bound_until),
        last_attempt_at=optional_time(row.last_attempt_at),
        next_attempt_at=optional_time(row.next_attempt_at),
        last_status=row.last_status or None,
        foreground_until=optional_time(row.foreground_until),
    )


def operator_answer(
    row: InstanceRow, targets: Iterable[TargetRow], now: float
) -> schema.OperatorAnswer:
    """Where an instance stands, as the operator may see it."""
    shown = instance_answer(row, now)
    known = [target_answer(target) for target in targets]
    return schema.OperatorAnswer(**dict(shown), app=row.app, targets=known)


def target_answer(row: TargetRow) -> schema.TargetAnswer:
    """A push target without its token and its index."""
    return schema.TargetAnswer(
        provider=row.provider,
        kind=row.kind,
        environment=row.environment,
        verified=row.verified,
        dead=row.dead,
        given_at=time_of(row.registered_at),
        accepted_at=optional_time(row.last_ok_at),
    )


def state_of(row: InstanceRow, now: float) -> InstanceState:
    """The state; a registered instance near its end is told to be expiring."""
    near = row.expires_at - now < min(EXPIRING_WITHIN, row.ttl / 2)
    return InstanceState.EXPIRING if near and row.state is InstanceState.REGISTERED else row.state


def receipt_answer(receipt: Receipt) -> schema.ReceiptAnswer:
    """The proof of a deletion."""
    return schema.ReceiptAnswer(
        commitment=receipt.commitment.hex(),
        reason=receipt.reason,
        destroyed_at=time_of(receipt.destroyed_at),
        signature=receipt.signature,
        leaf=receipt.leaf or None,
        proof=receipt.proof or None,
    )


def export_of(exported: Export, shown: dict[str, object]) -> dict[str, object]:
    """All data about the instance (GDPR Art. 15 and 20); credentials are only said to be held."""
    return {
        "instance": shown,
        "account": asdict(exported.account),
        "credentials": "held, sealed",
        "targets": [asdict(target) for target in exported.targets],
        "push_key": exported.push_key.hex() if exported.push_key else None,
    }
