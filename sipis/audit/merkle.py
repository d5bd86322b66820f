"""The Merkle tree of the log (RFC 6962 section 2.1, RFC 9162 section 2.1), without its leaves.

Only complete subtrees of 16**tier leaves are kept, outside of here; a root or a proof is put
together from a few dozen of them, whatever the size of the log. Refuses to hold the tree in memory.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

ARITY: Final = 16
"""Subtrees of one tier that make one of the next."""

_BITS: Final = 4
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

Subtrees = Callable[[int, int, int], Sequence[bytes]]
"""(tier, first, count): hashes of that many complete subtrees of 16**tier leaves."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two subtrees."""
    return hashlib.sha256(b"\1" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of equally large subtrees."""
    level = list(hashes)
    while len(level) > 1:
        level = [node_hash(level[i], level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]


class Tree:
    """A tree of `size` leaves over kept subtrees."""

    def __init__(self, size: int, subtrees: Subtrees) -> None:
        self.size = size
        self._subtrees = subtrees

    def root(self) -> bytes:
        """The tree head; that of no leaves is the hash of nothing."""
        return self._over(0, self.size) if self.size else EMPTY_ROOT

    def inclusion(self, index: int) -> list[bytes]:
        """The audit path of a leaf, from its sibling up; `index` is below `size`."""
        return self._path(index, 0, self.size)

    def consistency(self, earlier: int) -> list[bytes]:
        """Proof that the tree of `earlier` leaves (1 to size) is a prefix of this one."""
        return self._grown(earlier, 0, self.size, whole=True)

    def _path(self, index: int, low: int, high: int) -> list[bytes]:
        if high - low == 1:
            return []
        middle = low + _largest_power_below(high - low)
        if index < middle:
            return [*self._path(index, low, middle), self._over(middle, high)]
        return [*self._path(index, middle, high), self._over(low, middle)]

    def _grown(self, earlier: int, low: int, high: int, *, whole: bool) -> list[bytes]:
        """SUBPROOF of RFC 6962 2.1.2; `earlier` is an absolute position here."""
        if earlier == high:
            return [] if whole else [self._over(low, high)]
        middle = low + _largest_power_below(high - low)
        if earlier <= middle:
            below = self._grown(earlier, low, middle, whole=whole)
            return [*below, self._over(middle, high)]
        below = self._grown(earlier, middle, high, whole=False)
        return [*below, self._over(low, middle)]

    def _over(self, low: int, high: int) -> bytes:
        """The root over leaves low to high - 1, a range as RFC 6962 divides them."""
        length = high - low
        if length & (length - 1) == 0:
            tier, rest = divmod(length.bit_length() - 1, _BITS)
            unit = ARITY**tier
            return fold(self._subtrees(tier, low // unit, 1 << rest))
        middle = low + _largest_power_below(length)
        return node_hash(self._over(low, middle), self._over(middle, high))


def _largest_power_below(number: int) -> int:
    """The largest power of two smaller than a number above 1."""
    return 1 << ((number - 1).bit_length() - 1)
