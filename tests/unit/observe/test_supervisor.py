"""Supervised tasks: crashes are survived, siblings untouched, everything ends with run()."""

import asyncio
import inspect

import pytest

from sipis.clock import ManualClock
from sipis.observe.supervisor import Supervisor


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_a_crashed_service_starts_again_after_a_pause(clock: ManualClock) -> None:
    starts: list[float] = []

    async def service() -> None:
        starts.append(clock.monotonic())
        if len(starts) < 3:
            raise RuntimeError("boom")
        await asyncio.Event().wait()

    supervisor = Supervisor("room", clock)
    supervisor.serve("service", service)
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await clock.advance(1)
        supervisor.stop()
    assert len(starts) == 3
    assert starts[1] - starts[0] == pytest.approx(0.1)
    assert starts[2] - starts[1] == pytest.approx(0.2)


async def test_a_crashed_job_leaves_its_siblings_alone_and_is_counted(clock: ManualClock) -> None:
    crashed: list[str] = []
    survived = asyncio.Event()

    async def bad() -> None:
        raise ValueError("boom")

    async def good() -> None:
        await clock.sleep(1)
        survived.set()

    supervisor = Supervisor("room", clock, on_crash=crashed.append)
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await clock.advance(0)
        assert supervisor.spawn("good", good())
        assert supervisor.spawn("bad", bad())
        await clock.advance(2)
        supervisor.stop()
    assert survived.is_set()
    assert crashed == ["room"]


async def test_jobs_beyond_the_limit_are_dropped(clock: ManualClock) -> None:
    supervisor = Supervisor("room", clock, most_jobs=1)
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await clock.advance(0)
        assert supervisor.spawn("first", clock.sleep(5))
        assert not supervisor.spawn("second", clock.sleep(5))
        assert supervisor.jobs == 1
        supervisor.stop()
    assert supervisor.jobs == 0


async def test_stop_cancels_services_and_jobs(clock: ManualClock) -> None:
    ended: list[str] = []

    async def endless(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    supervisor = Supervisor("room", clock)
    supervisor.serve("service", lambda: endless("service"))
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await clock.advance(0)
        supervisor.spawn("job", endless("job"))
        await clock.advance(0)
        supervisor.stop()
    assert sorted(ended) == ["job", "service"]


async def test_a_job_offered_to_a_room_that_does_not_run_is_dropped(clock: ManualClock) -> None:
    assert not Supervisor("room", clock).spawn("job", clock.sleep(1))


async def test_the_log_of_a_crash_names_the_place_and_not_the_values(
    clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async def leaky() -> None:
        raise ValueError("marker-password")

    supervisor = Supervisor("room", clock)
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await clock.advance(0)
        supervisor.spawn("leaky", leaky())
        await clock.advance(0)
        supervisor.stop()
    written = "".join(capsys.readouterr())
    assert "ValueError" in written
    assert "test_supervisor.py" in written
    assert "marker-password" not in written


async def test_a_service_that_joined_late_ends_with_the_room(clock: ManualClock) -> None:
    started = asyncio.Event()

    async def service() -> None:
        started.set()
        await asyncio.Event().wait()

    supervisor = Supervisor("room", clock)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await asyncio.sleep(0)
        supervisor.serve("late", service)
        await started.wait()
        supervisor.stop()


async def test_a_job_that_is_stopped_before_it_began_is_closed(clock: ManualClock) -> None:
    async def job() -> None:
        raise AssertionError("it never begins")

    supervisor, begun = Supervisor("room", clock), job()
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await asyncio.sleep(0)
        supervisor.spawn("job", begun)
        supervisor.stop()
        for task in supervisor._jobs:
            task.cancel()
    assert inspect.getcoroutinestate(begun) == inspect.CORO_CLOSED
