"""The chores of a running server: follow changed files, show gauges, give memory back, tidy daily.

Refuses to matter: when a chore fails the server goes on, and the next round tries again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from sipis.app.files import Followed
from sipis.app.memory import Memory
from sipis.clock import Clock
from sipis.errors import SipisError
from sipis.observe.health import Health
from sipis.observe.metrics import Metrics
from sipis.observe.supervisor import Supervisor
from sipis.store import lookup, maintenance, notes
from sipis.store.runner import Store
from sipis.transport.endpoint import Endpoint
from sipis.vault.roller import Roller

EVERY = 10.0
LEAN_EVERY = 30.0
DAILY = 86_400.0
FIRST_LOOK = 300.0
"""Seconds after a start at which it is first asked whether a tidy is owed."""
HOURLY = 3600.0
TIDIED = "upkeep.tidied"
"""The note of the last tidy."""
RECEIPTS_KEPT = 400 * 86_400.0
BEAT = 0.5

_log = structlog.get_logger("app")


@dataclass(frozen=True, slots=True)
class Charges:
    """What the chores are about; `calls` counts the calls under way."""

    store: Store
    endpoint: Endpoint
    files: Sequence[Followed]
    metrics: Metrics
    health: Health
    roller: Roller
    calls: Callable[[], int]


class Upkeep:
    """Does the chores in rounds."""

    def __init__(self, charges: Charges, clock: Clock) -> None:
        self._charges = charges
        self._clock = clock
        self._supervisor = Supervisor("upkeep", clock, on_crash=charges.metrics.crashed)
        self._supervisor.serve("rounds", self._rounds)
        self._supervisor.serve("memory", self._stay_lean)
        self._supervisor.serve("tidying", self._keep_tidy)
        self._supervisor.serve("beat", self._beat)

    async def run(self) -> None:
        """Work until stop()."""
        await self._supervisor.run()

    def stop(self) -> None:
        """End run()."""
        self._supervisor.stop()

    async def _rounds(self) -> None:
        while True:
            self._follow_files()
            self._watch_epoch()
            await self._show_gauges()
            await self._clock.sleep(EVERY)

    def _follow_files(self) -> None:
        broken = [one for one in self._charges.files if not one.follow()]
        if broken:
            self._charges.health.trouble("files", "a key or certificate file cannot be used")
        else:
            self._charges.health.part_works("files")

    def _watch_epoch(self) -> None:
        """Old copies open what was deleted until the epoch has rolled: say so when it is late."""
        late = self._charges.roller.lateness
        self._charges.metrics.gauge("epoch_roll_overdue_seconds", late)
        if late:
            self._charges.health.trouble("keys", "the roll of the epoch key is overdue")
        else:
            self._charges.health.part_works("keys")

    async def _show_gauges(self) -> None:
        states = await self._charges.store.read(lookup.count_states)
        metrics = self._charges.metrics
        metrics.gauge("instances", sum(states.values()))
        metrics.gauge("transactions", self._charges.endpoint.transactions)
        metrics.gauge("calls_now", self._charges.calls())
        metrics.gauge("ready", float(self._charges.health.ready))

    async def _stay_lean(self) -> None:
        """Forget who is silent, and give back the memory that this frees."""
        memory = Memory()
        while True:
            await self._clock.sleep(LEAN_EVERY)
            self._charges.endpoint.forget_idle()
            memory.give_back()

    async def _keep_tidy(self) -> None:
        """Tidy when a day has passed since the last time, restarts or not."""
        await self._clock.sleep(FIRST_LOOK)
        while True:
            try:
                await self._tidy_if_owed()
            except SipisError as failed:
                _log.error("tidying failed", error=type(failed).__name__)
            await self._clock.sleep(HOURLY)

    async def _tidy_if_owed(self) -> None:
        store, now = self._charges.store, self._clock.wall()
        last = await store.read(notes.get, TIDIED)
        if last is not None and 0 <= now - float(last) < DAILY:
            return
        await maintenance.tidy(store, now, receipts_kept=RECEIPTS_KEPT)
        await store.write(notes.put, TIDIED, repr(now))

    async def _beat(self) -> None:
        """Measure how late the event loop runs its timers."""
        while True:
            due = self._clock.monotonic() + BEAT
            await self._clock.sleep(BEAT)
            self._charges.metrics.gauge("loop_lag_seconds", self._clock.monotonic() - due)
