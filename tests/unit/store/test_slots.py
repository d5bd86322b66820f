import sqlite3

from sipis.store import instances, slots
from sipis.store.columns import widen
from sipis.store.slots import OwedSlot
from tests.support.store import DAY, NOW, new_instance

FIRST, SECOND = new_instance(1).id, new_instance(2).id


def test_a_slot_is_owed_until_its_key_is_known_to_be_destroyed(conn: sqlite3.Connection) -> None:
    slots.owe(conn, widen(5), FIRST)
    slots.owe(conn, widen(6), SECOND)
    assert slots.owed(conn) == [OwedSlot(5, FIRST), OwedSlot(6, SECOND)]
    slots.destroyed(conn, [OwedSlot(5, FIRST)])
    assert slots.owed(conn) == [OwedSlot(6, SECOND)]


def test_a_slot_that_has_a_new_holder_stays_owed_for_that_one(conn: sqlite3.Connection) -> None:
    slots.owe(conn, widen(5), SECOND)
    slots.destroyed(conn, [OwedSlot(5, FIRST)])
    assert slots.owed(conn) == [OwedSlot(5, SECOND)]


def test_holders_are_listed_in_order(conn: sqlite3.Connection) -> None:
    ns = [instances.insert(conn, new_instance(number)) for number in range(3)]
    first, *rest = slots.holders(conn, after=0, limit=10)
    assert (first.n, first.id, first.slot) == (ns[0], new_instance(0).id, 0)
    assert first.commitment == new_instance(0).commitment
    assert slots.holders(conn, after=ns[0], limit=1) == rest[:1]


def test_expired_holders_are_listed_longest_first(conn: sqlite3.Connection) -> None:
    instances.insert(conn, new_instance(0))
    late = instances.insert(conn, new_instance(1, expires_at=NOW + 20))
    early = instances.insert(conn, new_instance(2, expires_at=NOW + 10))
    found = slots.expired_holders(conn, NOW + DAY - 1, 10)
    assert [holder.n for holder in found] == [early, late]
