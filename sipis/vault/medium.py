"""Whether overwriting a file removes what it held: asked of the file system below it.

The epoch slot must lie where an overwritten block is overwritten. Copy-on-write and log-structured
file systems write elsewhere and keep the old block for a while, or for ever in a snapshot.
Refuses to promise for what lies deeper: flash that remaps, a snapshot of the whole machine.
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from sipis.config import Settings
from sipis.errors import ConfigError

WRITES_ELSEWHERE: Final = {
    0x9123683E: "btrfs",
    0x2FC12FC1: "zfs",
    0xCA451A4E: "bcachefs",
    0x794C7630: "overlayfs",
    0x61756673: "aufs",
    0xF2F52010: "f2fs",
    0x00003434: "nilfs2",
    0x000072B6: "jffs2",
    0x24051905: "ubifs",
}
"""By the number that statfs(2) gives; overlayfs, because images and snapshots are made of it."""

UNKNOWN: Final = {
    0x00006969: "nfs",
    0xFF534D42: "cifs",
    0xFE534D42: "smb",
    0x65735546: "fuse",
    0x01021997: "9p",
    0x00C36400: "ceph",
}
"""What lies below these is not to be seen from here."""

_STATFS_ROOM: Final = 256
"""Bytes, more than any statfs structure; its first word is the number of the file system."""


def file_system(path: Path) -> int:
    """The number of the file system that holds the path, or will when it is made; 0: not known."""
    while not path.exists() and path != path.parent:
        path = path.parent
    answer = ctypes.create_string_buffer(_STATFS_ROOM)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.statfs(os.fsencode(path), answer) != 0:
        return 0
    return ctypes.c_ulong.from_buffer(answer).value & 0xFFFFFFFF


def check_media(settings: Settings, kind: Callable[[Path], int] = file_system) -> None:
    """Refuse an epoch slot that cannot be effaced, or that is copied; ConfigError says why."""
    epoch = epoch_path(settings)
    for folder in settings.store.backup_folders:
        if _lies_in(epoch, folder):
            raise ConfigError("keys.epoch", f"lies in {folder}, which is copied elsewhere")
    name = WRITES_ELSEWHERE.get(kind(epoch))
    if name is not None and not settings.keys.allow_copy_on_write:
        raise ConfigError(
            "keys.epoch",
            f"lies on {name}, which keeps what is overwritten; use ext4 or xfs, or set "
            "keys.allow_copy_on_write = true and do without the promise",
        )


def overridden(settings: Settings, kind: Callable[[Path], int] = file_system) -> bool:
    """Whether the start goes on only because the operator allowed copy-on-write."""
    return settings.keys.allow_copy_on_write and kind(epoch_path(settings)) in WRITES_ELSEWHERE


def media_warnings(settings: Settings, kind: Callable[[Path], int] = file_system) -> Iterator[str]:
    """What is unwise about the places of key files, in sentences for the operator."""
    epoch, number = epoch_path(settings), kind(epoch_path(settings))
    if number in WRITES_ELSEWHERE:
        name = WRITES_ELSEWHERE[number]
        yield f"keys.allow_copy_on_write: {name} keeps old epoch keys; old copies stay readable"
    if number in UNKNOWN:
        yield f"keys.epoch: {UNKNOWN[number]} does not tell whether old epoch keys are overwritten"
    if _lies_in(epoch, settings.store.directory):
        yield "keys.epoch: the epoch slot lies beside the database; keep it out of every backup"
    slots = settings.keys.slots or settings.store.directory / "slots"
    if kind(slots) in WRITES_ELSEWHERE:
        yield "keys.slots: destroyed keys stay on this file system until the epoch has rolled"
    if settings.keys.kek_file is None and "CREDENTIALS_DIRECTORY" not in os.environ:
        yield "keys.kek_file: the key-encryption key lies beside what it encrypts"


def epoch_path(settings: Settings) -> Path:
    """Where the epoch slot is."""
    return settings.keys.epoch or settings.store.directory / "epoch"


def _lies_in(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
