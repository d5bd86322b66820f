"""From an instance's sealed targets and their rows to the addressees of a push.

Refuses a target without a live row: its token is dead, or was replaced.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sipis.model import PushTarget
from sipis.push.provider import AddressedTarget
from sipis.relay.names import target_name
from sipis.store.targets import TargetRow
from sipis.vault import Vault


def addressed(
    targets: Sequence[PushTarget], rows: Iterable[TargetRow], vault: Vault
) -> tuple[AddressedTarget, ...]:
    """The targets that have a row which is not dead, each with what its row knows of it."""
    known = {row.index: row for row in rows if not row.dead}
    return tuple(
        _addressed(row, position, target)
        for position, target in enumerate(targets)
        if (row := known.get(vault.index(target_name(target)))) is not None
    )


def _addressed(row: TargetRow, position: int, target: PushTarget) -> AddressedTarget:
    """The row's environment is the one that has worked, whatever the app took it for."""
    return AddressedTarget(
        n=row.n,
        index=position,
        target=replace(target, environment=row.environment or target.environment),
        registered_at=row.registered_at,
        ever_accepted=row.last_ok_at is not None,
    )
