"""How often a phone may be bothered."""

from hypothesis import given
from hypothesis import strategies as st

from sipis.relay.budget import MINUTE, Budget


@given(st.lists(st.floats(0, 20), max_size=60), st.integers(1, 5))
def test_no_minute_sees_more_than_allowed(pauses: list[float], allowed: int) -> None:
    budget, now, spent = Budget(allowed), 0.0, []
    for pause in pauses:
        now += pause
        if budget.spend(1, now):
            spent.append(now)
    for moment in spent:
        assert sum(moment - MINUTE < other <= moment for other in spent) <= allowed


def test_one_phone_does_not_spend_for_another() -> None:
    budget = Budget(1)
    assert budget.spend(1, 0.0)
    assert not budget.spend(1, 0.0)
    assert budget.spend(2, 0.0)


def test_memory_is_bounded() -> None:
    budget = Budget(1, most_remembered=5)
    for n in range(50):
        budget.spend(n, 0.0)
    assert len(budget._spent) == 5
