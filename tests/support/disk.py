"""A disk on which a machine dies at a chosen write, and that forgets what was not synced.

Every os.pwrite and os.fdatasync is a step. A killed process leaves all that it wrote; a power loss
takes back any of the 512-byte sectors that were written since the file was last synced.
"""

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
                self._unsynced.setdefault((name, start), [before])
            written = pwrite(descriptor, data, at)
            for start in sectors:
                self._unsynced[name, start].append(os.pread(descriptor, SECTOR, start))
            return written

        def sync(descriptor: int) -> None:
            self._step()
            name = os.readlink(f"/proc/self/fd/{descriptor}")
            for key in [key for key in self._unsynced if key[0] == name]:
                del self._unsynced[key]
            fdatasync(descriptor)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "pwrite", write)
            patch.setattr(os, "fdatasync", sync)
            yield self

    def lose_power(self, chance: random.Random) -> None:
        """Each sector keeps what was synced, or any later content of it."""
        for (name, start), contents in self._unsynced.items():
            with Path(name).open("r+b") as file:
                file.seek(start)
                file.write(chance.choice(contents))

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self._dies_at:
            raise Died
