import sqlite3
from collections import Counter

from sipis.model import CallState, DeletionReason
from sipis.store import (
    apps,
    calls,
    erasure,
    gone,
    instances,
    lookup,
    messages,
    receipts,
    registrars,
    schedule,
    slots,
)
from sipis.store.apps import AppCount
from sipis.store.calls import CallRow
from sipis.store.erasure import Erased, Erasure
from sipis.store.messages import NewMessage
from sipis.store.receipts import Receipt
from sipis.store.schedule import Binding
from sipis.store.slots import OwedSlot
from tests.support.store import DAY, NOW, digest, name, new_instance, registered

RECEIPT = Receipt(digest(0x5000), DeletionReason.DISABLED, NOW + 10, "document")
WHAT_STAYS = {
    "apps", "registrars", "tombstones", "gone_contacts", "receipts", "pending_destroy",
    "sqlite_sequence", "log_size",
}  # fmt: skip


def full_instance(conn: sqlite3.Connection, number: int = 0) -> int:
    """An instance with everything that one can have."""
    new = new_instance(number, idempotency_key=digest(number + 800))
    n = instances.insert(conn, new)
    registrars.learn(conn, "example.org", ["192.0.2.1"], NOW)
    for claim in schedule.claim(conn, NOW, limit=10):
        left = Binding("nonce", ("<sip:edge.example;lr>",), "place")
        schedule.settle(conn, [registered(claim, binding=left)], NOW)
    messages.add(conn, NewMessage(n, name(1), digest(1), NOW, NOW + DAY, b"x" * 3000), most=9)
    call = f"00000000-0000-4000-8000-{number:012x}"
    calls.save(conn, CallRow(n, call, CallState.MISSED, NOW, NOW + 1, NOW + DAY, b"x" * 900))
    return n


def rows(conn: sqlite3.Connection) -> Counter[str]:
    tables = conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    counts = {
        table["name"]: conn.execute(f"SELECT count(*) FROM {table['name']}").fetchone()[0]
        for table in tables
    }
    return Counter({table: count for table, count in counts.items() if count})


def erase(conn: sqlite3.Connection, *ns: int) -> list[Erased]:
    erasures = [Erasure(n, RECEIPT) for n in ns]
    return erasure.erase(conn, erasures, tombstone_ttl=DAY)


def test_nothing_of_an_instance_stays_in_any_table_of_instances(conn: sqlite3.Connection) -> None:
    n = full_instance(conn)
    assert erase(conn, n) == [
        Erased(n, new_instance(0).id, 0, new_instance(0).commitment, new_instance(0).expires_at)
    ]
    left = rows(conn)
    small = {table for table in left if table.startswith("records_")}
    assert left.keys() - small == WHAT_STAYS
    assert sum(left[table] for table in small) == 2  # of the receipt and of the gone contact


def test_another_instance_keeps_everything(conn: sqlite3.Connection) -> None:
    other = full_instance(conn, 1)
    before = rows(conn)
    erase(conn, full_instance(conn, 0))
    lost = before - rows(conn)
    assert not lost
    assert len(messages.list_for(conn, other, NOW)) == len(calls.list_for(conn, other, NOW)) == 1
    assert lookup.sealed(conn, other, NOW) is not None


def test_its_key_slot_is_owed(conn: sqlite3.Connection) -> None:
    erase(conn, full_instance(conn, 3))
    assert slots.owed(conn) == [OwedSlot(3, new_instance(3).id)]


def test_a_repeated_delete_and_a_replayed_post_find_its_tombstone(conn: sqlite3.Connection) -> None:
    erase(conn, full_instance(conn))
    stone = gone.by_id(conn, new_instance(0).id, NOW + 11)
    assert stone is not None
    assert (stone.secret_hash, stone.commitment) == (digest(0), RECEIPT.commitment)
    assert gone.by_idempotency_key(conn, digest(800), NOW + DAY) == stone
    assert gone.by_id(conn, new_instance(0).id, NOW + 10 + DAY) is None


def test_its_receipt_can_be_read(conn: sqlite3.Connection) -> None:
    erase(conn, full_instance(conn))
    assert receipts.get(conn, RECEIPT.commitment) == RECEIPT


def test_late_calls_to_its_contact_can_still_be_answered(conn: sqlite3.Connection) -> None:
    erase(conn, full_instance(conn))
    contact = gone.contact(conn, name(0x1000), NOW + 11)
    assert contact is not None
    assert (contact.sources, contact.expires_at) == (("192.0.2.1",), NOW + 3600)


def test_its_registrar_and_app_are_left(conn: sqlite3.Connection) -> None:
    erase(conn, full_instance(conn))
    assert registrars.in_use(conn) == []
    assert apps.counts(conn) == {"phone": AppCount(0, 0)}


def test_many_are_erased_in_one_job_and_the_gone_are_passed_over(conn: sqlite3.Connection) -> None:
    ns = [instances.insert(conn, new_instance(number)) for number in range(5)]
    assert [one.n for one in erase(conn, *ns[:3])] == ns[:3]
    assert [one.n for one in erase(conn, *ns)] == ns[3:]
    assert erase(conn, *ns) == []


def test_an_expired_instance_is_erased_like_any_other(conn: sqlite3.Connection) -> None:
    n = instances.insert(conn, new_instance(0, expires_at=NOW + 1))
    assert [row.n for row in lookup.expired(conn, NOW + 1, 10)] == [n]
    assert len(erase(conn, n)) == 1
    assert lookup.expired(conn, NOW + 1, 10) == []


def test_a_settlement_of_an_erased_row_changes_nothing(conn: sqlite3.Connection) -> None:
    n = instances.insert(conn, new_instance())
    (claim,) = schedule.claim(conn, NOW, limit=1)
    erase(conn, n)
    left = Binding("nonce", (), "place")
    assert schedule.settle(conn, [registered(claim, binding=left)], NOW).counted == set()
    assert schedule.next_due(conn, NOW) is None
    assert sum(count for table, count in rows(conn).items() if table.startswith("records_")) == 1


def test_the_number_of_an_erased_instance_is_never_given_again(conn: sqlite3.Connection) -> None:
    n = instances.insert(conn, new_instance())
    erase(conn, n)
    assert instances.insert(conn, new_instance(1)) > n
