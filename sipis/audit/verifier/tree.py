"""The Merkle tree as a verifier needs it (RFC 6962, RFC 9162). Refuses to keep leaves."""

import hashlib
from collections.abc import Sequence

from .forms import Unproven


def leaf_hash(line: bytes) -> bytes:
    """The hash of a leaf (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\0" + line).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two subtrees (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\1" + left + right).digest()


def root_by_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that an audit path leads to (RFC 9162 section 2.1.3.2)."""
    if index >= size:
        raise Unproven("the leaf lies beyond the checkpoint")
    place, last, root = index, size - 1, leaf
    for step in path:
        if last == 0:
            raise Unproven("the audit path is too long")
        if place & 1 or place == last:
            root = node_hash(step, root)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            root = node_hash(root, step)
        place, last = place >> 1, last >> 1
    if last:
        raise Unproven("the audit path is too short")
    return root


class GrowingTree:
    """A tree that remembers only the roots of its complete subtrees."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Append the hash of a leaf."""
        self.size += 1
        self._peaks.append(leaf)
        full = self.size
        while not full & 1:
            right = self._peaks.pop()
            self._peaks[-1] = node_hash(self._peaks[-1], right)
            full >>= 1

    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self._peaks:
            return hashlib.sha256(b"").digest()
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root
