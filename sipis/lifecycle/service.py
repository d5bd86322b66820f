"""Lifecycle's counter: what the API, the registrant, the relay and the push room may ask of it.

Whatever changes an instance runs to its end even when the caller has gone.
Refuses to tell unknown instances from wrong secrets: both are None, after the same work.
"""

import os
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Final, TypeVar

import structlog

from sipis.audit import Receipt
from sipis.clock import Clock
from sipis.config import Settings
from sipis.errors import VaultError
from sipis.lifecycle import bearer
from sipis.lifecycle.admission import Admission
from sipis.lifecycle.calendar import Calendar
from sipis.lifecycle.changes import Changes
from sipis.lifecycle.destruction import Destruction, read_receipt
from sipis.lifecycle.fates import Fates
from sipis.lifecycle.guard import MassDeathGuard
from sipis.lifecycle.herald import Herald
from sipis.lifecycle.means import Means
from sipis.lifecycle.orders import (
    Conflict,
    Deleted,
    Enabled,
    EnableOrder,
    Export,
    Full,
    ReplaceOrder,
    TooManyAttempts,
)
from sipis.lifecycle.patience import to_the_end
from sipis.lifecycle.ports import (
    Announcer,
    HostPolicy,
    NoNotary,
    Notary,
    Registrations,
    Report,
)
from sipis.lifecycle.proof import Proof
from sipis.lifecycle.reaper import Reaper
from sipis.lifecycle.recovery import Recovery
from sipis.lifecycle.resealing import Resealing
from sipis.model import (
    DeletionReason,
    Environment,
    InstanceId,
    InstanceState,
    PushEvent,
    PushTarget,
)
from sipis.observe.metrics import Metrics
from sipis.observe.supervisor import Supervisor
from sipis.push.outcome import DeadTarget
from sipis.push.provider import AddressedTarget
from sipis.store import gone, lookup, receipts
from sipis.store.gone import Tombstone
from sipis.store.lookup import InstanceRow
from sipis.store.runner import Store
from sipis.vault import Vault
from sipis.vault.events import KeyEvents, Unrecorded

REMOVED_AT_ONCE: Final = 1000

T = TypeVar("T")

_log = structlog.get_logger("lifecycle")


