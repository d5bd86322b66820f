from hypothesis import given
from hypothesis import strategies as st

from sipis.clock import ManualClock
from sipis.lifecycle.calendar import Calendar

DAY = 86_400.0


async def test_it_is_the_wall_clock_as_long_as_nobody_sets_it() -> None:
    clock = ManualClock()
    calendar = Calendar(clock)
    await clock.advance(12.5)
    clock.jump(0.4)
    assert calendar.now() == clock.wall()


async def test_a_clock_set_back_prolongs_nothing() -> None:
    clock = ManualClock()
    calendar = Calendar(clock)
    before = calendar.now()
    clock.jump(-7 * DAY)
    assert calendar.now() == before
    await clock.advance(10)
    assert calendar.now() == before + 10


async def test_a_clock_set_ahead_is_believed_after_an_hour() -> None:
    clock = ManualClock()
    calendar = Calendar(clock)
    before = calendar.now()
    clock.jump(7 * DAY)
    assert calendar.now() == before
    await clock.advance(3599)
    assert calendar.now() == before + 3599
    await clock.advance(1)
    assert calendar.now() == clock.wall()


async def test_a_clock_that_returns_within_the_hour_was_never_believed() -> None:
    clock = ManualClock()
    calendar = Calendar(clock)
    for _ in range(3):
        clock.jump(7 * DAY)
        assert calendar.now() < clock.wall()
        await clock.advance(2000)
        assert calendar.now() < clock.wall()
        clock.jump(-7 * DAY)
        assert calendar.now() == clock.wall()


async def test_what_an_earlier_process_saw_counts() -> None:
    clock = ManualClock()
    calendar = Calendar(clock)
    mark = clock.wall() + DAY
    calendar.never_before(mark)
    assert calendar.now() == mark
    calendar.never_before(mark - 5)
    assert calendar.now() == mark


@given(st.lists(st.floats(-1e6, 1e6), max_size=20))
def test_whatever_is_done_to_the_clock_time_never_runs_back(jumps: list[float]) -> None:
    clock = ManualClock()
    calendar = Calendar(clock)
    seen = calendar.now()
    for seconds in jumps:
        clock.jump(seconds)
        now = calendar.now()
        assert now >= seen
        seen = now
