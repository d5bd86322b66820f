import sqlite3

import pytest

from sipis.store import instances, messages, records
from sipis.store.messages import NewMessage, Stored
from sipis.store.records import Kind
from tests.support.store import NOW, digest, name, new_instance


@pytest.fixture
def n(conn: sqlite3.Connection) -> int:
    return instances.insert(conn, new_instance())


def message(n: int, number: int = 0, *, lives: float = 60) -> NewMessage:
    return NewMessage(
        n, name(number), digest(number), NOW + number, NOW + number + lives, b"sealed %d" % number
    )


def mids(rows: list[messages.MessageRow]) -> list[str]:
    return [row.mid for row in rows]


def test_a_message_comes_back_as_it_was(conn: sqlite3.Connection, n: int) -> None:
    assert messages.add(conn, message(n), most=10) is Stored.KEPT
    (row,) = messages.list_for(conn, n, NOW)
    assert (row.n, row.mid, row.sealed) == (n, name(0), b"sealed 0")
    assert (row.received_at, row.expires_at, row.delivered) == (NOW, NOW + 60, False)


def test_a_message_that_comes_twice_is_kept_once(conn: sqlite3.Connection, n: int) -> None:
    messages.add(conn, message(n), most=10)
    again = NewMessage(n, name(9), digest(0), NOW, NOW + 60, b"again")
    assert messages.add(conn, again, most=10) is Stored.DUPLICATE
    assert mids(messages.list_for(conn, n, NOW)) == [name(0)]


def test_two_instances_each_keep_the_same_message(conn: sqlite3.Connection, n: int) -> None:
    other = instances.insert(conn, new_instance(1))
    assert messages.add(conn, message(n), most=10) is Stored.KEPT
    assert messages.add(conn, message(other), most=10) is Stored.KEPT


def test_an_instance_has_no_more_than_its_share(conn: sqlite3.Connection, n: int) -> None:
    outcomes = [messages.add(conn, message(n, i), most=2) for i in range(3)]
    assert outcomes == [Stored.KEPT, Stored.KEPT, Stored.FULL]
    assert messages.count(conn, n) == 2


def test_messages_are_listed_oldest_first_and_up_to_the_limit(
    conn: sqlite3.Connection, n: int
) -> None:
    for number in range(3):
        messages.add(conn, message(n, number), most=10)
    assert mids(messages.list_for(conn, n, NOW, limit=2)) == [name(0), name(1)]


def test_a_delivered_message_stays_until_it_is_acknowledged(
    conn: sqlite3.Connection, n: int
) -> None:
    messages.add(conn, message(n, 0), most=10)
    messages.add(conn, message(n, 1), most=10)
    messages.mark_delivered(conn, n, name(0))
    assert mids(messages.undelivered(conn, n, NOW)) == [name(1)]
    assert mids(messages.list_for(conn, n, NOW)) == [name(0), name(1)]


def test_an_acknowledged_message_is_erased_with_its_record(
    conn: sqlite3.Connection, n: int
) -> None:
    messages.add(conn, message(n), most=10)
    m = conn.execute("SELECT m FROM messages").fetchone()["m"]
    assert messages.remove(conn, n, name(0))
    assert records.get(conn, Kind.MESSAGE, m) is None
    assert not messages.remove(conn, n, name(0))


@pytest.mark.parametrize("mid", ["", "nonsense", name(5)])
def test_a_name_that_no_message_has_removes_nothing(
    conn: sqlite3.Connection, n: int, mid: str
) -> None:
    messages.add(conn, message(n), most=10)
    assert not messages.remove(conn, n, mid)
    assert messages.count(conn, n) == 1


def test_a_message_of_another_instance_cannot_be_removed(conn: sqlite3.Connection, n: int) -> None:
    other = instances.insert(conn, new_instance(1))
    messages.add(conn, message(n), most=10)
    assert not messages.remove(conn, other, name(0))


def test_a_message_past_its_time_is_invisible_and_then_purged(
    conn: sqlite3.Connection, n: int
) -> None:
    messages.add(conn, message(n, 0, lives=10), most=10)
    messages.add(conn, message(n, 1, lives=100), most=10)
    assert mids(messages.list_for(conn, n, NOW + 10)) == [name(1)]
    assert mids(messages.undelivered(conn, n, NOW + 10)) == [name(1)]
    assert messages.purge(conn, NOW + 10) == 1
    assert messages.count(conn, n) == 1


def test_purging_stops_at_its_limit(conn: sqlite3.Connection, n: int) -> None:
    for number in range(3):
        messages.add(conn, message(n, number), most=10)
    assert messages.purge(conn, NOW + 1000, limit=2) == 2
    assert messages.purge(conn, NOW + 1000, limit=2) == 1