class Lifecycle:
    """The only writer of the life of instances."""

    def __init__(
        self,
        *,
        store: Store,
        vault: Vault,
        clock: Clock,
        settings: Settings,
        policy: HostPolicy,
        metrics: Metrics,
        entropy: Callable[[int], bytes] = os.urandom,
        notary: Notary | None = None,
        key_events: KeyEvents | None = None,
        calendar: Calendar | None = None,
    ) -> None:
        jobs = Supervisor("lifecycle", clock, on_crash=metrics.crashed)
        means = Means(
            store, vault, clock, calendar or Calendar(clock), settings, policy, metrics, jobs,
            entropy, key_events or Unrecorded(),
        )  # fmt: skip
        self._notary = notary or NoNotary()
        self._means = means
        self._herald = Herald(means)
        self._destruction = Destruction(means, self._herald)
        self._resealing = Resealing(means)
        self._proof = Proof(means, self._herald)
        self._admission = Admission(means, self._destruction, self._resealing, self._proof)
        self._changes = Changes(means, self._resealing, self._proof)
        self._reaper = Reaper(means, self._destruction, self._herald)
        self._recovery = Recovery(means, self._destruction, self._reaper)
        self._fates = Fates(means, self._destruction, MassDeathGuard())
        means.jobs.serve("expiry", self._reaper.watch_expiry)
        means.jobs.serve("slow watch", self._reaper.watch_slowly)
        means.jobs.serve("survey", self._recovery.survey)

    def join(self, registrations: Registrations, announcer: Announcer) -> None:
        """Meet the registrant and the push dispatcher, which know lifecycle as well."""
        self._means.registrations = registrations
        self._means.announcer = announcer

    @property
    def on_ended(self) -> list[Callable[[int], None]]:
        """Who is told the number of an instance as soon as its keys are gone."""
        return self._means.on_ended

    async def resume_calendar(self) -> None:
        """Before anything is told with its time: it is not earlier than an earlier process saw."""
        await self._recovery.resume_calendar()

    async def recover(self) -> None:
        """Before listeners open and anything is sent: end what expired while we were away."""
        await self._recovery.at_start()

    async def run(self) -> None:
        """Work until stop() or cancellation."""
        await self._means.jobs.run()

    def stop(self) -> None:
        """End run()."""
        self._means.jobs.stop()

    async def enable(self, order: EnableOrder) -> Enabled | Conflict | Full:
        """Make an instance; FieldError or RefusedAddress for what is wrong with the order."""
        return await self._to_the_end("enable", self._admission.enable(order))

    async def plant(self, order: EnableOrder) -> Enabled:
        """Make an instance of no configured app for which nothing is ever sent: a canary."""
        return await self._to_the_end("plant", self._admission.plant(order))

    async def find(self, id: str, secret: str) -> InstanceRow | None:  # noqa: A002
        """The instance whose bearer secret this is; None for an unknown id or a wrong secret.

        None as well for one that has ended and whose row the database does not let go of yet.
        """
        row = await self._known(id, secret)
        return None if row is None or self._destruction.is_unerased(row.n) else row

    async def replace(self, row: InstanceRow, order: ReplaceOrder) -> InstanceRow | None:
        """Replace what the order holds; None when the instance has ended. FieldError as enable."""
        return await self._to_the_end("replace", self._changes.replace(row, order))

    async def refresh(
        self, row: InstanceRow, ttl: float | None, targets: tuple[PushTarget, ...] | None
    ) -> InstanceRow | None:
        """Extend the lifetime (seconds from now), perhaps with other targets."""
        return await self._to_the_end("refresh", self._changes.refresh(row, ttl, targets))

    async def foreground(self, row: InstanceRow, lease: float | None) -> InstanceRow | None:
        """Leave the registration to the app, as its mode says."""
        return await self._to_the_end("foreground", self._changes.foreground(row, lease))

    async def background(self, row: InstanceRow) -> InstanceRow | None:
        """Take the registration back."""
        return await self._to_the_end("background", self._changes.background(row))

    async def verify(self, row: InstanceRow, code: str) -> bool | TooManyAttempts:
        """Whether the code proves the instance's push tokens."""
        return await self._to_the_end("verify", self._proof.check(row, code))

    async def disable(
        self,
        id: str,  # noqa: A002
        secret: str,
        reason: DeletionReason = DeletionReason.DISABLED,
    ) -> Deleted | None:
        """End an instance for its app; a repetition gets the same receipt. None: not found."""
        row = await self._known(id, secret)
        if row is not None:
            return await self._end(row, reason)
        return await self._ended_before(id, secret)

    async def delete(self, id: str) -> Deleted | None:  # noqa: A002
        """End an instance for the operator; None: not found."""
        row = await self._means.store.read(lookup.by_id, id, self._means.calendar.now())
        return None if row is None else await self._end(row, DeletionReason.ADMIN)

    async def remove_app(self, app: str) -> int:
        """End all instances of an app; returns how many."""
        removed = after = 0
        while rows := await self._means.store.read(
            lookup.page, self._means.calendar.now(), after=after, limit=REMOVED_AT_ONCE, app=app
        ):
            reason = DeletionReason.APP_REMOVED
            await self._to_the_end("remove app", self._destruction.destroy(rows, reason))
            removed, after = removed + len(rows), rows[-1].n
        return removed

    async def receipt(self, commitment: bytes) -> Receipt | None:
        """The receipt of a deletion, whatever its reason."""
        stored = await self._means.store.read(receipts.get, commitment)
        return None if stored is None else await self._notary.vouch(read_receipt(stored))

    async def export(self, row: InstanceRow) -> Export | None:
        """All that is held about an instance; None when it has ended."""
        sealed = await self._means.store.read(lookup.sealed, row.n, self._means.calendar.now())
        if sealed is None:
            return None
        try:
            account = self._means.vault.open_account(sealed).account
            opened = self._means.vault.open_targets(sealed)
        except VaultError:
            return None
        return Export(row, account, opened.targets, opened.push_key)

    async def push_test(self, row: InstanceRow) -> Report | None:
        """Send a test push to all targets but PushKit tokens; None when there is no target."""
        return await self._herald.tell(row.n, PushEvent.TEST)

    async def app_registered(self, n: int, instance: InstanceId) -> None:
        """The app has shown itself at the relay: its push tokens are proven."""
        _log.debug("app registered", instance=instance)
        await self._proof.accept(n)

    def target_died(self, target: AddressedTarget, dead: DeadTarget) -> None:
        """A push service says that a token is gone; returns at once."""
        self._spawn("target died", lambda: self._fates.bury(target, dead))

    def target_worked(self, target: AddressedTarget, environment: Environment) -> None:
        """A push service took a push for a token, in that environment; returns at once."""
        self._spawn("target worked", lambda: self._fates.note_success(target, environment))

    def on_state(self, n: int, instance: InstanceId, state: InstanceState, reason: str) -> None:
        """A registration stands differently; an app whose account is refused is told."""
        _log.info("state", instance=instance, state=state.value, reason=reason)
        if state is InstanceState.UNAUTHORIZED:
            self._spawn("unauthorized", lambda: self._tell(n, PushEvent.EXPIRING))

    def on_proven(self, n: int, realms: Sequence[str]) -> None:
        """The password has succeeded in these realms: the app's policy may retire it."""
        self._spawn("retire password", lambda: self._retire_password(n, realms))

    def on_unopenable(self, n: int) -> None:
        """A row has no key any more: it is erased in passing."""
        self._spawn("key lost", lambda: self._erase_keyless(n))

    async def _known(self, id: str, secret: str) -> InstanceRow | None:  # noqa: A002
        row = await self._means.store.read(lookup.by_id, id, self._means.calendar.now())
        stored = bearer.NOBODY if row is None else row.secret_hash
        return row if bearer.matches(secret, stored) else None

    async def _tell(self, n: int, event: PushEvent) -> None:
        await self._herald.tell(n, event)

    async def _retire_password(self, n: int, realms: Sequence[str]) -> None:
        row = await self._means.store.read(lookup.by_n, n, self._means.calendar.now())
        app = None if row is None else self._means.settings.apps.get(row.app)
        if app is not None and app.ha1 == "after-success":
            await self._resealing.retire_password(n, realms)

    async def _erase_keyless(self, n: int) -> None:
        row = await self._means.store.read(lookup.by_n, n, self._means.calendar.now())
        if row is None or self._means.vault.holds(row) or self._destruction.is_ending(n):
            return
        await self._destruction.destroy([row], DeletionReason.KEY_LOST)
        await self._recovery.tell(1)

    async def _end(self, row: InstanceRow, reason: DeletionReason) -> Deleted:
        began = self._means.clock.monotonic()
        (deleted,) = await self._to_the_end("delete", self._destruction.destroy([row], reason))
        vouched = replace(deleted, receipt=await self._notary.vouch(deleted.receipt))
        self._means.metrics.observe("delete_seconds", self._means.clock.monotonic() - began)
        return vouched

    async def _ended_before(self, id: str, secret: str) -> Deleted | None:  # noqa: A002
        now = self._means.calendar.now()
        found = await self._means.store.read(_grave, id, now)
        if found is None or not bearer.matches(secret, found[0].secret_hash):
            return None
        return Deleted(await self._notary.vouch(read_receipt(found[1])))

    async def _to_the_end(self, name: str, work: Coroutine[object, object, T]) -> T:
        return await to_the_end(self._means.jobs, name, work)

    def _spawn(self, name: str, job: Callable[[], Coroutine[object, object, None]]) -> None:
        self._means.jobs.spawn(name, job())


def _grave(
    conn: sqlite3.Connection, instance: str, now: float
) -> tuple[Tombstone, receipts.Receipt] | None:
    stone = gone.by_id(conn, instance, now)
    stored = None if stone is None else receipts.get(conn, stone.commitment)
    return None if stone is None or stored is None else (stone, stored)
