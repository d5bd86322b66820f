"""The root table of one epoch: where each segment lies, and its key, wrapped by the epoch key.

    entry = state 4 | place 4 | generation 8 | segment key sealed under the epoch key

The file has two tables, for even and for odd epochs, so that the next epoch is written beside the
one in force. An entry is 128 bytes, so none straddles a disk sector: a write is whole or absent.

Refuses to lose a number: a segment whose key does not open keeps its entry, marked as lost.
"""

import os
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from sipis.errors import SealBroken
from sipis.vault.envelope import KEY_LENGTH, NONCE_LENGTH, OVERHEAD, Cipher, framed
from sipis.vault.epoch import Epoch

CELL: Final = 128
MOST_SEGMENTS: Final = 8192
TABLE_LENGTH: Final = MOST_SEGMENTS * CELL

_ENTRY: Final = struct.Struct(f">IIQ{KEY_LENGTH + OVERHEAD}s")
_STATE_BYTE: Final = 3
"""Where in an entry the low byte of its state lies."""


class _State(IntEnum):
    FREE = 0
    WHOLE = 1
    TOUCHED = 2
    """A cell of the segment was destroyed since its key was made."""
    LOST = 3


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment in force: its body's place, how often its key was replaced, and its key."""

    place: int
    generation: int
    key: bytes = field(repr=False)
    cipher: Cipher = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a table names: a segment for each number, or None for a lost one."""

    segments: list[Segment | None]
    touched: set[int]
    places: set[int]
    """All places that bodies lie in, those of lost segments included."""


class Root:
    """One of the two tables in the file `descriptor`, from the byte `start` on."""

    def __init__(
        self, descriptor: int, start: int, epoch: Epoch, entropy: Callable[[int], bytes]
    ) -> None:
        self._descriptor = descriptor
        self._start = start + epoch.generation % 2 * TABLE_LENGTH
        self._epoch = epoch
        self._cipher = Cipher(epoch.key)
        self._entropy = entropy

    def read(self) -> Contents:
        """Open all entries up to the first free one."""
        table = os.pread(self._descriptor, TABLE_LENGTH, self._start)
        count = table[_STATE_BYTE::CELL].find(_State.FREE)
        found = Contents([], set(), set())
        for number in range(MOST_SEGMENTS if count < 0 else count):
            state, place, generation, sealed = _ENTRY.unpack_from(table, number * CELL)
            found.segments.append(self._open(number, place, generation, sealed))
            if state == _State.TOUCHED:
                found.touched.add(number)
            if state != _State.LOST:
                found.places.add(place)
        return found

    def put(self, number: int, segment: Segment) -> None:
        """Write one entry; the caller syncs."""
        entry = self._entry(number, segment)
        os.pwrite(self._descriptor, entry, self._start + number * CELL)

    def put_all(self, segments: Sequence[Segment | None]) -> None:
        """Write the whole table; the caller syncs."""
        entries = [self._entry_or_lost(number, segment) for number, segment in enumerate(segments)]
        table = b"".join(entries) + bytes(CELL)
        os.pwrite(self._descriptor, table[:TABLE_LENGTH], self._start)

    def touch(self, numbers: Iterable[int]) -> None:
        """Mark segments of which a cell is destroyed; the caller syncs."""
        state = int(_State.TOUCHED).to_bytes(4, "big")
        for number in numbers:
            os.pwrite(self._descriptor, state, self._start + number * CELL)

    def _open(self, number: int, place: int, generation: int, sealed: bytes) -> Segment | None:
        try:
            key = self._cipher.open(sealed, bound=self._bound(number, place, generation))
        except SealBroken:
            return None
        return Segment(place, generation, key, Cipher(key))

    def _entry_or_lost(self, number: int, segment: Segment | None) -> bytes:
        if segment is None:
            return int(_State.LOST).to_bytes(4, "big").ljust(CELL, b"\0")
        return self._entry(number, segment)

    def _entry(self, number: int, segment: Segment) -> bytes:
        bound = self._bound(number, segment.place, segment.generation)
        sealed = self._cipher.seal(segment.key, nonce=self._entropy(NONCE_LENGTH), bound=bound)
        entry = _ENTRY.pack(_State.WHOLE, segment.place, segment.generation, sealed)
        return entry.ljust(CELL, b"\0")

    def _bound(self, number: int, place: int, generation: int) -> bytes:
        epoch = self._epoch
        return framed("segment", epoch.store, epoch.generation, number, place, generation)
