"""Enabling: a new instance, or a repetition of the request that made one.

The key is durable before the row exists; a key whose row could not be written is destroyed again.
An instance that had the same push token for the same AoR is ended: the token has moved.
Refuses what an app may not have: more instances than its limit, a key used for something else, and
the revival of what was deleted by a captured request.
"""

import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from sipis.audit import Opening, chronicle, leaf, new_opening
from sipis.errors import SipisError
from sipis.lifecycle import bearer, intake
from sipis.lifecycle.destruction import Destruction
from sipis.lifecycle.intake import Whereabouts
from sipis.lifecycle.means import Holder, Means
from sipis.lifecycle.orders import Conflict, Enabled, EnableOrder, Full
from sipis.lifecycle.proof import Proof
from sipis.lifecycle.resealing import Resealing
from sipis.model import DeletionReason, InstanceId
from sipis.store import apps, gone, instances, lookup, timing
from sipis.store.gone import Tombstone
from sipis.store.instances import NewBinding, NewInstance, Replacement
from sipis.store.lookup import InstanceRow
from sipis.vault import RelayLogin, SealedInstance, Targets, new_relay_login


@dataclass(frozen=True, slots=True)
class _Papers:
    """The names and secrets of an instance that its app is told once."""

    id: InstanceId
    secret: str
    relay: RelayLogin
    opening: Opening


