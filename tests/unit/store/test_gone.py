import sqlite3

import pytest

from sipis.store import gone, instances, registrars, schedule
from sipis.store.columns import NO_HASH
from sipis.store.gone import Tombstone
from tests.support.store import DAY, NOW, digest, name, new_instance, registered

STONE = Tombstone(new_instance(1).id, digest(1), digest(2), NOW)


def binding_row(conn: sqlite3.Connection, n: int) -> sqlite3.Row:
    row: sqlite3.Row = conn.execute(
        "SELECT i.*, s.bound_until FROM instances i JOIN schedule s USING (n) WHERE n = ?", (n,)
    ).fetchone()
    return row


@pytest.fixture
def bound(conn: sqlite3.Connection) -> int:
    """An instance that is registered until NOW + 3600."""
    n = instances.insert(conn, new_instance())
    (claim,) = schedule.claim(conn, NOW, limit=1)
    schedule.settle(conn, [registered(claim)], NOW)
    return n


def test_a_tombstone_is_found_for_its_time(conn: sqlite3.Connection) -> None:
    gone.bury(conn, STONE, digest(3), NOW + DAY)
    assert gone.by_id(conn, STONE.id, NOW + DAY - 1) == STONE
    assert gone.by_idempotency_key(conn, digest(3), NOW) == STONE
    assert gone.by_id(conn, STONE.id, NOW + DAY) is None
    assert gone.by_idempotency_key(conn, digest(3), NOW + DAY) is None


@pytest.mark.parametrize("text", ["", "nonsense", name(99)])
def test_a_name_without_a_tombstone_finds_nothing(conn: sqlite3.Connection, text: str) -> None:
    gone.bury(conn, STONE, NO_HASH, NOW + DAY)
    assert gone.by_id(conn, text, NOW) is None


def test_an_absent_idempotency_key_finds_no_tombstone(conn: sqlite3.Connection) -> None:
    gone.bury(conn, STONE, NO_HASH, NOW + DAY)
    assert gone.by_idempotency_key(conn, NO_HASH, NOW) is None


def test_a_bound_contact_is_remembered_for_the_rest_of_its_grant(
    conn: sqlite3.Connection, bound: int
) -> None:
    registrars.learn(conn, "example.org", ["192.0.2.1", "192.0.2.2"], NOW)
    gone.remember_contact(conn, binding_row(conn, bound), NOW + 10)
    found = gone.contact(conn, name(0x1000), NOW + 3599)
    assert found is not None
    assert set(found.sources) == {"192.0.2.1", "192.0.2.2"}
    assert found.expires_at == NOW + 3600
    assert gone.contact(conn, name(0x1000), NOW + 3600) is None
    assert gone.contact(conn, name(0x1001), NOW + 10) is None


def test_a_contact_that_no_registrar_knows_is_not_remembered(
    conn: sqlite3.Connection, bound: int
) -> None:
    unbound = instances.insert(conn, new_instance(1))
    gone.remember_contact(conn, binding_row(conn, unbound), NOW)
    gone.remember_contact(conn, binding_row(conn, bound), NOW + 3600)
    assert conn.execute("SELECT count(*) FROM gone_contacts").fetchone()[0] == 0


def test_what_is_past_its_time_is_purged_up_to_the_limit(
    conn: sqlite3.Connection, bound: int
) -> None:
    for number in range(3):
        stone = Tombstone(new_instance(number).id, digest(1), digest(2), NOW)
        gone.bury(conn, stone, NO_HASH, NOW + 60)
    gone.remember_contact(conn, binding_row(conn, bound), NOW)
    assert gone.purge(conn, NOW + 59) == 0
    assert gone.purge(conn, NOW + 3600, limit=2) == 2
    assert gone.purge(conn, NOW + 3600, limit=2) == 1
    assert gone.purge(conn, NOW + 3600) == 0
    assert conn.execute("SELECT count(*) FROM records").fetchone()[0] == 2
