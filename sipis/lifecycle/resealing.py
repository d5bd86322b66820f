"""Sealing an instance anew: fresh slot and key, the row moved to it, the old key destroyed.

One at a time per instance, in an order that a crash cannot spoil: the new key is durable before the
row moves, and the row's move notes that the old key is owed its destruction.
Refuses an instance that has ended meanwhile: its new key is destroyed at once.
"""

import sqlite3
from collections.abc import Callable, Sequence

from sipis.audit import chronicle, leaf
from sipis.audit.leaf import Leaf
from sipis.errors import KeyGone, SealBroken, SipisError
from sipis.lifecycle.means import Holder, Means
from sipis.model import Account, DeletionReason
from sipis.store import instances, lookup, slots, timing
from sipis.store.instances import Replacement
from sipis.store.lookup import InstanceRow, Sealed
from sipis.store.slots import OwedSlot
from sipis.vault import Credential, RelayLogin, SealedInstance, Targets

Describe = Callable[[SealedInstance], Replacement]
"""What the row becomes, once it is known how the instance was sealed."""


class Resealing:
    """Seals instances anew."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def reseal(
        self,
        n: int,
        describe: Describe,
        *,
        account: Account | None = None,
        credential: Credential | None = None,
        targets: Targets | None = None,
        relay: RelayLogin | None = None,
    ) -> InstanceRow | None:
        """Replace what is given; None when the instance has ended."""
        async with self._means.locks.holding(n):
            old = await self._sealed(n)
            if old is None:
                return None
            try:
                new = await self._means.vault.readmit(
                    old, account=account, credential=credential, targets=targets, relay=relay
                )
            except (KeyGone, SealBroken):
                return None
            return await self._move(old, new, describe(new))

    async def retire_password(self, n: int, realms: Sequence[str]) -> bool:
        """Put HA1s of these realms in the place of the password; False when there was none."""
        async with self._means.locks.holding(n):
            old = await self._sealed(n)
            if old is None:
                return False
            try:
                new = await self._means.vault.retire_password(old, realms)
            except (KeyGone, SealBroken):
                return False
            return new is not None and await self._move(old, new, keeping(new)) is not None

    async def _sealed(self, n: int) -> Sealed | None:
        return await self._means.store.read(lookup.sealed, n, self._means.calendar.now())

    async def _move(
        self, old: Sealed, new: SealedInstance, replacement: Replacement
    ) -> InstanceRow | None:
        now = self._means.calendar.now()
        try:
            epoch = self._means.vault.generation
            due = self._means.clock.wall()
            row = await self._means.store.write(
                _replace, old.n, replacement, now=now, due=due, epoch=epoch
            )
        except SipisError:
            await self._means.vault.destroy([Holder(old.id, old.app, new.slot)])
            raise
        lost = old if row is not None else Holder(old.id, old.app, new.slot)
        await self._means.vault.destroy([lost])
        if row is not None:
            await self._means.store.write(slots.destroyed, [OwedSlot(old.slot, old.id)])
        return row


def keeping(sealed: SealedInstance) -> Replacement:
    """A row that changes in nothing but its records."""
    return Replacement(sealed.slot, sealed.version, sealed.credential, sealed.targets)


def _replace(
    conn: sqlite3.Connection, n: int, new: Replacement, *, now: float, due: float, epoch: int
) -> InstanceRow | None:
    before = lookup.by_n(conn, n, now)
    if before is None or not instances.replace(conn, n, new, now):
        return None
    if new.binding is not None:
        timing.make_due(conn, [n], due)
    if new.commitment is not None:
        chronicle.append(conn, _renamed(before, new.commitment, now, epoch))
    return lookup.by_n(conn, n, now)


def _renamed(before: InstanceRow, commitment: bytes, now: float, epoch: int) -> list[Leaf]:
    """One commitment ends and another begins; the slot of the old one is owed its destruction."""
    deadline = before.expires_at
    ended = leaf.destroyed(before.commitment, DeletionReason.REPLACED, now, deadline, epoch)
    return [ended, leaf.created(commitment, now, deadline)]
