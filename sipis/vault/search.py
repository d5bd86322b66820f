"""Looks for copies of a secret where none may be: in files, and in the memory of this process.

What is looked for is held masked, so that the search does not find itself; it is in clear only in
one buffer while a search runs, which is left out and overwritten afterwards.
Refuses to show what it looks for, and to call a memory clean that it could not read.
"""

import ctypes
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sipis.errors import FieldError
from sipis.secret import Secret

SHORTEST: Final = 12
"""Bytes below which a find says nothing: they may be there by chance."""

LONGEST: Final = 4096

WINDOW: Final = 1 << 20
MAPS: Final = Path("/proc/self/maps")

Reader = Callable[[memoryview], int]
"""Fills the room from where it stands and returns how many bytes; 0 at the end."""


class Wanted:
    """Bytes to look for, masked."""

    __slots__ = ("_mask", "_masked")

    def __init__(self, mask: bytes, masked: bytes) -> None:
        """`masked` is what is looked for, XORed with `mask`; FieldError when it is too short."""
        if len(mask) != len(masked) or not SHORTEST <= len(mask) <= LONGEST:
            raise FieldError("mask", "must be as long as what is looked for: 12 to 4096 bytes")
        self._mask = mask
        self._masked = masked

    @classmethod
    def of(cls, secret: bytes | Secret, entropy: Callable[[int], bytes]) -> "Wanted":
        """Mask a secret."""
        plain = secret.reveal().encode() if isinstance(secret, Secret) else secret
        mask = entropy(len(plain))
        return cls(mask, bytes(a ^ b for a, b in zip(plain, mask, strict=True)))

    @property
    def mask(self) -> bytes:
        """The mask."""
        return self._mask

    @property
    def masked(self) -> bytes:
        """The masked bytes; with the mask they are what is looked for."""
        return self._masked

    def unmasked(self) -> bytearray:
        """What is looked for, made byte by byte in the one place that the caller overwrites."""
        room = bytearray(len(self._mask))
        for i, (a, b) in enumerate(zip(self._mask, self._masked, strict=True)):
            room[i] = a ^ b
        return room


class _Needles:
    """What is looked for in clear, and the window through which it is looked for."""

    def __init__(self, wanted: Sequence[Wanted]) -> None:
        self.window = bytearray(WINDOW)
        self.texts = [one.unmasked() for one in wanted]
        self.overlap = max(map(len, self.texts), default=1) - 1
        self.places = {_address(text) for text in self.texts}

    def __enter__(self) -> "_Needles":
        return self

    def __exit__(self, *_: object) -> None:
        for room in (*self.texts, self.window):
            room[:] = bytes(len(room))

    def in_window(self, end: int, kept: int = 0) -> Iterator[int]:
        """Where in the first `end` bytes of the window they begin, save what ended in `kept`."""
        for text in self.texts:
            at = self.window.find(text, max(0, kept - len(text) + 1), end)
            while at >= 0:
                yield at
                at = self.window.find(text, at + 1, end)

    def count(self, read: Reader) -> int:
        """How many times they occur in what is read; a piece over two windows is seen as well."""
        found = kept = 0
        room = memoryview(self.window)
        while size := read(room[kept:]):
            end = kept + size
            found += sum(1 for _ in self.in_window(end, kept))
            kept = min(self.overlap, end)
            room[:kept] = bytes(room[end - kept : end])
        return found


def search_file(path: Path, wanted: Sequence[Wanted]) -> int:
    """How many times they occur in a file; 0 when it is gone. OSError when it cannot be read."""
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError:
        return 0
    with file, _Needles(wanted) as needles:
        return needles.count(lambda room: file.readinto(room) or 0)


def search_files(paths: Iterable[Path], wanted: Sequence[Wanted]) -> list[Path]:
    """The files in which one of them occurs."""
    return [path for path in paths if search_file(path, wanted)]


def search_memory(wanted: Sequence[Wanted]) -> int | None:
    """How many copies lie in what this process can write; None when it may not look."""
    memory = _Memory()
    try:
        regions = _writable(MAPS.read_text())
    except OSError:
        return None
    found, readable = 0, False
    with _Needles(wanted) as needles:
        for region in _without(regions, _extent(needles.window)):
            kept = 0
            for at in range(region.start, region.end, WINDOW - needles.overlap):
                size = memory.read(at, min(WINDOW, region.end - at), needles.window)
                readable |= size > 0
                places = (at + it for it in needles.in_window(size, kept))
                found += sum(place not in needles.places for place in places)
                kept = needles.overlap
    return found if readable else None


@dataclass(frozen=True, slots=True)
class _Region:
    start: int
    end: int


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Memory:
    """process_vm_readv(2) on ourselves: what is not mapped any more is an error, not a crash."""

    def __init__(self) -> None:
        self._call = ctypes.CDLL(None, use_errno=True).process_vm_readv
        self._call.restype = ctypes.c_ssize_t
        self._pid = os.getpid()

    def read(self, address: int, size: int, room: bytearray) -> int:
        """Copy memory into the room; returns how many bytes, 0 when it cannot be read."""
        here = _Iovec(_address(room), size)
        there = _Iovec(address, size)
        answer = self._call(self._pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
        return max(0, int(answer))


def _writable(maps: str) -> list[_Region]:
    """The regions of /proc/PID/maps that can be read and written."""
    found = []
    for line in maps.splitlines():
        place, access = line.split(" ", 2)[:2]
        if access.startswith("rw"):
            start, _, end = place.partition("-")
            found.append(_Region(int(start, 16), int(end, 16)))
    return found


def _without(regions: Iterable[_Region], hole: _Region) -> Iterator[_Region]:
    for one in regions:
        for part in (
            _Region(one.start, min(one.end, hole.start)),
            _Region(max(one.start, hole.end), one.end),
        ):
            if part.start < part.end:
                yield part


def _address(room: bytearray) -> int:
    return ctypes.addressof((ctypes.c_char * len(room)).from_buffer(room))


def _extent(room: bytearray) -> _Region:
    return _Region(_address(room), _address(room) + len(room))
