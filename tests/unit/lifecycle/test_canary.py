"""The canary dies like everybody, and says so when something of it is left (L10)."""

import asyncio
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from sipis.clock import ManualClock
from sipis.errors import FieldError
from sipis.lifecycle.canary import APP, FIRST, SETTLED, Canary, Grounds, Traces
from sipis.model import Mode
from sipis.observe.health import Health
from sipis.store import apps
from sipis.store.schedule import claim
from sipis.vault.search import Wanted
from tests.support.lifecycle import House, full_disk


@dataclass
class Diary:
    told: list[tuple[bytes, int]] = field(default_factory=list)

    async def canary(self, commitment: bytes, findings: int) -> None:
        self.told.append((commitment, findings))


class Mine:
    """A canary, and what it says.

    It sleeps by a clock of its own: it must not expire while a thread of the real world looks.
    """

    def __init__(self, house: House) -> None:
        self.house, self.health, self.diary = house, Health(), Diary()
        self.clock = ManualClock()
        self.grounds = Grounds(
            house.lifecycle, house.store, house.vault, self.clock, self.health, house.metrics,
            self.diary, self.places, wipes=False,
        )  # fmt: skip
        self.canary = Canary(self.grounds)

    def places(self, _: float) -> Iterable[Path]:
        return [path for path in self.house.directory.rglob("*") if path.is_file()]

    async def inspected(self) -> Traces | None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.canary.inspect())
            while not task.done():
                await self.clock.advance(SETTLED / 2)
        return task.result()

    def counted(self, outcome: str) -> float | None:
        registry = self.house.metrics.registry
        return registry.get_sample_value("sipis_canary_total", {"outcome": outcome})


@pytest.fixture
def mine(house: House) -> Mine:
    return Mine(house)


async def test_l10_a_canary_leaves_nothing_and_the_log_is_told(mine: Mine) -> None:
    traces = await mine.inspected()
    assert traces == Traces((), None)
    assert [findings for _, findings in mine.diary.told] == [0]
    assert mine.health.report()["troubles"] == {}
    assert mine.counted("clean") == 1


async def test_files_are_never_listed_on_the_loop(mine: Mine) -> None:
    threads = []

    def places(since: float) -> Iterable[Path]:
        threads.append(threading.get_ident())
        return mine.places(since)

    mine.canary = Canary(replace(mine.grounds, places=places))
    assert await mine.inspected() == Traces((), None)
    assert len(threads) == 2
    assert threading.get_ident() not in threads


async def test_l10_what_is_left_of_a_canary_is_told_shown_and_counted(
    mine: Mine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The forced residue: whatever the canary is given as its password lies in a file as well."""
    original = mine.canary.plant

    async def careless(marker: str, life: float = 600.0) -> object:
        (mine.house.directory / "core.dump").write_text(f"...{marker}...")
        return await original(marker, life)

    monkeypatch.setattr(mine.canary, "plant", careless)
    traces = await mine.inspected()
    assert traces is not None
    assert [path.name for path in traces.files] == ["core.dump"]
    assert [findings for _, findings in mine.diary.told] == [1]
    assert mine.health.report()["status"] == "degraded"
    assert mine.counted("residue") == 1
    monkeypatch.undo()
    (mine.house.directory / "core.dump").unlink()
    await mine.inspected()
    assert mine.health.report()["status"] == "ready"


async def test_a_key_that_survives_its_destruction_is_found(
    mine: Mine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data keys are looked for as well, not the password alone."""
    vault = mine.house.vault
    original = vault.wanted_keys

    def leaking(owner: object) -> object:
        found = original(owner)  # type: ignore[arg-type]
        (mine.house.directory / "swap").write_bytes(bytes(found[0].unmasked()))
        return found

    monkeypatch.setattr(vault, "wanted_keys", leaking)
    traces = await mine.inspected()
    assert traces is not None
    assert [path.name for path in traces.files] == ["swap"]


async def test_no_registrar_and_no_push_service_hears_of_it(mine: Mine) -> None:
    await mine.inspected()
    await mine.house.clock.advance(60)
    assert not await mine.house.store.write(claim, mine.house.clock.wall(), limit=10)
    assert mine.house.announcer.pushed == []


async def test_a_planted_instance_is_never_due_and_expires_by_itself(mine: Mine) -> None:
    planted = await mine.canary.plant("marker-of-an-auditor", 120.0)
    assert planted.row.mode is Mode.TAKEOVER
    assert planted.row.next_attempt_at is None
    await mine.house.clock.advance(122)
    assert not mine.house.vault.holds(planted.row)


async def test_a_canary_counts_for_no_app_of_the_configuration(mine: Mine) -> None:
    await mine.canary.plant("marker-of-an-auditor")
    counts = await mine.house.store.read(apps.counts)
    assert set(counts) == {APP}


@pytest.mark.parametrize(
    "marker", ["", "short", "a" * 65, "with space here", "a@b.example/xyz", "ü" * 12]
)
async def test_a_marker_that_is_no_name_is_refused(mine: Mine, marker: str) -> None:
    with pytest.raises(FieldError, match="marker"):
        await mine.canary.plant(marker)


async def test_a_blind_search_is_no_clean_canary(mine: Mine) -> None:
    mine.canary = Canary(replace(mine.grounds, places=lambda _: []))
    assert await mine.canary.inspect() is None
    assert mine.diary.told == []
    assert mine.counted("failed") == 1
    assert mine.health.report()["status"] == "degraded"


async def test_a_full_disk_is_said_and_the_next_hour_tries_again(
    mine: Mine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(mine.canary.run())
        monkeypatch.setattr(mine.house.store, "write", full_disk)
        await mine.clock.advance(FIRST + 1)
        assert mine.health.report()["status"] == "degraded"
        monkeypatch.undo()
        await mine.clock.advance(3600)
        while not mine.diary.told:
            await mine.clock.advance(SETTLED)
        assert mine.health.report()["status"] == "ready"
        task.cancel()


async def test_the_memory_is_searched_without_finding_the_search(mine: Mine) -> None:
    wanted = Wanted(os.urandom(20), os.urandom(20))
    assert mine.canary.look_in_memory(wanted) == 0
    copy = wanted.unmasked()
    assert (mine.canary.look_in_memory(wanted) or 0) >= 1
    copy[:] = bytes(len(copy))
