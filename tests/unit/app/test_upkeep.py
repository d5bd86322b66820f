"""The chores: tidying survives restarts, broken files show as a trouble until they are mended."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from sipis.app.files import Followed
from sipis.app.memory import LOOKS
from sipis.app.upkeep import DAILY, FIRST_LOOK, LEAN_EVERY, Charges, Upkeep
from sipis.clock import ManualClock
from sipis.errors import ConfigError
from sipis.observe.health import Health
from sipis.observe.metrics import Metrics
from sipis.store import gone
from sipis.store.gone import Tombstone
from sipis.store.inline import InlineRunner
from sipis.transport.endpoint import Endpoint
from sipis.vault.roller import Roller
from tests.support.store import digest, new_instance


class Chores:
    """Everything that the chores touch, and the chores on a clock of the test."""

    def __init__(self, folder: Path, *files: Followed) -> None:
        folder.mkdir(exist_ok=True)
        self.store = InlineRunner(folder)
        self.health = Health()
        self.metrics = Metrics()
        self.endpoint = SimpleNamespace(transactions=0, forget_idle=self.forget_idle)
        self.forgot = 0
        self.charges = Charges(
            store=self.store,
            endpoint=cast(Endpoint, self.endpoint),
            files=files,
            metrics=self.metrics,
            health=self.health,
            roller=cast(Roller, SimpleNamespace(lateness=0.0)),
            calls=lambda: 0,
        )

    def forget_idle(self) -> None:
        self.forgot += 1

    @asynccontextmanager
    async def done_by(self, clock: ManualClock) -> AsyncIterator[None]:
        upkeep = Upkeep(self.charges, clock)
        async with asyncio.TaskGroup() as group:
            group.create_task(upkeep.run())
            await clock.advance(0.1)
            try:
                yield
            finally:
                upkeep.stop()

    async def leave_an_old_tombstone(self, now: float) -> None:
        new = new_instance(1)
        stone = Tombstone(new.id, new.secret_hash, new.commitment, now - 10)
        await self.store.write(gone.bury, stone, digest(9), now - 5)

    async def tombstones(self) -> int:
        def count(conn: object) -> int:
            rows = conn.execute("SELECT count(*) FROM tombstones")  # type: ignore[attr-defined]
            return int(rows.fetchone()[0])

        return await self.store.read(count)

    async def close(self) -> None:
        await self.store.close()


async def test_a_server_that_restarts_every_day_still_tidies(tmp_path: Path) -> None:
    chores, clock = Chores(tmp_path / "data"), ManualClock()
    for day in range(3):
        await chores.leave_an_old_tombstone(clock.wall())
        async with chores.done_by(clock):
            assert await chores.tombstones() == 1
            await clock.advance(FIRST_LOOK + 1)
            assert await chores.tombstones() == 0, f"day {day}"
        clock.jump(DAILY)
    await chores.close()


async def test_a_server_that_restarts_often_tidies_once_a_day(tmp_path: Path) -> None:
    chores, clock = Chores(tmp_path / "data"), ManualClock()
    async with chores.done_by(clock):
        await clock.advance(FIRST_LOOK + 1)
    await chores.leave_an_old_tombstone(clock.wall())
    for _ in range(3):
        async with chores.done_by(clock):
            await clock.advance(FIRST_LOOK + 1)
    assert await chores.tombstones() == 1
    await chores.close()


async def test_a_server_that_runs_on_tidies_when_the_day_is_over(tmp_path: Path) -> None:
    chores, clock = Chores(tmp_path / "data"), ManualClock()
    async with chores.done_by(clock):
        await clock.advance(FIRST_LOOK + 1)
        await chores.leave_an_old_tombstone(clock.wall())
        clock.jump(DAILY)
        await clock.advance(3600)
        assert await chores.tombstones() == 0
    await chores.close()


async def test_a_broken_file_degrades_the_server_until_it_is_mended(tmp_path: Path) -> None:
    path, problems = tmp_path / "cert", [ConfigError("sip.cert_file", "cannot be used")]
    path.write_text("first")

    def take_up() -> None:
        if problems:
            raise problems[0]

    chores, clock = Chores(tmp_path / "data", Followed([path], take_up)), ManualClock()
    async with chores.done_by(clock):
        assert "files" not in str(chores.health.report())
        path.write_text("nonsense")
        for _ in range(3):
            await clock.advance(11)
            assert chores.health.report()["status"] == "degraded"
        problems.clear()
        await clock.advance(11)
        assert chores.health.report()["status"] == "ready"
    await chores.close()


async def test_a_crash_of_a_chore_is_counted(tmp_path: Path) -> None:
    def take_up() -> None:
        raise RuntimeError("a bug")

    path = tmp_path / "cert"
    path.write_text("first")
    chores, clock = Chores(tmp_path / "data", Followed([path], take_up)), ManualClock()
    async with chores.done_by(clock):
        path.write_text("second one")
        await clock.advance(11)
    crashes = chores.metrics.registry.get_sample_value("sipis_crashes_total", {"room": "upkeep"})
    assert crashes
    await chores.close()


class Ring:
    """An object that refers to itself."""

    def __init__(self) -> None:
        self.own = self


async def test_what_refers_to_itself_and_who_is_silent_is_forgotten_in_the_quiet(
    tmp_path: Path,
) -> None:
    chores, clock = Chores(tmp_path / "data"), ManualClock()
    with collector_off():
        left = weakref.ref(Ring())
        async with chores.done_by(clock):
            for _ in range(min(LOOKS)):
                assert left() is not None
                await clock.advance(LEAN_EVERY)
            assert left() is None
            assert chores.forgot == min(LOOKS)
    await chores.close()


@contextmanager
def collector_off() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
