"""The chores of a running server: follow changed key files, show gauges, tidy up at night.

Refuses to matter: when a chore fails the server goes on, and the next round tries again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from sipis.api.keys import AppKeys, KeyFile
from sipis.clock import Clock
from sipis.errors import SipisError
from sipis.observe.health import Health
from sipis.observe.metrics import Metrics
from sipis.observe.supervisor import Supervisor
from sipis.store import lookup, maintenance
from sipis.store.runner import Store
from sipis.transport.endpoint import Endpoint
from sipis.vault.roller import Roller

EVERY = 10.0
NIGHTLY = 86_400.0
RECEIPTS_KEPT = 400 * 86_400.0
BEAT = 0.5

_log = structlog.get_logger("app")


@dataclass(frozen=True, slots=True)
class Charges:
    """What the chores are about; `calls` counts the calls under way."""

    store: Store
    endpoint: Endpoint
    app_keys: AppKeys
    admin_token: KeyFile
    certificates: tuple[Path, ...]
    metrics: Metrics
    health: Health
    roller: Roller
    calls: Callable[[], int]


class Upkeep:
    """Does the chores in rounds."""

    def __init__(self, charges: Charges, clock: Clock) -> None:
        self._charges = charges
        self._clock = clock
        self._stamps = _stamps(charges.certificates)
        self._supervisor = Supervisor("upkeep", clock)
        self._supervisor.serve("rounds", self._rounds)
        self._supervisor.serve("nights", self._nights)
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
        try:
            self._charges.app_keys.reload()
            self._charges.admin_token.reload()
            if self._certificates_changed():
                self._charges.endpoint.reload_certificates()
            self._charges.health.part_works("files")
        except SipisError as wrong:
            _log.warning("file cannot be used", error=type(wrong).__name__)
            self._charges.health.trouble("files", "a key or certificate file cannot be used")

    def _watch_epoch(self) -> None:
        """Old copies open what was deleted until the epoch has rolled: say so when it is late."""
        late = self._charges.roller.lateness
        self._charges.metrics.gauge("epoch_roll_overdue_seconds", late)
        if late:
            self._charges.health.trouble("keys", "the roll of the epoch key is overdue")
        else:
            self._charges.health.part_works("keys")

    def _certificates_changed(self) -> bool:
        before, self._stamps = self._stamps, _stamps(self._charges.certificates)
        return before != self._stamps

    async def _show_gauges(self) -> None:
        states = await self._charges.store.read(lookup.count_states)
        metrics = self._charges.metrics
        metrics.gauge("instances", sum(states.values()))
        metrics.gauge("transactions", self._charges.endpoint.transactions)
        metrics.gauge("calls_now", self._charges.calls())
        metrics.gauge("ready", float(self._charges.health.ready))

    async def _nights(self) -> None:
        while True:
            await self._clock.sleep(NIGHTLY)
            await maintenance.tidy(
                self._charges.store, self._clock.wall(), receipts_kept=RECEIPTS_KEPT
            )

    async def _beat(self) -> None:
        """Measure how late the event loop runs its timers."""
        while True:
            due = self._clock.monotonic() + BEAT
            await self._clock.sleep(BEAT)
            self._charges.metrics.gauge("loop_lag_seconds", self._clock.monotonic() - due)


def _stamps(paths: tuple[Path, ...]) -> list[int]:
    """When each file was last written; 0 while it is away."""
    return [path.stat().st_mtime_ns if path.exists() else 0 for path in paths]
