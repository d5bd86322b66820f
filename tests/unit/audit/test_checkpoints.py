import os
from pathlib import Path

import pytest

from sipis.audit.checkpoints import HALF, NEWEST, Checkpoints, split
from sipis.audit.note import Checkpoint, Head, checkpoint
from sipis.audit.verifier.forms import read_checkpoints
from tests.support.tlog import ORIGIN, MemoryKey


def signed(size: int) -> Checkpoint:
    return checkpoint(ORIGIN, Head(size, bytes(32)), ORIGIN, [MemoryKey()])


@pytest.fixture
def folder(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints")


def test_before_the_first_signature_there_is_nothing(folder: Checkpoints) -> None:
    assert folder.newest() is None
    assert (folder.days(), folder.published("2027-01-15")) == ([], "")


def test_the_newest_is_what_was_noted_or_published_last(folder: Checkpoints) -> None:
    folder.publish(signed(5), "2027-01-15")
    assert folder.newest() == (ORIGIN, signed(5))
    folder.note(signed(9))
    assert folder.newest() == (ORIGIN, signed(9))
    folder.publish(signed(12), "2027-01-16")
    assert folder.newest() == (ORIGIN, signed(12))


def test_the_last_note_counts_also_when_its_log_is_smaller(folder: Checkpoints) -> None:
    """A new line begins with fewer leaves than the one that was lost."""
    for size in (9, 10, 3):
        folder.note(signed(size))
        assert folder.newest() == (ORIGIN, signed(size))


def test_a_note_that_was_cut_off_leaves_the_one_before(folder: Checkpoints, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / NEWEST
    for size in (8, 9, 10):
        folder.note(signed(size))
    other, last = path.read_bytes()[:HALF], path.read_bytes()[HALF:].rstrip(b"\0")
    assert b"\n10\n" in last
    for length in range(len(last)):
        path.write_bytes(other + last[:length].ljust(HALF, b"\0"))
        assert folder.newest() == (ORIGIN, signed(9))


def test_a_note_is_written_in_place(folder: Checkpoints, tmp_path: Path) -> None:
    folder.note(signed(1))
    inode = (tmp_path / "checkpoints" / NEWEST).stat().st_ino
    for size in range(2, 6):
        folder.note(signed(size))
    status = (tmp_path / "checkpoints" / NEWEST).stat()
    assert (status.st_ino, status.st_size <= 2 * HALF) == (inode, True)


def test_a_day_only_grows(folder: Checkpoints) -> None:
    folder.publish(signed(1), "2027-01-15")
    first = folder.published("2027-01-15")
    folder.publish(signed(2), "2027-01-15")
    assert folder.published("2027-01-15").startswith(first)
    assert split(folder.published("2027-01-15")) == [signed(1).text, signed(2).text]


def test_what_a_crash_cut_off_is_left_out() -> None:
    whole = signed(1).text + "\n"
    for length in range(len(whole)):
        assert split(whole + whole[:length])[0] == signed(1).text


def test_what_a_full_disk_or_power_loss_cut_off_is_neither_published_nor_written_on(
    folder: Checkpoints, tmp_path: Path
) -> None:
    """An auditor reads the whole day or nothing of it."""
    day, whole = "2027-01-15", signed(1).text + "\n"
    path = tmp_path / "checkpoints" / f"{day}.checkpoints"
    folder.publish(signed(1), day)
    for length in range(1, len(signed(2).text) + 1):
        path.write_text(whole + signed(2).text[:length], encoding="utf-8")
        assert folder.published(day) == whole
        assert folder.newest() == (ORIGIN, signed(1))
        folder.publish(signed(3), day)
        assert [it.size for it in read_checkpoints(folder.published(day))] == [1, 3]


def test_a_disk_that_takes_half_a_checkpoint_is_asked_again(
    folder: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space")))
        with pytest.raises(OSError, match="No space"):
            folder.publish(signed(1), "2027-01-15")
    folder.publish(signed(2), "2027-01-15")
    assert read_checkpoints(folder.published("2027-01-15"))[-1].size == 2


def test_old_days_are_dropped_whole(folder: Checkpoints) -> None:
    for day in ("2027-01-14", "2027-01-15", "2027-01-16"):
        folder.publish(signed(1), day)
    folder.drop("2027-01-15")
    assert folder.days() == ["2027-01-15", "2027-01-16"]
