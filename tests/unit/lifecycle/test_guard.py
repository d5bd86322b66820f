import pytest

from sipis.lifecycle import guard as guard_module
from sipis.lifecycle.guard import LEAST, WINDOW, MassDeathGuard


def test_a_few_deaths_are_believed_in_however_small_an_app() -> None:
    guard = MassDeathGuard()
    assert all(guard.permits("app", n, 20, 0.0) for n in range(LEAST - 1))
    assert not guard.permits("app", LEAST, 20, 0.0)


def test_two_per_cent_of_a_large_app_are_believed_and_no_more() -> None:
    guard = MassDeathGuard()
    assert all(guard.permits("app", n, 10_000, 0.0) for n in range(200))
    assert not guard.permits("app", 200, 10_000, 1.0)


def test_deaths_count_for_ten_minutes() -> None:
    guard = MassDeathGuard()
    for n in range(LEAST + 5):
        guard.permits("app", n, 100, 0.0)
    assert not guard.permits("app", 99, 100, WINDOW - 1)
    assert guard.permits("app", 100, 100, WINDOW + 1)


def test_one_phone_that_dies_again_and_again_is_one_death() -> None:
    guard = MassDeathGuard()
    assert all(guard.permits("app", "same", 50, 0.0) for _ in range(100))


def test_apps_do_not_answer_for_each_other() -> None:
    guard = MassDeathGuard()
    for n in range(100):
        guard.permits("broken", n, 100, 0.0)
    assert guard.permits("fine", 1, 100, 0.0)


def test_what_is_remembered_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "MOST_REMEMBERED", 30)
    guard = MassDeathGuard()
    for n in range(100):
        guard.permits("app", n, 100, 0.0)
    assert len(guard._deaths["app"]) == 30
    assert not guard.permits("app", 100, 100, 0.0)
