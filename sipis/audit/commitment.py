"""The name of an instance in every piece of evidence: a hash that only its opening explains.

Refuses plain hashes of an id (ids can be tried one by one) and keyed ones (the key could be asked
for): each instance has a salt of its own, which dies with it and remains in the app's hands.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sipis.model import InstanceId

SALT_LENGTH: Final = 32
_LABEL: Final = b"instance"


@dataclass(frozen=True, slots=True)
class Opening:
    """What proves that a commitment is about an instance."""

    instance: InstanceId
    salt: bytes = field(repr=False)

    @property
    def commitment(self) -> bytes:
        """SHA-256 over the word `instance`, 32 bytes of salt and the id as its hex digits."""
        return hashlib.sha256(_LABEL + self.salt + self.instance.encode()).digest()


def new_opening(instance: InstanceId, entropy: Callable[[int], bytes]) -> Opening:
    """A fresh salt for an instance."""
    return Opening(instance, entropy(SALT_LENGTH))
