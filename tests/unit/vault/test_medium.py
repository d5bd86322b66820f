import ctypes
from collections.abc import Callable
from pathlib import Path

import pytest

from sipis.config import Settings, parse
from sipis.errors import ConfigError
from sipis.vault.medium import (
    UNKNOWN,
    WRITES_ELSEWHERE,
    check_media,
    file_system,
    media_warnings,
    overridden,
)

EXT4 = 0xEF53


def settings(tmp_path: Path, **keys: object) -> Settings:
    store = {"directory": str(tmp_path / "data"), "backup_folders": [str(tmp_path / "backups")]}
    return parse({"store": store, "keys": keys})


def always(number: int) -> Callable[[Path], int]:
    return lambda _: number


@pytest.mark.parametrize("number", WRITES_ELSEWHERE, ids=WRITES_ELSEWHERE.get)
def test_d26_a_file_system_that_keeps_what_is_overwritten_is_refused(
    tmp_path: Path, number: int
) -> None:
    with pytest.raises(ConfigError, match=WRITES_ELSEWHERE[number]):
        check_media(settings(tmp_path), always(number))


@pytest.mark.parametrize("number", WRITES_ELSEWHERE, ids=WRITES_ELSEWHERE.get)
def test_d26_the_operator_may_override_that_and_is_told(tmp_path: Path, number: int) -> None:
    chosen = settings(tmp_path, allow_copy_on_write=True)
    check_media(chosen, always(number))
    assert overridden(chosen, always(number))
    assert any(WRITES_ELSEWHERE[number] in text for text in media_warnings(chosen, always(number)))


def test_an_override_that_changes_nothing_is_none(tmp_path: Path) -> None:
    assert not overridden(settings(tmp_path, allow_copy_on_write=True), always(EXT4))
    assert not overridden(settings(tmp_path), always(EXT4))


@pytest.mark.parametrize("allow", [False, True])
def test_d26_an_epoch_slot_in_a_folder_that_is_copied_is_refused(
    tmp_path: Path, allow: bool
) -> None:
    epoch = str(tmp_path / "backups" / "deep" / "epoch")
    chosen = settings(tmp_path, epoch=epoch, allow_copy_on_write=allow)
    with pytest.raises(ConfigError, match="copied elsewhere"):
        check_media(chosen, always(EXT4))


def test_a_folder_beside_those_that_are_copied_is_none_of_them(tmp_path: Path) -> None:
    chosen = settings(tmp_path, epoch=str(tmp_path / "backups-not" / "epoch"))
    check_media(chosen, always(EXT4))


def test_an_epoch_slot_of_its_own_with_a_kek_of_its_own_is_warned_of_nowhere(
    tmp_path: Path,
) -> None:
    chosen = settings(tmp_path, epoch=str(tmp_path / "e" / "epoch"), kek_file=str(tmp_path / "kek"))
    assert list(media_warnings(chosen, always(EXT4))) == []


def test_what_lies_beside_the_database_is_warned_of(tmp_path: Path) -> None:
    assert {
        text.partition(":")[0] for text in media_warnings(settings(tmp_path), always(EXT4))
    } == {
        "keys.epoch",
        "keys.kek_file",
    }


@pytest.mark.parametrize("number", UNKNOWN, ids=UNKNOWN.get)
def test_what_cannot_be_seen_through_is_warned_of_and_not_refused(
    tmp_path: Path, number: int
) -> None:
    check_media(settings(tmp_path), always(number))
    warned = " ".join(media_warnings(settings(tmp_path), always(number)))
    assert UNKNOWN[number] in warned


def test_the_file_system_is_that_of_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    here = file_system(tmp_path)
    assert here != 0
    assert file_system(tmp_path / "not" / "yet" / "made") == here
    assert file_system(Path("/proc/self")) == 0x9FA0
    assert here <= ctypes.c_uint32(-1).value
