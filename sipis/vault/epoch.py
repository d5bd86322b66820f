"""The epoch slot: one file of two 4 KiB blocks that holds the root of all keys, under the KEK.

    block = magic 12 | format 4 | generation 8 | store 16 | sealed (epoch key | index key | 0…)

Generation g lies in block g mod 2; the newest block that opens is in force. A roll writes the next
generation into the other block and then overwrites the old one with random bytes: from that moment
nobody has the old epoch key, and whatever only that key wrapped is gone. This file is the one
effaceable cell: overwritten in place, never copied, never backed up. The sealed part fills the
block, so that a new generation leaves no byte of an old one standing.

Refuses to guess: a file whose blocks do not open under the KEK locks the keeper and stays as it is.
"""

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sipis.errors import KeeperLocked, SealBroken
from sipis.vault.envelope import KEY_LENGTH, NONCE_LENGTH, OVERHEAD, Cipher, framed
from sipis.vault.files import create_file, hold_file

BLOCK: Final = 4096
FIRST_GENERATION: Final = 1
STORE_LENGTH: Final = 16

_MAGIC: Final = b"sipis epoch\0"
_FORMAT: Final = 1
_HEAD: Final = struct.Struct(f">12sIQ{STORE_LENGTH}s")
_PLAIN_LENGTH: Final = BLOCK - _HEAD.size - OVERHEAD


@dataclass(frozen=True, slots=True)
class Epoch:
    """What the slot holds: the key that wraps all segment keys, and the key of look-up hashes."""

    generation: int
    store: bytes
    """16 random bytes that tie the key slots to this root."""
    key: bytes = field(repr=False)
    index_key: bytes = field(repr=False)

    def successor(self, key: bytes) -> "Epoch":
        """The next generation of the same store, with a fresh epoch key."""
        return Epoch(self.generation + 1, self.store, key, self.index_key)


class EpochSlot:
    """The opened epoch slot."""

    def __init__(
        self, descriptor: int, kek: bytes, epoch: Epoch, entropy: Callable[[int], bytes]
    ) -> None:
        self._descriptor = descriptor
        self._cipher = Cipher(kek)
        self._epoch = epoch
        self._entropy = entropy

    @classmethod
    def open(cls, path: Path, kek: bytes, entropy: Callable[[int], bytes]) -> "EpochSlot":
        """Open the file; KeeperLocked when the KEK opens no block, or another process has it."""
        descriptor = hold_file(path, "epoch slot")
        try:
            return cls(descriptor, kek, read_epoch(path, kek), entropy)
        except BaseException:
            os.close(descriptor)
            raise

    @property
    def epoch(self) -> Epoch:
        """The epoch in force."""
        return self._epoch

    def put(self, epoch: Epoch, kek: bytes | None = None) -> None:
        """Put the successor in force, durably; with `kek`, under that one from now on.

        OSError when the disk fails: then the file may hold either, and the old one is in force here
        until a put succeeds.
        """
        cipher = self._cipher if kek is None else Cipher(kek)
        self._overwrite(epoch.generation, _seal_block(epoch, cipher, self._entropy(NONCE_LENGTH)))
        self._epoch, self._cipher = epoch, cipher

    def efface_other(self) -> None:
        """Overwrite the block that is not in force, whatever it holds; durable on return."""
        self._overwrite(self._epoch.generation + 1, self._entropy(BLOCK))

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _overwrite(self, generation: int, block: bytes) -> None:
        os.pwrite(self._descriptor, block, generation % 2 * BLOCK)
        os.fdatasync(self._descriptor)


def read_epoch(path: Path, kek: bytes) -> Epoch:
    """The epoch in force; KeeperLocked when the KEK opens neither block of the file."""
    try:
        content = path.read_bytes()
    except OSError as wrong:
        raise KeeperLocked(f"epoch slot {path}: {wrong.strerror}") from None
    cipher = Cipher(kek)
    blocks = (content[:BLOCK], content[BLOCK : 2 * BLOCK])
    epochs = [epoch for block in blocks if (epoch := _open_block(block, cipher)) is not None]
    if not epochs:
        raise KeeperLocked(f"epoch slot {path}: the KEK does not open it")
    return max(epochs, key=lambda epoch: epoch.generation)


def create_epoch(path: Path, kek: bytes, entropy: Callable[[int], bytes]) -> Epoch:
    """Make the first generation, in a new file."""
    epoch = Epoch(FIRST_GENERATION, entropy(STORE_LENGTH), entropy(KEY_LENGTH), entropy(KEY_LENGTH))
    blocks = [bytes(BLOCK), bytes(BLOCK)]
    blocks[epoch.generation % 2] = _seal_block(epoch, Cipher(kek), entropy(NONCE_LENGTH))
    create_file(path, b"".join(blocks))
    return epoch


def _seal_block(epoch: Epoch, cipher: Cipher, nonce: bytes) -> bytes:
    head = _HEAD.pack(_MAGIC, _FORMAT, epoch.generation, epoch.store)
    plain = (epoch.key + epoch.index_key).ljust(_PLAIN_LENGTH, b"\0")
    return head + cipher.seal(plain, nonce=nonce, bound=framed("epoch", head))


def _open_block(block: bytes, cipher: Cipher) -> Epoch | None:
    if len(block) < BLOCK:
        return None
    head, sealed = block[: _HEAD.size], block[_HEAD.size :]
    magic, form, generation, store = _HEAD.unpack(head)
    if (magic, form) != (_MAGIC, _FORMAT):
        return None
    try:
        plain = cipher.open(sealed, bound=framed("epoch", head))
    except SealBroken:
        return None
    return Epoch(generation, store, plain[:KEY_LENGTH], plain[KEY_LENGTH : 2 * KEY_LENGTH])
