"""The epoch slot: one file of two 4 KiB blocks that holds the root of all keys, under the KEK.

    block = magic 12 | format 4 | generation 8 | store 16 | sealed (epoch key | index key | 0…)

Generation g lies in block g mod 2; the newest block that opens is in force. This file is the one
effaceable cell: overwritten in place, never copied, never backed up. The sealed part fills the
block, so that a new generation leaves no byte of the old one standing.

Refuses to guess: a file whose blocks do not open under the KEK locks the keeper and stays as it is.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sipis.errors import KeeperLocked, SealBroken
from sipis.vault.envelope import KEY_LENGTH, NONCE_LENGTH, OVERHEAD, Cipher, framed
from sipis.vault.files import create_file

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
