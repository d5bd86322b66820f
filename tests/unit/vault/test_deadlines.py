import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.vault.deadlines import Deadlines


def rolled_at(now: float) -> Deadlines:
    return Deadlines(60.0, 3600.0, now)


def test_without_deletions_a_roll_is_due_within_the_hour() -> None:
    deadlines = rolled_at(0.0)
    assert deadlines.limit == 3600.0
    assert deadlines.due < deadlines.limit


def test_the_first_deletion_since_counts_and_later_ones_gather() -> None:
    deadlines = rolled_at(0.0)
    deadlines.destroyed(100.0)
    deadlines.destroyed(130.0)
    assert deadlines.limit == 160.0
    assert 130.0 < deadlines.due < 160.0


def test_what_is_destroyed_while_a_roll_runs_is_a_matter_of_the_next() -> None:
    deadlines = rolled_at(0.0)
    deadlines.destroyed(100.0)
    deadlines.begin(145.0)
    deadlines.destroyed(146.0)
    assert deadlines.limit == 160.0  # until the roll has ended
    deadlines.succeed()
    assert deadlines.limit == 206.0


def test_a_roll_that_fails_leaves_the_oldest_deletion_waiting() -> None:
    deadlines = rolled_at(0.0)
    deadlines.destroyed(100.0)
    deadlines.begin(145.0)
    deadlines.destroyed(146.0)
    deadlines.fail()
    assert deadlines.limit == 160.0
    deadlines.begin(150.0)
    deadlines.succeed()
    assert deadlines.limit == 150.0 + 3600.0


Step = tuple[str, float]


@given(st.lists(st.tuples(st.sampled_from(["destroy", "roll", "fail"]), st.floats(0, 500))))
def test_no_deletion_waits_longer_than_the_limit_says(script: list[Step]) -> None:
    now, waiting, last = 0.0, None, 0.0
    deadlines = rolled_at(now)
    for what, pause in script:
        now += pause
        if what == "destroy":
            deadlines.destroyed(now)
            waiting = now if waiting is None else waiting
        else:
            deadlines.begin(now)
            if what == "roll":
                deadlines.succeed()
                waiting, last = None, now
            else:
                deadlines.fail()
        limits = [last + 3600.0] + ([] if waiting is None else [waiting + 60.0])
        assert deadlines.limit == pytest.approx(min(limits))
        assert deadlines.due < deadlines.limit
