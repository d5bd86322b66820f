"""A disk on which a machine dies at a chosen write, and that forgets what was not synced.

Every os.pwrite and os.fdatasync is a step. A killed process leaves all that it wrote; a power loss
takes back any of the 512-byte sectors that were written since the file was last synced. A sync that
fails does as Linux does: what was written reads on but is not written again, by no later sync.
"""

import errno
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SECTOR = 512


class Died(BaseException):
    """The machine is gone; no handler of the program runs."""


class Disk:
    """Counts steps and dies at one of them."""

    def __init__(self, dies_at: int = 0) -> None:
        self.steps = 0
        self._dies_at = dies_at
        self._unsynced: dict[tuple[str, int], list[bytes]] = {}
        self._forgotten: dict[tuple[str, int], list[bytes]] = {}
        self.refuses_sync = False
        """The next sync fails."""

    @contextmanager
    def beneath(self) -> Iterator["Disk"]:
        """All writes of the block go through it."""
        pwrite, fdatasync = os.pwrite, os.fdatasync

        def write(descriptor: int, data: bytes, at: int) -> int:
            self._step()
            sectors = range(at // SECTOR * SECTOR, at + len(data), SECTOR)
            name = os.readlink(f"/proc/self/fd/{descriptor}")
            for start in sectors:
                before = os.pread(descriptor, SECTOR, start).ljust(SECTOR, b"\0")
                known = self._forgotten.pop((name, start), [before])
                self._unsynced.setdefault((name, start), known)
            written = pwrite(descriptor, data, at)
            for start in sectors:
                self._unsynced[name, start].append(os.pread(descriptor, SECTOR, start))
            return written

        def sync(descriptor: int) -> None:
            self._step()
            name = os.readlink(f"/proc/self/fd/{descriptor}")
            written = {key: self._unsynced.pop(key) for key in self._of(name)}
            if self.refuses_sync:
                self.refuses_sync = False
                self._forgotten |= written
                raise OSError(errno.EIO, "Input/output error")
            fdatasync(descriptor)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "pwrite", write)
            patch.setattr(os, "fdatasync", sync)
            yield self

    def lose_power(self, chance: random.Random) -> None:
        """Each sector keeps what was synced, or any later content of it."""
        kept = {key: chance.choice(contents) for key, contents in self._unsynced.items()}
        kept |= {key: contents[0] for key, contents in self._forgotten.items()}
        for (name, start), content in kept.items():
            with Path(name).open("r+b") as file:
                file.seek(start)
                file.write(content)

    def _of(self, name: str) -> list[tuple[str, int]]:
        return [key for key in self._unsynced if key[0] == name]

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self._dies_at:
            raise Died
