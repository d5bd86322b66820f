import os
from pathlib import Path

import pytest

from sipis.errors import KeeperLocked
from sipis.vault.epoch import BLOCK, create_epoch, read_epoch

KEK = bytes(range(32))


def test_the_kek_opens_what_was_made(tmp_path: Path) -> None:
    made = create_epoch(tmp_path / "epoch", KEK, os.urandom)
    assert read_epoch(tmp_path / "epoch", KEK) == made
    assert made.generation == 1
    assert "key" not in repr(made)


def test_the_file_is_a_pair_of_blocks_and_the_sealed_one_is_full(tmp_path: Path) -> None:
    create_epoch(tmp_path / "epoch", KEK, os.urandom)
    content = (tmp_path / "epoch").read_bytes()
    assert len(content) == 2 * BLOCK
    assert not any(content[:BLOCK])
    assert content[BLOCK:].count(0) < BLOCK / 50


def test_the_newest_block_that_opens_is_in_force(tmp_path: Path) -> None:
    first = create_epoch(tmp_path / "epoch", KEK, os.urandom)
    newer = bytearray((tmp_path / "epoch").read_bytes())
    newer[:BLOCK] = os.urandom(BLOCK)
    (tmp_path / "epoch").write_bytes(newer)
    assert read_epoch(tmp_path / "epoch", KEK) == first


@pytest.mark.parametrize("content", [b"", b"x" * 100, bytes(2 * BLOCK), b"y" * 2 * BLOCK])
def test_a_file_that_is_no_epoch_slot_locks(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "epoch").write_bytes(content)
    with pytest.raises(KeeperLocked):
        read_epoch(tmp_path / "epoch", KEK)


def test_a_wrong_kek_or_a_missing_file_locks(tmp_path: Path) -> None:
    with pytest.raises(KeeperLocked):
        read_epoch(tmp_path / "epoch", KEK)
    create_epoch(tmp_path / "epoch", KEK, os.urandom)
    with pytest.raises(KeeperLocked, match="does not open"):
        read_epoch(tmp_path / "epoch", bytes(32))


def test_a_changed_byte_of_the_block_locks(tmp_path: Path) -> None:
    create_epoch(tmp_path / "epoch", KEK, os.urandom)
    content = bytearray((tmp_path / "epoch").read_bytes())
    content[BLOCK + 16] ^= 1
    (tmp_path / "epoch").write_bytes(content)
    with pytest.raises(KeeperLocked):
        read_epoch(tmp_path / "epoch", KEK)
