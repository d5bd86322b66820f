"""The folder of signed checkpoints: one file a day to publish, and the newest one signed at all.

The folder is outside of the database on purpose: when an older database is restored, the newest
checkpoint shows that leaves were lost. Refuses to rewrite: a day's file only grows.

The newest is noted in place, in two halves by turns, so that one of them is always whole. Replacing
a file costs as much as the disk is busy, up to tens of milliseconds, and every deletion waits.
"""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sipis.audit.note import Checkpoint, read_own

NEWEST: Final = "newest"
SUFFIX: Final = ".checkpoints"
HALF: Final = 4096


class Checkpoints:
    """Checkpoints on disk; every method may block for as long as the disk takes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, checkpoint: Checkpoint) -> None:
        """Remember that this was signed, before anybody is given it. OSError when impossible."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._folder / NEWEST, flags, 0o600)
        try:
            noted = _halves(os.pread(descriptor, 2 * HALF, 0))
            turn = 1 + max((turn for turn, _ in noted), default=0)
            os.pwrite(descriptor, _half(turn, checkpoint.text.encode()), turn % 2 * HALF)
        finally:
            os.close(descriptor)

    def newest(self) -> tuple[str, Checkpoint] | None:
        """Origin and checkpoint signed last; None before the first, ValueError for a broken file.

        The note is not flushed at each signature: after a power loss the published may be newer.
        """
        known = [it for it in (self._noted(), self._last_published()) if it is not None]
        return max(known, key=lambda it: it[1].head.size, default=None)

    def publish(self, checkpoint: Checkpoint, day: str) -> None:
        """Add to the file of that day, durably, in the place of what was cut off before."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        end = len(self.published(day).encode())
        with (self._folder / f"{day}{SUFFIX}").open("ab") as file:
            file.truncate(end)
            file.write(f"{checkpoint.text}\n".encode())
            file.flush()
            os.fsync(file.fileno())

    def published(self, day: str) -> str:
        """All that was published on that day, an empty line after each; empty: nothing.

        What a full disk or a power loss cut off is left out.
        """
        path = self._folder / f"{day}{SUFFIX}"
        found = path.read_bytes().decode("utf-8", "replace") if path.exists() else ""
        return "".join(f"{it}\n" for it in split(found))

    def days(self) -> list[str]:
        """The days with published checkpoints, in order."""
        return sorted(it.name.removesuffix(SUFFIX) for it in self._folder.glob(f"*{SUFFIX}"))

    def drop(self, before: str) -> None:
        """Remove the files of days before that one."""
        for day in self.days():
            if day < before:
                (self._folder / f"{day}{SUFFIX}").unlink()

    def _noted(self) -> tuple[str, Checkpoint] | None:
        path = self._folder / NEWEST
        _, text = max(_halves(path.read_bytes()) if path.exists() else (), default=(0, ""))
        return read_own(text) if text else None

    def _last_published(self) -> tuple[str, Checkpoint] | None:
        days = self.days()
        found = split(self.published(days[-1])) if days else []
        return read_own(found[-1]) if found else None


def _half(turn: int, text: bytes) -> bytes:
    half = b"%d %d\n%b" % (turn, len(text), text)
    if len(half) > HALF:
        raise OSError(errno.EFBIG, "the checkpoint is too long")
    return half.ljust(HALF, b"\0")


def _halves(content: bytes) -> Iterator[tuple[int, str]]:
    """The turns of both halves and what was noted then; a half that is not whole is left out."""
    for start in (0, HALF):
        head, _, text = content[start : start + HALF].rstrip(b"\0").partition(b"\n")
        turn, _, length = head.partition(b" ")
        if turn.isdigit() and length.isdigit() and int(length) == len(text):
            yield int(turn), text.decode()


def split(text: str) -> list[str]:
    """The checkpoints of a file, each a note of its own; what a crash cut off is left out."""
    parts = text.split("\n\n")[:-1]
    return [
        f"{body}\n\n{signatures}\n"
        for body, signatures in zip(parts[0::2], parts[1::2], strict=False)
    ]
