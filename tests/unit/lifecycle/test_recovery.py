import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sipis.clock import ManualClock
from sipis.config import parse
from sipis.lifecycle import Enabled
from sipis.lifecycle.resealing import keeping
from sipis.store import instances, lookup, slots
from tests.support.lifecycle import APP, House, build, running, settings
from tests.support.vault import admitted


def reopened(tmp_path: Path, clock: ManualClock) -> House:
    return build(tmp_path / "data", clock, settings(tmp_path))


async def with_instances(tmp_path: Path, clock: ManualClock, *ttls: float) -> list[Enabled]:
    """Enable instances in a house that is then shut."""
    async with running(reopened(tmp_path, clock)) as house:
        return [await house.enable(targets=(), ttl=ttl) for ttl in ttls]


async def test_d9_what_expired_while_we_were_away_dies_before_anything_is_sent(
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


async def test_a_key_without_a_row_is_found_in_the_slot_of_a_row_without_its_key(
    tmp_path: Path,
) -> None:
    """A deletion and an admission that took over its slot, both cut off before their rows."""
    clock = ManualClock()
    (ended,) = await with_instances(tmp_path, clock, 86_400.0)
    house = reopened(tmp_path, clock)
    await house.vault.destroy([ended.row])
    orphan = await admitted(house.vault)
    assert orphan.slot == ended.row.slot
    await house.store.close()
    house.vault.close()
    house = reopened(tmp_path, clock)
    await house.lifecycle.recover()
    async with running(house):
        await clock.advance(1)
        assert await house.row(ended) is None
        assert not house.vault.holds(orphan)


async def test_d22_an_older_database_revives_nobody(tmp_path: Path) -> None:
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


async def test_d22_a_row_found_without_its_key_in_passing_is_erased(tmp_path: Path) -> None:
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


KILLED = """
import asyncio, sys
from dataclasses import replace
from pathlib import Path
from sipis.clock import SystemClock
from sipis.store.runner import Runner
from tests.support.lifecycle import build_on, order, settings
from tests.support.vault import ACCOUNT, open_vault

async def work():
    home, clock = Path(sys.argv[1]), SystemClock()
    home.mkdir()
    store, vault = await Runner.open(home, clock), open_vault(home, inline=False)
    lifecycle, _, _ = build_on(store, vault, clock, settings(home, require_verification=False))
    async with asyncio.TaskGroup() as group:
        group.create_task(lifecycle.run())
        await asyncio.sleep(0)
        live, number = [], 0
        while True:
            for _ in range(3):
                number += 1
                account = replace(ACCOUNT, aor=f"sip:{number}@example.org")
                enabled = await lifecycle.enable(order(account=account, targets=()))
                live.append(enabled)
                print("enabled", enabled.row.id, flush=True)
            await lifecycle.refresh(live[-1].row, None, ())
            for enabled in (live.pop(0), live.pop(0)):
                print("deleting", enabled.row.id, flush=True)
                await lifecycle.disable(enabled.row.id, enabled.secret)
                print("deleted", enabled.row.id, flush=True)

asyncio.run(work())
"""


def killed_after(lines: int, home: Path) -> dict[str, str]:
    """Let a child work in `home`, kill it after so many lines; the last word on each instance."""
    command = [sys.executable, "-c", KILLED, str(home)]
    root = Path(__file__).parents[3]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
    assert child.stdout is not None
    told = [child.stdout.readline().split() for _ in range(lines)]
    child.kill()
    told += [line.split() for line in child.stdout.read().splitlines()]
    child.stdout.close()
    child.wait()
    return {entry[1]: entry[0] for entry in told if len(entry) == 2}


@pytest.mark.parametrize("lines", [5, 21, 46])
async def test_d14_after_kill_9_no_deletion_returns_no_creation_is_lost_and_nothing_is_half(
    tmp_path: Path, lines: int
) -> None:
    last = killed_after(lines, tmp_path / "data")
    clock = ManualClock(time.time())
    house = reopened(tmp_path, clock)
    await house.lifecycle.recover()
    async with running(house):
        await clock.advance(1)
        rows = await house.store.read(lookup.page, clock.wall(), limit=1000)
        alive = {row.id for row in rows}
        assert {i for i, word in last.items() if word == "enabled"} <= alive
        assert not {i for i, word in last.items() if word == "deleted"} & alive
        assert all(house.vault.holds(row) for row in rows)
        keys = sum(len(house.vault._slots.held(s)) for s in house.vault.segments)
        assert keys == len(rows)


async def test_instances_of_an_app_that_was_taken_out_are_kept_and_told_of(tmp_path: Path) -> None:
    clock = ManualClock()
    (enabled,) = await with_instances(tmp_path, clock, 3600.0)
    house = build(tmp_path / "data", clock, parse({}))
    with capture_logs() as logs:
        await house.lifecycle.recover()
    assert house.vault.holds(enabled.row)
    [told] = [entry for entry in logs if entry["event"] == "app removed"]
    assert (told["app"], told["count"]) == (APP, 1)
    async with running(house):
        pass
