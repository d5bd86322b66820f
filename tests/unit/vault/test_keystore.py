"""The roll: what it makes unreadable, what stays readable, and that a crash at any step spoils
neither."""

import asyncio
import os
import random
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sipis.errors import KeeperLocked, KeyGone, VaultError
from sipis.model import InstanceId
from sipis.vault import Vault
from sipis.vault.epoch import BLOCK, read_epoch
from sipis.vault.slots import SEGMENT, DataKeys
from tests.support.disk import Died, Disk
from tests.support.thief import Thief
from tests.support.vault import ACCOUNT, PASSWORD, Row, admitted, new_id, open_vault

SECRET = PASSWORD.encode()


def opening_blocks(directory: Path) -> list[int]:
    """The blocks of the epoch slot that the KEK opens."""
    content, kek = (directory / "epoch").read_bytes(), (directory / "kek").read_bytes()
    found = []
    for i in (0, 1):
        alone = directory.parent / "alone"
        alone.write_bytes(content[i * BLOCK : (i + 1) * BLOCK].ljust(2 * BLOCK, b"\0"))
        try:
            read_epoch(alone, kek)
        except KeeperLocked:
            continue
        found.append(i)
    return found


def fill(vault: Vault, count: int) -> list[tuple[int, InstanceId]]:
    """So many more slots in use."""
    holders = [new_id() for _ in range(count)]
    keys = DataKeys(os.urandom(32), os.urandom(32))
    return [(vault._slots.write(holder, keys), holder) for holder in holders]


def thief_with(*rows: Row) -> Thief:
    """A thief who has the records of these rows."""
    thief = Thief()
    thief.records |= {row.credential for row in rows}
    return thief


def reads(thief: Thief, row: Row) -> bool:
    return any(SECRET in text for text in thief.read(row.id))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
async def keys(data: Path) -> AsyncIterator[Vault]:
    opened = open_vault(data)
    yield opened
    opened.close()


async def test_after_a_roll_the_living_open_and_the_destroyed_do_not(
    keys: Vault, data: Path
) -> None:
    rows = [await admitted(keys) for _ in range(5)]
    await keys.destroy(rows[1:3])
    rolled = await keys.roll()
    assert (rolled.before, rolled.after, rolled.moved) == (1, 2, 1)
    assert keys.generation == 2
    for row in (rows[0], *rows[3:]):
        assert keys.open_account(row).account == ACCOUNT
    for row in rows[1:3]:
        with pytest.raises(KeyGone):
            keys.open_account(row)


async def test_what_a_roll_leaves_opens_after_a_restart_and_can_roll_again(data: Path) -> None:
    vault = open_vault(data)
    rows = [await admitted(vault) for _ in range(3)]
    for generation in range(2, 7):
        await vault.destroy([rows.pop(0)])
        rows.append(await admitted(vault))
        assert (await vault.roll()).after == generation
        vault.close()
        vault = open_vault(data)
        assert [vault.open_account(row).account for row in rows] == [ACCOUNT] * 3
    vault.close()


async def test_only_touched_segments_are_moved_and_their_room_is_used_again(
    keys: Vault, data: Path
) -> None:
    filled = fill(keys, 3 * SEGMENT)
    await keys._keys.erase([filled[SEGMENT + 5]])
    size = (data / "slots").stat().st_size
    assert (await keys.roll()).moved == 1
    assert (await keys.roll()).moved == 0
    for _ in range(5):
        await keys._keys.erase([filled.pop(7), filled.pop(-7)])
        assert (await keys.roll()).moved == 2
    assert (data / "slots").stat().st_size == size
    assert all(keys._slots.holds(*one) for one in filled[:100])


async def test_d13_after_a_roll_one_block_opens_and_the_other_is_another(
    keys: Vault, data: Path
) -> None:
    for _ in range(4):
        before = (data / "epoch").read_bytes()
        (old,) = opening_blocks(data)
        await keys.roll()
        after = (data / "epoch").read_bytes()
        assert opening_blocks(data) == [1 - old]
        span = range(old * BLOCK, (old + 1) * BLOCK)
        assert sum(before[i] != after[i] for i in span) / BLOCK >= 0.99


async def test_d13_a_start_leaves_one_block_too(data: Path) -> None:
    open_vault(data).close()
    leftover = os.urandom(BLOCK)
    with (data / "epoch").open("r+b") as file:
        file.write(leftover)
    open_vault(data).close()
    content = (data / "epoch").read_bytes()
    assert opening_blocks(data) == [1]
    assert content[:BLOCK] != leftover


