"""The loop over the schedule: claim what is due, as much as politeness allows, and wait.

Fair because every registrar has its own allowance in each round. Refuses to poll: it sleeps until
the next due time, a wake-up, or room at a registrar that has more due.
"""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final

import structlog

from sipis.errors import StoreError
from sipis.observe.metrics import Metrics
from sipis.observe.supervisor import Supervisor, where
from sipis.registrant.dispatch import Rooms
from sipis.registrant.exchanges import Exchanges
from sipis.registrant.politeness import LARGEST_BATCH, Politeness
from sipis.store import schedule
from sipis.store.schedule import Claim

MOST_UNDER_WAY: Final = 2048
LONGEST_NAP: Final = 30.0
"""Seconds after which the schedule is looked at in any case: a suspended machine, a set clock."""

SHORTEST_NAP: Final = 0.5
"""Seconds in which rows fall due together, so that one transaction serves many."""

UNKNOWN_ALLOWANCE: Final = 8
"""Claims in a round for a registrar that was never dealt with in this process."""

NO_STORE_PAUSE: Final = 1.0

BREATH: Final = 16
"""Attempts started in one turn of the loop: a few milliseconds, so that no call waits longer."""

_log = structlog.get_logger("registrant")


@dataclass(frozen=True, slots=True)
class _Taken:
    """A round: claims by registrar, registrars that may have more due, when others have."""

    batches: dict[str, list[Claim]]
    backlog: set[str]
    next_due: float | None


class Claims:
    """Turns due rows into exchanges."""

    def __init__(
        self,
        rooms: Rooms,
        politeness: Politeness,
        supervisor: Supervisor,
        metrics: Metrics,
    ) -> None:
        self._rooms = rooms
        self._politeness = politeness
        self._supervisor = supervisor
        self._metrics = metrics
        self._woken = asyncio.Event()
        self._backlog: set[str] = set()
        self._full = False
        self._asleep_until = 0.0

    def wake(self) -> None:
        """Something has become due."""
        self._woken.set()

    def expect(self, moment: float) -> None:
        """A row was written back that is due at this instant."""
        if moment < self._asleep_until - SHORTEST_NAP:
            self._woken.set()

    def finish(self, registrar: str) -> None:
        """An attempt of this registrar has ended; wake when enough room for a batch came of it."""
        desk = self._politeness.desk(registrar)
        desk.finish()
        if self._full or (registrar in self._backlog and desk.in_flight * 2 <= desk.most_in_flight):
            self._woken.set()

    async def work(self, exchanges: Exchanges) -> None:
        """Claim, start, sleep; for ever."""
        while True:
            self._woken.clear()
            await self._nap(await self._round(exchanges))

    async def _round(self, exchanges: Exchanges) -> float:
        """Start what may start; returns the seconds until something else may."""
        now = self._rooms.clock.wall()
        exchanges.give_up_stuck()
        allowances = {key: desk.room(now) for key, desk in self._politeness.desks.items()}
        free = MOST_UNDER_WAY - len(exchanges)
        self._full = free <= 0
        if self._full:
            return LONGEST_NAP
        try:
            taken = await self._rooms.store.write(_take, now, free, allowances)
        except StoreError:
            return NO_STORE_PAUSE
        self._backlog = taken.backlog
        for registrar, batch in taken.batches.items():
            self._start(exchanges, registrar, batch)
        return self._until(taken.next_due)

    def _start(self, exchanges: Exchanges, registrar: str, batch: Sequence[Claim]) -> None:
        self._politeness.desk(registrar).start(len(batch))
        if not self._supervisor.spawn("batch", self._start_batch(exchanges, batch)):
            self._politeness.desk(registrar).finish(len(batch))

    async def _start_batch(self, exchanges: Exchanges, batch: Sequence[Claim]) -> None:
        lag = self._rooms.clock.wall() - batch[0].due_at
        self._metrics.observe("refresh_lag_seconds", max(0.0, lag))
        for started, claim in enumerate(batch, start=1):
            await self._start_one(exchanges, claim)
            if started % BREATH == 0:
                await asyncio.sleep(0)

    async def _start_one(self, exchanges: Exchanges, claim: Claim) -> None:
        try:
            await exchanges.start(claim)
        except Exception as crash:  # a bug that one row shows must not reach its neighbours
            _log.error("crashed", instance=claim.id, error=type(crash).__name__, where=where(crash))
            exchanges.fail(claim)

    def _until(self, due_at: float | None) -> float:
        """Seconds until something falls due, or a registrar with a backlog has room."""
        now = self._rooms.clock.wall()
        waits = [LONGEST_NAP] if due_at is None else [LONGEST_NAP, max(due_at - now, SHORTEST_NAP)]
        desks = [self._politeness.desk(key) for key in self._backlog]
        waits += [desk.ready_in(now) for desk in desks if desk.in_flight < desk.most_in_flight]
        return min(waits)

    async def _nap(self, seconds: float) -> None:
        clock = self._rooms.clock
        self._asleep_until = clock.wall() + seconds
        alarm = clock.call_at(clock.monotonic() + seconds, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            alarm.cancel()


def _take(conn: sqlite3.Connection, now: float, free: int, allowances: Mapping[str, int]) -> _Taken:
    """Claim what is due, and look ahead in the same transaction (a job of the store)."""
    claims = schedule.claim(
        conn,
        now,
        limit=min(free, 16 * LARGEST_BATCH),
        per_registrar=UNKNOWN_ALLOWANCE,
        allowances=allowances,
    )
    batches = {key: list(group) for key, group in groupby(claims, attrgetter("registrar"))}
    allowed = {**dict.fromkeys(batches, UNKNOWN_ALLOWANCE), **allowances}
    backlog = {key for key, most in allowed.items() if len(batches.get(key, ())) >= most}
    return _Taken(batches, backlog, schedule.next_due(conn, now, skip=backlog))
