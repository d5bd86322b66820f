"""Pace, attempts under way, and who may pass the gate of an address."""

from hypothesis import given
from hypothesis import strategies as st

from sipis.config import ProviderSettings
from sipis.registrant.breaker import ACCOUNTS_TO_TRIP
from sipis.registrant.politeness import LARGEST_BATCH, MOST_IDLE, Desk, Gate, Politeness
from sipis.store.registrars import Standing


def politeness(**changes: object) -> Politeness:
    settings = ProviderSettings.model_validate(changes)
    return Politeness(lambda _domain: settings)


def gate(**standing: object) -> Gate:
    return politeness().new_gate("192.0.2.1", "example.org", Standing(**standing))  # type: ignore[arg-type]


def test_a_desk_is_a_bucket_that_fills_at_its_rate() -> None:
    desk = Desk(rate=40, most_in_flight=100)
    assert desk.room(1000.0) == 10
    desk.start(10)
    assert desk.room(1000.0) == 0
    assert desk.room(1000.1) == 4


@given(st.floats(1, 200), st.lists(st.floats(0.001, 2), min_size=1, max_size=80))
def test_no_second_sees_much_more_than_the_rate(rate: float, gaps: list[float]) -> None:
    desk, now, started = Desk(rate=rate, most_in_flight=10**6), 1000.0, []
    for gap in gaps:
        now += gap
        room = desk.room(now)
        desk.start(room)
        started.append((now, room))
    for moment, _ in started:
        within = sum(count for when, count in started if moment <= when < moment + 1)
        assert within <= rate * 1.25 + 1


def test_no_more_than_allowed_are_under_way() -> None:
    desk = Desk(rate=1000, most_in_flight=3)
    desk.start(desk.room(1000.0))
    assert desk.in_flight == 3
    assert desk.room(2000.0) == 0
    desk.finish()
    assert desk.room(2000.0) == 1


def test_a_batch_is_bounded() -> None:
    assert Desk(rate=10**6, most_in_flight=10**6).room(1000.0) == LARGEST_BATCH


def test_a_clock_set_back_fills_nothing() -> None:
    desk = Desk(rate=4, most_in_flight=10)
    desk.start(desk.room(1000.0))
    assert desk.room(500.0) == 0


def test_a_desk_says_when_a_batch_is_worth_claiming() -> None:
    desk = Desk(rate=40, most_in_flight=100)
    desk.start(desk.room(1000.0))
    assert 0.1 < desk.ready_in(1000.0) <= 0.25


def test_a_healthy_address_lets_everybody_in() -> None:
    assert gate().wait(0.0, doubtful=True) is None


def test_the_standing_of_an_earlier_process_still_counts() -> None:
    closed = gate(paused_until=2000.0, trips=2)
    assert closed.wait(1900.0, doubtful=False) == 100.0
    assert closed.wait(2001.0, doubtful=False) is None
    spent = gate(refused_at=(1000.0,) * 5)
    assert spent.wait(1600.0, doubtful=True) == 3000.0
    assert spent.wait(1600.0, doubtful=False) is None


def test_while_a_canary_is_under_way_others_wait() -> None:
    closed = gate(paused_until=2000.0, trips=1)
    closed.enter(doubtful=False)
    assert closed.wait(2100.0, doubtful=False) is not None
    closed.leave(doubtful=False)
    closed.succeeded(doubtful=False)
    assert closed.wait(2100.0, doubtful=False) is None
    assert closed.changed


def test_a_change_of_standing_is_marked_for_the_store() -> None:
    opened = gate()
    assert not opened.changed
    for account in range(ACCOUNTS_TO_TRIP):
        opened.failed(account, 0.0, 0.5)
    assert opened.changed


def test_doubtful_accounts_that_succeed_let_more_of_them_try_at_a_time() -> None:
    crowd = gate()
    for _ in range(5):
        crowd.enter(doubtful=True)
    assert crowd.wait(0.0, doubtful=True) is not None
    crowd.succeeded(doubtful=True)
    assert crowd.wait(0.0, doubtful=True) is None
    crowd.refused(0.0)
    assert crowd.wait(0.0, doubtful=True) is not None


def test_settings_of_the_provider_set_pace_and_budget() -> None:
    strict = politeness(register_per_second=2, registers_in_flight=1, auth_failures_per_hour=0)
    assert strict.desk("example.org").most_in_flight == 1
    assert strict.new_gate("192.0.2.1", "example.org", Standing()).wait(0.0, doubtful=True)


def test_idle_desks_do_not_pile_up() -> None:
    polite = politeness()
    busy = polite.desk("busy.example")
    busy.start(1)
    for number in range(MOST_IDLE + 10):
        polite.desk(f"{number}.example")
    assert len(polite.desks) <= MOST_IDLE
    assert polite.desk("busy.example") is busy
