import asyncio
from collections.abc import Coroutine

import pytest

from sipis.clock import ManualClock
from sipis.errors import StoreError
from sipis.lifecycle.patience import limit, to_the_end
from sipis.observe.supervisor import Supervisor


async def test_a_block_that_takes_too_long_is_cut_off_by_the_clock() -> None:
    clock, never = ManualClock(), asyncio.Event()

    async def wait() -> None:
        async with limit(clock, 5.0):
            await never.wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(_expect_timeout(wait()))
        await clock.advance(4.9)
        assert not task.done()
        await clock.advance(0.2)
        assert task.done()


async def _expect_timeout(work: Coroutine[object, object, None]) -> None:
    with pytest.raises(TimeoutError):
        await work


async def test_a_block_in_time_is_left_alone_and_leaves_no_alarm() -> None:
    clock = ManualClock()
    async with limit(clock, 5.0):
        await asyncio.sleep(0)
    assert clock.next_alarm() is None


async def test_work_goes_on_when_its_caller_is_cancelled() -> None:
    jobs, go, done = Supervisor("test", ManualClock()), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await go.wait()
        done.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(jobs.run())
        await asyncio.sleep(0)
        caller = group.create_task(to_the_end(jobs, "work", work()))
        await asyncio.sleep(0)
        caller.cancel()
        go.set()
        await done.wait()
        jobs.stop()


async def test_what_the_work_raises_reaches_its_caller() -> None:
    jobs = Supervisor("test", ManualClock())

    async def fail() -> None:
        raise KeyError("mine")

    async with asyncio.TaskGroup() as group:
        group.create_task(jobs.run())
        await asyncio.sleep(0)
        with pytest.raises(KeyError):
            await to_the_end(jobs, "work", fail())
        jobs.stop()


async def test_work_that_finds_no_room_is_refused() -> None:
    async def work() -> None:
        raise AssertionError("never begun")

    with pytest.raises(StoreError):
        await to_the_end(Supervisor("test", ManualClock()), "work", work())
