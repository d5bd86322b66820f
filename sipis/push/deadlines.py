"""Waiting until a moment of the injected clock.

Refuses the loop's own time: with a ManualClock a time-out happens when the test says so.
"""

import asyncio
from types import TracebackType

from sipis.clock import Clock


class until:  # noqa: N801 - reads as the context manager that it is
    """Run the body; raise TimeoutError when monotonic() reaches `when` first."""

    def __init__(self, clock: Clock, when: float) -> None:
        self._limit = asyncio.timeout(None)
        self._clock = clock
        self._when = when

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._alarm = self._clock.call_at(self._when, self._end_now)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._alarm.cancel()
        await self._limit.__aexit__(kind, error, traceback)

    def _end_now(self) -> None:
        self._limit.reschedule(asyncio.get_running_loop().time())
