"""Changes to a living instance: account, targets, lifetime, mode, and who has the registration.

What the registrant does at some time is told in the time of the wall clock, which it goes by: the
calendar may be ahead of it.
Refuses to prolong beyond the cap, and to leave half of a change: what belongs together is one job.
"""

import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from sipis.audit import chronicle, leaf
from sipis.lifecycle import intake
from sipis.lifecycle.intake import Whereabouts
from sipis.lifecycle.means import Means
from sipis.lifecycle.orders import ReplaceOrder
from sipis.lifecycle.proof import Proof
from sipis.lifecycle.resealing import Resealing
from sipis.model import Mode, PushTarget
from sipis.registrant.farewell import Farewell
from sipis.store import apps, instances, lookup, targets, timing
from sipis.store.instances import NewBinding, Replacement
from sipis.store.lookup import InstanceRow
from sipis.store.targets import NewTarget
from sipis.vault import SealedInstance, Targets


@dataclass(frozen=True, slots=True)
class _Settings:
    """What changes in a row without its records; None stays."""

    ttl: float | None = None
    mode: Mode | None = None
    preview: bool | None = None
    same_targets: tuple[NewTarget, ...] | None = None
    """The targets that it has, given again."""


class Changes:
    """Changes instances."""

    def __init__(self, means: Means, resealing: Resealing, proof: Proof) -> None:
        self._means = means
        self._resealing = resealing
        self._proof = proof

    async def replace(self, row: InstanceRow, order: ReplaceOrder) -> InstanceRow | None:
        """Replace what the order holds; None when the instance has ended. FieldError as enable."""
        where = None
        if order.account is not None:
            where = intake.whereabouts(order.account, self._means.vault, self._means.policy)
        if order.targets is not None:
            intake.check_targets(row.app, order.targets, self._means.settings)
        if not await self._reseal(row, order, where):
            return None
        return await self._set(row, _Settings(order.ttl, order.mode, order.preview))

    async def refresh(
        self, row: InstanceRow, ttl: float | None, given: tuple[PushTarget, ...] | None
    ) -> InstanceRow | None:
        """Extend the lifetime from now on; with other targets than before, take those."""
        wanted = ttl or row.ttl
        self._proof.remind(row)
        if given is None:
            return await self._set(row, _Settings(wanted))
        intake.check_targets(row.app, given, self._means.settings)
        rows = intake.new_targets(intake.unique(given), self._means.vault)
        if await self._has_exactly(row.n, rows):
            return await self._set(row, _Settings(wanted, same_targets=rows))
        if not await self._reseal(row, ReplaceOrder(targets=given), None):
            return None
        return await self._set(row, _Settings(wanted))

    async def foreground(self, row: InstanceRow, lease: float | None) -> InstanceRow | None:
        """Leave the registration to the app, for a lease (alternate) or until it returns it."""
        now = self._means.calendar.now()
        if row.mode is Mode.CONTINUOUS:
            return await self._means.store.read(lookup.by_n, row.n, now)
        most = self._means.settings.policy.foreground_lease
        soon = self._means.clock.wall() + min(lease or most, most)
        until = math.inf if row.mode is Mode.TAKEOVER else soon
        held = await self._means.store.write(_hold, row.n, until, now)
        if row.mode is Mode.TAKEOVER:
            self._means.registrations.abort(row.n)
            await self._means.store.write(timing.interrupt, row.n)
        else:
            self._means.jobs.spawn("withdraw", self._means.registrations.withdraw(row.n))
        return held

    async def background(self, row: InstanceRow) -> InstanceRow | None:
        """Take the registration back: it is due now."""
        now, due = self._means.calendar.now(), self._means.clock.wall()
        released = await self._means.store.write(_release, row.n, now, due)
        self._means.registrations.wake(row.n)
        return released

    async def _reseal(
        self, row: InstanceRow, order: ReplaceOrder, where: Whereabouts | None
    ) -> bool:
        """Seal the new records, if there are any; False when the instance has ended."""
        changed = (order.account, order.credential, order.targets, order.push_key)
        if all(part is None for part in changed):
            return True
        given = await self._merged_targets(row, order)
        farewells = await self._farewells(row, where)
        renewed = None if given is None else await self._move(row, order, where, given)
        if renewed is None:
            return False
        self._means.registrations.send_farewells(farewells)
        if order.targets is not None:
            self._proof.ask(renewed)
        self._means.registrations.wake(row.n)
        return True

    async def _move(
        self, row: InstanceRow, order: ReplaceOrder, where: Whereabouts | None, given: Targets
    ) -> InstanceRow | None:
        def replacement(sealed: SealedInstance) -> Replacement:
            return Replacement(
                sealed.slot,
                sealed.version,
                sealed.credential,
                sealed.targets,
                targets=None
                if order.targets is None
                else intake.new_targets(given.targets, self._means.vault),
                binding=None if where is None else self._binding(row, where),
            )

        return await self._resealing.reseal(
            row.n,
            replacement,
            account=order.account,
            credential=order.credential,
            targets=given,
        )

    async def _farewells(self, row: InstanceRow, where: Whereabouts | None) -> Sequence[Farewell]:
        """What the old registrar is to be told when its account goes; nothing where it stays."""
        if where is None or _stays(row, where):
            return ()
        return await self._means.registrations.prepare_move(row.n)

    def _binding(self, row: InstanceRow, where: Whereabouts) -> NewBinding:
        """The same names for the same AoR, so that its registrar replaces the old binding."""
        if _stays(row, where):
            return NewBinding(row.registrar, row.aor_index, row.contact_token, row.call_id)
        name = self._means.name
        return NewBinding(where.registrar, where.aor_index, name(), name())

    async def _merged_targets(self, row: InstanceRow, order: ReplaceOrder) -> Targets | None:
        """The targets and the push key as they will be; None when the instance has ended."""
        now = self._means.calendar.now()
        sealed = await self._means.store.read(lookup.sealed, row.n, now)
        if sealed is None or not self._means.vault.holds(sealed):
            return None
        old = self._means.vault.open_targets(sealed)
        given = old.targets if order.targets is None else intake.unique(order.targets)
        return Targets(given, order.push_key or old.push_key)

    async def _has_exactly(self, n: int, given: tuple[NewTarget, ...]) -> bool:
        rows = await self._means.store.read(targets.list_for, n)
        return {row.index for row in rows} == {target.index for target in given}

    async def _set(self, row: InstanceRow, change: _Settings) -> InstanceRow | None:
        now = self._means.calendar.now()
        ttl = None
        if change.ttl is not None:
            ttl = intake.granted_ttl(change.ttl, self._means.settings.policy)
        due = self._means.clock.wall()
        changed = await self._means.store.write(_apply, row, change, ttl, now=now, due=due)
        if change.mode is not None:
            self._means.registrations.wake(row.n)
        return changed


