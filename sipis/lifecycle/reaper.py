"""The loops that end what has run its time: expired, never registered, locked out for too long.

Expiry is judged by the calendar that cannot be turned back; the loop sleeps until the next one, and
never as long as the shortest life that an app can ask for, so that none is overslept. Refuses to
end anything itself: there is one path.
"""

from collections.abc import Sequence
from typing import Final

import structlog

from sipis.errors import SipisError
from sipis.lifecycle.destruction import Destruction, Doomed
from sipis.lifecycle.herald import Herald
from sipis.lifecycle.intake import SHORTEST_TTL
from sipis.lifecycle.means import Means
from sipis.lifecycle.orders import Deleted
from sipis.model import DeletionReason, InstanceState, PushEvent
from sipis.store import instances, lookup, notes, slots
from sipis.store.slots import SlotHolder

SHORTEST_SLEEP: Final = 0.2
LONGEST_SLEEP: Final = SHORTEST_TTL / 2
SLOW_BEAT: Final = 60.0
BATCH: Final = 10_000
SLOW_BATCH: Final = 200
WARNING: Final = 12 * 3600.0
"""Seconds before its expiry at which the app is told."""

MARK: Final = "lifecycle.calendar"
"""The note of the latest time that was seen."""

_log = structlog.get_logger("lifecycle")


class Reaper:
    """Looks for instances whose time has come."""

    def __init__(self, means: Means, destruction: Destruction, herald: Herald) -> None:
        self._means = means
        self._destruction = destruction
        self._herald = herald

    async def end_expired(self, *, silently: bool = False) -> int:
        """End everything that has expired by now; returns how many. VaultError, StoreError."""
        ended = 0
        while True:
            now = self._means.calendar.now()
            expired = await self._means.store.read(slots.expired_holders, now, BATCH)
            deleted = await self._end(expired, silently=silently)
            ended += len(deleted)
            if len(expired) < BATCH or any(one.pending for one in deleted):
                return ended

    async def _end(self, expired: Sequence[SlotHolder], *, silently: bool) -> list[Deleted]:
        """End them; those that an older database brought back at a start lost their keys before."""
        holds, destroy = self._means.vault.holds, self._destruction.destroy
        lost = [one for one in expired if silently and not holds(one)]
        rest = [one for one in expired if not silently or holds(one)]
        ended = await destroy(lost, DeletionReason.KEY_LOST, silently=silently)
        return ended + await destroy(rest, DeletionReason.EXPIRED, silently=silently)

    async def watch_expiry(self) -> None:
        """A service: end instances within a second of their expiry."""
        while True:
            pause = await self._try_to_end_expired()
            await self._means.clock.sleep(pause)

    async def watch_slowly(self) -> None:
        """A service: what need not happen to the second."""
        while True:
            await self._means.clock.sleep(SLOW_BEAT)
            await self.look_around()

    async def look_around(self) -> None:
        """End what never registered, warn of expiry, erase what could not be, note the time."""
        try:
            await self._destruction.retry()
            await self._end_unregistered()
            await self._warn()
            await self._means.store.write(notes.put, MARK, repr(self._means.calendar.steady()))
        except SipisError as failure:
            _log.error("looking around failed", error=type(failure).__name__)

    async def _try_to_end_expired(self) -> float:
        """End what has expired; returns for how many seconds there is nothing to end."""
        try:
            if await self._until_next_expiry() <= 0:
                await self.end_expired()
            until = await self._until_next_expiry()
        except SipisError as failure:
            _log.error("expiry failed", error=type(failure).__name__)
            until = SHORTEST_SLEEP
        return min(max(until, SHORTEST_SLEEP), LONGEST_SLEEP)

    async def _until_next_expiry(self) -> float:
        earliest = await self._means.store.read(lookup.next_expiry)
        return LONGEST_SLEEP if earliest is None else earliest - self._means.calendar.now()

    async def _end_unregistered(self) -> None:
        """Accounts that no registrar accepted, or whose credentials are refused, for too long."""
        store, patience = self._means.store, self._means.settings.policy.never_registered
        before = self._means.calendar.now() - patience
        refused = min(before, self._means.clock.wall() - patience)  # noted by the wall clock
        never: list[Doomed] = [
            *await store.read(lookup.never_registered, before, SLOW_BATCH),
            *await store.read(lookup.stuck_in, InstanceState.UNAUTHORIZED, refused, SLOW_BATCH),
        ]
        doomed = list({one.n: one for one in never}.values())
        if doomed:
            await self._destruction.destroy(doomed, DeletionReason.NEVER_REGISTERED)

    async def _warn(self) -> None:
        """Tell apps that their instance expires soon; short-lived ones were made to."""
        soon = self._means.calendar.now() + WARNING
        rows = await self._means.store.read(lookup.unwarned, soon, SLOW_BATCH)
        await self._means.store.write(instances.mark_warned, [row.n for row in rows])
        for row in rows:
            if row.ttl > 2 * WARNING:
                self._means.jobs.spawn("expiring", self._tell(row.n))

    async def _tell(self, n: int) -> None:
        await self._herald.tell(n, PushEvent.EXPIRING)