async def test_d11_an_old_copy_with_all_of_today_opens_the_living_alone(
    keys: Vault, data: Path
) -> None:
    dead, alive = await admitted(keys), await admitted(keys)
    thief = thief_with(dead, alive)
    thief.steal(data, epoch_slot=False)
    await keys.destroy([dead])
    thief.steal(data, epoch_slot=False)
    await keys.roll()
    thief.steal(data, epoch_slot=True)
    assert reads(thief, alive)
    assert not reads(thief, dead)


async def test_before_the_roll_an_old_copy_still_opens_the_dead(keys: Vault, data: Path) -> None:
    dead = await admitted(keys)
    thief = thief_with(dead)
    thief.steal(data, epoch_slot=False)
    await keys.destroy([dead])
    thief.steal(data, epoch_slot=True)
    assert reads(thief, dead)


async def test_a_thief_of_the_epoch_slot_itself_opens_the_dead(keys: Vault, data: Path) -> None:
    dead = await admitted(keys)
    thief = thief_with(dead)
    thief.steal(data, epoch_slot=True)
    await keys.destroy([dead])
    await keys.roll()
    thief.steal(data, epoch_slot=True)
    assert reads(thief, dead)


async def test_what_is_destroyed_while_segments_move_is_gone_after_the_same_roll(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = open_vault(data, inline=False)
    victims = [await admitted(vault) for _ in range(4)]
    fill(vault, 6 * SEGMENT)
    spared = await admitted(vault)
    thief = thief_with(*victims, spared)
    thief.steal(data, epoch_slot=False)
    original, destroyed = vault._slots.rekey, asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(number: int) -> None:
        loop.call_soon_threadsafe(destroyed.set)
        original(number)

    monkeypatch.setattr(vault._slots, "rekey", slow)
    await vault._keys.erase([(number * SEGMENT + 9, new_id()) for number in range(6)])
    async with asyncio.TaskGroup() as group:
        roll = group.create_task(vault.roll())
        await destroyed.wait()
        thief.steal(data, epoch_slot=False)
        await vault.destroy(victims)
        newcomer = await admitted(vault)
        assert not roll.done()
    thief.records.add(newcomer.credential)
    thief.steal(data, epoch_slot=True)
    assert vault._slots.touched == frozenset()
    assert [reads(thief, row) for row in (*victims, spared, newcomer)] == [False] * 4 + [True] * 2
    vault.close()


async def test_readers_see_every_key_while_segments_move_under_them(data: Path) -> None:
    vault = open_vault(data, inline=False)
    rows = [await admitted(vault, targets=()) for _ in range(3)]
    filled = fill(vault, 6 * SEGMENT)
    rows += [await admitted(vault, targets=()) for _ in range(3)]
    for round_ in range(3):
        await vault._keys.erase([filled[number * SEGMENT + round_ + 5] for number in range(6)])
        async with asyncio.TaskGroup() as group:
            roll = group.create_task(vault.roll())
            while not roll.done():
                assert [vault.open_account(row).account for row in rows] == [ACCOUNT] * 6
                await asyncio.sleep(0)
    vault.close()


@dataclass(frozen=True)
class Scene:
    """A store with two touched segments, and copies from before the deletion."""

    directory: Path
    living: tuple[Row, ...]
    dead: tuple[Row, ...]
    copies: Path


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return asyncio.run(_prepared(tmp_path_factory.mktemp("scene")))


async def _prepared(folder: Path) -> Scene:
    (folder / "data").mkdir()
    vault = open_vault(folder / "data")
    first = [await admitted(vault) for _ in range(2)]
    fill(vault, SEGMENT)
    rows = [*first, *[await admitted(vault) for _ in range(2)]]
    vault._slots.sync()
    shutil.copytree(folder / "data", folder / "copies")
    await vault.destroy([rows[0], rows[2]])
    vault.close()
    return Scene(folder / "data", (rows[1], rows[3]), (rows[0], rows[2]), folder / "copies")


async def _die_in_a_roll(data: Path, step: int) -> Disk | None:
    """The disk of a machine that died at that step of a roll; None: the roll has fewer steps."""
    vault = open_vault(data)
    disk = Disk(dies_at=step)
    try:
        with disk.beneath():
            await vault.roll()
    except Died:
        return disk
    finally:
        vault.close()
    return None


def steps() -> Iterator[int]:
    """As many as a roll of two segments has, and more."""
    yield from range(1, 40)


@pytest.mark.parametrize("power", ["stays", "fails"])
@pytest.mark.parametrize("few", [0, 4])
async def test_d14_f5_a_crash_at_any_step_of_a_roll_loses_no_key_and_revives_none(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, power: str, few: int
) -> None:
    monkeypatch.setattr("sipis.vault.keystore.FEW", few)
    seed = random.randrange(2**32)
    print("seed", seed)
    chance, data = random.Random(seed), tmp_path / "data"
    died_at = []
    for step in steps():
        shutil.copytree(scene.directory, data)
        disk = await _die_in_a_roll(data, step)
        if disk is None:
            break
        died_at.append(step)
        if power == "fails":
            disk.lose_power(chance)
        await _is_sound(scene, data)
        shutil.rmtree(data)
    assert len(died_at) >= 14
    assert died_at[-1] < 39


async def _is_sound(scene: Scene, data: Path) -> None:
    vault = open_vault(data)
    assert len(opening_blocks(data)) == 1
    assert [vault.open_account(row).account for row in scene.living] == [ACCOUNT] * 2
    assert not any(vault.holds(row) for row in scene.dead)
    await vault.roll()
    vault.close()
    thief = thief_with(*scene.living, *scene.dead)
    thief.steal(scene.copies, epoch_slot=False)
    thief.steal(data, epoch_slot=True)
    assert [reads(thief, row) for row in (*scene.living, *scene.dead)] == [True] * 2 + [False] * 2


@pytest.mark.parametrize("failing", range(1, 16))
async def test_a_disk_that_fails_at_any_step_of_a_roll_spoils_nothing(
    scene: Scene, tmp_path: Path, failing: int
) -> None:
    data = tmp_path / "data"
    shutil.copytree(scene.directory, data)
    vault, count = open_vault(data), 0
    original = os.pwrite

    def faulty(descriptor: int, content: bytes, at: int) -> int:
        nonlocal count
        count += 1
        if count == failing:
            raise OSError(5, "Input/output error")
        return original(descriptor, content, at)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwrite", faulty)
        failed = False
        try:
            await vault.roll()
        except VaultError:
            failed = True
    assert failed == (count >= failing)
    newcomer = await admitted(vault)
    await vault.roll()
    assert vault.open_account(newcomer).account == ACCOUNT
    vault.close()
    await _is_sound(scene, data)
    vault = open_vault(data)
    assert vault.open_account(newcomer).account == ACCOUNT
    vault.close()


@pytest.mark.parametrize("asked", ["again", "for another", "to roll"])
async def test_a_destruction_that_the_disk_refused_is_made_up_for_by_the_next_that_it_takes(
    data: Path, asked: str
) -> None:
    """After a failed sync the zeros are read, and are on no disk until they are written again."""
    keys, disk = open_vault(data), Disk()
    doomed, other = await admitted(keys), await admitted(keys)
    with disk.beneath():
        disk.refuses_sync = True
        with pytest.raises(VaultError, match="Input/output"):
            await keys.destroy([doomed])
        if asked == "to roll":
            await keys.roll()
        else:
            await keys.destroy([doomed if asked == "again" else other])
    keys.close()
    disk.lose_power(random.Random(1))
    vault = open_vault(data)
    assert not vault.holds(doomed)
    assert (await vault.roll()).moved == (0 if asked == "to roll" else 1)
    vault.close()


async def test_a_destruction_that_failed_is_followed_by_a_roll_as_well(keys: Vault) -> None:
    row, rolls, disk = await admitted(keys), [0], Disk()
    keys.on_destroyed = lambda: rolls.append(1)
    disk.refuses_sync = True
    with disk.beneath(), pytest.raises(VaultError):
        await keys.destroy([row])
    assert sum(rolls) == 1


async def test_k5_a_new_kek_loses_nobody_and_the_old_one_opens_nothing_more(data: Path) -> None:
    vault = open_vault(data, inline=False)
    old, new = (data / "kek").read_bytes(), os.urandom(32)
    rows = [await admitted(vault) for _ in range(20)]
    doomed = [await admitted(vault) for _ in range(20)]

    async def load() -> list[Row]:
        made = []
        for row in doomed:
            made.append(await admitted(vault))
            await vault.destroy([row])
        return made

    async with asyncio.TaskGroup() as group:
        loading = group.create_task(load())
        await group.create_task(vault.rotate_kek(new))
    await vault.roll()  # stays under the new one
    vault.close()
    with pytest.raises(KeeperLocked):
        read_epoch(data / "epoch", old)
    with pytest.raises(KeeperLocked):
        open_vault(data)
    (data / "kek").unlink()
    (data / "kek").write_bytes(new)
    vault = open_vault(data)
    assert all(vault.open_account(row).account == ACCOUNT for row in (*rows, *loading.result()))
    assert not any(vault.holds(row) for row in doomed)
    vault.close()


async def test_two_processes_never_hold_the_same_epoch_slot(keys: Vault, data: Path) -> None:
    with pytest.raises(KeeperLocked, match="another process"):
        open_vault(data)


async def test_names_for_look_up_stay_the_same_over_rolls(keys: Vault) -> None:
    before = keys.index("alice")
    await keys.roll()
    assert keys.index("alice") == before
