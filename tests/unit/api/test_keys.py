"""App keys follow their files and are never kept in clear."""

from pathlib import Path

import pytest

from sipis.api.keys import AppKeys, KeyFile
from sipis.config import AppSettings
from sipis.errors import ConfigError


def test_a_key_belongs_to_its_app_and_a_wrong_one_to_nobody(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("key-one\n")
    (tmp_path / "two").write_text("key-two")
    keys = AppKeys({
        "a": AppSettings(key_files=(tmp_path / "one",)),
        "b": AppSettings(key_files=(tmp_path / "two",)),
    })  # fmt: skip
    assert keys.app_of("key-one") == "a"
    assert keys.app_of("key-two") == "b"
    assert keys.app_of("key-three") is None
    assert keys.app_of("") is None


def test_two_keys_of_one_app_overlap(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    (tmp_path / "new").write_text("new")
    keys = AppKeys({"a": AppSettings(key_files=(tmp_path / "old", tmp_path / "new"))})
    assert keys.app_of("old") == keys.app_of("new") == "a"


def test_a_changed_file_is_followed_and_a_vanished_one_keeps_its_last_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("first")
    keys = AppKeys({"a": AppSettings(key_files=(path,))})
    path.write_text("second")
    keys.reload()
    assert keys.app_of("first") is None
    assert keys.app_of("second") == "a"
    path.unlink()
    with pytest.raises(ConfigError, match="key"):
        keys.reload()
    assert keys.app_of("second") == "a"


def test_a_missing_key_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent"):
        KeyFile(tmp_path / "absent")


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe"])
def test_a_file_without_a_key_opens_nothing_and_keeps_the_key_before(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "one").write_text("one")
    (tmp_path / "two").write_text("two")
    paths = (tmp_path / "one", tmp_path / "two")
    keys = AppKeys({"a": AppSettings(key_files=paths)})
    paths[0].write_bytes(content)
    paths[1].write_text("three")
    with pytest.raises(ConfigError, match="one"):
        keys.reload()
    assert keys.app_of("") is None
    assert keys.app_of("one") == keys.app_of("three") == "a"


def test_the_key_is_not_kept_in_clear(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("marker-key")
    key = KeyFile(tmp_path / "key")
    assert "marker-key" not in repr(vars(key))
