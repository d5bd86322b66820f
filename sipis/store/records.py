"""Sealed records and other byte strings, padded to size classes: one table per class.

Refuses to know what a record says: it keeps bytes under the number of their owner and their kind.
"""

import sqlite3
from collections.abc import Sequence
from enum import IntEnum

from sipis.errors import StoreError

CLASSES = tuple(512 << step for step in range(9))
"""Size classes in bytes: 512 to 128 KiB, a table each (`records_512` ...)."""

OVERHEAD = 64
"""Room that each class has on top, for the nonce, tag and header of a sealed record."""


class Kind(IntEnum):
    """What a record belongs to; the first three and the last are those of an instance."""

    CREDENTIAL = 0
    TARGETS = 1
    BINDING = 2
    MESSAGE = 3
    CALL = 4
    RECEIPT = 5
    GONE_CONTACT = 6
    VOICEMAIL = 7
    """The last known number of new voice messages, sealed; always of the smallest class."""


_KINDS = 8
_PREFIX = 4


def put(conn: sqlite3.Connection, kind: Kind, owner: int, record: bytes) -> None:
    """Keep a record in place of the one that its owner had; StoreError when it is too long."""
    size = _class_of(record)
    item, padded = _item(kind, owner), _padded(record, size)
    same_class = f"UPDATE records_{size} SET record = ? WHERE item = ?"
    if conn.execute(same_class, (padded, item)).rowcount:
        return
    _delete(conn, item, item)
    conn.execute(f"INSERT INTO records_{size} (item, record) VALUES (?, ?)", (item, padded))


def get(conn: sqlite3.Connection, kind: Kind, owner: int) -> bytes | None:
    """The record, or None where the owner has none of this kind."""
    found = conn.execute("SELECT record FROM records WHERE item = ? LIMIT 1", (_item(kind, owner),))
    row = found.fetchone()
    return None if row is None else unpadded(row[0])


def column(kind: Kind, owner: str) -> str:
    """SQL of the padded record whose owner is the number in this column, NULL without one."""
    return f"(SELECT record FROM records WHERE item = {owner} * {_KINDS} + {kind.value} LIMIT 1)"


def unpadded(stored: bytes) -> bytes:
    """The record out of what a `column()` holds."""
    length = int.from_bytes(stored[:_PREFIX], "big")
    return stored[_PREFIX : _PREFIX + length]


def erase(conn: sqlite3.Connection, kind: Kind, owners: Sequence[int]) -> None:
    """Remove the records of one kind of these owners."""
    for owner in owners:
        _delete(conn, _item(kind, owner), _item(kind, owner))


def erase_instance(conn: sqlite3.Connection, n: int) -> None:
    """Remove the records of an instance."""
    _delete(conn, _item(Kind.CREDENTIAL, n), _item(Kind.BINDING, n))
    voicemail = _item(Kind.VOICEMAIL, n)
    conn.execute(f"DELETE FROM records_{CLASSES[0]} WHERE item = ?", (voicemail,))


def _delete(conn: sqlite3.Connection, first: int, last: int) -> None:
    for size in CLASSES:
        conn.execute(f"DELETE FROM records_{size} WHERE item BETWEEN ? AND ?", (first, last))


def _item(kind: Kind, owner: int) -> int:
    return owner * _KINDS + kind


def _class_of(record: bytes) -> int:
    for size in CLASSES:
        if len(record) + _PREFIX <= size + OVERHEAD:
            return size
    raise StoreError("a record is longer than the largest size class")


def _padded(record: bytes, size: int) -> bytes:
    return (len(record).to_bytes(_PREFIX, "big") + record).ljust(size + OVERHEAD, b"\0")
