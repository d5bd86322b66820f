"""The file of key slots: two data keys per instance, overwritten in place when it is destroyed.

    header 4096     magic, format, cell size, slots per segment, store
    root table 0/1  8192 entries of 128: the wrapped segment keys, for even and odd epochs
    segment bodies  1024 cells of 128 each, at the place that the root entry names

    entry = used 4 | place 4 | generation 8 | segment key sealed under the epoch key
    cell  = used 4 | instance 16 | both data keys sealed under the segment key

The tree lets a roll of the epoch re-wrap only the root and the segments that were touched: such a
segment moves to a fresh place under a fresh key and a higher generation, and the other root table
points to it. Entries and cells are 128 bytes, so none straddles a disk sector: a write is whole or
absent. A cell of zeros is free. Bodies are allocated on disk beforehand, so that a full disk stops
an admission and never a destruction.

A cell bears its instance in clear: a slot that was given away again is never destroyed for its
former holder. Refuses to scan at start and to hold keys of instances in memory; a segment's cipher
is kept once it was needed. Calls that write belong to the one thread of commit.py.
"""

import fcntl
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sipis.errors import KeeperLocked, KeyGone, SealBroken, VaultError
from sipis.model import InstanceId
from sipis.vault.allocator import SlotAllocator
from sipis.vault.envelope import KEY_LENGTH, NONCE_LENGTH, OVERHEAD, Cipher, framed
from sipis.vault.epoch import STORE_LENGTH, Epoch
from sipis.vault.files import create_file

CELL: Final = 128
SEGMENT: Final = 1024
MOST_SEGMENTS: Final = 8192

_MAGIC: Final = b"sipis slots\0"
_FORMAT: Final = 1
_HEADER: Final = struct.Struct(f">12sIII{STORE_LENGTH}s")
_HEADER_LENGTH: Final = 4096
_TABLE_LENGTH: Final = MOST_SEGMENTS * CELL
_BODY_LENGTH: Final = SEGMENT * CELL
_BODIES: Final = _HEADER_LENGTH + 2 * _TABLE_LENGTH

_USED: Final = 1
_ENTRY: Final = struct.Struct(f">IIQ{KEY_LENGTH + OVERHEAD}s")
_CELL: Final = struct.Struct(f">I16s{2 * KEY_LENGTH + OVERHEAD}s")
_CELL_HEAD: Final = struct.Struct(">I16s")
_EMPTY: Final = bytes(CELL)


@dataclass(frozen=True, slots=True)
class DataKeys:
    """The two keys of one instance: for its records, and for its messages and calls."""

    credential: bytes = field(repr=False)
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Segment:
    place: int
    generation: int
    cipher: Cipher


