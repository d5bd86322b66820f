import shutil
from dataclasses import replace
from pathlib import Path

from structlog.testing import capture_logs

from sipis.clock import ManualClock
from sipis.lifecycle import Enabled
from sipis.lifecycle.resealing import keeping
from sipis.store import instances, lookup, slots
from tests.support.lifecycle import House, build, running, settings
from tests.support.vault import admitted


def reopened(tmp_path: Path, clock: ManualClock) -> House:
    return build(tmp_path / "data", clock, settings(tmp_path))


async def with_instances(tmp_path: Path, clock: ManualClock, *ttls: float) -> list[Enabled]:
    """Enable instances in a house that is then shut."""
    async with running(reopened(tmp_path, clock)) as house:
        return [await house.enable(targets=(), ttl=ttl) for ttl in ttls]


async def test_what_expired_while_we_were_away_dies_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    short, long = await with_instances(tmp_path, clock, 60.0, 86_400.0)
    clock = ManualClock(clock.wall() + 3600)
    house = reopened(tmp_path, clock)
    await house.lifecycle.recover()
    assert not house.vault.holds(short.row)
    assert house.vault.holds(long.row)
    assert house.registrations.journal == ["farewells sent"]
    assert house.registrations.sent == []
    assert house.announcer.pushed == []
    assert await house.lifecycle.receipt(short.row.commitment) is not None
    async with running(house):
        pass


async def test_a_key_that_was_owed_its_destruction_is_destroyed(tmp_path: Path) -> None:
    clock = ManualClock()
    (enabled,) = await with_instances(tmp_path, clock, 86_400.0)
    house = reopened(tmp_path, clock)
    sealed = await house.store.read(lookup.sealed, enabled.row.n, clock.wall())
    assert sealed is not None
    moved = await house.vault.readmit(sealed)  # and the crash came right after the row's move
    await house.store.write(instances.replace, enabled.row.n, keeping(moved), clock.wall())
    await house.lifecycle.recover()
    assert not house.vault.holds(enabled.row)
    assert house.vault.holds(replace(enabled.row, slot=moved.slot))
    assert await house.store.read(slots.owed) == []
    async with running(house):
        pass


async def test_a_slot_that_its_instance_got_back_is_not_destroyed(tmp_path: Path) -> None:
    clock = ManualClock()
    (enabled,) = await with_instances(tmp_path, clock, 86_400.0)
    house = reopened(tmp_path, clock)
    row = enabled.row
    await house.store.write(lambda conn: slots.owe(conn, _stored_slot(conn, row.n), row.id))
    await house.lifecycle.recover()
    assert house.vault.holds(row)
    assert await house.store.read(slots.owed) == []
    async with running(house):
        pass


def _stored_slot(conn: object, n: int) -> int:
    found = conn.execute("SELECT slot FROM instances WHERE n = ?", (n,))  # type: ignore[attr-defined]
    return int(found.fetchone()[0])


async def test_a_key_without_a_row_is_found_and_destroyed(tmp_path: Path) -> None:
    clock = ManualClock()
    (enabled,) = await with_instances(tmp_path, clock, 86_400.0)
    house = reopened(tmp_path, clock)
    orphan = await admitted(house.vault)  # and the crash came before its row
    house.vault.close()
    await house.store.close()
    house = reopened(tmp_path, clock)
    async with running(house):
        await clock.advance(1)
        assert not house.vault.holds(orphan)
        assert house.vault.holds(enabled.row)


async def test_a_row_without_a_key_is_erased_with_a_receipt(tmp_path: Path) -> None:
    clock = ManualClock()
    cut_off, alive = await with_instances(tmp_path, clock, 86_400.0, 86_400.0)
    house = reopened(tmp_path, clock)
    await house.vault.destroy([cut_off.row])  # and the crash came before the row's erasure
    async with running(house):
        with capture_logs():
            await clock.advance(1)
        assert await house.row(cut_off) is None
        assert await house.row(alive) is not None
        deleted = await house.lifecycle.disable(cut_off.row.id, cut_off.secret)
        assert deleted is not None
        assert deleted.receipt.reason == "key_lost"


async def test_an_older_database_revives_nobody(tmp_path: Path) -> None:
    clock = ManualClock()
    deleted, alive = await with_instances(tmp_path, clock, 86_400.0, 86_400.0)
    backup = tmp_path / "backup"
    backup.mkdir()
    for file in (tmp_path / "data").glob("*.db*"):
        shutil.copy(file, backup)
    async with running(reopened(tmp_path, clock)) as house:
        await house.lifecycle.delete(deleted.row.id)
    for file in backup.iterdir():
        shutil.copy(file, tmp_path / "data")
    house = reopened(tmp_path, clock)
    await house.lifecycle.recover()
    async with running(house):
        await clock.advance(1)
        assert await house.row(deleted) is None
        assert await house.row(alive) is not None
        assert house.vault.holds(alive.row)


async def test_a_row_found_without_its_key_in_passing_is_erased(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(reopened(tmp_path, clock)) as house:
        await clock.advance(1)
        lost, fine = await house.enable(targets=()), await house.enable(targets=())
        await house.vault.destroy([lost.row])
        for enabled in (lost, fine):
            house.lifecycle.on_unopenable(enabled.row.n)
        await clock.advance(1)
        assert await house.row(lost) is None
        assert await house.row(fine) is not None
