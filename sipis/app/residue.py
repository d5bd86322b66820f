"""The files in which traces of an instance could lie: what the canary and an auditor look through.

Refuses to look into other users' files: of the folder for temporary ones it names our own.
"""

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sipis.app.operator import AdminClient
from sipis.config import Settings
from sipis.errors import SipisError
from sipis.vault.medium import epoch_path
from sipis.vault.search import Wanted, search_file

OUTPUTS = (1, 2)
"""Standard output and error: where the log goes."""

BREATH = 100
PAUSE = 0.002
"""Seconds after so many temporary files."""


@dataclass(frozen=True, slots=True)
class Search:
    """What an auditor's search came to; `lines` say it."""

    clean: bool
    lines: tuple[str, ...]


def search(settings: Settings, marker: str, also: Iterable[Path]) -> Search:
    """Look for a marker in all files and, where the server answers, in its memory.

    `also` names further files and folders, such as where the log is kept. FieldError for a marker
    that is too short to say anything.
    """
    wanted = Wanted.of(marker.encode(), os.urandom)
    files, faults = 0, []
    for path in (*places(settings), *_all_of(also)):
        files += 1
        try:
            copies = search_file(path, [wanted])
        except OSError as failed:
            faults.append(f"{path}: {failed.strerror}")
            continue
        if copies:
            faults.append(f"{path}: {copies} copies")
    copies, memory = _in_memory(settings, wanted)
    total = f"{files} files, {len(faults)} with copies or unreadable"
    return Search(not faults and not copies, (*faults, total, memory))


def _in_memory(settings: Settings, wanted: Wanted) -> tuple[int, str]:
    """How many copies the server has in its memory, and that in words."""
    try:
        said = AdminClient(settings).copies_in_memory(wanted)
    except SipisError as silent:
        return 0, f"memory not searched: {silent}"
    if said["copies"] is None:
        return 0, "memory not searched: this system does not let a process read its own"
    wiped = "is" if said["freed_memory_is_overwritten"] else "is not"
    return said["copies"], f"memory: {said['copies']} copies (freed memory {wiped} overwritten)"


def _all_of(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        yield from _files_below(path) if path.is_dir() else (path,)


def places(settings: Settings, since: float = 0.0) -> Iterator[Path]:
    """All files of the store and of the keys; temporary ones and outputs written since then.

    Write-ahead logs come first: a checkpoint moves what they hold into a file that is yet to come.
    Blocks: not for the loop.
    """
    directory = settings.store.directory
    yield from sorted(_files_below(directory), key=lambda path: not path.name.endswith("-wal"))
    for path in (epoch_path(settings), settings.keys.slots):
        if path is not None and not path.is_relative_to(directory):
            yield path
    temporary = (Path(entry.path) for entry in _temporary() if _is_ours(entry, since))
    for path in (*temporary, *(path for path in _outputs() if _is_ours(path, since))):
        if not path.is_relative_to(directory):
            yield path


def _files_below(folder: Path) -> Iterator[Path]:
    return (Path(entry.path) for entry in _entries(folder))


def _temporary() -> Iterator["os.DirEntry[str]"]:
    """What lies in the folder for temporary files, which may be very full.

    The pauses leave the interpreter to the loop of a running server.
    """
    for number, entry in enumerate(_entries(Path(tempfile.gettempdir())), start=1):
        if number % BREATH == 0:
            time.sleep(PAUSE)
        yield entry


def _entries(folder: Path) -> Iterator["os.DirEntry[str]"]:
    """Every file below a folder; links are not followed, and what cannot be listed is left out."""
    folders = [str(folder)]
    while folders:
        try:
            listed = os.scandir(folders.pop())
        except OSError:
            continue
        with listed:
            for entry in listed:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield entry


def _outputs() -> Iterator[Path]:
    for number in OUTPUTS:
        try:
            path = Path(f"/proc/self/fd/{number}").readlink()
        except OSError:
            continue
        if path.is_file():
            yield path


def _is_ours(file: "Path | os.DirEntry[str]", since: float) -> bool:
    try:
        status = file.stat()
    except OSError:
        return False
    return status.st_uid == os.getuid() and status.st_mtime >= since and os.access(file, os.R_OK)