class SlotFile:
    """The opened file of key slots."""

    def __init__(self, descriptor: int, epoch: Epoch, entropy: Callable[[int], bytes]) -> None:
        self._descriptor = descriptor
        self._epoch = epoch
        self._entropy = entropy
        self._root = Cipher(epoch.key)
        self._table = _HEADER_LENGTH + (epoch.generation % 2) * _TABLE_LENGTH
        self._known: dict[int, _Segment] = {}
        self._given: set[int] | None = set()
        self._segments, self._next_place = self._measure()
        self._allocator = SlotAllocator(self._free_in, SEGMENT, self._segments)

    @classmethod
    def open(cls, path: Path, epoch: Epoch, entropy: Callable[[int], bytes]) -> "SlotFile":
        """Open or make the file; KeeperLocked when it belongs to another epoch slot or process."""
        if not path.exists():
            header = _HEADER.pack(_MAGIC, _FORMAT, CELL, SEGMENT, epoch.store)
            create_file(path, header.ljust(_HEADER_LENGTH, b"\0"))
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            _take(descriptor, path)
            _check_header(descriptor, path, epoch)
            os.posix_fallocate(descriptor, 0, _BODIES)
            return cls(descriptor, epoch, entropy)
        except BaseException:
            os.close(descriptor)
            raise

    @property
    def segments(self) -> int:
        """How many segments of 1024 slots there are."""
        return self._segments

    def read(self, slot: int, instance: InstanceId) -> DataKeys:
        """The keys of the instance that holds the slot; KeyGone when it no longer does."""
        segment = self._segment(slot // SEGMENT)
        used, holder, sealed = _CELL.unpack_from(self._read_cell(segment, slot))
        if used != _USED or holder != bytes.fromhex(instance):
            raise KeyGone("the key of this instance was destroyed")
        keys = segment.cipher.open(sealed, bound=self._cell_bound(slot, holder, segment))
        return DataKeys(keys[:KEY_LENGTH], keys[KEY_LENGTH:])

    def holds(self, slot: int, instance: InstanceId) -> bool:
        """Whether the slot still belongs to the instance."""
        try:
            segment = self._segment(slot // SEGMENT)
        except KeyGone:
            return False
        head = _CELL_HEAD.pack(_USED, bytes.fromhex(instance))
        return self._read_cell(segment, slot).startswith(head)

    def write(self, instance: InstanceId, keys: DataKeys) -> int:
        """Put the keys into the lowest free slot and return its number; the caller syncs."""
        slot = self._allocator.take()
        if slot is None:
            self._add_segment()
            slot = self._allocator.take()
            assert slot is not None
        segment = self._segment(slot // SEGMENT)
        holder = bytes.fromhex(instance)
        bound = self._cell_bound(slot, holder, segment)
        plain = keys.credential + keys.content
        sealed = segment.cipher.seal(plain, nonce=self._entropy(NONCE_LENGTH), bound=bound)
        self._write_cell(segment, slot, _CELL.pack(_USED, holder, sealed).ljust(CELL, b"\0"))
        if self._given is not None:
            self._given.add(slot)
        return slot

    def erase(self, places: Sequence[tuple[int, InstanceId]]) -> None:
        """Overwrite the cells that still belong to these instances; the caller syncs."""
        for slot, instance in places:
            if self.holds(slot, instance):
                self._write_cell(self._segment(slot // SEGMENT), slot, _EMPTY)
                self._allocator.release(slot)

    def held(self, segment: int) -> dict[int, InstanceId]:
        """The slots in use that were not given out by this process, and whose they are."""
        body, given = self._read_body(segment), self._given or set()
        found: dict[int, InstanceId] = {}
        for at in range(0, len(body), CELL):
            used, holder = _CELL_HEAD.unpack_from(body, at)
            slot = segment * SEGMENT + at // CELL
            if used == _USED and slot not in given:
                found[slot] = InstanceId(holder.hex())
        return found

    def end_survey(self) -> None:
        """held() is not asked again: forget which slots this process gave out."""
        self._given = None

    def sync(self) -> None:
        """Return once everything written is durable."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _measure(self) -> tuple[int, int]:
        """How many segments the root table names, and the first place behind all bodies."""
        table = os.pread(self._descriptor, _TABLE_LENGTH, self._table)
        count = table[_USED_BYTE::CELL].find(0)
        count = MOST_SEGMENTS if count < 0 else count
        places = (_ENTRY.unpack_from(table, i * CELL)[1] for i in range(count))
        return count, max(places, default=-1) + 1

    def _add_segment(self) -> None:
        number, place = self._segments, self._next_place
        if number == MOST_SEGMENTS:
            raise VaultError(f"all {MOST_SEGMENTS * SEGMENT} key slots are taken")
        self._reserve(place)
        key = self._entropy(KEY_LENGTH)
        bound = self._entry_bound(number, place, 1)
        sealed = self._root.seal(key, nonce=self._entropy(NONCE_LENGTH), bound=bound)
        entry = _ENTRY.pack(_USED, place, 1, sealed).ljust(CELL, b"\0")
        os.pwrite(self._descriptor, entry, self._table + number * CELL)
        self._known[number] = _Segment(place, 1, Cipher(key))
        self._segments, self._next_place = number + 1, place + 1
        self._allocator.grow(self._segments)

    def _reserve(self, place: int) -> None:
        try:
            os.posix_fallocate(self._descriptor, _BODIES + place * _BODY_LENGTH, _BODY_LENGTH)
        except OSError as full:
            raise VaultError(f"no room for another key segment: {full.strerror}") from None

    def _segment(self, number: int) -> _Segment:
        known = self._known.get(number)
        if known is None:
            known = self._known[number] = self._open_segment(number)
        return known

    def _open_segment(self, number: int) -> _Segment:
        """Read a root entry; KeyGone when there is none that the epoch key opens."""
        if not 0 <= number < self._segments:
            raise KeyGone("no such key slot")
        entry = os.pread(self._descriptor, CELL, self._table + number * CELL)
        _, place, generation, sealed = _ENTRY.unpack_from(entry)
        try:
            key = self._root.open(sealed, bound=self._entry_bound(number, place, generation))
        except SealBroken:
            raise KeyGone("the key of this segment is gone") from None
        return _Segment(place, generation, Cipher(key))

    def _free_in(self, number: int) -> Iterator[int]:
        used = self._read_body(number)[_USED_BYTE::CELL]
        return (number * SEGMENT + i for i, byte in enumerate(used) if byte == 0)

    def _read_body(self, number: int) -> bytes:
        """The cells of a segment; none when its key is gone, so that no slot of it is given out."""
        try:
            segment = self._segment(number)
        except KeyGone:
            return b""
        return os.pread(self._descriptor, _BODY_LENGTH, _BODIES + segment.place * _BODY_LENGTH)

    def _read_cell(self, segment: _Segment, slot: int) -> bytes:
        return os.pread(self._descriptor, CELL, _cell_offset(segment, slot))

    def _write_cell(self, segment: _Segment, slot: int, cell: bytes) -> None:
        os.pwrite(self._descriptor, cell, _cell_offset(segment, slot))

    def _entry_bound(self, number: int, place: int, generation: int) -> bytes:
        epoch = self._epoch
        return framed("segment", epoch.store, epoch.generation, number, place, generation)

    def _cell_bound(self, slot: int, holder: bytes, segment: _Segment) -> bytes:
        return framed("slot", self._epoch.store, slot, holder, segment.generation)


_USED_BYTE: Final = 3
"""Where, in an entry or a cell, the low byte of `used` lies."""


def _cell_offset(segment: _Segment, slot: int) -> int:
    return _BODIES + segment.place * _BODY_LENGTH + (slot % SEGMENT) * CELL


def _take(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise KeeperLocked(f"key slots {path}: another process holds them") from None


def _check_header(descriptor: int, path: Path, epoch: Epoch) -> None:
    header = os.pread(descriptor, _HEADER.size, 0)
    if header != _HEADER.pack(_MAGIC, _FORMAT, CELL, SEGMENT, epoch.store):
        raise KeeperLocked(f"key slots {path}: they do not belong to this epoch slot")
