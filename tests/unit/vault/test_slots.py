import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipis.errors import KeeperLocked, KeyGone, SealBroken
from sipis.model import InstanceId
from sipis.vault.epoch import Epoch
from sipis.vault.root import CELL
from sipis.vault.slots import SEGMENT, DataKeys, SlotFile
from tests.support.vault import new_id

EPOCH = Epoch(1, b"s" * 16, b"e" * 32, b"i" * 32)
KEYS = DataKeys(b"c" * 32, b"m" * 32)
BODIES = 4096 + 2 * 8192 * CELL


def open_slots(directory: Path, epoch: Epoch = EPOCH) -> SlotFile:
    return SlotFile.open(directory / "slots", epoch, os.urandom)


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[SlotFile]:
    opened = open_slots(tmp_path)
    yield opened
    opened.close()


def cell(directory: Path, slot: int) -> bytes:
    with (directory / "slots").open("rb") as file:
        file.seek(BODIES + slot * CELL)
        return file.read(CELL)


def test_keys_come_back_for_their_holder_alone(slots: SlotFile) -> None:
    holder = new_id()
    slot = slots.write(holder, KEYS)
    assert slots.read(slot, holder) == KEYS
    assert slots.holds(slot, holder)
    assert not slots.holds(slot, new_id())
    with pytest.raises(KeyGone):
        slots.read(slot, new_id())


@pytest.mark.parametrize("slot", [-1, SEGMENT - 1, SEGMENT, 10**12])
def test_a_slot_that_nobody_holds_has_no_key(slots: SlotFile, slot: int) -> None:
    slots.write(new_id(), KEYS)
    assert not slots.holds(slot, new_id())
    with pytest.raises(KeyGone):
        slots.read(slot, new_id())


def test_an_erased_cell_is_all_zeros_where_it_was(slots: SlotFile, tmp_path: Path) -> None:
    holders = [new_id() for _ in range(3)]
    for holder in holders:
        slots.write(holder, KEYS)
    before = [cell(tmp_path, slot) for slot in range(3)]
    slots.erase([(1, holders[1])])
    slots.sync()
    assert [cell(tmp_path, slot) for slot in range(3)] == [before[0], bytes(CELL), before[2]]
    with pytest.raises(KeyGone):
        slots.read(1, holders[1])


def test_no_key_lies_in_clear_in_the_file(slots: SlotFile, tmp_path: Path) -> None:
    slots.write(new_id(), KEYS)
    content = (tmp_path / "slots").read_bytes()
    assert KEYS.credential not in content
    assert KEYS.content not in content
    assert EPOCH.key not in content


def test_the_lowest_free_slot_is_given_out_also_after_a_restart(tmp_path: Path) -> None:
    slots = open_slots(tmp_path)
    holders = [new_id() for _ in range(5)]
    assert [slots.write(holder, KEYS) for holder in holders] == [0, 1, 2, 3, 4]
    slots.erase([(3, holders[3]), (1, holders[1])])
    slots.close()
    slots = open_slots(tmp_path)
    assert [slots.write(new_id(), KEYS) for _ in range(3)] == [1, 3, 5]
    slots.close()


def test_a_slot_given_away_again_is_not_erased_for_its_former_holder(slots: SlotFile) -> None:
    first, second = new_id(), new_id()
    slot = slots.write(first, KEYS)
    slots.erase([(slot, first)])
    assert slots.write(second, KEYS) == slot
    slots.erase([(slot, first)])
    assert slots.read(slot, second) == KEYS


def test_segments_are_added_as_they_are_needed(tmp_path: Path) -> None:
    slots = open_slots(tmp_path)
    holders = [new_id() for _ in range(SEGMENT + 2)]
    written = [slots.write(holder, KEYS) for holder in holders]
    assert written == list(range(SEGMENT + 2))
    assert slots.segments == 2
    slots.close()
    slots = open_slots(tmp_path)
    assert slots.segments == 2
    assert slots.read(SEGMENT + 1, holders[-1]) == KEYS
    assert slots.held(1) == {SEGMENT: holders[-2], SEGMENT + 1: holders[-1]}
    assert slots.write(new_id(), KEYS) == SEGMENT + 2
    assert SEGMENT + 2 not in slots.held(1)
    slots.close()


def test_each_segment_has_a_key_of_its_own(slots: SlotFile, tmp_path: Path) -> None:
    for _ in range(SEGMENT):
        slots.write(new_id(), KEYS)
    holder = new_id()
    slot = slots.write(holder, KEYS)
    moved = cell(tmp_path, slot)
    with (tmp_path / "slots").open("r+b") as file:
        file.seek(BODIES)
        file.write(moved)
    with pytest.raises(SealBroken):
        slots.read(0, holder)


def test_a_cell_moved_to_another_slot_or_changed_stays_shut(
    slots: SlotFile, tmp_path: Path
) -> None:
    holder = new_id()
    slots.write(holder, KEYS)
    content = cell(tmp_path, 0)
    with (tmp_path / "slots").open("r+b") as file:
        file.seek(BODIES + CELL)
        file.write(content)
        file.seek(BODIES + 50)
        file.write(bytes([content[50] ^ 1]))
    for slot in (0, 1):
        with pytest.raises(SealBroken):
            slots.read(slot, holder)


def test_a_segment_whose_key_is_gone_is_neither_read_nor_given_out(tmp_path: Path) -> None:
    slots = open_slots(tmp_path)
    holder = new_id()
    slots.write(holder, KEYS)
    slots.close()
    entry = 4096 + (EPOCH.generation % 2) * 8192 * CELL
    with (tmp_path / "slots").open("r+b") as file:
        file.seek(entry + 40)
        file.write(b"\xff\xff\xff")
    slots = open_slots(tmp_path)
    with pytest.raises(KeyGone):
        slots.read(0, holder)
    assert slots.held(0) == {}
    assert slots.write(new_id(), KEYS) == SEGMENT
    slots.close()


def test_slots_of_another_epoch_file_or_of_none_lock(tmp_path: Path) -> None:
    open_slots(tmp_path).close()
    before = (tmp_path / "slots").read_bytes()
    with pytest.raises(KeeperLocked):
        open_slots(tmp_path, Epoch(1, b"t" * 16, b"e" * 32, b"i" * 32))
    assert (tmp_path / "slots").read_bytes() == before
    (tmp_path / "slots").write_bytes(b"something else")
    with pytest.raises(KeeperLocked):
        open_slots(tmp_path)


def test_two_processes_never_hold_the_same_slots(slots: SlotFile, tmp_path: Path) -> None:
    with pytest.raises(KeeperLocked, match="another process"):
        open_slots(tmp_path)


def test_a_full_disk_stops_an_admission_and_no_destruction(
    slots: SlotFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holders = [InstanceId(f"{i:032x}") for i in range(SEGMENT)]
    for holder in holders:
        slots.write(holder, KEYS)

    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(Exception, match="No space left"):
        slots.write(new_id(), KEYS)
    allocated = (tmp_path / "slots").stat().st_blocks
    slots.erase([(5, holders[5])])
    assert (tmp_path / "slots").stat().st_blocks == allocated
    assert slots.write(new_id(), KEYS) == 5


def test_data_keys_do_not_show_themselves() -> None:
    assert "ccc" not in repr(KEYS)
