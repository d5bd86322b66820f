"""A thief who knows every format and has stolen files: he opens whatever they let him open.

Written from the file formats alone; he shares no code with the server.
"""

import hashlib
import sqlite3
import struct
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

BLOCK, CELL, SEGMENT, TABLE = 4096, 128, 1024, 8192 * 128
BODY = SEGMENT * CELL
BODIES = 4096 + 2 * TABLE
RECORDS = [(purpose, version) for purpose in ("account", "targets") for version in range(1, 8)]


def framed(*fields: bytes | str | int) -> bytes:
    parts = [
        it.to_bytes(8, "big") if isinstance(it, int) else it.encode() if isinstance(it, str) else it
        for it in fields
    ]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def opened(key: bytes, sealed: bytes, bound: bytes) -> bytes | None:
    try:
        return AESGCM(key).decrypt(sealed[1:13], sealed[13:], sealed[:1] + bound)
    except InvalidTag:
        return None


@dataclass(frozen=True)
class Cell:
    """A cell that somebody held, as one copy shows it."""

    slot_in_segment: int
    sealed: bytes


@dataclass
class Thief:
    """What he has gathered; `steal` adds a folder of files, `read` says what he makes of it."""

    keks: set[bytes] = field(default_factory=set)
    blocks: set[bytes] = field(default_factory=set)
    files: set[bytes] = field(default_factory=set)
    records: set[bytes] = field(default_factory=set)
    apps: set[str] = field(default_factory=lambda: {"app"})
    items: set[tuple[str, str]] = field(default_factory=set)
    """Purposes and names of messages and calls, which stand in their rows in clear."""

    def steal(self, folder: Path, *, epoch_slot: bool) -> None:
        """Copy all that lies there; the epoch slot only where it can be had."""
        if epoch_slot:
            content = (folder / "epoch").read_bytes()
            self.blocks |= {content[:BLOCK], content[BLOCK:]}
        for path in folder.iterdir():
            if path.name == "kek":
                self.keks.add(path.read_bytes())
            elif path.name == "slots":
                self.files.add(path.read_bytes())
            elif path.name == "sipis.db":
                self._read_database(path)

    def read(self, instance: str) -> set[bytes]:
        """The records of an instance that he can decrypt."""
        holder = bytes.fromhex(instance)
        return {
            text
            for pair in self._data_keys(holder)
            for key in (pair[:32], pair[32:])
            for text in self._records(key, instance)
        }

    def _epochs(self) -> dict[tuple[bytes, int], bytes]:
        found = {}
        for block in self.blocks:
            head, sealed = block[:40], block[40:]
            magic, form, generation, store = struct.unpack(">12sIQ16s", head)
            for kek in self.keks:
                plain = opened(kek, sealed, framed("epoch", head))
                if plain is not None and (magic, form) == (b"sipis epoch\0", 1):
                    found[store, generation] = plain[:32]
        return found

    def _segments(self) -> set[tuple[bytes, int, int, bytes]]:
        """Store, number, generation and key of every segment that some copy gives away."""
        found = set()
        for content in self.files:
            for (store, epoch), key in self._epochs().items():
                for table in (0, 1):
                    for number in range(8192):
                        at = 4096 + table * TABLE + number * CELL
                        state, place, generation, sealed = struct.unpack_from(
                            ">IIQ61s", content, at
                        )
                        if not state:
                            break
                        bound = framed("segment", store, epoch, number, place, generation)
                        segment_key = opened(key, sealed, bound)
                        if segment_key is not None:
                            found.add((store, number, generation, segment_key))
        return found

    def _data_keys(self, holder: bytes) -> set[bytes]:
        found = set()
        cells = self._cells(holder)
        for store, number, generation, key in self._segments():
            for cell in cells:
                slot = number * SEGMENT + cell.slot_in_segment
                bound = struct.pack(">4s16sQ16sQ", b"slot", store, slot, holder, generation)
                pair = opened(key, cell.sealed, bound)
                if pair is not None:
                    found.add(pair)
        return found

    def _cells(self, holder: bytes) -> set[Cell]:
        """Every cell of the holder in every copy, in force or left behind."""
        found = set()
        for content in self.files:
            at = content.find(holder, BODIES)
            while at >= 0:
                start = at - 4
                if (start - BODIES) % CELL == 0:
                    slot = (start - BODIES) % BODY // CELL
                    found.add(Cell(slot, content[at + 16 : at + 16 + 93]))
                at = content.find(holder, at + 1)
        return found

    def _records(self, key: bytes, instance: str) -> set[bytes]:
        found = set()
        uses: list[tuple[str, int | str]] = [*RECORDS, *self.items]
        for purpose, use in uses:
            label = framed("sipis subkey", purpose, use)
            subkey = hashlib.blake2b(label, key=key, digest_size=32).digest()
            for app in self.apps:
                bound = framed(1, app, purpose, instance, use)
                texts = (opened(subkey, record, bound) for record in self.records)
                found |= {text for text in texts if text is not None}
        return found

    def _read_database(self, path: Path) -> None:
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            stored = (row[0] for row in database.execute("SELECT record FROM records"))
            self.records |= {it[4 : 4 + int.from_bytes(it[:4], "big")] for it in stored}
            self.apps |= {row[0] for row in database.execute("SELECT name FROM apps")}
        finally:
            database.close()
