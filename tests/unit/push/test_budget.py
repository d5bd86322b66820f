import pytest

from sipis.clock import ManualClock
from sipis.model import PushEvent, PushService, PushTarget, TargetKind
from sipis.push.budget import Budgets, Rate, Rates


def phone(token: str = "a") -> PushTarget:
    return PushTarget(PushService.APNS, TargetKind.VOIP, token)


def test_a_flood_of_calls_reaches_a_phone_ten_times(clock: ManualClock) -> None:
    budgets = Budgets(clock)
    assert sum(budgets.take(phone(), PushEvent.CALL) for _ in range(1000)) == 10


async def test_the_budget_comes_back_with_time(clock: ManualClock) -> None:
    budgets = Budgets(clock)
    while budgets.take(phone(), PushEvent.CALL):
        pass
    await clock.advance(6.1)
    assert budgets.take(phone(), PushEvent.CALL)
    assert not budgets.take(phone(), PushEvent.CALL)


def test_one_phone_does_not_spend_what_another_has(clock: ManualClock) -> None:
    budgets = Budgets(clock, Rates(calls=Rate(1, 60)))
    assert budgets.take(phone("a"), PushEvent.CALL)
    assert budgets.take(phone("b"), PushEvent.CALL)


def test_messages_do_not_spend_what_calls_need(clock: ManualClock) -> None:
    budgets = Budgets(clock)
    while budgets.take(phone(), PushEvent.MESSAGE):
        pass
    assert budgets.take(phone(), PushEvent.CALL)


@pytest.mark.parametrize("event", list(PushEvent))
def test_every_event_has_a_budget_that_ends(clock: ManualClock, event: PushEvent) -> None:
    budgets = Budgets(clock)
    assert 0 < sum(budgets.take(phone(), event) for _ in range(100)) < 100


def test_memory_is_bounded_by_forgetting_the_phone_unused_longest(clock: ManualClock) -> None:
    budgets = Budgets(clock, Rates(calls=Rate(1, 60)), most_remembered=2)
    for token in "abc":
        assert budgets.take(phone(token), PushEvent.CALL)
    assert budgets.take(phone("a"), PushEvent.CALL)
    assert not budgets.take(phone("c"), PushEvent.CALL)
