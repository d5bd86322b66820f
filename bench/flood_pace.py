"""One attack at its pace: so many a second, evenly, and only so many at a time.

Refuses to make up for more than a moment that was lost: a late attacker is no stronger one.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

PAUSE: Final = 0.02
MOST_AT_ONCE: Final = 50
MOST_OPEN: Final = 400
"""Attacks of one kind that are under way; beyond that further ones are left out."""


@dataclass
class Attack:
    """What is done again and again; failures of an attacker concern nobody."""

    name: str
    per_second: float
    act: Callable[[], Awaitable[None]]
    counts: Counter[str]
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def keep_up(self, strength: float) -> None:
        """Do it for ever, `strength` times as often as usual."""
        clock = asyncio.get_running_loop().time
        done = clock()
        step = 1 / (self.per_second * strength)
        try:
            while True:
                due = min(int((clock() - done) / step), MOST_AT_ONCE)
                for _ in range(due):
                    self._begin()
                done = max(done + due * step, clock() - 1.0)
                await asyncio.sleep(PAUSE)
        finally:
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)

    def _begin(self) -> None:
        if len(self._open) < MOST_OPEN:
            task = asyncio.create_task(self._once())
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def _once(self) -> None:
        self.counts[self.name] += 1
        try:
            await self.act()
        except (OSError, asyncio.IncompleteReadError):
            self.counts[f"{self.name}, cut off"] += 1
