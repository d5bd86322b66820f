from pathlib import Path

from sipis.audit.leaf import Kind, Leaf
from sipis.audit.summary import Day, Event, summarize
from sipis.model import DeletionReason
from tests.support.tlog import DAY, NOW, House, birth, death, name, roll


async def test_it_counts_what_lives_what_ended_why_and_how_late(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    await house.append(*(birth(number) for number in range(5)))
    await house.append(
        death(0, NOW - 40 * DAY),
        death(1),
        death(2, NOW + 3, deadline=NOW, reason=DeletionReason.EXPIRED),
        death(3, NOW + 99, deadline=NOW, reason=DeletionReason.EXPIRED),
        roll(4),
        Leaf(Kind.CANARY_OK, NOW, c=name(9)),
    )
    seen = await house.store.read(summarize, "2027-01-01")
    assert (seen.live, seen.owed, seen.created, seen.destroyed) == (1, 1, 5, 4)
    assert (seen.reasons["disabled"], seen.reasons["expired"], seen.reasons["admin"]) == (2, 2, 0)
    assert list(seen.lateness.values()) == [2, 0, 1, 0, 1]
    assert seen.days == (Day("2027-01-15", {"disabled": 1, "expired": 2}),)
    assert seen.epoch == Event("2027-01-15T08:00Z", 5, 9)
    assert (seen.rolls, seen.canary_failed) == (1, None)
    assert seen.canary == Event("2027-01-15T08:00Z", 0, 10)
    await house.store.close()


async def test_an_empty_log_has_a_summary(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    seen = await house.store.read(summarize, "2027-01-01")
    assert (seen.leaves, seen.days, seen.epoch) == (0, (), None)
    await house.store.close()
