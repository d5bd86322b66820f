"""Authenticated encryption, key derivation and padding: bytes in, bytes out.

Refuses files, clocks and chance: keys and nonces are arguments. Only the vault imports it.

Why each choice is safe:

- AES-256-GCM needs (key, nonce) never to repeat. A record or message is sealed under a subkey made
  for it alone, so its key is used once; the random 96-bit nonce is the second guard.
  A wrapping key (segment, epoch, KEK) seals many keys under random nonces; it is replaced long
  before 2^32 uses, where NIST SP 800-38D sets the bound for random nonces.
- A subkey is BLAKE2b(labels) in its keyed mode (RFC 7693), a pseudorandom function of the labels.
  Keys are 32 uniform random bytes, so HKDF's extract step would add nothing.
- Whatever gives a ciphertext its meaning (schema, app, instance, version, purpose) is bound into
  the associated data, each field with its length in front: no two lists make the same bytes.
- The first byte names the algorithm and is bound too: a later algorithm can be added beside this
  one, and an unknown byte stays shut.
- Padding to few sizes hides how long a password, a token or a message is.
"""

import hashlib
import hmac
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sipis.errors import SealBroken

AES_256_GCM: Final = 1
KEY_LENGTH: Final = 32
NONCE_LENGTH: Final = 12
TAG_LENGTH: Final = 16
OVERHEAD: Final = 1 + NONCE_LENGTH + TAG_LENGTH
"""Bytes by which sealing makes a text longer."""

_ALGORITHM: Final = bytes([AES_256_GCM])
_LENGTH_FIELD: Final = 4


class Aead(Protocol):
    """A cipher of the cryptography package."""

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """The text; InvalidTag when anything is not as it was."""


_FORMER: Final[dict[bytes, Callable[[bytes], Aead]]] = {}
"""Algorithms that nothing is sealed with any more, by their byte: what they sealed still opens."""


class Cipher:
    """One key, ready to seal and open."""

    __slots__ = ("_aead", "_key")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._aead = AESGCM(key)

    def seal(self, plain: bytes, *, nonce: bytes, bound: bytes) -> bytes:
        """Algorithm byte, nonce, ciphertext, tag; to open them `bound` must be given again."""
        return _ALGORITHM + nonce + self._aead.encrypt(nonce, plain, _ALGORITHM + bound)

    def open(self, sealed: bytes, *, bound: bytes) -> bytes:
        """Decrypt; SealBroken for a wrong key, altered bytes, another place or algorithm."""
        algorithm = sealed[:1]
        aead = self._aead if algorithm == _ALGORITHM else self._former(algorithm)
        if len(sealed) < OVERHEAD:
            raise SealBroken("too short to be sealed")
        nonce, text = sealed[1 : 1 + NONCE_LENGTH], sealed[1 + NONCE_LENGTH :]
        try:
            return aead.decrypt(nonce, text, algorithm + bound)
        except InvalidTag:
            raise SealBroken("altered, or sealed for another place") from None

    def _former(self, algorithm: bytes) -> Aead:
        if algorithm not in _FORMER:
            raise SealBroken("sealed with an unknown algorithm")
        return _FORMER[algorithm](self._key)


def framed(*fields: str | bytes | int) -> bytes:
    """Join fields so that different lists never give equal bytes: each has its length in front."""
    parts: list[bytes] = []
    for field in fields:
        data = field if isinstance(field, bytes) else _as_bytes(field)
        parts += (len(data).to_bytes(_LENGTH_FIELD, "big"), data)
    return b"".join(parts)


def subkey(key: bytes, *labels: str | int) -> bytes:
    """The 32-byte key for one use of `key`, which itself encrypts nothing."""
    return hashlib.blake2b(_use(*labels), key=key, digest_size=KEY_LENGTH).digest()


def keyed_hash(key: bytes, text: str) -> bytes:
    """A name for `text` that only the holder of the key can compute."""
    return hmac.digest(key, framed("sipis index", text), "sha256")


def pad(plain: bytes, classes: tuple[int, ...]) -> bytes | None:
    """Length, text, zeros: as long as the smallest class that holds it sealed; None: none does."""
    needed = len(plain) + _LENGTH_FIELD + OVERHEAD
    size = next((size for size in classes if size >= needed), None)
    if size is None:
        return None
    return (len(plain).to_bytes(_LENGTH_FIELD, "big") + plain).ljust(size - OVERHEAD, b"\0")


def unpad(padded: bytes) -> bytes:
    """The text that pad() was given."""
    length = int.from_bytes(padded[:_LENGTH_FIELD], "big")
    return padded[_LENGTH_FIELD : _LENGTH_FIELD + length]


@lru_cache(maxsize=64)
def _use(*labels: str | int) -> bytes:
    """What a subkey is for; few uses come up again and again."""
    return framed("sipis subkey", *labels)


def _as_bytes(field: str | int) -> bytes:
    return field.to_bytes(8, "big") if isinstance(field, int) else field.encode()
