from pathlib import Path

import pytest

from sipis.audit.checkpoints import Checkpoints, split
from sipis.audit.note import Checkpoint, Head, checkpoint
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


def test_old_days_are_dropped_whole(folder: Checkpoints) -> None:
    for day in ("2027-01-14", "2027-01-15", "2027-01-16"):
        folder.publish(signed(1), day)
    folder.drop("2027-01-15")
    assert folder.days() == ["2027-01-15", "2027-01-16"]