class Admission:
    """Enables instances."""

    def __init__(
        self, means: Means, destruction: Destruction, resealing: Resealing, proof: Proof
    ) -> None:
        self._means = means
        self._destruction = destruction
        self._resealing = resealing
        self._proof = proof

    async def enable(self, order: EnableOrder) -> Enabled | Conflict | Full:
        """Make an instance; FieldError or RefusedAddress for what is wrong with the order."""
        intake.check_targets(order.app, order.targets, self._means.settings)
        where = intake.whereabouts(order.account, self._means.vault, self._means.policy)
        if order.idempotency_key is None:
            return await self._enable(order, where, None)
        key = bearer.idempotency_hash(order.app, order.idempotency_key)
        async with self._means.locks.holding(key):
            return await self._enable(order, where, key)

    async def plant(self, order: EnableOrder) -> Enabled:
        """Make an instance of no configured app, for which nothing is ever sent.

        Its app has the registration, until it expires. FieldError as enable().
        """
        where = intake.whereabouts(order.account, self._means.vault, self._means.policy)
        return await self._create(order, where, None, held=True)

    async def _enable(
        self, order: EnableOrder, where: Whereabouts, key: bytes | None
    ) -> Enabled | Conflict | Full:
        now = self._means.calendar.now()
        before = None if key is None else await self._means.store.read(_made_under, key, now)
        if isinstance(before, Tombstone):
            return Conflict.DELETED
        if before is not None:
            return await self._repeat(order, where, before)
        if await self._is_full(order.app):
            return Full()
        return await self._create(order, where, key)

    async def _is_full(self, app: str) -> bool:
        counts = await self._means.store.read(apps.counts)
        most = self._means.settings.apps[app].max_instances
        return app in counts and counts[app].instances >= most

    async def _create(
        self, order: EnableOrder, where: Whereabouts, key: bytes | None, *, held: bool = False
    ) -> Enabled:
        papers = self._papers(InstanceId(self._means.name()))
        sealed = await self._means.vault.admit(
            id=papers.id,
            app=order.app,
            account=order.account,
            credential=order.credential,
            targets=intake.unique(order.targets),
            push_key=order.push_key,
            relay=papers.relay,
        )
        new = self._row(order, where, papers, sealed, key)
        try:
            row = await self._means.store.write(_insert, new, self._means.clock.wall(), held)
        except SipisError:
            await self._means.vault.destroy([Holder(papers.id, order.app, sealed.slot)])
            raise
        await self._end_predecessors(row, [target.index for target in new.targets])
        self._proof.ask(row)
        self._means.registrations.wake(row.n)
        self._means.metrics.count("instances_created_total", app=order.app)
        return Enabled(row, papers.secret, papers.relay, papers.opening)

    async def _repeat(
        self, order: EnableOrder, where: Whereabouts, row: InstanceRow
    ) -> Enabled | Conflict:
        """The same order again: the app gets fresh secrets, and the former ones die.

        The account is tried at once: its password may be another one than before. Older instances
        are ended that the first attempt left, because it failed or was killed.
        """
        if (where.registrar, where.aor_index) != (row.registrar, row.aor_index):
            return Conflict.MISMATCH
        papers = self._papers(row.id)
        targets = Targets(intake.unique(order.targets), order.push_key)
        rows = intake.new_targets(targets.targets, self._means.vault)

        def replacement(sealed: SealedInstance) -> Replacement:
            return Replacement(
                sealed.slot,
                sealed.version,
                sealed.credential,
                sealed.targets,
                targets=rows,
                binding=NewBinding(row.registrar, row.aor_index, row.contact_token, row.call_id),
                secret_hash=bearer.hash_of(papers.secret),
                relay_user=papers.relay.username,
                commitment=papers.opening.commitment,
            )

        renewed = await self._resealing.reseal(
            row.n,
            replacement,
            account=order.account,
            credential=order.credential,
            targets=targets,
            relay=papers.relay,
        )
        if renewed is None:
            return Conflict.DELETED
        await self._end_predecessors(renewed, [target.index for target in rows])
        self._proof.ask(renewed)
        self._means.registrations.wake(row.n)
        return Enabled(renewed, papers.secret, papers.relay, papers.opening)

    def _papers(self, instance: InstanceId) -> _Papers:
        entropy, realm = self._means.entropy, self._means.settings.sip.relay_realm
        return _Papers(
            instance,
            bearer.new_secret(entropy),
            new_relay_login(realm, entropy),
            new_opening(instance, entropy),
        )

    def _row(
        self,
        order: EnableOrder,
        where: Whereabouts,
        papers: _Papers,
        sealed: SealedInstance,
        key: bytes | None,
    ) -> NewInstance:
        now = self._means.calendar.now()
        ttl = intake.granted_ttl(order.ttl, self._means.settings.policy)
        return NewInstance(
            id=papers.id,
            app=order.app,
            secret_hash=bearer.hash_of(papers.secret),
            mode=order.mode,
            created_at=now,
            expires_at=now + ttl,
            ttl=ttl,
            slot=sealed.slot,
            version=sealed.version,
            sealed_credential=sealed.credential,
            sealed_targets=sealed.targets,
            contact_token=self._means.name(),
            call_id=self._means.name(),
            relay_user=papers.relay.username,
            registrar=where.registrar,
            aor_index=where.aor_index,
            commitment=papers.opening.commitment,
            targets=intake.new_targets(intake.unique(order.targets), self._means.vault),
            preview=order.preview,
            idempotency_key=key,
        )

    async def _end_predecessors(self, row: InstanceRow, tokens: Sequence[bytes]) -> None:
        now = self._means.calendar.now()
        before = await self._means.store.read(_predecessors, row, tokens, now)
        if before:
            await self._destruction.destroy(before, DeletionReason.REPLACED)


def _insert(conn: sqlite3.Connection, new: NewInstance, due: float, held: bool) -> InstanceRow:
    n = instances.insert(conn, new)
    if held:
        timing.hold(conn, n, math.inf)
    timing.make_due(conn, [n], due)
    chronicle.append(conn, [leaf.created(new.commitment, new.created_at, new.expires_at)])
    row = lookup.by_n(conn, n, new.created_at)
    assert row is not None
    return row


def _made_under(conn: sqlite3.Connection, key: bytes, now: float) -> InstanceRow | Tombstone | None:
    made = lookup.by_idempotency_key(conn, key, now)
    return made if made is not None else gone.by_idempotency_key(conn, key, now)


def _predecessors(
    conn: sqlite3.Connection, row: InstanceRow, tokens: Sequence[bytes], now: float
) -> list[InstanceRow]:
    """Older instances of this AoR with one of these tokens; other AoRs may share the tokens."""
    found = {
        one.n: one
        for token in tokens
        for one in lookup.by_token(conn, row.app, token, now)
        if one.n < row.n and (one.registrar, one.aor_index) == (row.registrar, row.aor_index)
    }
    return list(found.values())
