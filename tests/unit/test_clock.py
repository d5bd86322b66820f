"""The clocks."""

import asyncio

import pytest

from sipis.clock import Clock, ManualClock, SystemClock


async def test_a_manual_clock_stands_still_until_moved() -> None:
    clock = ManualClock(wall=50.0)
    before = clock.monotonic()
    await clock.advance(2.5)
    assert clock.monotonic() == before + 2.5
    assert clock.wall() == 52.5


async def test_sleepers_wake_in_order_when_their_moment_is_passed() -> None:
    clock, woken = ManualClock(), list[str]()

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("late", 2))
        group.create_task(sleeper("early", 1))
        await clock.advance(1.5)
        assert woken == ["early"]
        await clock.advance(1)
    assert woken == ["early", "late"]


async def test_a_cancelled_alarm_never_rings() -> None:
    clock, rung = ManualClock(), list[int]()
    clock.call_at(clock.monotonic() + 1, lambda: rung.append(1)).cancel()
    assert clock.next_alarm() is None
    await clock.advance(5)
    assert not rung


async def test_an_alarm_set_by_an_alarm_rings_in_the_same_advance() -> None:
    clock, rung = ManualClock(), list[float]()

    def again() -> None:
        rung.append(clock.monotonic())
        if len(rung) < 3:
            clock.call_at(clock.monotonic() + 1, again)

    start = clock.monotonic()
    clock.call_at(start + 1, again)
    await clock.advance(10)
    assert rung == [start + 1, start + 2, start + 3]


async def test_a_jump_moves_the_wall_clock_alone() -> None:
    clock = ManualClock()
    monotonic, wall = clock.monotonic(), clock.wall()
    clock.jump(-7 * 86_400)
    assert clock.monotonic() == monotonic
    assert clock.wall() == wall - 7 * 86_400


@pytest.mark.parametrize("clock", [SystemClock(), ManualClock()])
async def test_alarms_in_the_past_ring_soon(clock: Clock) -> None:
    rung = asyncio.Event()
    clock.call_at(clock.monotonic() - 1, rung.set)
    if isinstance(clock, ManualClock):
        await clock.advance(0)
    async with asyncio.timeout(2):
        await rung.wait()


async def test_the_system_clock_sleeps_and_tells_wall_time() -> None:
    clock = SystemClock()
    await clock.sleep(0)
    assert clock.wall() > 1_700_000_000
