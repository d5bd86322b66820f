"""Waiting until a moment of the injected clock.

Refuses the loop's own time: with a ManualClock a time-out happens when the test says so.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sipis.clock import Clock


@asynccontextmanager
async def until(clock: Clock, when: float) -> AsyncIterator[None]:
    """Run the body; raise TimeoutError when monotonic() reaches `when` first."""
    async with asyncio.timeout(None) as limit:
        alarm = clock.call_at(when, lambda: _end_now(limit))
        try:
            yield
        finally:
            alarm.cancel()


def _end_now(limit: asyncio.Timeout) -> None:
    limit.reschedule(asyncio.get_running_loop().time())
