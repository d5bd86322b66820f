"""Time, injected: monotonic for timers, wall for deadlines that users see.

Refuses to be read as a global: whoever needs the time is given a Clock.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol


class Alarm(Protocol):
    """A callback that waits for its moment and can be called off."""

    def cancel(self) -> None:
        """Call it off; harmless when it has already rung."""


class Clock(Protocol):
    """Where the rest of the server reads the time."""

    def monotonic(self) -> float:
        """Seconds that never go back; for timers and intervals."""

    def wall(self) -> float:
        """Unix seconds; for expiry instants and stored times."""

    async def sleep(self, seconds: float) -> None:
        """Return after that many monotonic seconds."""

    def call_at(self, when: float, callback: Callable[[], None]) -> Alarm:
        """Run the callback in the event loop when monotonic() reaches `when`."""


class SystemClock:
    """The machine's clock, on the running event loop."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def wall(self) -> float:
        """Unix seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        await asyncio.sleep(seconds)

    def call_at(self, when: float, callback: Callable[[], None]) -> Alarm:
        """Run the callback when monotonic() reaches `when`."""
        return asyncio.get_running_loop().call_later(max(0.0, when - time.monotonic()), callback)


class ManualClock:
    """A clock that stands still until a test or a simulation moves it."""

    def __init__(self, wall: float = 1_800_000_000.0) -> None:
        self._monotonic = 1000.0
        self._wall = wall
        self._alarms: list[tuple[float, int, _ManualAlarm]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        """Seconds since an arbitrary start."""
        return self._monotonic

    def wall(self) -> float:
        """Unix seconds."""
        return self._wall

    async def sleep(self, seconds: float) -> None:
        """Return once advance() has passed that many seconds."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        alarm = self.call_at(self._monotonic + seconds, lambda: _wake(woken))
        try:
            await woken
        finally:
            alarm.cancel()

    def call_at(self, when: float, callback: Callable[[], None]) -> Alarm:
        """Run the callback inside the advance() that reaches `when`."""
        alarm = _ManualAlarm(callback)
        heapq.heappush(self._alarms, (when, next(self._order), alarm))
        return alarm

    def next_alarm(self) -> float | None:
        """The monotonic moment of the earliest alarm still armed."""
        while self._alarms and self._alarms[0][2].cancelled:
            heapq.heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else None

    def jump(self, seconds: float) -> None:
        """Move the wall clock alone, as an operator or NTP does."""
        self._wall += seconds

    async def advance(self, seconds: float) -> None:
        """Move time on, ringing every alarm on the way and letting the loop run after each."""
        end = self._monotonic + seconds
        await _let_loop_run()
        while (due := self.next_alarm()) is not None and due <= end:
            self._move_to(max(due, self._monotonic))
            heapq.heappop(self._alarms)[2].ring()
            await _let_loop_run()
        self._move_to(end)
        await _let_loop_run()

    def _move_to(self, moment: float) -> None:
        self._wall += moment - self._monotonic
        self._monotonic = moment


class _ManualAlarm:
    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    def ring(self) -> None:
        self._callback()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _let_loop_run(turns: int = 10) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
