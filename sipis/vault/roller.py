"""Rolls the epoch: soon after deletions, every hour, at every start and, if it is owed, at the end.

Refuses to answer for deletions: they are acknowledged before, and their keys are dead; the roll
takes their use from old copies of the other files. A roll that fails is tried again, and once it is
overdue `lateness` says so.
"""

import asyncio
from typing import Final

import structlog

from sipis.clock import Clock
from sipis.config import KeysSettings
from sipis.errors import SipisError, VaultError
from sipis.observe.metrics import Metrics
from sipis.observe.supervisor import Supervisor
from sipis.vault.deadlines import Deadlines
from sipis.vault.events import KeyEvents, Unrecorded
from sipis.vault.vault import Vault

PAUSE: Final = 5.0
"""Seconds between a roll that failed and the next attempt."""

_log = structlog.get_logger("vault")


class Roller:
    """Keeps the epoch of a vault young."""

    def __init__(
        self,
        vault: Vault,
        settings: KeysSettings,
        *,
        clock: Clock,
        metrics: Metrics,
        events: KeyEvents | None = None,
    ) -> None:
        self._vault = vault
        self._clock = clock
        self._metrics = metrics
        self._events = events or Unrecorded()
        self._deadlines = Deadlines(
            settings.roll_after_delete, settings.roll_every, clock.monotonic()
        )
        self._told = vault.generation
        """The generation that was told last: a roll that failed may have put one in force."""
        self._changed = asyncio.Event()
        self._supervisor = Supervisor("keys", clock, on_crash=metrics.crashed)
        self._supervisor.serve("rolls", self._keep_rolling)
        vault.on_destroyed = self._note_destruction

    async def run(self) -> None:
        """Work until stop() or cancellation."""
        await self._supervisor.run()

    def stop(self) -> None:
        """End run()."""
        self._supervisor.stop()

    async def finish(self) -> None:
        """At the end of the server: nothing destroyed waits for the roll of the next start."""
        if self._deadlines.owed:
            await self._roll()

    @property
    def lateness(self) -> float:
        """For how many seconds a roll has been overdue; 0 when none is."""
        return max(0.0, self._clock.monotonic() - self._deadlines.limit)

    def _note_destruction(self) -> None:
        self._deadlines.destroyed(self._clock.monotonic())
        self._changed.set()

    async def _keep_rolling(self) -> None:
        """Roll at once, since nobody knows what was destroyed before a crash, and whenever due."""
        while True:
            if await self._roll():
                await self._until_due()
            else:
                await self._clock.sleep(PAUSE)

    async def _until_due(self) -> None:
        while (due := self._deadlines.due) > self._clock.monotonic():
            self._changed.clear()
            alarm = self._clock.call_at(due, self._changed.set)
            try:
                await self._changed.wait()
            finally:
                alarm.cancel()

    async def _roll(self) -> bool:
        began = self._clock.monotonic()
        self._deadlines.begin(began)
        try:
            rolled = await self._vault.roll()
        except VaultError as failure:
            self._deadlines.fail()
            self._metrics.count("epoch_rolls_total", outcome="failed")
            _log.error("roll failed", error=type(failure).__name__)
            return False
        self._deadlines.succeed()
        self._metrics.count("epoch_rolls_total", outcome="rolled")
        self._metrics.observe("epoch_roll_seconds", self._clock.monotonic() - began)
        await self._tell(rolled.after)
        return True

    async def _tell(self, after: int) -> None:
        before, self._told = self._told, after
        try:
            await self._events.epoch_rolled(before, after)
        except SipisError as failure:
            _log.error("roll not recorded", error=type(failure).__name__)
