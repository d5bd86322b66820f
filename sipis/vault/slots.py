"""The file of key slots: two data keys per instance, overwritten in place when it is destroyed.

    header 4096     magic, format, cell size, slots per segment, store
    root table 0/1  8192 entries of 128: the wrapped segment keys, for even and odd epochs (root.py)
    segment bodies  1024 cells of 128 each, at the place that the root entry names

    cell  = used 4 | instance 16 | both data keys sealed under the segment key

Why a roll of the epoch takes old copies of this file their use, though the cells of most live
instances stay as they are:

- A copy from before a destruction holds the cell, sealed under the segment key S of that time, and
  S, wrapped under the epoch key E of that time and perhaps earlier ones. Nothing else opens it.
- Before the next epoch comes into force, every segment of which a cell was destroyed is moved: its
  live cells are wrapped anew under a fresh key in a fresh place (`rekey`). So the next epoch key
  wraps no segment key that ever wrapped a destroyed cell. (It does wrap the untouched ones; those
  have wrapped live cells alone.) By induction that holds for every epoch key after it.
- So S was only ever wrapped under E and older epoch keys. They lay in the epoch slot alone, which
  is never copied and was overwritten when its successor came into force. S is out of reach.

What counts as destroyed must outlive a crash: the mark of a touched segment is written to its root
entry and synced together with the cell, before the destruction is acknowledged. A cell whose
destruction was not acknowledged is destroyed again by whoever asked, and marks it then.

Entries and cells are 128 bytes, so none straddles a disk sector: a write is whole or absent. A cell
of zeros is free. Bodies are allocated on disk beforehand, so that a full disk stops an admission
and never a destruction or a roll.

A cell bears its instance in clear: a slot that was given away again is never destroyed for its
former holder. Refuses to scan at start and to hold keys of instances in memory; the keys of
segments are held. Calls that write belong to the one thread of commit.py.
"""

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sipis.errors import KeeperLocked, KeyGone, SealBroken, VaultError
from sipis.model import InstanceId
from sipis.vault.allocator import SlotAllocator
from sipis.vault.envelope import KEY_LENGTH, NONCE_LENGTH, OVERHEAD, Cipher
from sipis.vault.epoch import STORE_LENGTH, Epoch
from sipis.vault.files import create_file, hold_file
from sipis.vault.places import Places
from sipis.vault.root import CELL, MOST_SEGMENTS, TABLE_LENGTH, Root, Segment

SEGMENT: Final = 1024

_MAGIC: Final = b"sipis slots\0"
_FORMAT: Final = 1
_HEADER: Final = struct.Struct(f">12sIII{STORE_LENGTH}s")
_HEADER_LENGTH: Final = 4096
_BODY_LENGTH: Final = SEGMENT * CELL
_BODIES: Final = _HEADER_LENGTH + 2 * TABLE_LENGTH

_USED: Final = 1
_USED_BYTE: Final = 3
"""Where in a cell the low byte of `used` lies."""
_CELL: Final = struct.Struct(f">I16s{2 * KEY_LENGTH + OVERHEAD}s")
_CELL_HEAD: Final = struct.Struct(">I16s")
_BOUND: Final = struct.Struct(f">4s{STORE_LENGTH}sQ16sQ")
"""What a cell is bound to: each field has one length, so no two lists make the same bytes."""
_EMPTY: Final = bytes(CELL)
_NO_BODY: Final = bytes(_BODY_LENGTH)


@dataclass(frozen=True, slots=True)
class DataKeys:
    """The two keys of one instance: for its records, and for its messages and calls."""

    credential: bytes = field(repr=False)
    content: bytes = field(repr=False)


