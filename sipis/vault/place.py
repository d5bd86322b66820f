"""Where a record belongs: the names that are bound into it, and the sizes it is padded to.

Refuses to open a record anywhere else than where it was sealed (SealBroken).
"""

from functools import lru_cache
from typing import Final, NamedTuple

from sipis.errors import FieldError
from sipis.vault.envelope import Cipher, framed, pad, subkey, unpad

SCHEMA: Final = 1
RECORD_SIZES: Final = (512, 1024, 2048)
"""Lengths of a sealed credential or targets record, all included."""
CONTENT_SIZES: Final = tuple(512 << step for step in range(9))
"""Lengths of a sealed message or call: 512 bytes to 128 KiB in powers of two."""


class Place(NamedTuple):
    """One record of one instance."""

    app: str
    instance: str
    purpose: str
    use: int | str
    """The version of a record, the id of a message or call: with it a subkey is used once."""

    def seal(self, key: bytes, plain: bytes, sizes: tuple[int, ...], nonce: bytes) -> bytes:
        """Pad and encrypt under a subkey of `key`; FieldError when the text fits no size."""
        padded = pad(plain, sizes)
        if padded is None:
            raise FieldError(self.purpose, "is too long")
        return self._cipher(key).seal(padded, nonce=nonce, bound=self._bound())

    def open(self, key: bytes, sealed: bytes) -> bytes:
        """The text; SealBroken when it was altered or sealed for another place."""
        return unpad(self._cipher(key).open(sealed, bound=self._bound()))

    def _cipher(self, key: bytes) -> Cipher:
        return Cipher(subkey(key, self.purpose, self.use))

    def _bound(self) -> bytes:
        return _shelf(self.app, self.purpose) + framed(self.instance, self.use)


@lru_cache(maxsize=1024)
def _shelf(app: str, purpose: str) -> bytes:
    """The part of a place that the records of many instances share."""
    return framed(SCHEMA, app, purpose)
