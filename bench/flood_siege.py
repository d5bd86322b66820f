"""A siege: calls that must come through, attackers beside them, and what the server holds.

First only calls are made, so that the server has opened what it keeps open; then attackers join;
when they are gone, transactions and connections have time to run out.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.flood_attackers import COUNTS, Target
from bench.flood_gauge import MIB, Gauge
from bench.flood_report import Held, Report
from bench.flood_town import Tally, Town
from bench.programs import Program
from bench.report import quantile
from bench.server import ROOT

PAUSE: Final = 0.5


@dataclass(frozen=True)
class Plan:
    """How long and how fierce, in seconds.

    After the flood it is looked after `quiet` and after `rest`; then it is waited until the open
    files are back, but no longer than `patience`.
    """

    seconds: float
    calls_per_second: float
    warm_up: float
    quiet: float
    rest: float
    patience: float = 30.0
    told_every: float = 30.0


class Siege:
    """One siege of a server whose phones sleep."""

    def __init__(self, town: Town, pid: int, target: Target, folder: Path, plan: Plan) -> None:
        self._town = town
        self._gauge = Gauge(pid)
        self._target = target
        self._folder = folder
        self._plan = plan

    async def carry_out(self, tell: Callable[[str], None]) -> Report:
        """Warm up, flood, rest; `tell` gets a line now and then."""
        plan, town = self._plan, self._town
        await town.call_for(plan.warm_up, plan.calls_per_second)
        before = self._look()
        town.tally = Tally()
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(self._gauge.watch()), group.create_task(self._tell(tell))]
            at_end = await self._flood()
            quiet = await self._rest(before)
            for task in watching:
                task.cancel()
        counts = Counter[str](json.loads((self._folder / COUNTS).read_text()))
        return Report(town.tally, before, at_end, quiet, self._look(), self._gauge.peak, counts)

    async def _flood(self) -> Held:
        """Let the attackers loose while calls are made; returns what the server held at the end."""
        self._target.write(self._folder)
        command = [sys.executable, "-m", "bench.flood_attackers", str(self._folder)]
        attackers = Program(command, self._folder, {"PYTHONPATH": str(ROOT)})
        try:
            await self._town.call_for(self._plan.seconds, self._plan.calls_per_second)
            attackers.check()
            return self._look()
        finally:
            await asyncio.to_thread(attackers.stop)

    async def _rest(self, before: Held) -> Held:
        """Wait until all is over; returns what the server held after the first quiet."""
        await asyncio.sleep(self._plan.quiet)
        quiet = self._look()
        await asyncio.sleep(self._plan.rest - self._plan.quiet)
        until = asyncio.get_running_loop().time() + self._plan.patience
        while not self._look().has_no_more_files_than(before):
            if asyncio.get_running_loop().time() > until:
                break
            await asyncio.sleep(PAUSE)
        return quiet

    async def _tell(self, tell: Callable[[str], None]) -> None:
        started = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(self._plan.told_every)
            tell(self._line(asyncio.get_running_loop().time() - started))

    def _line(self, seconds: float) -> str:
        tally, now = self._town.tally, self._look()
        delays = tally.delays or [0.0]
        p50, p99 = (quantile(delays, share) * 1e3 for share in (0.5, 0.99))
        return (
            f"{seconds:5.0f} s | calls {tally.made} made, {tally.answered} answered"
            f" | INVITE to 200 p50 {p50:.0f} ms, p99 {p99:.0f} ms"
            f" | RSS {now.memory / MIB:.1f} MiB, peak {self._gauge.peak / MIB:.1f}"
            f" | files {now.files} | CPU {self._gauge.load():.0%} of a core"
        )

    def _look(self) -> Held:
        return Held(self._gauge.memory(), self._gauge.files())
