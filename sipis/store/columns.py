"""How values become columns of constant stored width, and back.

SQLite stores a small integer in fewer bytes than a large one. A row that changes its length moves
within its page and can leave a copy behind, so each kind of value here has exactly one width.
Refuses NULL: an absent value is a number or a padding of the same width.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Generic, TypeVar

from sipis.errors import StoreError
from sipis.model import InstanceState, Mode

NEVER = 1 << 46
"""Milliseconds of a moment that does not come (year 4199); six bytes like every other time."""

LONG_AGO = 1 << 40
"""Milliseconds of a moment that is always past (year 2004); six bytes like every other time."""

WIDE = 1 << 32
"""Added to counters, so that all of them take six bytes."""

NO_HASH = bytes(32)
"""Stands for an absent hash."""

Word = TypeVar("Word", bound=StrEnum)


def to_ms(moment: float) -> int:
    """Unix seconds as milliseconds; infinity is NEVER. StoreError outside of 2004 to 4199."""
    if moment == math.inf:
        return NEVER
    ms = round(moment * 1000)
    if not LONG_AGO <= ms <= NEVER:
        raise StoreError("a time lies outside of what the store can keep")
    return ms


def to_seconds(ms: int) -> float:
    """Milliseconds as Unix seconds; NEVER is infinity."""
    return math.inf if ms >= NEVER else ms / 1000


def to_ms_or_never(moment: float | None) -> int:
    """Like to_ms; None is NEVER."""
    return NEVER if moment is None else to_ms(moment)


def to_seconds_or_none(ms: int) -> float | None:
    """Like to_seconds; NEVER is None."""
    return None if ms >= NEVER else ms / 1000


def widen(number: int) -> int:
    """A counter (0 to 2**32 - 1) as it is stored."""
    if not 0 <= number < WIDE:
        raise StoreError("a counter lies outside of what the store can keep")
    return number + WIDE


def narrow(stored: int) -> int:
    """A counter as it was given."""
    return stored - WIDE


def pad(text: str, size: int) -> bytes:
    """Text as exactly `size` bytes; StoreError when it is longer."""
    raw = text.encode()
    if len(raw) > size or b"\0" in raw:
        raise StoreError(f"a text does not fit {size} bytes")
    return raw.ljust(size, b"\0")


def unpad(stored: bytes) -> str:
    """The text that was padded."""
    return stored.rstrip(b"\0").decode()


def pack_hex(text: str) -> bytes:
    """Thirty-two hex digits as 16 bytes; StoreError for anything else."""
    packed = try_hex(text)
    if packed is None:
        raise StoreError("a random name must be 32 lower-case hex digits")
    return packed


def try_hex(text: str) -> bytes | None:
    """Like pack_hex for text of a peer: None for anything but 32 lower-case hex digits."""
    if len(text) != 32 or not set(text) <= set("0123456789abcdef"):
        return None
    return bytes.fromhex(text)


def unpack_hex(stored: bytes) -> str:
    """The hex digits that were packed."""
    return stored.hex()


def fixed_hash(value: bytes | None) -> bytes:
    """A hash of 32 bytes, NO_HASH for None; StoreError for another length."""
    if value is None:
        return NO_HASH
    if len(value) != len(NO_HASH):
        raise StoreError("a hash must have 32 bytes")
    return value


def hash_or_none(stored: bytes) -> bytes | None:
    """The hash that was given; None for NO_HASH."""
    return None if stored == NO_HASH else stored


class Words(Generic[Word]):
    """The members of an enum as one-byte codes, in stored order: members are only ever appended."""

    def __init__(self, members: Sequence[Word]) -> None:
        self._codes = {member: code for code, member in enumerate(members, start=2)}
        self._members = dict(zip(self._codes.values(), members, strict=True))

    def code(self, member: Word) -> int:
        """The stored code, 2 to 127: 0 and 1 would take no byte at all."""
        return self._codes[member]

    def member(self, code: int) -> Word:
        """The member behind a stored code."""
        return self._members[code]


MODES: Final = Words((Mode.CONTINUOUS, Mode.ALTERNATE, Mode.TAKEOVER))
STATES: Final = Words(
    (
        InstanceState.IDLE,
        InstanceState.REGISTERING,
        InstanceState.REGISTERED,
        InstanceState.UNAUTHORIZED,
        InstanceState.ERROR,
        InstanceState.EXPIRING,
    )
)
