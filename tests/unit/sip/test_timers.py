import math

from hypothesis import given
from hypothesis import strategies as st

from sipis.sip import timers
from sipis.sip.timers import DURATIONS, Timer, TimerWheel

TICK = 1 / timers.TICKS_PER_SECOND


def due(wheel: TimerWheel[str], now: float) -> list[str]:
    return [entry.owner for entry in wheel.expire(now)]


def test_every_timer_has_a_duration() -> None:
    assert set(DURATIONS) == set(Timer)


def test_durations_are_those_of_the_rfc() -> None:
    assert DURATIONS[Timer.B] == DURATIONS[Timer.F] == DURATIONS[Timer.H] == 32.0
    assert DURATIONS[Timer.D] >= 32.0
    assert (DURATIONS[Timer.K], DURATIONS[Timer.I], DURATIONS[Timer.J]) == (5.0, 5.0, 32.0)
    assert DURATIONS[Timer.L] == DURATIONS[Timer.M] == 32.0


def test_an_empty_wheel_has_no_deadline() -> None:
    wheel: TimerWheel[str] = TimerWheel()
    assert wheel.next_deadline() is None
    assert due(wheel, 1e9) == []


def test_a_timer_expires_once_and_not_before_its_time() -> None:
    wheel: TimerWheel[str] = TimerWheel()
    wheel.set(10.0, "a", Timer.A)
    assert due(wheel, 9.94) == []
    assert due(wheel, 10.0) == ["a"]
    assert due(wheel, 11.0) == []


def test_timers_expire_in_order_of_time_then_of_setting() -> None:
    wheel: TimerWheel[str] = TimerWheel()
    for when, name in [(2.0, "late"), (1.0, "first"), (1.0, "second")]:
        wheel.set(when, name, Timer.A)
    assert due(wheel, 3.0) == ["first", "second", "late"]


def test_a_cancelled_timer_never_expires_and_leaves_no_deadline() -> None:
    wheel: TimerWheel[str] = TimerWheel()
    entry = wheel.set(1.0, "a", Timer.A)
    wheel.cancel(entry)
    wheel.cancel(entry)
    assert wheel.next_deadline() is None
    assert due(wheel, 2.0) == []
    assert len(wheel) == 0


def test_a_timer_cancelled_by_one_of_the_same_tick_does_not_expire() -> None:
    wheel: TimerWheel[str] = TimerWheel()
    wheel.set(1.0, "first", Timer.A)
    second = wheel.set(1.0, "second", Timer.B)
    seen = []
    for entry in wheel.expire(1.0):
        seen.append(entry.owner)
        wheel.cancel(second)
    assert seen == ["first"]


def test_a_timer_set_in_the_past_while_expiring_still_expires() -> None:
    wheel: TimerWheel[str] = TimerWheel()
    wheel.set(1.0, "first", Timer.A)
    seen = []
    for entry in wheel.expire(1.0):
        seen.append(entry.owner)
        if len(seen) == 1:
            wheel.set(0.5, "second", Timer.A)
    assert seen == ["first", "second"]


@given(st.floats(min_value=0, max_value=1e7))
def test_a_deadline_is_never_early_and_at_most_one_tick_late(when: float) -> None:
    wheel: TimerWheel[str] = TimerWheel()
    wheel.set(when, "a", Timer.A)
    deadline = wheel.next_deadline()
    assert deadline is not None
    assert when - 1e-6 <= deadline <= when + TICK + 1e-6
    assert due(wheel, deadline) == ["a"]


@given(st.lists(st.tuples(st.floats(min_value=0, max_value=60), st.booleans()), max_size=60))
def test_exactly_the_timers_that_were_not_cancelled_expire(plan: list[tuple[float, bool]]) -> None:
    wheel: TimerWheel[str] = TimerWheel()
    entries = [wheel.set(when, str(n), Timer.A) for n, (when, _) in enumerate(plan)]
    for entry, (_, cancelled) in zip(entries, plan, strict=True):
        if cancelled:
            wheel.cancel(entry)
    kept = sorted(
        (math.ceil(when / TICK - 1e-6), n) for n, (when, gone) in enumerate(plan) if not gone
    )
    assert due(wheel, 61.0) == [str(n) for _, n in kept]
