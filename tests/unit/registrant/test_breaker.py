"""The breaker opens for many accounts, lets one canary through, and counts refusals by the hour."""

from hypothesis import given
from hypothesis import strategies as st

from sipis.registrant.breaker import (
    ACCOUNTS_TO_TRIP,
    HOUR,
    TABLE,
    Breaker,
    Phase,
    RefusalBudget,
)


def tripped(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for account in range(ACCOUNTS_TO_TRIP):
        breaker.failed(account, now, 0.5)
    return breaker


def test_many_accounts_failing_in_a_row_open_it_once() -> None:
    breaker = Breaker()
    opened = [breaker.failed(account, 0.0, 0.5) for account in range(ACCOUNTS_TO_TRIP + 3)]
    assert opened.count(True) == 1
    assert breaker.phase is Phase.OPEN
    assert not breaker.admits(1.0)


def test_one_account_failing_for_ever_never_opens_it() -> None:
    breaker = Breaker()
    for _ in range(1000):
        breaker.failed(7, 0.0, 0.5)
    assert breaker.phase is Phase.CLOSED


def test_a_success_in_between_starts_the_count_again() -> None:
    breaker = Breaker()
    for account in range(ACCOUNTS_TO_TRIP - 1):
        breaker.failed(account, 0.0, 0.5)
    breaker.succeeded()
    breaker.failed(99, 0.0, 0.5)
    assert breaker.phase is Phase.CLOSED


def test_after_the_pause_exactly_one_canary_is_admitted() -> None:
    breaker = tripped()
    assert breaker.admits(breaker.until)
    breaker.start()
    assert breaker.phase is Phase.PROBING
    assert not breaker.admits(breaker.until + 1)


def test_a_good_canary_closes_it() -> None:
    breaker = tripped()
    breaker.start()
    breaker.succeeded()
    assert breaker.admits(0.0)
    assert breaker.idle


def test_a_bad_canary_makes_the_pause_longer() -> None:
    breaker = tripped()
    first = breaker.until
    breaker.start()
    breaker.failed(1, first, 0.5)
    assert breaker.until - first > first


def test_a_canary_that_tells_nothing_makes_room_for_another() -> None:
    breaker = tripped()
    breaker.start()
    breaker.undecided()
    assert breaker.admits(breaker.until)


def test_retry_after_pauses_the_address_at_once() -> None:
    breaker = Breaker()
    breaker.pause(120, now=1000)
    assert not breaker.admits(1119)
    assert breaker.admits(1120)


def test_no_retry_after_silences_an_address_for_more_than_an_hour() -> None:
    breaker = Breaker()
    breaker.pause(10**9, now=0)
    assert breaker.admits(HOUR)


def test_a_clock_set_back_prolongs_no_pause() -> None:
    breaker = tripped(86_400.0)
    assert not breaker.admits(86_401.0)
    assert breaker.admits(0.0)
    breaker.pause(120, now=0.0)
    assert not breaker.admits(119.0)
    assert breaker.admits(HOUR)


@given(st.lists(st.sampled_from(["start", "good", "bad", "undecided", "pause"]), max_size=60))
def test_whatever_happens_the_breaker_can_be_used_again(events: list[str]) -> None:
    breaker = Breaker()
    for now, event in enumerate(events):
        if event == "start" and breaker.admits(now):
            breaker.start()
        elif event == "good":
            breaker.succeeded()
        elif event == "bad":
            breaker.failed(now, now, 0.5)
        elif event == "undecided":
            breaker.undecided()
        elif event == "pause":
            breaker.pause(60, now)
    breaker.undecided()
    assert breaker.admits(len(events) + HOUR)


def test_the_table_answers_every_signal_that_can_come() -> None:
    assert {phase for phase, _ in TABLE} == set(Phase)


def test_the_budget_of_refusals_is_that_of_any_hour() -> None:
    budget = RefusalBudget(2)
    budget.refused(0.0)
    budget.refused(600.0)
    assert not budget.has_room(3599.0)
    assert budget.free_in(3000.0) == 600.0
    assert budget.has_room(3600.0)


def test_half_of_the_budget_is_kept_for_accounts_that_try_for_the_first_time() -> None:
    budget = RefusalBudget(4)
    budget.refused(0.0)
    assert budget.has_room(600.0, again=True)
    budget.refused(600.0)
    assert not budget.has_room(900.0, again=True)
    assert budget.has_room(900.0)
    budget.refused(900.0)
    assert budget.free_in(1000.0, again=True) == 3200.0
    assert budget.has_room(4200.0, again=True)


def test_no_budget_at_all_is_no_room_for_anybody() -> None:
    budget = RefusalBudget(0)
    budget.refused(0.0)
    assert not budget.has_room(600.0)
    assert budget.free_in(600.0) == 3000.0


def test_a_clock_set_back_leaves_no_refusal_for_longer_than_before() -> None:
    budget = RefusalBudget(1)
    budget.refused(86_400.0)
    assert not budget.has_room(86_401.0)
    assert budget.has_room(0.0)


def test_a_crowd_of_doubtful_accounts_reserves_before_it_tries() -> None:
    budget = RefusalBudget(2)
    budget.reserve()
    budget.reserve()
    assert not budget.has_room(0.0)
    budget.release()
    assert budget.has_room(0.0)
