import asyncio

import pytest

from sipis.clock import ManualClock
from sipis.model import PushEvent
from sipis.push.gate import PRIORITY, Gate, Priority, Why
from tests.support.push import settle

LATER = 1e9


def gate(clock: ManualClock, *, inside: int = 1, waiting: int = 3) -> Gate:
    return Gate(clock, most_inside=inside, most_waiting=waiting)


async def test_calls_pass_messages_and_messages_pass_housekeeping(clock: ManualClock) -> None:
    door, order = gate(clock), list[Priority]()
    await door.enter(Priority.MESSAGE, LATER)

    async def visit(priority: Priority) -> None:
        assert await door.enter(priority, LATER) is None
        order.append(priority)
        door.leave()

    visits = [asyncio.ensure_future(visit(each)) for each in reversed(Priority)]
    await settle()
    door.leave()
    await asyncio.gather(*visits)
    assert order == [Priority.CALL, Priority.MESSAGE, Priority.HOUSEKEEPING]


async def test_no_more_are_inside_than_there_are_places(clock: ManualClock) -> None:
    door = gate(clock, inside=2)
    assert await door.enter(Priority.CALL, LATER) is None
    assert await door.enter(Priority.CALL, LATER) is None
    third = asyncio.ensure_future(door.enter(Priority.CALL, LATER))
    await settle()
    assert not third.done()
    assert door.waiting == 1
    door.leave()
    assert await third is None


async def test_an_expired_job_is_dropped_at_its_deadline(clock: ManualClock) -> None:
    door = gate(clock)
    await door.enter(Priority.CALL, LATER)
    waiter = asyncio.ensure_future(door.enter(Priority.CALL, clock.monotonic() + 5))
    await clock.advance(5)
    assert await waiter is Why.EXPIRED
    assert door.waiting == 0


async def test_a_job_that_comes_too_late_does_not_enter(clock: ManualClock) -> None:
    assert await gate(clock).enter(Priority.CALL, clock.monotonic()) is Why.EXPIRED


async def test_a_full_room_turns_the_newcomer_away(clock: ManualClock) -> None:
    door = gate(clock, waiting=1)
    await door.enter(Priority.CALL, LATER)
    waiter = asyncio.ensure_future(door.enter(Priority.MESSAGE, LATER))
    await settle()
    assert await door.enter(Priority.MESSAGE, LATER) is Why.FULL
    waiter.cancel()


async def test_a_call_takes_the_seat_of_the_youngest_housekeeping(clock: ManualClock) -> None:
    door = gate(clock, waiting=2)
    await door.enter(Priority.CALL, LATER)
    waiters = [asyncio.ensure_future(door.enter(Priority.HOUSEKEEPING, LATER)) for _ in range(2)]
    await settle()
    call = asyncio.ensure_future(door.enter(Priority.CALL, LATER))
    await settle()
    assert await waiters[1] is Why.FULL
    door.leave()
    assert await call is None
    assert not waiters[0].done()
    door.leave()
    assert await waiters[0] is None


@pytest.mark.parametrize("granted", [False, True])
async def test_a_cancelled_waiter_gives_its_place_to_the_next(
    clock: ManualClock, *, granted: bool
) -> None:
    door = gate(clock)
    await door.enter(Priority.CALL, LATER)
    first = asyncio.ensure_future(door.enter(Priority.CALL, LATER))
    second = asyncio.ensure_future(door.enter(Priority.CALL, LATER))
    await settle()
    if granted:
        door.leave()
        first.cancel()
    else:
        first.cancel()
        await settle()
        door.leave()
    assert await second is None


def test_every_event_has_its_rank() -> None:
    assert set(PRIORITY) == set(PushEvent)
    assert [each for each in PushEvent if PRIORITY[each] is Priority.CALL] == [PushEvent.CALL]