class SlotFile:
    """The opened file of key slots."""

    def __init__(
        self, descriptor: int, epoch: Epoch, entropy: Callable[[int], bytes], *, made: bool
    ) -> None:
        self.made = made
        self._descriptor = descriptor
        self._store = epoch.store
        self._entropy = entropy
        self._root = self._table_of(epoch)
        self._given: set[int] | None = set()
        found = self._root.read()
        self._segments, self._touched = found.segments, found.touched
        self._places = Places(found.places, self._reserve)
        self._allocator = SlotAllocator(self._free_in, SEGMENT, len(self._segments))
        with suppress(OSError):  # a disk that is full now may have room when a roll needs it
            self._places.ensure_spare()

    @classmethod
    def open(cls, path: Path, epoch: Epoch, entropy: Callable[[int], bytes]) -> "SlotFile":
        """Open or make the file; KeeperLocked when it belongs to another epoch slot or process.

        `made` tells that there was none.
        """
        made = not path.exists()
        if made:
            header = _HEADER.pack(_MAGIC, _FORMAT, CELL, SEGMENT, epoch.store)
            create_file(path, header.ljust(_HEADER_LENGTH, b"\0"))
        descriptor = hold_file(path, "key slots")
        try:
            _check_header(descriptor, path, epoch)
            os.posix_fallocate(descriptor, 0, _BODIES)
            return cls(descriptor, epoch, entropy, made=made)
        except BaseException:
            os.close(descriptor)
            raise

    @property
    def segments(self) -> int:
        """How many segments of 1024 slots there are."""
        return len(self._segments)

    @property
    def touched(self) -> frozenset[int]:
        """The segments of which a cell was destroyed since their key was made."""
        return frozenset(self._touched)

    def read(self, slot: int, instance: InstanceId) -> DataKeys:
        """The keys of the instance that holds the slot; KeyGone when it no longer does."""
        segment, cell = self._cell(slot)
        used, holder, sealed = _CELL.unpack_from(cell)
        if used != _USED or holder != bytes.fromhex(instance):
            raise KeyGone("the key of this instance was destroyed")
        keys = segment.cipher.open(sealed, bound=self._bound(slot, holder, segment))
        return DataKeys(keys[:KEY_LENGTH], keys[KEY_LENGTH:])

    def holds(self, slot: int, instance: InstanceId) -> bool:
        """Whether the slot still belongs to the instance."""
        try:
            _, cell = self._cell(slot)
        except KeyGone:
            return False
        return cell.startswith(_CELL_HEAD.pack(_USED, bytes.fromhex(instance)))

    def write(self, instance: InstanceId, keys: DataKeys) -> int:
        """Put the keys into the lowest free slot and return its number; the caller syncs."""
        slot = self._allocator.take()
        if slot is None:
            self._add_segment()
            slot = self._allocator.take()
            assert slot is not None
        segment = self._segment(slot // SEGMENT)
        plain = keys.credential + keys.content
        nonce = self._entropy(NONCE_LENGTH)
        self._write_cell(
            slot, self._seal_cell(slot, bytes.fromhex(instance), plain, segment, nonce)
        )
        if self._given is not None:
            self._given.add(slot)
        return slot

    def erase(self, places: Sequence[tuple[int, InstanceId]]) -> None:
        """Overwrite the cells that still belong to these instances; the caller syncs.

        Where a cell is gone already it is written again as it stands, and so is the mark of its
        segment: after a sync that failed both are read, and no later sync would write them. (Linux
        holds them for clean.) Who asks again after a crash cannot know of either as well.
        """
        self._touch({slot // SEGMENT for slot, _ in places})
        for slot, instance in places:
            if self.holds(slot, instance):
                self._write_cell(slot, _EMPTY)
                self._allocator.release(slot)
            else:
                with suppress(KeyGone):
                    self._write_cell(slot, self._cell(slot)[1])

    def rekey(self, number: int) -> None:
        """Move a segment to a fresh place under a fresh key; durable on return.

        What was destroyed in it stays behind under the old key. OSError: nothing has changed, or
        all of it has.
        """
        old = self._segments[number]
        if old is None:
            self._touched.discard(number)
            return
        new = self._new_segment(self._places.take(), old.generation + 1)
        try:
            self._write_body(new, self._rewrapped(number, old, new))
            self.sync()  # the entry must never lead to cells that a power loss takes back
        except OSError:
            self._places.release(new.place)
            raise
        self._root.put(number, new)
        self._segments[number] = new
        self._touched.discard(number)
        self.sync()
        self._places.release(old.place)

    def wrap_for(self, epoch: Epoch) -> Root:
        """Write the other root table, for the next epoch; durable on return.

        Every touched segment must have been moved before.
        """
        assert not self._touched
        root = self._table_of(epoch)
        root.put_all(self._segments)
        self.sync()
        return root

    def adopt(self, root: Root) -> None:
        """The epoch of that table is in force."""
        self._root = root

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

    def _table_of(self, epoch: Epoch) -> Root:
        return Root(self._descriptor, _HEADER_LENGTH, epoch, self._entropy)

    def _add_segment(self) -> None:
        number = len(self._segments)
        if number == MOST_SEGMENTS:
            raise VaultError(f"all {MOST_SEGMENTS * SEGMENT} key slots are taken")
        segment = self._new_segment(self._room_for_segment(), 1)
        if self._body_at(segment.place) != _NO_BODY:  # left by a segment that moved away
            self._write_body(segment, _NO_BODY)
        self._root.put(number, segment)
        self._segments.append(segment)
        self._allocator.grow(len(self._segments))

    def _room_for_segment(self) -> int:
        """A place, with another one left for a roll."""
        try:
            place = self._places.take()
            try:
                self._places.ensure_spare()
            except OSError:
                self._places.release(place)
                raise
        except OSError as full:
            raise VaultError(f"no room for another key segment: {full.strerror}") from None
        return place

    def _reserve(self, place: int) -> None:
        os.posix_fallocate(self._descriptor, _BODIES + place * _BODY_LENGTH, _BODY_LENGTH)

    def _new_segment(self, place: int, generation: int) -> Segment:
        key = self._entropy(KEY_LENGTH)
        return Segment(place, generation, key, Cipher(key))

    def _touch(self, numbers: set[int]) -> None:
        known = {it for it in numbers if 0 <= it < len(self._segments) and self._segments[it]}
        self._root.touch(known)
        self._touched |= known

    def _rewrapped(self, number: int, old: Segment, new: Segment) -> bytes:
        """The body of a segment under its new key. A cell that does not open is kept shut."""
        body = bytearray(self._read_body(number))
        nonces = self._entropy(SEGMENT * NONCE_LENGTH)
        for i in range(SEGMENT):
            used, holder, sealed = _CELL.unpack_from(body, i * CELL)
            if used != _USED:
                continue
            slot, nonce = number * SEGMENT + i, nonces[i * NONCE_LENGTH : (i + 1) * NONCE_LENGTH]
            with suppress(SealBroken):
                plain = old.cipher.open(sealed, bound=self._bound(slot, holder, old))
                cell = self._seal_cell(slot, holder, plain, new, nonce)
                body[i * CELL : (i + 1) * CELL] = cell
        return bytes(body)

    def _segment(self, number: int) -> Segment:
        """A segment in force; KeyGone when there is none, or its key did not open."""
        segment = self._segments[number] if 0 <= number < len(self._segments) else None
        if segment is None:
            raise KeyGone("there is no key in this slot")
        return segment

    def _cell(self, slot: int) -> tuple[Segment, bytes]:
        """A cell and the segment whose key it is under.

        Read again when a roll moved the segment meanwhile: then its former place may be in use
        for another one. (The loop reads while the one thread writes.)
        """
        while True:
            segment = self._segment(slot // SEGMENT)
            cell = os.pread(self._descriptor, CELL, _cell_offset(segment, slot))
            if self._segments[slot // SEGMENT] is segment:
                return segment, cell

    def _free_in(self, number: int) -> Iterator[int]:
        used = self._read_body(number)[_USED_BYTE::CELL]
        return (number * SEGMENT + i for i, byte in enumerate(used) if byte == 0)

    def _read_body(self, number: int) -> bytes:
        """The cells of a segment; none when its key is gone, so that no slot of it is given out."""
        try:
            return self._body_at(self._segment(number).place)
        except KeyGone:
            return b""

    def _body_at(self, place: int) -> bytes:
        return os.pread(self._descriptor, _BODY_LENGTH, _BODIES + place * _BODY_LENGTH)

    def _write_body(self, segment: Segment, body: bytes) -> None:
        os.pwrite(self._descriptor, body, _BODIES + segment.place * _BODY_LENGTH)

    def _write_cell(self, slot: int, cell: bytes) -> None:
        segment = self._segment(slot // SEGMENT)
        os.pwrite(self._descriptor, cell, _cell_offset(segment, slot))

    def _seal_cell(
        self, slot: int, holder: bytes, plain: bytes, segment: Segment, nonce: bytes
    ) -> bytes:
        bound = self._bound(slot, holder, segment)
        sealed = segment.cipher.seal(plain, nonce=nonce, bound=bound)
        return _CELL.pack(_USED, holder, sealed).ljust(CELL, b"\0")

    def _bound(self, slot: int, holder: bytes, segment: Segment) -> bytes:
        return _BOUND.pack(b"slot", self._store, slot, holder, segment.generation)


def _cell_offset(segment: Segment, slot: int) -> int:
    return _BODIES + segment.place * _BODY_LENGTH + (slot % SEGMENT) * CELL


def _check_header(descriptor: int, path: Path, epoch: Epoch) -> None:
    header = os.pread(descriptor, _HEADER.size, 0)
    if header != _HEADER.pack(_MAGIC, _FORMAT, CELL, SEGMENT, epoch.store):
        raise KeeperLocked(f"key slots {path}: they do not belong to this epoch slot")
