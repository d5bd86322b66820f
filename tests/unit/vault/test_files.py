import resource
import stat
from pathlib import Path

import pytest

from sipis.vault.files import create_file


def test_a_new_file_is_whole_and_has_the_mode_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "below" / "key"
    create_file(path, b"content", mode=0o400)
    assert path.read_bytes() == b"content"
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert [file.name for file in path.parent.iterdir()] == ["key"]


def test_a_file_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        create_file(path, b"new")
    assert path.read_bytes() == b"old"


def test_the_rest_of_an_interrupted_attempt_does_not_stand_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "key.new").write_bytes(b"ha")
    create_file(tmp_path / "key", b"content")
    assert (tmp_path / "key").read_bytes() == b"content"


def test_a_disk_that_takes_a_part_gets_no_file(tmp_path: Path) -> None:
    """A disk that is nearly full takes what it can, and says no only to the rest."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            create_file(tmp_path / "file", bytes(8192))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "file").exists()
