import sqlite3

import pytest

from sipis.errors import StoreError
from sipis.store import records
from sipis.store.records import CLASSES, OVERHEAD, Kind

OWNER = 1 << 28
"""A row number, of the width that all row numbers have."""


def class_sizes(conn: sqlite3.Connection) -> dict[int, int]:
    """How many records each class has."""
    counts = {
        size: conn.execute(f"SELECT count(*) FROM records_{size}").fetchone()[0] for size in CLASSES
    }
    return {size: count for size, count in counts.items() if count}


@pytest.mark.parametrize("length", [0, 1, 541, 572, 573, 1000, 5000, 131_072])
def test_a_record_comes_back_as_it_was(conn: sqlite3.Connection, length: int) -> None:
    record = bytes(index % 251 for index in range(length))
    records.put(conn, Kind.MESSAGE, OWNER, record)
    assert records.get(conn, Kind.MESSAGE, OWNER) == record


@pytest.mark.parametrize(
    ("length", "size"), [(0, 512), (572, 512), (573, 1024), (1084, 1024), (1085, 2048)]
)
def test_every_record_of_a_class_takes_the_same_room(
    conn: sqlite3.Connection, length: int, size: int
) -> None:
    records.put(conn, Kind.CALL, OWNER, b"x" * length)
    stored = conn.execute(f"SELECT length(record) FROM records_{size}").fetchall()
    assert [row[0] for row in stored] == [size + OVERHEAD]


def test_a_record_beyond_the_largest_class_is_refused(conn: sqlite3.Connection) -> None:
    with pytest.raises(StoreError, match="longer"):
        records.put(conn, Kind.MESSAGE, OWNER, bytes(CLASSES[-1] + OVERHEAD))


def test_a_record_replaces_the_one_before_also_in_another_class(conn: sqlite3.Connection) -> None:
    records.put(conn, Kind.BINDING, OWNER, b"a" * 2000)
    records.put(conn, Kind.BINDING, OWNER, b"b")
    assert records.get(conn, Kind.BINDING, OWNER) == b"b"
    assert class_sizes(conn) == {512: 1}


def test_kinds_and_owners_do_not_touch_each_other(conn: sqlite3.Connection) -> None:
    for kind in Kind:
        records.put(conn, kind, OWNER, kind.name.encode())
        records.put(conn, kind, OWNER + 1, b"next")
    records.erase(conn, Kind.MESSAGE, [OWNER])
    left = {kind for kind in Kind if records.get(conn, kind, OWNER) == kind.name.encode()}
    assert left == set(Kind) - {Kind.MESSAGE}
    assert all(records.get(conn, kind, OWNER + 1) == b"next" for kind in Kind)


def test_erasing_an_instance_takes_its_three_records_and_no_other(conn: sqlite3.Connection) -> None:
    for kind in Kind:
        records.put(conn, kind, OWNER, b"x" * 900)
    records.erase_instance(conn, OWNER)
    left = {kind for kind in Kind if records.get(conn, kind, OWNER) is not None}
    assert left == set(Kind) - {Kind.CREDENTIAL, Kind.TARGETS, Kind.BINDING}
