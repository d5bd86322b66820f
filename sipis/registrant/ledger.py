"""Writes back what came of attempts: many outcomes, one transaction.

Refuses to lose an outcome: what the database does not take is kept and offered again.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import structlog

from sipis.clock import Clock
from sipis.errors import StoreError
from sipis.model import InstanceId, InstanceState
from sipis.observe.metrics import Metrics
from sipis.registrant import sources
from sipis.registrant.politeness import Gate
from sipis.registrant.sources import Sources
from sipis.store import registrars, schedule
from sipis.store.registrars import Standing
from sipis.store.runner import Store
from sipis.store.schedule import Settled, Settlement

FULL: Final = 64
LONGEST_DELAY: Final = 0.05
RETRY: Final = 1.0

_log = structlog.get_logger("registrant")


class Observer(Protocol):
    """Who wants to know what becomes of registrations. Calls must return at once."""

    def on_state(self, n: int, instance: InstanceId, state: InstanceState, reason: str) -> None:
        """An instance stands differently with its provider; the store says so already."""

    def on_proven(self, n: int, realms: Sequence[str]) -> None:
        """The password itself has just succeeded in these realms: it may be retired."""

    def on_unopenable(self, n: int) -> None:
        """The row has no key any more: it can be erased."""


class Entry(NamedTuple):
    """A settlement, and what to tell once it stands; `realms` where the password was used."""

    settlement: Settlement
    instance: InstanceId
    changed: bool
    realms: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class _Page:
    entries: list[Entry] = field(default_factory=list)
    learnt: dict[str, set[str]] = field(default_factory=dict)
    standings: dict[str, Standing] = field(default_factory=dict)
    min_expires: dict[str, int] = field(default_factory=dict)

    @property
    def settlements(self) -> list[Settlement]:
        return [entry.settlement for entry in self.entries]

    def is_about(self, ns: Collection[int]) -> bool:
        return any(entry.settlement.n in ns for entry in self.entries)


class Ledger:
    """Outcomes on their way to the store."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        observer: Observer,
        learnt: Sources,
        *,
        metrics: Metrics,
        expect: Callable[[float], None],
    ) -> None:
        """`expect` is told when the first of the rows written back is due again."""
        self._store = store
        self._clock = clock
        self._observer = observer
        self._sources = learnt
        self._metrics = metrics
        self._expect = expect
        self._page = _Page()
        self._outcomes: Counter[str] = Counter()
        self._wanted = asyncio.Event()
        self._armed = False
        self._being_written: list[_Page] = []

    def add(self, entry: Entry, outcome: str) -> None:
        """Take an outcome; it is written within LONGEST_DELAY seconds."""
        self._page.entries.append(entry)
        self._outcomes[outcome] += 1
        if len(self._page.entries) >= FULL:
            self._wanted.set()
        else:
            self._arm()

    def note_gate(self, gate: Gate) -> None:
        """Remember what an address holds against us."""
        gate.changed = False
        open_until = gate.breaker.until if gate.breaker.trips else None
        refused_at = tuple(gate.budget.refused_at)
        self._page.standings[gate.host] = Standing(open_until, gate.breaker.trips, refused_at)
        self._arm()

    def note_min_expires(self, registrar: str, seconds: int) -> None:
        """Remember the shortest interval that a registrar takes."""
        self._page.min_expires[registrar] = seconds
        self._arm()

    async def run(self) -> None:
        """Write whenever there is something to write."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self.flush()

    async def flush_for(self, ns: Collection[int]) -> None:
        """Write down what is there if some of it is about these instances.

        A deletion does not wait for the disk on behalf of others.
        """
        if any(page.is_about(ns) for page in (self._page, *self._being_written)):
            await self.flush()  # whatever is being written is written before this

    async def flush(self) -> None:
        """Write down everything that is there now; on an error keep it for later."""
        page, self._page = self._page, _Page()
        page.learnt = {**page.learnt, **self._sources.take_unwritten()}
        try:
            settled = await self._write(page)
        except StoreError as refused:
            _log.warning("outcomes wait", problem=str(refused), count=len(page.entries))
            self._put_back(page)
            await self._clock.sleep(RETRY)
            self._wanted.set()
            return
        if settled.due_at is not None:
            self._expect(settled.due_at)
        self._tell(page.entries, settled.counted)

    async def _write(self, page: _Page) -> Settled:
        self._being_written.append(page)
        try:
            return await self._store.write(_write_down, page, self._clock.wall())
        finally:
            self._being_written.remove(page)

    def _tell(self, entries: Sequence[Entry], counted: set[int]) -> None:
        for entry in entries:
            settled = entry.settlement
            if settled.n in counted and entry.changed:
                self._observer.on_state(settled.n, entry.instance, settled.state, settled.reason)
            if settled.n in counted and entry.realms:
                self._observer.on_proven(settled.n, entry.realms)
        for outcome, count in self._outcomes.items():
            self._metrics.count("registrations_total", count, outcome=outcome)
        self._outcomes.clear()

    def _put_back(self, page: _Page) -> None:
        page.entries += self._page.entries
        page.standings.update(self._page.standings)
        page.min_expires.update(self._page.min_expires)
        self._page = page

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            self._clock.call_at(self._clock.monotonic() + LONGEST_DELAY, self._ring)

    def _ring(self) -> None:
        self._armed = False
        self._wanted.set()


def _write_down(conn: sqlite3.Connection, page: _Page, now: float) -> Settled:
    sources.write_down(conn, page.learnt, now)
    for host, standing in page.standings.items():
        registrars.note_standing(conn, host, standing, now)
    _write_min_expires(conn, page.min_expires)
    return schedule.settle(conn, page.settlements, now)


def _write_min_expires(conn: sqlite3.Connection, min_expires: Mapping[str, int]) -> None:
    for registrar, seconds in min_expires.items():
        registrars.set_min_expires(conn, registrar, seconds)
