"""What push services say of tokens: one that works is remembered, a dead one goes.

With the last one goes the instance. Refuses to believe too easily: a token that the app gave us
after the time that the service states lives on, so does one that once worked and is now called
malformed, and when many of an app's tokens die together it is the operator's key that is wrong.
"""

import sqlite3

import structlog

from sipis.lifecycle.destruction import Destruction
from sipis.lifecycle.guard import MassDeathGuard
from sipis.lifecycle.means import Means
from sipis.model import DeletionReason, Environment, PushService
from sipis.push.outcome import DeadTarget
from sipis.push.provider import AddressedTarget
from sipis.relay.names import target_name
from sipis.store import apps, lookup, targets
from sipis.store.lookup import InstanceRow

_log = structlog.get_logger("lifecycle")


class Fates:
    """Writes down what became of targets."""

    def __init__(self, means: Means, destruction: Destruction, guard: MassDeathGuard) -> None:
        self._means = means
        self._destruction = destruction
        self._guard = guard

    async def note_success(self, target: AddressedTarget, environment: Environment) -> None:
        """A push was taken: what is said against the token later weighs less.

        The environment is kept: a token that the app placed in the wrong one is not tried there
        again.
        """
        index = self._means.vault.index(target_name(target.target))
        apns = target.target.provider is PushService.APNS
        where, now = environment if apns else None, self._means.clock.wall()
        await self._means.store.write(targets.mark_ok, target.n, index, now, where)

    async def bury(self, target: AddressedTarget, dead: DeadTarget) -> None:
        """Act upon the word of a push service, if it is to be believed."""
        index = self._means.vault.index(target_name(target.target))
        now = self._means.calendar.now()
        row = await self._means.store.read(lookup.by_n, target.n, now)
        if row is None or not await self._is_plausible(row, index):
            return
        if await self._means.store.write(_bury, row.n, index, dead):
            await self._destruction.destroy([row], DeletionReason.PUSH_GONE)

    async def _is_plausible(self, row: InstanceRow, index: bytes) -> bool:
        counts = await self._means.store.read(apps.counts)
        now = self._means.clock.monotonic()
        if self._guard.permits(row.app, (row.n, index), counts[row.app].targets, now):
            return True
        self._means.metrics.count("mass_death_guard_total", app=row.app)
        _log.error("too many dead targets", app=row.app, problem="wrong push key or environment")
        return False


def _bury(conn: sqlite3.Connection, n: int, index: bytes, dead: DeadTarget) -> bool:
    """Mark the target dead; True when that was news and no other is left."""
    died = targets.mark_dead(conn, n, index, since=dead.since, unless_proven=dead.other_environment)
    return died and targets.live_count(conn, n) == 0
