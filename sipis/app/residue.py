"""The files in which traces of an instance could lie: what the canary and an auditor look through.

Refuses to look into other users' files: of the folder for temporary ones it names our own.
"""

import os
import tempfile
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
    """
    directory = settings.store.directory
    yield from sorted(_files_below(directory), key=lambda path: not path.name.endswith("-wal"))
    for path in (epoch_path(settings), settings.keys.slots):
        if path is not None and not path.is_relative_to(directory):
            yield path
    for path in (*_files_below(Path(tempfile.gettempdir())), *_outputs()):
        if not path.is_relative_to(directory) and _is_ours(path, since):
            yield path


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _outputs() -> Iterator[Path]:
    for number in OUTPUTS:
        try:
            path = Path(f"/proc/self/fd/{number}").readlink()
        except OSError:
            continue
        if path.is_file():
            yield path


def _is_ours(path: Path, since: float) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_uid == os.getuid() and status.st_mtime >= since and os.access(path, os.R_OK)
