"""Files that must be whole or absent, and files that one process alone may hold.

Refuses to overwrite: a file that is there already is an error.
"""

import fcntl
import os
from pathlib import Path

from sipis.errors import KeeperLocked


def create_file(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a new file so that after a crash it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    os.link(unfinished, path)  # fails where rename would replace
    unfinished.unlink()
    sync_directory(path.parent)


def hold_file(path: Path, what: str) -> int:
    """Open a file to read and write as its only holder; KeeperLocked when it cannot be.

    The descriptor is the caller's to close, which ends the hold; a crash ends it as well.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as wrong:
        raise KeeperLocked(f"{what} {path}: {wrong.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise KeeperLocked(f"{what} {path}: another process holds it") from None
    return descriptor


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