def _stays(row: InstanceRow, where: Whereabouts) -> bool:
    """Whether it is the same AoR at the same registrar, perhaps with another password."""
    return (where.registrar, where.aor_index) == (row.registrar, row.aor_index)


def _apply(
    conn: sqlite3.Connection,
    row: InstanceRow,
    change: _Settings,
    ttl: float | None,
    *,
    now: float,
    due: float,
) -> InstanceRow | None:
    if ttl is not None and instances.extend(conn, row.n, now + ttl, ttl, now):
        chronicle.append(conn, [leaf.refreshed(row.commitment, now, now + ttl)])
    if change.mode is not None and change.mode is not row.mode:
        instances.set_mode(conn, row.n, change.mode)
        timing.release(conn, row.n, due)
    if change.preview is not None:
        instances.set_preview(conn, row.n, preview=change.preview)
    if change.same_targets is not None:
        targets.replace(conn, row.n, apps.number(conn, row.app), change.same_targets, now)
    return lookup.by_n(conn, row.n, now)


def _hold(conn: sqlite3.Connection, n: int, until: float, now: float) -> InstanceRow | None:
    timing.hold(conn, n, until)
    return lookup.by_n(conn, n, now)


def _release(conn: sqlite3.Connection, n: int, now: float, due: float) -> InstanceRow | None:
    timing.release(conn, n, due)
    return lookup.by_n(conn, n, now)
