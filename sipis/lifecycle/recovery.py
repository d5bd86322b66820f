"""What a crash, a restored backup or a lost key file leaves behind, put right.

At start, before anything is sent: what expired meanwhile dies, and keys that are owed their
destruction are destroyed. Beside the service: keys without a row (an admission that was cut off)
are destroyed, rows without a key (a deletion that was cut off, a restored database) are erased.
Refuses to hold up the start for the second part: such rows can send nothing.
"""

import sqlite3
from typing import Final

import structlog

from sipis.lifecycle.destruction import Destruction
from sipis.lifecycle.herald import WHILE_IT_LIVED
from sipis.lifecycle.means import Holder, Means
from sipis.lifecycle.reaper import MARK, Reaper
from sipis.model import DeletionReason
from sipis.store import apps, lookup, notes, slots
from sipis.store.slots import OwedSlot, SlotHolder
from sipis.vault import SLOTS_PER_SEGMENT

PAGE: Final = 500
PAUSE: Final = 0.01
"""Seconds between two pages: the survey takes what registrations leave of the database."""

_log = structlog.get_logger("lifecycle")


class Recovery:
    """Puts right what the last process left."""

    def __init__(self, means: Means, destruction: Destruction, reaper: Reaper) -> None:
        self._means = means
        self._destruction = destruction
        self._reaper = reaper

    async def resume_calendar(self) -> None:
        """It is not earlier than an earlier process saw."""
        mark = await self._means.store.read(notes.get, MARK)
        if mark is not None:
            self._means.calendar.never_before(float(mark))

    async def at_start(self) -> None:
        """Before listeners open: no credential lives on whose time was over or that was owed."""
        await self.resume_calendar()
        if self._means.vault.began_empty:
            await self._tell_of_lost_slots()
        await self._destroy_owed()
        expired = await self._reaper.end_expired(silently=True)
        await self._tell_of_removed_apps()
        _log.info("recovered", count=expired)

    async def _tell_of_removed_apps(self) -> None:
        """Their credentials are still held: the operator decides, for it may be a typing error."""
        counts = await self._means.store.read(apps.counts)
        for app, held in counts.items():
            if held.instances and app not in self._means.settings.apps:
                problem = "not configured, its instances live on until they expire"
                _log.warning("app removed", app=app, count=held.instances, problem=problem)

    async def survey(self) -> None:
        """A service that ends: compare every key with every row, once."""
        used, keyless = await self._erase_keyless()
        await self.tell(keyless)
        orphans = await self._destroy_orphans(used)
        self._means.vault.end_survey()
        _log.info("surveyed", count=orphans)

    async def _destroy_owed(self) -> None:
        owed = await self._means.store.read(_owed_for_good)
        await self._means.vault.destroy(owed)
        await self._means.store.write(slots.destroyed, await self._means.store.read(slots.owed))

    async def tell(self, keyless: int) -> None:
        """Say how many rows were erased for want of a key."""
        if not keyless:
            return
        _log.warning("rows without a key", count=keyless)
        self._means.metrics.count("keyless_rows_total", keyless)
        if not self._means.vault.began_empty:
            await self._means.key_events.restored(keyless)

    async def _tell_of_lost_slots(self) -> None:
        """Where there were no key slots, every row there is has lost its key."""
        counts = await self._means.store.read(apps.counts)
        if lost := sum(app.instances for app in counts.values()):
            _log.error("key slots lost", count=lost)
            await self._means.key_events.keyloss(lost)

    async def _erase_keyless(self) -> tuple[bytearray, int]:
        """Erase the rows whose key is gone.

        Returns a byte per slot, 1 where a row has its key, and how many rows were erased. (The slot
        of a row without its key may hold the key of an admission that was cut off after that.)
        """
        used = bytearray(len(self._means.vault.segments) * SLOTS_PER_SEGMENT)
        erased = 0
        page = await self._means.store.read(slots.holders, after=0, limit=PAGE)
        while page:
            keyless = [one for one in page if not self._means.vault.holds(one)]
            erased += await self._end_if_still_keyless(keyless)
            for one in page:
                if one.slot < len(used) and one not in keyless:
                    used[one.slot] = 1
            await self._means.clock.sleep(PAUSE)
            page = await self._means.store.read(slots.holders, after=page[-1].n, limit=PAGE)
        return used, erased

    async def _end_if_still_keyless(self, suspects: list[SlotHolder]) -> int:
        """A row may have moved to another slot since it was read: look again at its own place."""
        lost: list[SlotHolder] = []
        for one in suspects:
            again = await self._means.store.read(slots.holders, after=one.n - 1, limit=1)
            lost += [row for row in again if row.n == one.n and self._is_lost(row)]
        await self._destruction.destroy(lost, DeletionReason.KEY_LOST)
        return len(lost)

    def _is_lost(self, row: SlotHolder) -> bool:
        return not (self._means.vault.holds(row) or self._destruction.is_ending(row.n))

    async def _destroy_orphans(self, used: bytearray) -> int:
        orphans = 0
        for segment in range(len(used) // SLOTS_PER_SEGMENT):
            held = await self._means.vault.held(segment)
            lost = [Holder(whose, "", slot) for slot, whose in held.items() if not used[slot]]
            if lost:
                await self._means.vault.destroy(lost)
                orphans += len(lost)
        return orphans


def _owed_for_good(conn: sqlite3.Connection) -> list[OwedSlot]:
    """The owed slots, save one that its instance has meanwhile been given again."""
    return [
        one
        for one in slots.owed(conn)
        if (row := lookup.by_id(conn, one.id, WHILE_IT_LIVED)) is None or row.slot != one.slot
    ]
