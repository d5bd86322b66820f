import asyncio

import pytest

from sipis.clock import ManualClock
from sipis.push.deadlines import until


async def test_what_is_done_in_time_is_left_alone(clock: ManualClock) -> None:
    async with until(clock, clock.monotonic() + 1):
        await asyncio.sleep(0)
    assert clock.next_alarm() is None


async def test_what_is_late_ends_when_the_clock_says_so(clock: ManualClock) -> None:
    async def wait() -> None:
        async with until(clock, clock.monotonic() + 5):
            await asyncio.Event().wait()

    waiting = asyncio.ensure_future(wait())
    await clock.advance(4.9)
    assert not waiting.done()
    await clock.advance(0.1)
    with pytest.raises(TimeoutError):
        await waiting


async def test_a_cancellation_from_outside_is_no_time_out(clock: ManualClock) -> None:
    async def wait() -> None:
        async with until(clock, clock.monotonic() + 5):
            await asyncio.Event().wait()

    waiting = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert clock.next_alarm() is None
